"""Until when a mandate is to hold, as somebody writes it in the evening."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from newsletter.journeys import mandates
from newsletter.journeys.mandates import BadMandate


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("08:00", "2026-03-02T08:00:00+01:00"),
        ("23:30", "2026-03-01T23:30:00+01:00"),
        ("2026-03-02T06:00", "2026-03-02T06:00:00+01:00"),
        ("2026-03-02T06:00Z", "2026-03-02T06:00:00+00:00"),
    ],
)
def test_an_hour_is_the_next_one_here(written, expected):
    """“Until 08:00” means tomorrow morning where the machine stands."""
    now = datetime.fromisoformat("2026-03-01T22:00:00+01:00")
    assert mandates.until(written, now=now, zone=now.tzinfo) == datetime.fromisoformat(expected)


@pytest.mark.parametrize("written", ["", "8", "25:00", "08:61", "tomorrow", "2026-02-30T08:00"])
def test_what_is_no_hour_is_said(written):
    """In the evening."""
    with pytest.raises(BadMandate):
        mandates.until(written, now=datetime(2026, 3, 1, 22, tzinfo=UTC))


@pytest.mark.parametrize("zone", [None, UTC, ZoneInfo("Pacific/Kiritimati"), ZoneInfo("America/Adak")])
@pytest.mark.parametrize("written", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00"])
def test_a_moment_before_or_after_the_calendar_is_none(written, zone):
    """A slip in the year is answered with a sentence, not with a page that says the house is broken."""
    with pytest.raises(BadMandate, match="bad-time"):
        mandates.until(written, now=datetime(2026, 3, 1, 22, tzinfo=UTC), zone=zone)


@pytest.mark.parametrize(
    ("written", "zone"), [("0001-01-01T00:00", "Asia/Tehran"), ("9999-12-31T23:59", "America/Adak")]
)
def test_an_hour_on_the_wall_at_the_end_of_the_calendar_is_none(written, zone):
    """Here the clock shows it, and elsewhere there is no such moment; the books are kept in UTC."""
    with pytest.raises(BadMandate, match="bad-time"):
        mandates.until(written, now=datetime(2026, 3, 1, 22, tzinfo=UTC), zone=ZoneInfo(zone))
