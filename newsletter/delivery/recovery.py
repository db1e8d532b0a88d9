"""The sweep: what a lost nudge, a dead worker or a full hour left behind is found here, in rows."""

from dataclasses import dataclass
from datetime import datetime

from newsletter.database import Session
from newsletter.delivery import planning
from newsletter.ledger import books, deliveries, mailings, shards


@dataclass(frozen=True, slots=True)
class Found:
    """What a sweep set going. `lanes`: those in which a shard may be leased now."""

    started: list[int]
    expired: int
    retries: int
    lanes: list[str]


def sweep(session: Session, *, now: datetime) -> Found:
    """Start what is scheduled, give up what is too old, gather retries, close books. Safe to run twice at once."""
    started = planning.plan_due(session, now=now)
    expired = deliveries.expire(session, now=now)
    retries = deliveries.gather(session, now=now)
    for mailing_id in mailings.under_way(session):
        books.finish(session, mailing_id)
    return Found(started, expired, retries, shards.lanes_with_work(session))
