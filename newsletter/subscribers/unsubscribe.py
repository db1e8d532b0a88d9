"""Leaving: at once, for good, and the same when asked twice."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import text, update

from newsletter.database import Session
from newsletter.models.subscriber import Subscription
from newsletter.subscribers import consent, meanwhile


def leave(session: Session, subscriber_id: int, digest_id: int | None, *, reason: str, now: datetime) -> int:
    """End a reader's subscription to a digest, or to all of them with None; return how many were ended.

    It also keeps them out of that digest, or with None out of every digest, to which a list would bring them later: also whose
    permission ended before by no wish of theirs. Safe to repeat: the second call returns 0.
    The caller cancels mail not yet handed over in the same transaction.
    """
    meanwhile.speak(session)
    live = [Subscription.subscriber_id == subscriber_id, Subscription.ended_at.is_(None)]
    if digest_id is not None:
        live.append(Subscription.digest_id == digest_id)
    ending = update(Subscription).where(*live).values(ended_at=now, end_reason=reason).returning(Subscription.digest_id)
    ended = list(session.execute(ending).scalars())
    for one in ended:
        consent.withdrawn(session, subscriber_id, purpose=consent.of_digest(one), now=now)
    if digest_id is not None and not ended:
        consent.refused(session, subscriber_id, digest_id=digest_id, now=now)
    if digest_id is None and consent.last_purpose_withdrawn(session, subscriber_id) != consent.EVERYTHING:
        consent.withdrawn(session, subscriber_id, purpose=consent.EVERYTHING, now=now)
    return len(ended)


def leave_at_once(
    session: Session, wished: Collection[tuple[int, int | None]], *, reason: str, now: datetime
) -> set[int]:
    """Let many readers leave, as `leave` does, and wait for nobody; return those of whom somebody holds what was to end.

    wished   (reader, digest or None for all of them)

    The no of those who are held is written down as well, which needs nothing of theirs: from then on nothing is sent to them
    (`recipients.barred`). What they take is ended by a later call.
    """
    meanwhile.speak(session)
    facts = {"people": [one for one, _ in wished], "digests": [one for _, one in wished], "reason": reason, "now": now}
    found = session.execute(_END_FREE, facts).all()
    consent.refused_by(session, {*wished, *((row.subscriber_id, row.digest_id) for row in found)}, now=now)
    return {row.subscriber_id for row in found if row.is_held}


_END_FREE = text("""
    WITH live AS (
        SELECT DISTINCT l.id, l.subscriber_id, l.digest_id
        FROM unnest(CAST(:people AS bigint[]), CAST(:digests AS bigint[])) AS gone (person, digest)
        JOIN subscription l ON l.subscriber_id = gone.person AND l.ended_at IS NULL
            AND (gone.digest IS NULL OR l.digest_id = gone.digest)
    ), free AS (
        SELECT id FROM subscription WHERE id IN (SELECT id FROM live) AND ended_at IS NULL FOR UPDATE SKIP LOCKED
    ), ended AS (
        UPDATE subscription l SET ended_at = :now, end_reason = :reason FROM free WHERE l.id = free.id RETURNING l.id
    )
    SELECT subscriber_id, digest_id, id NOT IN (SELECT id FROM ended) AS is_held FROM live
""")


def in_turn(session: Session) -> None:
    """Wait until nobody else writes down wishes that were kept: who comes second finds them done, and not held."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('subscribers.kept'))"))
