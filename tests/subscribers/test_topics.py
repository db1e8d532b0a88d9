"""What readers chose to read of: kept with a permission each, changed by them alone."""

import pytest

from newsletter.database import Database, now
from newsletter.subscribers import segments, tables, topics, unsubscribe
from newsletter.vault import Keyring, Vault
from tests.servers import Urls
from tests.subscribers.conftest import NOW, Lists


def keys(lists: Lists, subscriber: int) -> list[str]:
    """Return the keys of what a reader chose."""
    with lists.database.transaction() as session:
        return [one.key for one in topics.of(session, subscriber)]


@pytest.fixture
def three(lists: Lists) -> None:
    """Three topics."""
    with lists.database.transaction() as session:
        for key, name in (("water", "Water"), ("prisons", "Prisons"), ("press", "Freedom of the press")):
            topics.add(session, key, name=name)


@pytest.mark.usefixtures("three")
def test_a_choice_rests_on_a_permission_for_that_topic(lists: Lists, reader: tuple[int, int]) -> None:
    """What somebody reads of can harm them: it is kept only where it can be shown that they said so."""
    with lists.database.transaction() as session:
        assert topics.choose(session, reader[0], ["water", "press"], now=NOW)
        assert not topics.choose(session, reader[0], ["press", "water"], now=NOW)
    assert keys(lists, reader[0]) == ["press", "water"]
    rows = lists.ask(
        "SELECT e.purpose = 'topic:' || i.topic_id, e.kind, e.basis FROM interest i JOIN consent_event e ON e.id = i.granted_by"
    )
    assert rows == [(True, "granted", "consent")] * 2


@pytest.mark.usefixtures("three")
def test_a_topic_that_ends_ends_nothing_else(lists: Lists, reader: tuple[int, int]) -> None:
    """Who has read enough of one thing must not lose the alerts, nor count as gone."""
    with lists.database.transaction() as session:
        topics.choose(session, reader[0], ["water", "press"], now=NOW)
        topics.choose(session, reader[0], ["press"], now=NOW)
    assert keys(lists, reader[0]) == ["press"]
    assert lists.ask("SELECT end_reason FROM interest WHERE ended_at IS NOT NULL") == [("changed",)]
    assert lists.one("SELECT count(*) FROM consent_event WHERE kind = 'withdrawn' AND purpose LIKE 'topic:%'") == 1
    assert lists.one("SELECT count(*) FROM consent_event WHERE kind = 'withdrawn' AND purpose NOT LIKE 'topic:%'") == 0
    assert lists.one("SELECT count(*) FROM subscription WHERE ended_at IS NULL") == 1


@pytest.mark.usefixtures("three")
def test_a_topic_that_is_not_there_changes_nothing(lists: Lists, reader: tuple[int, int]) -> None:
    """A page that was open while a topic went must not take the reader's other choices with it."""
    with lists.database.transaction() as session:
        topics.choose(session, reader[0], ["water"], now=NOW)
        with pytest.raises(topics.UnknownTopic):
            topics.choose(session, reader[0], ["press", "nothing"], now=NOW)
    assert keys(lists, reader[0]) == ["water"]


@pytest.mark.usefixtures("three")
def test_the_pages_may_choose_and_end_and_no_more(
    lists: Lists, reader: tuple[int, int], database_urls: Urls, keyring: Keyring
) -> None:
    """A hole in a web page must not invent a topic or rewrite whose a choice is."""
    web = Database(database_urls.web, Vault(keyring))
    try:
        with web.transaction() as session:
            moment = now(session)
            topics.choose(session, reader[0], ["water"], now=moment)
            topics.choose(session, reader[0], ["press"], now=moment)
        for forbidden in ("INSERT INTO topic (key, name) VALUES ('x', 'x')", "UPDATE interest SET subscriber_id = 1"):
            with pytest.raises(Exception, match="permission denied"):
                Lists(web, lists.folder, 0).ask(forbidden)
    finally:
        web.close()
    assert keys(lists, reader[0]) == ["press"]


