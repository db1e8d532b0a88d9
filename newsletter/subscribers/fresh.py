"""Fresh links: what a link from a newsletter may not do, one mailed this minute to the address on file may (decision 7)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

from sqlalchemy import func, select, text

from newsletter.database import Session
from newsletter.models.fresh import FreshLink

BATCH = 200
MOST, WITHIN = 3, timedelta(hours=24)
"""How many links are mailed to one reader: whoever holds a forwarded mail must not be able to flood them."""
LASTS = timedelta(hours=26)
"""How long ago a link that still works can have been mailed: a day, its last hour, and the clock of another machine."""
KEPT = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Asked:
    """A link that is to be mailed."""

    id: int
    subscriber_id: int


@dataclass(frozen=True, slots=True)
class Mailed:
    """A link that went to a reader: when it was made, and which key countersigned it."""

    at: datetime
    key_id: int


def ask(session: Session, subscriber_id: int) -> None:
    """Write down that a reader asked for a link; nothing where they are no reader any more."""
    asked = text("INSERT INTO fresh_link (subscriber_id) SELECT id FROM subscriber WHERE id = :reader")
    session.execute(asked, {"reader": subscriber_id})


def mailed(session: Session, subscriber_id: int, *, since: datetime) -> list[Mailed]:
    """Return the links that went to a reader since then: at most three a day."""
    mine = select(FreshLink.done_at, FreshLink.key_id).where(
        FreshLink.subscriber_id == subscriber_id, FreshLink.done_at > since, FreshLink.key_id.is_not(None)
    )
    return [Mailed(at, key_id) for at, key_id in session.execute(mine) if at and key_id]


def keep(session: Session, asked: Asked, countersign: str) -> None:
    """Keep what a page knows the link by that is being mailed: no countersign, nor anything by which a wish could be proved."""
    session.execute(_KEEP, {"id": asked.id, "proof": _proof(countersign)})


_KEEP = text("UPDATE fresh_link SET proof = :proof WHERE id = :id")


def was_mailed(session: Session, subscriber_id: int, countersign: str) -> bool:
    """Whether a link to a reader's own mailbox had this countersign: whoever has the token keys alone cannot know it."""
    mine = (FreshLink.subscriber_id == subscriber_id, FreshLink.proof == _proof(countersign))
    return bool(countersign) and session.execute(select(FreshLink.proof).where(*mine).limit(1)).first() is not None


def _proof(countersign: str) -> bytes:
    return blake2b(countersign.encode(), digest_size=32, person=b"fresh link").digest()


def resting(session: Session, key_id: int, *, since: datetime) -> int:
    """Return how many links went out since then that a key countersigned."""
    under = select(func.count()).where(FreshLink.key_id == key_id, FreshLink.done_at > since)
    return session.execute(under).scalar_one()


def any_due(session: Session) -> bool:
    """Whether a link is to be mailed."""
    return session.execute(select(FreshLink.id).where(FreshLink.done_at.is_(None)).limit(1)).first() is not None


def take(session: Session, *, key_id: int, now: datetime) -> list[Asked]:
    """Return the readers who are to be mailed a link now, each once and not too often; all that waited is done with.

    key_id   which key countersigns what is mailed
    """
    session.execute(text("DELETE FROM fresh_link WHERE asked_at < :old"), {"old": now - KEPT})
    found = session.execute(_TAKE, {"now": now, "batch": BATCH, "since": now - WITHIN, "most": MOST})
    taken = [Asked(row.id, row.subscriber_id) for row in found]
    session.execute(_GONE, {"key": key_id, "ids": [one.id for one in taken]})
    return taken


_TAKE = text("""
    WITH taken AS (
        UPDATE fresh_link SET done_at = :now WHERE id IN (
            SELECT id FROM fresh_link WHERE done_at IS NULL ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED
        ) RETURNING id, subscriber_id
    )
    SELECT max(id) AS id, subscriber_id FROM taken t WHERE (
        SELECT count(DISTINCT done_at) FROM fresh_link f WHERE f.subscriber_id = t.subscriber_id AND f.done_at > :since
    ) < :most GROUP BY subscriber_id ORDER BY 1
""")
_GONE = text("UPDATE fresh_link SET key_id = :key WHERE id = ANY(:ids)")
