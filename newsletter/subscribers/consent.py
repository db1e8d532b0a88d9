"""The proof of a permission: events that nobody can change."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.models.consent import Basis as Basis
from newsletter.models.consent import Consent, ConsentEvent

EVERYTHING = "everything"
"""The purpose of a withdrawal that holds for every digest, also for those to come."""


def of_digest(digest_id: int) -> str:
    """Return the purpose "to be sent this digest"."""
    return f"digest:{digest_id}"


def granted(session: Session, subscriber_id: int, *, basis: Basis, purpose: str, now: datetime) -> int:
    """Record that a person gave a permission; return the event's id, which a subscription names."""
    event = ConsentEvent(subscriber_id=subscriber_id, kind=Consent.GRANTED, basis=basis, purpose=purpose, at=now)
    session.add(event)
    session.flush()
    return event.id


def withdrawn(session: Session, subscriber_id: int, *, purpose: str, now: datetime) -> None:
    """Record that a person took a permission back."""
    event = ConsentEvent(subscriber_id=subscriber_id, kind=Consent.WITHDRAWN, basis=None, purpose=purpose, at=now)
    session.add(event)
    session.flush()


def last_purpose_withdrawn(session: Session, subscriber_id: int) -> str | None:
    """Return what a person took back, if that is the last they said."""
    mine = select(ConsentEvent).where(ConsentEvent.subscriber_id == subscriber_id)
    last = session.execute(mine.order_by(ConsentEvent.id.desc()).limit(1)).scalar_one_or_none()
    return last.purpose if last is not None and last.kind == Consent.WITHDRAWN else None
