"""A rest until a day: bounded, in the reader's own time, and over by itself."""

from datetime import UTC, date, datetime, timedelta

import pytest

from newsletter.subscribers import pausing, people
from tests.subscribers.conftest import NOW, Lists


@pytest.mark.parametrize(
    "until", [NOW, NOW - timedelta(days=1), NOW + pausing.LONGEST + timedelta(seconds=1)], ids=["now", "past", "far"]
)
def test_a_pause_ends_on_a_day_to_come_within_a_year(lists: Lists, reader: tuple[int, int], until: datetime) -> None:
    """A pause that never ends is a reader who has left without our knowing it."""
    with lists.database.transaction() as session, pytest.raises(pausing.BadPause):
        pausing.pause(session, reader[0], until=until, now=NOW)
    assert lists.one("SELECT count(*) FROM subscriber WHERE paused_until IS NOT NULL") == 0


def test_a_pause_is_kept_and_ended(lists: Lists, reader: tuple[int, int]) -> None:
    """An operator who is asked "why do I get nothing?" must see it."""
    with lists.database.transaction() as session:
        assert pausing.pause(session, reader[0], until=NOW + pausing.LONGEST, now=NOW)
        found = people.by_id(session, reader[0])
        assert found
        assert people.shown(session, found, digests={lists.digest_id: "weekly"})["paused_until"]
        assert pausing.resume(session, reader[0])
        assert pausing.resume(session, reader[0]), "twice is the same"
        assert not pausing.pause(session, 4711, until=NOW + pausing.USUAL, now=NOW)
        found = people.by_id(session, reader[0])
        assert found
        assert found.paused_until is None


@pytest.mark.parametrize(
    ("zone", "begins"),
    [
        ("Asia/Tehran", datetime(2026, 6, 30, 20, 30, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 7, 1, 4, tzinfo=UTC)),
        ("Nowhere/Such", datetime(2026, 7, 1, tzinfo=UTC)),
        ("../../etc/passwd", datetime(2026, 7, 1, tzinfo=UTC)),
        ("", datetime(2026, 7, 1, tzinfo=UTC)),
    ],
)
def test_a_day_begins_where_the_reader_lives(zone: str, begins: datetime) -> None:
    """ "Until 1 July" is a promise in the reader's calendar; lists bring zones that are none."""
    assert pausing.midnight(date(2026, 7, 1), zone) == begins


@pytest.mark.parametrize("zone", ["Asia/Tehran", "Asia/Tokyo"])
def test_a_day_that_begins_before_the_calendar_is_a_refusal(zone: str) -> None:
    """A browser sends what was typed, and "in the year 1" must be answered like any other day that is past."""
    with pytest.raises(pausing.BadPause):
        pausing.midnight(date.min, zone)