@pytest.mark.parametrize(
    ("key", "name", "error"),
    [
        ("Water", "Water", topics.BadTopicKey),
        ("water", " ", topics.BadTopicName),
        ("water", "a\nb", topics.BadTopicName),
    ],
)
def test_a_topic_that_could_stand_nowhere_is_refused(lists: Lists, key: str, name: str, error: type[Exception]) -> None:
    """Its key stands in addresses of pages, its name in mail."""
    with lists.database.transaction() as session, pytest.raises(error):
        topics.add(session, key, name=name)


def test_the_same_topic_again_is_no_fault(lists: Lists) -> None:
    """A script that sets a machine up runs more than once."""
    with lists.database.transaction() as session:
        first = topics.add(session, "water", name="Water")
        assert topics.add(session, "water", name="Water") == first
        with pytest.raises(topics.TopicExists):
            topics.add(session, "water", name="Rivers")
        assert topics.listed(session) == [first]


@pytest.mark.usefixtures("three")
def test_leaving_everything_is_not_undone_by_a_choice(lists: Lists, reader: tuple[int, int]) -> None:
    """A topic says what to write of, never that to write at all."""
    with lists.database.transaction() as session:
        unsubscribe.leave(session, reader[0], None, reason="unsubscribed", now=NOW)
        topics.choose(session, reader[0], ["water"], now=NOW)
    assert lists.one("SELECT count(*) FROM subscription WHERE ended_at IS NULL") == 0


@pytest.mark.usefixtures("three")
def test_a_topic_that_is_removed_is_nobodys_and_can_come_back(lists: Lists, reader: tuple[int, int]) -> None:
    """An operator's slip, or another system's tag, must not stand on readers' pages for ever; what was kept stays provable."""
    with lists.database.transaction() as session:
        topics.choose(session, reader[0], ["water", "press"], now=NOW)
        with pytest.raises(topics.TopicChosen) as refusal:
            topics.remove(session, "water", chosen_too=False, now=NOW)
        assert refusal.value.facts == {"topic": "water", "readers": 1, "segments": 0}
        assert topics.remove(session, "prisons", chosen_too=False, now=NOW) == topics.Uses(0, 0)
        assert topics.remove(session, "water", chosen_too=True, now=NOW) == topics.Uses(1, 0)
        assert [one.key for one in topics.listed(session)] == ["press"]
        with pytest.raises(topics.UnknownTopic):
            topics.choose(session, reader[0], ["water"], now=NOW)
    assert keys(lists, reader[0]) == ["press"]
    assert lists.ask("SELECT kind, purpose FROM consent_event ORDER BY id")[-1] == ("withdrawn", "topic:1")
    with lists.database.transaction() as session:
        again = topics.add(session, "water", name="Rivers")
        assert (again.id, again.name) == (1, "Rivers")
    assert keys(lists, reader[0]) == ["press"], "without readers"


@pytest.mark.usefixtures("three")
def test_no_topic_is_removed_while_a_list_comes_in_that_may_give_it(lists: Lists) -> None:
    """It said "0 readers", and those whom the list brought had a topic that nobody showed, and again when it came back."""

    def refused(*_: object) -> None:
        with lists.database.transaction() as session, pytest.raises(tables.ImportBusy):
            topics.remove(session, "water", chosen_too=False, now=NOW)

    lists.bring("email,tags\nann@example.org,Water\n", before_commit=refused)
    with lists.database.transaction() as session:
        assert topics.remove(session, "water", chosen_too=True, now=NOW) == topics.Uses(1, 0)
        assert topics.measure(session, topics.add(session, "water", name="Rivers").id) == 0


@pytest.mark.usefixtures("three")
def test_a_topic_that_a_segment_names_is_not_removed_unasked(lists: Lists) -> None:
    """The mailing to that segment would be refused on its evening."""
    with lists.database.transaction() as session:
        segments.add(session, "wet", segments.from_data([{"not": {"topic": "water"}}]))
        segments.add(session, "dry", segments.from_data([{"topic": "press"}]))
        with pytest.raises(topics.TopicChosen) as refusal:
            topics.remove(session, "water", chosen_too=False, now=NOW)
        assert refusal.value.facts["segments"] == 1
        topics.remove(session, "water", chosen_too=True, now=NOW)
        with pytest.raises(segments.BadSegment):
            segments.count(session, segments.by_key(session, "wet"), digests={})
