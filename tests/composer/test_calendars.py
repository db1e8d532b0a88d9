"""Days and numbers as people of a language write them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from newsletter.composer import calendars


@pytest.mark.parametrize(
    ("nowruz", "year"),
    [(date(1979, 3, 21), 1358), (date(1996, 3, 20), 1375), (date(2020, 3, 20), 1399), (date(2021, 3, 21), 1400),
     (date(2024, 3, 20), 1403), (date(2025, 3, 21), 1404), (date(2026, 3, 21), 1405), (date(2029, 3, 20), 1408)],
)  # fmt: skip
def test_the_persian_year_begins_at_nowruz(nowruz: date, year: int) -> None:
    """A paper dated a day wrong is a paper nobody trusts. Days of Nowruz as the almanac has them."""
    assert calendars.persian(nowruz) == (year, 1, 1)
    assert calendars.persian(nowruz - timedelta(days=1))[:2] == (year - 1, 12)


def test_every_persian_day_follows_the_one_before() -> None:
    """Neither a day twice nor a day left out, over a lifetime."""
    year, month, day = calendars.persian(date(1950, 1, 1))
    for passed in range(1, 40_000):
        after = calendars.persian(date(1950, 1, 1) + timedelta(days=passed))
        assert after in ((year, month, day + 1), (year, month + 1, 1), (year + 1, 1, 1))
        year, month, day = after


def test_days_and_moments_in_each_language() -> None:
    """The same moment, told to three readers."""
    at = datetime(2014, 6, 19, 2, 10, tzinfo=UTC)
    assert calendars.moment_of(at, "en-GB") == "19 June 2014, 02:10 UTC"
    assert calendars.moment_of(at, "fa").startswith("۲۹ خرداد ۱۳۹۳، ۰۲:۱۰ ")
    assert calendars.day(at.date(), "ar") == "١٩ يونيو ٢٠١٤"
    assert calendars.day(at.date(), "de") == "19. Juni 2014"
    assert calendars.day(at.date(), "xx") == "June 19, 2014"


def test_numbers_in_each_language() -> None:
    """A count is read, not deciphered."""
    assert [calendars.number(1204, language) for language in ("en", "de", "fa")] == ["1,204", "1.204", "۱٬۲۰۴"]
