"""Fresh links: what a link from a newsletter may not do, one mailed this minute to the address on file may (decision 7)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, text

from newsletter.database import Session
from newsletter.models.fresh import FreshLink

BATCH = 200
MOST, WITHIN = 3, timedelta(hours=24)
"""How many links are mailed to one reader: whoever holds a forwarded mail must not be able to flood them."""
KEPT = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Asked:
    """A link that is to be mailed."""

    id: int
    subscriber_id: int


def ask(session: Session, subscriber_id: int) -> None:
    """Write down that a reader asked for a link."""
    session.execute(text("INSERT INTO fresh_link (subscriber_id) VALUES (:reader)"), {"reader": subscriber_id})


def any_due(session: Session) -> bool:
    """Whether a link is to be mailed."""
    return session.execute(select(FreshLink.id).where(FreshLink.done_at.is_(None)).limit(1)).first() is not None


def take(session: Session, *, now: datetime) -> list[Asked]:
    """Return the readers who are to be mailed a link now, each once and not too often; all that waited is done with."""
    session.execute(text("DELETE FROM fresh_link WHERE asked_at < :old"), {"old": now - KEPT})
    found = session.execute(_TAKE, {"now": now, "batch": BATCH, "since": now - WITHIN, "most": MOST})
    return [Asked(row.id, row.subscriber_id) for row in found]


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
