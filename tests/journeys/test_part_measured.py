"""An alert to a part of a digest is on the wire as soon as one to all: nobody waits until a million are counted once more."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import event, text

from newsletter.delivery.planning import CountMoved, Portions
from newsletter.journeys import alert, drafting, segmenting
from newsletter.journeys.drafting import Wish
from newsletter.journeys.narrowing import Part
from tests import house
from tests.journeys.alerting import status
from tests.journeys.test_part import water as water
from tests.journeys.test_translating import files as files
from tests.journeys.test_translating import readers as readers

SEGMENTS = {
    "persian": {"language": ["fa"]},
    "river": {"topic": ["water"]},
    "takers": {"digest": [house.DIGEST]},
    "new": {"since": datetime(2020, 1, 1, tzinfo=UTC)},
    "had": {"had": [1]},
    "not-had": {"not_had": [1]},
    "in-one": {"in": ["river"], "not_topic": ["press"]},
}
WISHES = {
    "later": {"later": ("ar",)},
    "only": {"only": ("fa", "ar")},
    "topic": {"part": Part(topics=("water",))},
    **{name: {"part": Part(segment=name)} for name in SEGMENTS},
}
_SPEAK = "UPDATE subscriber SET language = '{}' WHERE id IN (SELECT id FROM subscriber WHERE language = 'en' LIMIT 2)"
_LEFT = "SET ended_at = now(), end_reason = 'left' WHERE id IN"
_LEAVE = f"UPDATE interest {_LEFT} (SELECT id FROM interest ORDER BY id LIMIT 2)"
_FAIL = (
    "UPDATE delivery SET state = 'rejected' WHERE mailbox_id IN (SELECT mailbox_id FROM delivery ORDER BY id LIMIT 2)",
    "UPDATE shard SET accepted = accepted - 2, rejected = rejected + 2 WHERE id = (SELECT min(id) FROM shard)",
)
_END = f"UPDATE subscription {_LEFT} (SELECT id FROM subscription ORDER BY id OFFSET 3 LIMIT 4)"
MOVES = {
    "later": (_SPEAK.format("ar"),),
    "only": (_SPEAK.format("fa"),),
    "persian": (_SPEAK.format("fa"),),
    **dict.fromkeys(("topic", "river", "in-one"), (_LEAVE,)),
    **dict.fromkeys(("had", "not-had"), _FAIL),
    **dict.fromkeys(("takers", "new"), (_END,)),
}


@pytest.fixture
def made(newsletter, files, readers, water):
    """A product for which four are many, with an alert that ten of fifteen have had."""
    first = Wish(drafting.read_files([files["en"]]), house.DIGEST, only=("en", "fa"))
    number = drafting.draft_words(newsletter.parts, first, by=None)
    alert.send_draft(newsletter.parts, number)
    newsletter.deliver("urgent")
    newsletter.parts = replace(newsletter.parts, portions=Portions(large=3, first=2, huge=100, next=50))
    for name, said in SEGMENTS.items():
        segmenting.add(newsletter.parts, name, segmenting.said(**(said | ({"had": [number]} if name == "had" else {}))))
    return newsletter


@pytest.fixture
def counts(made):
    """Every count of a whole audience, as it is made."""
    heard = []

    def hear(_connection, _cursor, sql, *_rest):
        if sql.startswith("WITH audience") and "SELECT count(*)" in sql:
            heard.append(sql)

    event.listen(made.parts.database.engine, "before_cursor_execute", hear)
    return heard


def locked(made, files, kind):
    wish = Wish(drafting.read_files([files["en"]]), house.DIGEST, **WISHES[kind])
    number = drafting.draft_words(made.parts, wish, by=None)
    alert.lock(made.parts, number)
    return number


@pytest.mark.parametrize("kind", WISHES)
def test_a_part_that_is_the_same_is_not_counted_again(made, files, counts, kind):
    """At a million that took seconds, between "send now" and the first message."""
    number = locked(made, files, kind)
    assert counts, "a lock counts"
    counts.clear()
    alert.release(made.parts, number)
    assert counts == []
    made.deliver("urgent")
    assert (status(made, number).state, status(made, number).halted) == ("done", None)


@pytest.mark.parametrize("kind", WISHES)
def test_a_part_that_has_moved_is_refused_before_the_first_row(made, files, kind):
    """Whoever gave their word gave it for so many; figures that are quick must see what a count would."""
    number = locked(made, files, kind)
    with made.parts.database.transaction() as session:
        for statement in MOVES[kind]:
            assert session.execute(text(statement)).rowcount
    with pytest.raises(CountMoved):
        alert.release(made.parts, number)
    assert status(made, number).planned == 0


def test_what_is_still_being_handed_over_is_counted(made, files, counts):
    """While one mailing goes, who had it changes by the second: no figure says how many have."""
    number = locked(made, files, "had")
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE shard SET state = 'open' WHERE id = (SELECT min(id) FROM shard)"))
    counts.clear()
    alert.release(made.parts, number)
    assert len(counts) == 1
