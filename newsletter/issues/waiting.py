"""Who waits for an issue: readers who want a digest more seldom than it is cut, while none is cut for them."""

from datetime import datetime

from newsletter.database import Session
from newsletter.issues import cutting, rhythms
from newsletter.issues.digests import DigestView
from newsletter.subscribers import recipients


def readers(session: Session, digest: DigestView, *, now: datetime) -> dict[str, int]:
    """Return how many wait, by the rhythm they chose, where no issue of it was cut within its period."""
    found: dict[str, int] = {
        rhythm: recipients.count(
            session, recipients.of_digest(digest.id, rhythms=[rhythm], languages=digest.languages, urgent=False)
        )
        for rhythm in rhythms.more_seldom(digest.rhythm)
        if not cutting.was_cut(session, digest.id, rhythm, since=now - rhythms.PERIOD[rhythm])
    }
    return {rhythm: number for rhythm, number in found.items() if number}
