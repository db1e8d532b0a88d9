"""Leaving: at once, for good, and the same when asked twice."""

from datetime import datetime

from sqlalchemy import update

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
