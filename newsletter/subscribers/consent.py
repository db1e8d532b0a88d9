"""The proof of a permission: events that nobody can change."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import select

from newsletter import mailboxes
from newsletter.database import Session
from newsletter.models.consent import Basis as Basis
from newsletter.models.consent import Consent, ConsentDetail, ConsentEvent

EVERYTHING = "everything"
"""The purpose of a withdrawal that holds for every digest, also for those to come."""


def of_digest(digest_id: int) -> str:
    """Return the purpose "to be sent this digest"."""
    return f"digest:{digest_id}"


def granted(
    session: Session,
    subscriber_id: int,
    *,
    basis: Basis,
    purpose: str,
    now: datetime,
    details: Mapping[str, str] | None = None,
) -> int:
    """Record that a person gave a permission; return the event's id, which a subscription names.

    details   how it was given (wording, form, page, time, truncated address, by what it was confirmed): kept sealed
    """
    event = ConsentEvent(subscriber_id=subscriber_id, kind=Consent.GRANTED, basis=basis, purpose=purpose, at=now)
    session.add(event)
    session.flush()
    if details:
        sealed = session.vault.seal(
            "consent_detail", "details", event.id, json.dumps(dict(details), ensure_ascii=False)
        )
        session.add(ConsentDetail(event_id=event.id, details_sealed=sealed))
        session.flush()
    return event.id


def keep_details(session: Session, found: Iterable[tuple[int, Mapping[str, str]]]) -> None:
    """Seal the details of many events, by their numbers, and copy them in."""
    seal = session.vault.seal
    rows = (
        (event, seal("consent_detail", "details", event, json.dumps(dict(details), ensure_ascii=False)))
        for event, details in found
    )
    mailboxes.copy_rows(session, "consent_detail (event_id, details_sealed)", ("int8", "bytea"), rows)


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
