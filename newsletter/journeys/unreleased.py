"""An alert that is locked and that nobody lets go: the team is asked before its time is over, and told afterwards that it was.

What one person sends alone goes by itself, and where it does not, `refusing` tells that.
"""

from datetime import datetime

import structlog

from newsletter import database
from newsletter.database import Session
from newsletter.errors import NewsletterError
from newsletter.journeys import announcing, telling
from newsletter.journeys.announcing import KEEPS
from newsletter.journeys.expiring import ASK_BEFORE
from newsletter.journeys.parts import Parts
from newsletter.ledger import expiry, locks, mailings
from newsletter.ledger.manifest import Manifest
from newsletter.operators import people

log = structlog.get_logger()


def tell(parts: Parts) -> int:
    """Ask about each such alert before its time is over, and say of each that it was; return how many. Safe to repeat."""
    with parts.database.transaction() as session:
        now = database.now(session)
        found = [one.id for one in expiry.unreleased(session, since=now - KEEPS, before=now + ASK_BEFORE)]
    told = sum([_tried(parts, alert) for alert in found])
    if told:
        telling.nudge(parts.nudger)
    return told


def _tried(parts: Parts, alert_id: int) -> bool:
    """Tell of one; a mail that cannot be written keeps no sweep from its work, and the next one tries it again."""
    try:
        with parts.database.transaction() as session:
            return _tell(session, parts, alert_id, now=database.now(session))
    except NewsletterError as fault:
        log.error("the team is not told", mailing=alert_id, why=fault.message)
        return False


def _tell(session: Session, parts: Parts, alert_id: int, *, now: datetime) -> bool:
    view, manifest = mailings.get(session, alert_id), locks.current(session, alert_id)
    expires = view.expires_at or manifest.expires_at
    if now < asks_from(manifest, expires) or not people.active(session):
        return False
    parts.letterhead.require()
    return announcing.unreleased(session, parts, view, count=manifest.count, expires=expires, now=now)


def asks_from(manifest: Manifest, expires: datetime) -> datetime:
    """Return when the team is asked about an alert: two hours before its time is over, of a short one at half of its time."""
    short = (manifest.expires_at - manifest.written_at) / 2 if manifest.written_at else ASK_BEFORE
    return expires - min(ASK_BEFORE, short)
