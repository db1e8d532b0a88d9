"""The proof of a permission: events that nobody can change."""

from datetime import datetime

from sqlalchemy.orm import Session

from newsletter.models.consent import Basis as Basis
from newsletter.models.consent import Consent, ConsentEvent


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
