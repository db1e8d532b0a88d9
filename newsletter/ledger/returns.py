"""What came back about deliveries: finding the delivery meant, writing it down once, counting it beside the mailing's books."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from newsletter.ledger.mailings import Lane
from newsletter.models.returned import Returned

MEMORY = timedelta(days=30)
"""A report on mail handed over longer ago is stale: queues give up after five days, and a token kept for years proves nothing."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A delivery that was handed over, or is being handed over now. at: when its outcome was written, None for not yet."""

    month: date
    mailing_id: int
    mailbox_id: int
    occasion: str
    lane: Lane
    provider: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Came:
    """What came back of a delivery. fate: "failed", "delayed", "complaint"; the rest of a failure, in numbers."""

    fate: str
    cls: str | None = None
    code: int | None = None
    enhanced: str | None = None


def find(session: Session, mailing_id: int, mailbox_id: int, *, now: datetime) -> Handed | None:
    """Return the delivery of a mailing to a mailbox, the latest of several; None where there is none, or only a stale one."""
    facts = {"mailing": mailing_id, "mailbox": mailbox_id, "since": now - MEMORY}
    found = session.execute(_ONE, facts).first()
    return _handed(found) if found else None


def of_mailbox(
    session: Session, mailbox_id: int, *, now: datetime, limit: int = 100, memory: timedelta = MEMORY
) -> list[Handed]:
    """Return what was handed over to a mailbox lately, the latest first."""
    facts = {"mailbox": mailbox_id, "since": now - memory, "limit": limit}
    return [_handed(found) for found in session.execute(_ALL, facts)]


def _handed(found: Any) -> Handed:
    month, mailing, mailbox, occasion, lane, provider, at = found
    return Handed(month, mailing, mailbox, occasion, Lane(lane), provider or "other", at)


_COLUMNS = """
    SELECT d.month, d.mailing_id, d.mailbox_id, d.occasion, m.lane, s.provider, d.outcome_at
    FROM delivery d JOIN mailing m ON m.id = d.mailing_id LEFT JOIN shard s ON s.id = d.shard_id
"""
# A fast server's report may be here before the flush that says the mail was handed over.
_LATELY = "AND (d.outcome_at > :since OR d.outcome_at IS NULL AND m.created_at > :since)"
_ONE = text(f"""{_COLUMNS}
    WHERE m.id = :mailing AND d.month = date_trunc('month', m.created_at)::date AND d.mailbox_id = :mailbox {_LATELY}
    ORDER BY d.outcome_at DESC NULLS LAST LIMIT 1
""")
_ALL = text(f"""{_COLUMNS}
    WHERE d.mailbox_id = :mailbox AND d.month >= (CAST(:since AS timestamptz) - interval '62 days')::date {_LATELY}
    ORDER BY d.outcome_at DESC NULLS LAST LIMIT :limit
""")


def record(session: Session, handed: Handed, came: Came, *, now: datetime) -> bool:
    """Write down what came back; return False when that was known already."""
    facts = {
        "mailing_id": handed.mailing_id,
        "mailbox_id": handed.mailbox_id,
        "fate": came.fate,
        "class": came.cls,
        "code": came.code,
        "enhanced": came.enhanced,
        "came_at": now,
    }
    made = postgresql.insert(Returned.__table__).values(facts)  # type: ignore[arg-type]
    return session.execute(made.on_conflict_do_nothing().returning(Returned.id)).first() is not None


def counts(session: Session, mailing_id: int) -> dict[str, int]:
    """Return how much of a mailing came back, by fate."""
    query = select(Returned.fate, func.count()).where(Returned.mailing_id == mailing_id).group_by(Returned.fate)
    return {fate: int(number) for fate, number in session.execute(query)}


def arrived_since(session: Session, mailbox_id: int, since: datetime) -> bool:
    """Whether anything was handed over to a mailbox since then of which no failure came back."""
    return bool(session.execute(_ARRIVED, {"mailbox": mailbox_id, "since": since}).scalar_one())


_ARRIVED = text("""
    SELECT EXISTS (
        SELECT FROM delivery d WHERE d.mailbox_id = :mailbox AND d.state = 'accepted' AND d.outcome_at > :since
          AND d.month >= (CAST(:since AS timestamptz) - interval '62 days')::date
          AND NOT EXISTS (SELECT FROM returned r
                          WHERE r.mailing_id = d.mailing_id AND r.mailbox_id = d.mailbox_id AND r.fate = 'failed'))
""")
