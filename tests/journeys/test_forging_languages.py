"""An alert cut into its languages, each to few: what somebody with a worker's password writes past the desk goes no further."""

import pytest
from sqlalchemy import text

from newsletter.journeys import alert, drafting, retracting, translating
from newsletter.operators.night import Fault
from tests import house
from tests.journeys.test_alert import approver as approver
from tests.journeys.test_alert import author as author
from tests.journeys.test_alert import books, by_code
from tests.journeys.test_alert import crew as crew
from tests.journeys.test_alert import made as made
from tests.journeys.test_alert import pages as pages
from tests.journeys.test_forging import APPROVE, attacker, audited, refused
from tests.journeys.test_translating import ARABIC, ENGLISH, PERSIAN

PEOPLE = {"en": 1, "fa": 1, "ar": 1}
"""One reader of each language; two are few."""


@pytest.fixture
def files(tmp_path):
    found = {}
    for language, words in (("en", ENGLISH), ("fa", PERSIAN), ("ar", ARABIC)):
        (tmp_path / f"{language}.md").write_text(words)
        found[language] = [str(tmp_path / f"{language}.md")]
    return found


@pytest.fixture
def base(made, tmp_path, files, author, sink):
    """An alert that went to its one reader of English, by one person's word; the others wait."""
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE digest SET languages = '{en,fa,ar}'"))
    house.add_readers(made, tmp_path, [f"{language}@example.org" for language in PEOPLE])
    with made.parts.database.transaction() as session:
        for place, language in enumerate(PEOPLE, start=1):
            session.execute(text(f"UPDATE subscriber SET language = '{language}' WHERE id = {place}"))
    number = drafting.draft(made.parts, files["en"], digest_key=house.DIGEST, by=author.id, later=["fa", "ar"])
    alert.lock(made.parts, number, by=author.id)
    alert.release(made.parts, number, by=author.id)
    deliver(made)
    assert readers(sink) == ["en@example.org"]
    return number


def deliver(made):
    made.sweep()
    made.deliver("urgent")


def readers(sink):
    return sorted(one.recipient for one in sink.messages if one.recipient.partition("@")[0] in PEOPLE)


def locked(made, files, of, author):
    number = translating.draft(made.parts, files, of=of, by=author.id)
    alert.lock(made.parts, number, by=author.id)
    return number


def forced(database_urls, *numbers, then=()):
    """Write one person's word for each, and have it planned."""
    with attacker(database_urls.worker) as worker:
        for number in numbers:
            worker.execute(APPROVE, ("few", None, None, None, number))
            worker.execute("UPDATE mailing SET state = 'approved', start_at = now() WHERE id = %s", (number,))
        for statement in then:
            worker.execute(statement)


@pytest.mark.parametrize("lie", ["planned = planned", "planned = 0, audience = 0", "halted = 'with its alert'"])
def test_a_language_that_makes_few_many_does_not_go(made, base, files, author, sink, database_urls, lie):
    """The desk refuses the third; written past it, whatever is said of the two that went, the worker refuses it as well."""
    persian = locked(made, files["fa"], base, author)
    alert.release(made.parts, persian, by=author.id)
    deliver(made)
    arabic = locked(made, files["ar"], base, author)
    with pytest.raises(alert.NotEnough) as night:
        alert.release(made.parts, arabic, by=author.id)
    assert night.value.fault is Fault.TOGETHER
    forced(database_urls, arabic, then=[f"UPDATE mailing SET {lie} WHERE id IN ({base}, {persian})"])
    deliver(made)
    assert readers(sink) == ["en@example.org", "fa@example.org"]
    with made.parts.database.transaction() as session:
        assert session.execute(text(f"SELECT state FROM mailing WHERE id = {arabic}")).scalar_one() == "paused"
    assert "together" in audited(made)[0], "whoever looks in the morning reads which rule it was"


def test_two_at_once_do_not_pass_each_other_by(made, base, files, author, sink, database_urls):
    """Each is few beside the alert alone: both words are written before either goes, and neither does."""
    both = [locked(made, files[language], base, author) for language in ("fa", "ar")]
    forced(database_urls, *both)
    deliver(made)
    assert readers(sink) == ["en@example.org"]
    assert [books(made, one).state for one in both] == ["paused", "paused"]


def test_where_a_language_belongs_and_when_it_went_is_not_rewritten(made, base, files, author, database_urls):
    """What a worker counts by stands: not another alert's, not later, not never."""
    persian = locked(made, files["fa"], base, author)
    alert.release(made.parts, persian, by=author.id)
    with attacker(database_urls.worker) as worker:
        refused(worker, f"UPDATE mailing SET translates = NULL WHERE id = {persian}")
        for number in (base, persian):
            refused(worker, f"UPDATE mailing SET planned_at = now() + interval '1 day' WHERE id = {number}")
            refused(worker, f"UPDATE mailing SET planned_at = NULL WHERE id = {number}")
        early = (
            "INSERT INTO mailing (kind, lane, planned_at) VALUES ('alert', 'urgent', '2020-01-01') RETURNING planned_at"
        )
        assert worker.execute(early).fetchone() == (None,)
        late = "UPDATE mailing SET planned_at = '2020-01-01' WHERE planned_at IS NULL AND kind = 'alert' RETURNING planned_at"
        assert worker.execute(late).fetchone()[0].year > 2020
        worker.rollback()


def test_what_others_let_go_afterwards_halts_nothing(made, base, files, author, approver, sink):
    """Persian goes by one person's word; before its last mail is out two let the Arabic go: the Persian is as it was."""
    persian = locked(made, files["fa"], base, author)
    alert.release(made.parts, persian, by=author.id)
    arabic = locked(made, files["ar"], base, author)
    by_code(made, arabic, approver)
    alert.release(made.parts, arabic, by=author.id)
    deliver(made)
    assert readers(sink) == ["ar@example.org", "en@example.org", "fa@example.org"]
    sink.messages.clear()
    retracting.retract(made.parts, base)
    deliver(made)
    assert readers(sink) == ["ar@example.org", "en@example.org", "fa@example.org"]


def test_what_others_let_go_before_counts(made, base, files, author, approver, sink, database_urls):
    """The other order: many have it by two people's word, and one person's is not enough for more."""
    arabic = locked(made, files["ar"], base, author)
    by_code(made, arabic, approver)
    alert.release(made.parts, arabic, by=author.id)
    deliver(made)
    persian = locked(made, files["fa"], base, author)
    forced(database_urls, persian)
    deliver(made)
    assert readers(sink) == ["ar@example.org", "en@example.org"]
    assert books(made, persian).state == "paused"
