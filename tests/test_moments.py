"""No moment that a row holds keeps anybody from reading it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import text

from newsletter.moments import EARLIEST, LATEST


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("2026-11-27 02:10:08.5+00", datetime(2026, 11, 27, 2, 10, 8, 500_000, tzinfo=UTC)),
        ("2026-11-27 02:10:08+03:30", datetime(2026, 11, 26, 22, 40, 8, tzinfo=UTC)),
        ("infinity", LATEST),
        ("20000-01-01", LATEST),
        ("9999-12-31 23:59:59", LATEST),
        ("-infinity", EARLIEST),
        ("0044-03-15 BC", EARLIEST),
        ("0001-01-01", EARLIEST),
    ],
)
def test_a_moment_is_read_whichever_it_is(session, said, read):
    """PostgreSQL takes each of these from whoever may write the column; no datetime holds some, nor a zone's others."""
    found = session.execute(text("SELECT CAST(:said AS timestamptz)"), {"said": said}).scalar_one()
    assert found == read
    for hours in (-15, 15):
        assert found.astimezone(timezone(timedelta(hours=hours))) == read


def test_none_is_none_and_many_are_many(session):
    """A column of outcomes holds both."""
    asked = text("SELECT CAST(NULL AS timestamptz), ARRAY[CAST('infinity' AS timestamptz), NULL]")
    assert tuple(session.execute(asked).one()) == (None, [LATEST, None])
