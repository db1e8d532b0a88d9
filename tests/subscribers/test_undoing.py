"""What taking an import back leaves: what was said here as well, and what the list wrote over."""

import io
from collections.abc import Callable
from datetime import timedelta

import pytest

from newsletter import database
from newsletter.addresses import EmailAddress
from newsletter.database import Session
from newsletter.subscribers import consent, grounds, people, segments, suppression, tables, topics, unproven
from newsletter.subscribers.suppression import Brought, Reason, SaidBy, Word
from newsletter.subscribers.tagging import Tags
from tests.fakes import exports
from tests.subscribers.conftest import NOW, Lists
from tests.subscribers.test_moving_in import Moving, Undo
from tests.subscribers.test_moving_in import moving as moving
from tests.subscribers.test_moving_in import undo as undo

FirstHand = Callable[[Lists, Session, int, Reason], object]


def say(lists: Lists, session: Session, box: int, reason: Reason) -> None:
    """A person or an operator says it."""
    suppression.add(session, box, reason=reason, now=NOW)


def report(lists: Lists, session: Session, box: int, reason: Reason) -> None:
    """A server or a provider says it; that a mailbox is full, three times over a fortnight."""
    for days in (0, 7, 14):
        suppression.weigh(session, box, Word(reason, SaidBy.REPORT), now=NOW + timedelta(days=days))


@pytest.mark.parametrize("order", ["list first", "list last"])
@pytest.mark.parametrize(
    ("reason", "first_hand"),
    [(reason, say) for reason in Reason] + [(one, report) for one in (Reason.DEAD, Reason.QUOTA, Reason.COMPLAINT)],
)
def test_what_was_said_here_outlives_the_list_that_said_it_too(
    moving: Moving, undo: Undo, reason: Reason, first_hand: FirstHand, order: str
) -> None:
    """Somebody complains whom a list had named already; the list is taken back, and they must not be mailed for that."""
    done = moving.lists.bring("email\nmaryam@example.org\nother@example.org\n")
    (_, box) = moving.lists.reader()
    named = [Brought(EmailAddress.parse(f"{local}@example.org"), reason, NOW) for local in ("maryam", "other")]

    def by_list(session: Session) -> None:
        suppression.bring(session, named, import_id=done.number, now=NOW)

    def here(session: Session) -> None:
        first_hand(moving.lists, session, box, reason)

    with moving.lists.database.transaction() as session:
        for act in (by_list, here) if order == "list first" else (here, by_list):
            act(session)
    assert moving.barred() == {"maryam": str(reason), "other": str(reason)}
    assert undo(done.number, suppressions_too=True).lifted == 1
    assert moving.barred() == {"maryam": str(reason)}


def test_what_an_operator_s_list_suppresses_outlives_an_import_too(moving: Moving, undo: Undo) -> None:
    """A do-not-mail list that was brought by itself is nobody's import to take back."""
    done = moving.lists.bring("email\nmaryam@example.org\n")
    with moving.lists.database.transaction() as session:
        word = Brought(EmailAddress.parse("maryam@example.org"), Reason.NEVER_AGAIN, NOW)
        suppression.bring(session, [word], import_id=done.number, now=NOW)
    counts = suppression.import_csv(moving.lists.database, io.BytesIO(b"email\nmaryam@example.org\n"))
    assert (counts.added, counts.unchanged) == (0, 1)
    assert undo(done.number, suppressions_too=True).lifted == 0
    assert moving.barred() == {"maryam": "never again"}


@pytest.mark.parametrize("order", ["first", "second"])
def test_what_two_lists_name_outlives_the_undoing_of_one(moving: Moving, undo: Undo, order: str) -> None:
    """Two exports say that somebody complained; one was the wrong file. They must not be mailed because of that."""
    lists = [moving.lists.bring(f"email\n{name}@example.org\n").number for name in ("maryam", "bob", "eve")]

    def name(number: int, *names: str) -> None:
        words = [Brought(EmailAddress.parse(f"{one}@example.org"), Reason.COMPLAINT, NOW) for one in names]
        with moving.lists.database.transaction() as session:
            suppression.bring(session, words, import_id=number, now=NOW)

    name(lists[0], "gone", "both")
    name(lists[1], "both")
    name(lists[2], "both")
    one, other = lists[:2] if order == "first" else reversed(lists[:2])
    lifted = [undo(one, suppressions_too=True).lifted]
    assert "both" in moving.barred()
    lifted.append(undo(other, suppressions_too=True).lifted)
    assert moving.barred() == {"both": "complaint"}, "a third names it"
    lifted.append(undo(lists[2], suppressions_too=True).lifted)
    assert moving.barred() == {}, "and nobody does any more"
    assert sum(lifted) == 2


