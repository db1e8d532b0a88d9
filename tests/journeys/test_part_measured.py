"""An alert to a part of a digest is on the wire as soon as one to all: nobody waits until a million are counted once more."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import event, text

from newsletter.delivery.planning import CountMoved, Portions
from newsletter.journeys import alert, drafting, segmenting
from newsletter.journeys.drafting import Wish
from newsletter.journeys.narrowing import Part
from tests import house
from tests.fakes import smtp
from tests.journeys.alerting import status
from tests.journeys.test_part import choose_water
from tests.journeys.test_translating import files as files
from tests.journeys.test_translating import speakers, written

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


def begin(urls, folder):
    """Make a product with an alert that ten of fifteen have had; five chose water, and there are segments."""
    with smtp.running(smtp.Sink()) as sink, closing(house.build(folder, urls, sink.url)) as made:
        speakers(made, folder)
        choose_water(made)
        first = Wish(drafting.read_files([written(folder)["en"]]), house.DIGEST, only=("en", "fa"))
        number = drafting.draft_words(made.parts, first, by=None)
        alert.send_draft(made.parts, number)
        made.deliver("urgent")
        for name, said in SEGMENTS.items():
            segmenting.add(made.parts, name, segmenting.said(**(said | ({"had": [number]} if name == "had" else {}))))
    return {}


@pytest.fixture
def database_urls(moulds, tmp_path):
    with moulds.copied("measured", begin, tmp_path) as begun:
        yield begun.urls


@pytest.fixture
def made(newsletter):
    """That product, for which four are many."""
    newsletter.parts = replace(newsletter.parts, portions=Portions(large=3, first=2, huge=100, next=50))
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


def hand_over(made, count):
    """Let so many of a mailing under way be taken, as its sender writes it down."""
    more = (
        "UPDATE delivery SET state = 'accepted' WHERE id IN (SELECT id FROM delivery WHERE state = 'planned' LIMIT :n)"
    )
    with made.parts.database.transaction() as session:
        assert session.execute(text(more), {"n": count}).rowcount == count


@pytest.fixture
def under_way(made):
    """What ten have had is still going: four of them are to get it yet."""
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE shard SET state = 'open', accepted = 0 WHERE id = (SELECT min(id) FROM shard)"))
        session.execute(text("UPDATE delivery SET state = 'planned' WHERE id IN (SELECT id FROM delivery LIMIT 4)"))


@pytest.mark.parametrize("kind", ["had", "not-had"])
def test_what_is_still_being_handed_over_is_not_counted_again_either(made, under_way, files, counts, kind):
    """A digest goes all night: an alert to whom it has not reached waited seconds for its count, and none is exact for long."""
    number = locked(made, files, kind)
    hand_over(made, 1)
    counts.clear()
    alert.release(made.parts, number)
    assert counts == []


@pytest.mark.parametrize("kind", ["had", "not-had"])
def test_what_was_handed_over_meanwhile_moves_the_count(made, under_way, files, kind):
    """Whoever approved so many readers did not approve those who had it since."""
    number = locked(made, files, kind)
    hand_over(made, 3)
    with pytest.raises(CountMoved):
        alert.release(made.parts, number)


def test_who_is_in_doubt_counts_as_handed_over(made, under_way, files):
    """A server may have it: they are asked of as if they had, and stay so whatever is found later."""
    number = locked(made, files, "not-had")
    doubt = "SET state = 'uncertain', uncertain_at = now() WHERE state = 'planned'"
    with made.parts.database.transaction() as session:
        assert session.execute(text(f"UPDATE delivery {doubt}")).rowcount == 4
    with pytest.raises(CountMoved):
        alert.release(made.parts, number)
