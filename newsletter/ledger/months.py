"""The months that deliveries lie in: a partition each, made by a function of the owner's.

Making one takes the whole table for as long as the transaction lasts, so nothing is handed over meanwhile. The sweep makes each
a month ahead, in a transaction that does nothing else; planning makes one only where no sweep has.
"""

from datetime import date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from newsletter.ledger.mailings import month_of

PATIENCE_MILLISECONDS = 200
"""How long everything that sends may wait behind somebody who makes a month and waits themselves."""


def missing(session: Session, *, now: datetime) -> list[date]:
    """Return which of this month and the next have no partition yet."""
    this = month_of(now)
    after = month_of(now.replace(day=28) + timedelta(days=4))
    return [one for one in (this, after) if not session.execute(_THERE, {"month": one}).scalar_one()]


_THERE = text("SELECT to_regclass('delivery_' || to_char(CAST(:month AS date), 'YYYY_MM')) IS NOT NULL")


def make(session: Session, month: date) -> None:
    """Make a month's partition, unless that takes waiting. Raises OperationalError (LockNotAvailable) then."""
    session.execute(text(f"SET LOCAL lock_timeout = {PATIENCE_MILLISECONDS}"))
    session.execute(text("SELECT deliveries_of_month(:month)"), {"month": month})