def test_a_list_that_was_undone_holds_nobody(moving: Moving, undo: Undo) -> None:
    """What was taken back names nobody any more, whichever list is taken back after it."""
    first, second = (moving.lists.bring(f"email\n{name}@example.org\n").number for name in ("maryam", "bob"))
    for number in (first, second):
        with moving.lists.database.transaction() as session:
            word = Brought(EmailAddress.parse("both@example.org"), Reason.DEAD, NOW)
            suppression.bring(session, [word], import_id=number, now=NOW)
    assert undo(second, suppressions_too=True).lifted == 0
    assert undo(first, suppressions_too=True).lifted == 1
    assert moving.barred() == {}


def test_what_an_import_wrote_over_is_counted_and_undoing_says_that_it_stays(moving: Moving, undo: Undo) -> None:
    """A name that is overwritten is gone; whoever takes the list back must not believe that it came back."""
    moving.lists.bring("email,name\nmaryam@example.org,Maryam\nbob@example.org,Bob\n")
    other = "email,name\nmaryam@example.org,Wrong\nbob@example.org,Bob\nnew@example.org,New\n"
    done = moving.lists.bring(other, overwrite=True)
    assert (done.added, done.changed, done.altered) == (1, 1, 1)
    assert undo(done.number).altered == 1
    with moving.lists.database.transaction() as session:
        assert people.find_by_address(session, EmailAddress.parse("maryam@example.org")).name == "Wrong"


def test_of_an_import_before_it_was_counted_nobody_says_that_it_wrote_over_nothing(moving: Moving, undo: Undo) -> None:
    """Not known is not none."""
    done = moving.lists.bring("email\nmaryam@example.org\n")
    moving.lists.ask("UPDATE import_run SET altered = NULL")
    assert undo(done.number).altered is None


ANN, BOTH = "email\nann@example.org\n", "email\nann@example.org\nbob@example.org\n"
TIMES = "email,optin_time\nann@example.org,2021-03-01T10:00:00Z\nbob@example.org,2021-03-02T10:00:00Z\n"


@pytest.mark.parametrize("order", ["first", "second"])
def test_who_another_list_names_stays_when_one_is_undone(moving: Moving, undo: Undo, order: str) -> None:
    """One file was wrong, the other good: whoever signed the good one's forms takes the digest by it, and is no mistake."""
    first = moving.bring(moving.file("a.csv", ANN), evidence="paper forms").number
    second = moving.bring(moving.file("b.csv", TIMES))
    assert (second.added, second.unchanged, second.also) == (1, 1, 1)
    if order == "first":
        undone = undo(first)
        assert (undone.ended, undone.handed, undone.forgotten) == (0, 1, 0)
        assert moving.readers() == {"ann", "bob"}
        assert moving.details("ann")["asked_at"].startswith("2021-03-01"), "what the good list shows is kept"
        undone = undo(second.number)
        assert (undone.ended, undone.handed, undone.forgotten) == (2, 0, 2)
    else:
        undone = undo(second.number)
        assert (undone.ended, undone.handed, undone.forgotten) == (1, 0, 1)
        assert moving.readers() == {"ann"}
        undone = undo(first)
        assert (undone.ended, undone.handed, undone.forgotten) == (1, 0, 1)
    assert (moving.readers(), moving.people()) == (set(), set())


def test_the_same_zip_brought_twice_and_undone_once_is_there(moving: Moving, undo: Undo, lists: Lists) -> None:
    """Somebody brings it again, sees two entries and takes the older one back."""
    with lists.database.transaction() as session:
        topics.add(session, "water", name="Water")
    path = exports.mailchimp(moving.folder / "export.zip")
    first, second = moving.bring(path), moving.bring(path)
    there = moving.readers()
    undone = undo(first.number)
    assert (undone.ended, undone.interests, undone.handed) == (0, 0, len(there))
    assert moving.readers() == there != set()
    assert lists.one("SELECT count(*) FROM interest WHERE ended_at IS NULL") == first.interests
    assert undo(second.number).interests == first.interests
    assert moving.readers() == set()


