"""What was promised of a mailing as it was let go: written once, so that it can be held against what became of it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from newsletter.models.mailing import Mailing


def keep(session: Session, mailing_id: int, facts: Mapping[str, Any]) -> None:
    """Write down what is promised of a mailing."""
    session.execute(update(Mailing).where(Mailing.id == mailing_id).values(promised=dict(facts)))


def kept(session: Session, mailing_id: int) -> dict[str, Any] | None:
    """Return what was promised of a mailing; None: nothing was, since nothing limits its relays."""
    return session.execute(select(Mailing.promised).where(Mailing.id == mailing_id)).scalar_one_or_none()
