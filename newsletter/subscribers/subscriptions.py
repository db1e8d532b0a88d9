"""What readers take, and up to where they have had it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from newsletter.errors import NotFound
from newsletter.models.subscriber import ISSUED as ISSUED
from newsletter.models.subscriber import Rhythm as Rhythm
from newsletter.models.subscriber import Subscription

FEWER = {Rhythm.EACH: Rhythm.WEEKLY, Rhythm.DAILY: Rhythm.WEEKLY}
"""What is offered, instead of leaving, to whom so much is too much."""


class NotSubscribed(NotFound):
    """The person does not take this digest."""

    def __init__(self) -> None:
        super().__init__("subscription.none")


@dataclass(frozen=True, slots=True)
class SubscriptionView:
    """A digest that a reader takes now."""

    id: int
    digest_id: int
    rhythm: Rhythm
    had_to: int
    started_at: datetime


def of(session: Session, subscriber_id: int) -> list[SubscriptionView]:
    """Return what a reader takes now."""
    found = session.execute(
        select(Subscription)
        .where(Subscription.subscriber_id == subscriber_id, Subscription.ended_at.is_(None))
        .order_by(Subscription.id)
    ).scalars()
    return [SubscriptionView(s.id, s.digest_id, Rhythm(s.rhythm), s.had_to, s.started_at) for s in found]


def take(
    session: Session, subscriber_id: int, digest_id: int, *, rhythm: Rhythm, had_to: int, granted_by: int, now: datetime
) -> bool:
    """Let a reader have a digest on a permission; return False where they had it in this rhythm already.

    had_to   up to where a new reader is taken to have had it; who had it before keeps their own place
    """
    facts = {"subscriber": subscriber_id, "digest": digest_id, "rhythm": rhythm, "now": now}
    mine = next((one for one in of(session, subscriber_id) if one.digest_id == digest_id), None)
    if mine is not None and mine.rhythm is rhythm:
        return False
    if mine is not None:
        session.execute(_END_ONE, facts)
        had_to = mine.had_to
    session.execute(_OPEN_AGAIN, facts | {"had_to": had_to, "granted_by": granted_by})
    return True


def change_rhythm(
    session: Session, subscriber_id: int, digest_id: int, *, rhythm: Rhythm, now: datetime, had_to: int = 0
) -> None:
    """End the subscription and open one of another rhythm, on the same permission. Raises NotSubscribed.

    had_to   where the reader begins who took emergencies only: not with all that they did not want meanwhile
    """
    facts = {"subscriber": subscriber_id, "digest": digest_id, "rhythm": rhythm, "now": now}
    ended = session.execute(_END_ONE, facts).one_or_none()
    if ended is None:
        raise NotSubscribed
    begins = max(ended.had_to, had_to)
    session.execute(_OPEN_AGAIN, facts | {"had_to": begins, "granted_by": ended.granted_by})


_END_ONE = text("""
    UPDATE subscription SET ended_at = :now, end_reason = 'rhythm changed'
    WHERE subscriber_id = :subscriber AND digest_id = :digest AND ended_at IS NULL RETURNING had_to, granted_by
""")
_OPEN_AGAIN = text("""
    INSERT INTO subscription (subscriber_id, digest_id, rhythm, had_to, granted_by, started_at)
    VALUES (:subscriber, :digest, :rhythm, :had_to, :granted_by, :now)
""")


def moved(session: Session, digest_id: int, subscriber_ids: Iterable[int], *, had_to: int) -> int:
    """Remember up to where readers have had a digest; never backwards. Return how many changed."""
    facts = {"digest": digest_id, "subscribers": list(subscriber_ids), "had_to": had_to}
    return int(session.execute(_MOVED, facts).rowcount)  # type: ignore[attr-defined]


_MOVED = text("""
    UPDATE subscription SET had_to = :had_to
    WHERE subscriber_id = ANY (:subscribers) AND digest_id = :digest AND ended_at IS NULL AND had_to < :had_to
""")