def test_a_dry_run_keeps_nothing_besides(moving: Moving, undo: Undo) -> None:
    """It says what a list would show of readers already, and undoing the other then still ends them."""
    first = moving.lists.bring(ANN).number
    assert moving.lists.bring(BOTH, dry_run=True).also == 1
    assert undo(first).handed == 0
    assert moving.people() == set()


def test_a_list_without_evidence_holds_nobody(moving: Moving, undo: Undo) -> None:
    """It shows nothing, so nothing rests on it."""
    first = moving.lists.bring(ANN).number
    assert moving.bring(moving.file("b.csv", TIMES.replace(",2021-03-01T10:00:00Z", ","))).also == 0
    assert undo(first).handed == 0
    assert moving.readers() == {"bob"}


def test_who_said_yes_themselves_stays_when_the_list_is_undone(moving: Moving, undo: Undo) -> None:
    """They took it already, so that their own yes opened nothing; it is theirs all the same, and a list need not show it."""
    first = moving.lists.bring(ANN).number
    number, _ = moving.lists.reader()
    with moving.lists.database.transaction() as session:
        purpose = consent.of_digest(moving.lists.digest_id)
        own = consent.granted(session, number, basis=consent.Basis.CONSENT, purpose=purpose, now=NOW)
    assert moving.lists.bring(ANN).also == 1, "kept besides, for she may have said it by a sign-up that is taken back"
    assert undo(first).handed == 1
    assert moving.readers() == {"ann"}
    assert moving.lists.one("SELECT granted_by FROM subscription WHERE ended_at IS NULL") == own


def test_a_list_that_comes_every_night_fills_no_table(moving: Moving, undo: Undo) -> None:
    """Old links are clicked for years, so the same export is brought again and again: a row a night for each reader is too much."""
    numbers = [moving.lists.bring(ANN).number for _ in range(6)]
    assert moving.lists.one("SELECT count(*) FROM consent_event") == grounds.MOST
    for number in numbers[1:3]:
        undo(number)
    assert moving.lists.bring(ANN).also == 1, "what was undone makes room"
    undo(numbers[0])
    assert moving.readers() == {"ann"}


def test_nothing_is_undone_while_a_list_comes_in(moving: Moving, undo: Undo) -> None:
    """It may be writing down at this moment that somebody stands on it as well."""
    first = moving.lists.bring(ANN).number

    def now(*_: object) -> None:
        with pytest.raises(tables.ImportBusy):
            undo(first)

    moving.lists.bring(BOTH, before_commit=now)
    undo(first)
    assert moving.readers() == {"ann", "bob"}


def test_topics_that_a_list_made_go_with_it(moving: Moving, undo: Undo) -> None:
    """The tags of the wrong file ("major donor") stood on every reader's page, and nothing could take them away."""
    with moving.lists.database.transaction() as session:
        topics.add(session, "water", name="Water")
    path = exports.mailchimp(moving.folder / "export.zip")
    done = moving.bring(path, tags=Tags.ALL)
    assert undo(done.number).topics == 1
    with moving.lists.database.transaction() as session:
        assert [one.key for one in topics.listed(session)] == ["water"], "which an operator made"
    again = moving.bring(path, tags=Tags.ALL)
    assert again.interests == done.interests, "the list can come in again"
    with moving.lists.database.transaction() as session:
        assert [one.key for one in topics.listed(session)] == ["press-freedom", "water"]


def test_a_topic_goes_with_the_last_list_that_used_it(moving: Moving, undo: Undo) -> None:
    """Brought twice and undone twice, nothing of a list is left: the first undo spares what the second list uses."""
    path = exports.mailchimp(moving.folder / "export.zip")
    first, second = (moving.bring(path, tags=Tags.ALL) for _ in range(2))
    assert [undo(one.number).topics for one in (first, second)] == [0, 2]
    with moving.lists.database.transaction() as session:
        assert topics.listed(session) == []


