"""Notices that a page has taken in: stored once by their sender's name for them, sealed, and emptied when a worker is done."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, text

from newsletter.database import Session
from newsletter.models.inbound import Arrival
from newsletter.vault import CannotUnseal

REMEMBERED = timedelta(days=3)
"""How long a notice is known, and tried: longer than any is young enough to be taken (`sns.WINDOW`)."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notice that nobody has dealt with yet."""

    id: int
    body: str | None


def store(session: Session, name: str, body: str) -> bool:
    """Keep a notice for a worker; return False when one of this name was here before."""
    number = session.execute(text("SELECT nextval(pg_get_serial_sequence('arrival', 'id'))")).scalar_one()
    sealed = session.vault.seal("arrival", "body", number, body)
    return session.execute(_STORE, {"id": number, "name": name, "sealed": sealed}).first() is not None


_STORE = text("""
    INSERT INTO arrival (id, name, body_sealed) OVERRIDING SYSTEM VALUE VALUES (:id, :name, :sealed)
    ON CONFLICT (name) DO NOTHING RETURNING id
""")


def waiting(session: Session, *, limit: int = 100) -> list[Waiting]:
    """Return notices to be dealt with, the oldest first. Dealing with one twice must be harmless."""
    query = select(Arrival).where(Arrival.done_at.is_(None), Arrival.body_sealed.is_not(None))
    found = session.execute(query.order_by(Arrival.id).limit(limit)).scalars()
    return [Waiting(one.id, _opened(session, one)) for one in found]


def _opened(session: Session, one: Arrival) -> str | None:
    """A notice that is damaged holds up no other."""
    try:
        return session.vault.unseal("arrival", "body", one.id, one.body_sealed or b"")
    except CannotUnseal:
        return None


def any_waiting(session: Session) -> bool:
    """Whether a worker has something to do."""
    return session.execute(select(Arrival.id).where(Arrival.done_at.is_(None)).limit(1)).first() is not None


def done(session: Session, arrival_id: int, *, now: datetime) -> None:
    """Empty a notice; only that it was here stays known."""
    emptied = text("UPDATE arrival SET done_at = :now, body_sealed = NULL WHERE id = :id")
    session.execute(emptied, {"id": arrival_id, "now": now})


def forget(session: Session, *, now: datetime) -> int:
    """Delete what came long ago, dealt with or not; return how many rows."""
    old = text("DELETE FROM arrival WHERE came_at < :old")
    return int(session.execute(old, {"old": now - REMEMBERED}).rowcount)  # type: ignore[attr-defined]
