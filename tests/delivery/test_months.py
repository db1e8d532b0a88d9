"""Room for a month's deliveries is made before anybody needs it, by whoever sweeps, and never in anyone's way."""

import time
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import text

from newsletter.delivery import recovery
from newsletter.ledger import months

NEW_YEAR_S_EVE = datetime(2031, 12, 31, 23, 59, tzinfo=UTC)
DECEMBER, JANUARY = date(2031, 12, 1), date(2032, 1, 1)


def test_a_sweep_makes_this_month_and_the_next(newsletter):
    """At midnight of the first an alert goes, and nothing is to be made then."""
    newsletter.sweep()
    with newsletter.parts.database.transaction() as session:
        now = session.execute(text("SELECT now()")).scalar_one()
        assert months.missing(session, now=now) == []
        parts = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'delivery'::regclass"
        assert session.execute(text(parts)).scalar_one() == 2


@pytest.mark.parametrize("day", [1, 28, 31])
def test_the_next_month_of_december_is_january(database, day):
    """The year turns, and a month is no thirty days."""
    now = NEW_YEAR_S_EVE.replace(day=day)
    assert recovery.open_months(database, now=now) == [DECEMBER, JANUARY]
    assert recovery.open_months(database, now=now) == []
    with database.transaction() as session:
        assert session.execute(text("SELECT to_regclass('delivery_2032_01')")).scalar_one() is not None


def exclusive(session):
    """Return whether this transaction keeps everybody else from the deliveries."""
    mine = "pid = pg_backend_pid() AND relation = 'delivery'::regclass AND mode = 'AccessExclusiveLock'"
    return bool(session.execute(text(f"SELECT count(*) FROM pg_locks WHERE {mine}")).scalar_one())


def test_who_plans_in_a_month_that_is_there_keeps_nobody_from_sending(database):
    """To make it in the midst of planning halts all mail until a million rows are written."""
    recovery.open_months(database, now=NEW_YEAR_S_EVE)
    with database.transaction() as session:
        session.execute(text("SELECT deliveries_of_month(:month)"), {"month": JANUARY})
        assert not exclusive(session)
    with database.transaction() as session:
        session.execute(text("SELECT deliveries_of_month('2032-02-01')"))
        assert exclusive(session), "what would be held"


def test_a_month_is_made_in_nobody_s_way(database):
    """Somebody writes rows for a minute: behind a sweep that waits for them every worker would wait, so it does not."""
    with database.transaction() as busy:
        busy.execute(text("SELECT count(*) FROM delivery"))
        began = time.monotonic()
        assert recovery.open_months(database, now=NEW_YEAR_S_EVE) == []
        assert time.monotonic() - began < 5
    assert recovery.open_months(database, now=NEW_YEAR_S_EVE) == [DECEMBER, JANUARY]