@pytest.mark.parametrize("use", ["chosen", "another list", "segment"])
def test_a_topic_that_others_use_outlives_the_list_that_made_it(moving: Moving, undo: Undo, use: str) -> None:
    """It is theirs by now."""
    path = exports.mailchimp(moving.folder / "export.zip")
    done = moving.bring(path, tags=Tags.ALL)
    if use == "another list":
        moving.bring(path)
    with moving.lists.database.transaction() as session:
        if use == "segment":
            segments.add(session, "press", segments.from_data([{"topic": "press-freedom"}, {"topic": "water"}]))
    if use == "chosen":
        moving.lists.bring("email\nown@example.org\n")
        (number,) = moving.lists.ask("SELECT max(id) FROM subscriber")[0]
        with moving.lists.database.transaction() as session:
            topics.choose(session, number, ["press-freedom", "water"], now=NOW)
    assert undo(done.number).topics == 0
    with moving.lists.database.transaction() as session:
        assert [one.key for one in topics.listed(session)] == ["press-freedom", "water"]


@pytest.mark.parametrize("before", ["her own choice", "another list"])
def test_what_went_with_its_topic_does_not_come_back_by_undoing(moving: Moving, undo: Undo, before: str) -> None:
    """A topic that is added again begins without readers: when the list that gave it to her since goes, nothing else gives it."""
    path = exports.mailchimp(moving.folder / "export.zip")
    with moving.lists.database.transaction() as session:
        topics.add(session, "water", name="Water")
    first = moving.bring(path) if before == "another list" else moving.lists.bring(ANN)
    (ann, _) = moving.lists.reader()
    with moving.lists.database.transaction() as session:
        topics.choose(session, ann, ["water"], now=NOW)
        topics.remove(session, "water", chosen_too=True, now=NOW)
        topics.add(session, "water", name="Water")
    second = moving.bring(path)
    assert undo(second.number).interests == second.interests == 2
    assert moving.lists.one("SELECT count(*) FROM interest WHERE ended_at IS NULL") == 0
    undo(first.number)
    assert moving.people() == set(), "nor is what an operator did to a topic a word that keeps anybody"


def waits(moving: Moving, number: int) -> set[str]:
    """Return the local parts of those who could be asked because of a list."""
    with moving.lists.database.transaction() as session:
        return {one.address.partition("@")[0] for one in unproven.waiting(session, number, most=9)}


@pytest.mark.parametrize("order", ["first", "second"])
@pytest.mark.parametrize("undone", ["with evidence", "without"])
def test_whom_a_list_without_evidence_names_too_waits_when_the_other_is_undone(
    moving: Moving, undo: Undo, undone: str, order: str
) -> None:
    """The other list was the wrong file; this one names her as it did, so she can be asked, and is neither forgotten nor mailed."""

    def bring(evidence: str) -> int:
        return moving.bring(moving.file("b.csv", TIMES.replace("2021-03-01T10:00:00Z", "")), evidence=evidence).number

    gone, left = "paper forms" if undone == "with evidence" else "", ""
    numbers = [bring(gone), bring(left)] if order == "first" else [bring(left), bring(gone)][::-1]
    takes = {"ann", "bob"} if gone else {"bob"}
    assert moving.readers() == takes
    assert waits(moving, numbers[1]) == {"ann"} - takes, "and is not asked while she takes it"
    undo(numbers[0])
    assert (moving.readers(), waits(moving, numbers[1])) == ({"bob"}, {"ann"})
    undo(numbers[1])
    assert moving.people() == set()


def test_who_is_named_by_many_lists_without_evidence_is_asked_once_and_counted_once(moving: Moving) -> None:
    """One question is for all of them, and so is the silence after it; and no list fills the table night by night."""
    path = moving.file("b.csv", "email,optin_time\nann@example.org,\n")
    done = [moving.bring(path) for _ in range(6)]
    assert [one.changed + one.added for one in done] == [1, 0, 0, 0, 0, 0]
    assert done[-1].reach is not None
    assert done[-1].reach.unproven == 1
    assert moving.lists.one("SELECT count(*) FROM unproven") == grounds.MOST
    (ann, _) = moving.lists.reader()
    with moving.lists.database.transaction() as session:
        unproven.asked(session, done[0].number, [ann])
    assert waits(moving, done[1].number) == set()
    moving.lists.ask("UPDATE unproven SET asked_at = now() - interval '32 days' WHERE asked_at IS NOT NULL")
    with moving.lists.database.transaction() as session:
        now = database.now(session)
        found = unproven.over(session, now=now, most=9)
        unproven.remember(session, [one.subscriber_id for one in found], now=now)
        unproven.forget(session, found)
    assert moving.people() == set()
    assert moving.bring(path).silent == 1
