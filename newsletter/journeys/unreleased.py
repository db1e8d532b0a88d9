"""An alert that is locked and that nobody lets go: the team is asked before its time is over, and told afterwards that it was.

What one person sends alone goes by itself, and where it does not, `refusing` tells that.
"""

from datetime import datetime
from functools import partial

from newsletter import database
from newsletter.database import Session
from newsletter.journeys import agreeing, announcing, telling
from newsletter.journeys.announcing import KEEPS
from newsletter.journeys.parts import Parts
from newsletter.ledger import expiry, locks, mailings
from newsletter.ledger.mailings import MailingView, State
from newsletter.ledger.manifest import Manifest
from newsletter.operators import people


def tell(parts: Parts) -> int:
    """Ask about each such alert before its time is over, and say of each that it was; return how many. Safe to repeat."""
    with parts.database.transaction() as session:
        now = database.now(session)
        found = [one.id for one in expiry.unreleased(session, since=now - KEEPS, before=now + expiry.ASK_BEFORE)]
    told = sum([telling.tried(parts, alert, partial(_tell, alert_id=alert)) for alert in found])
    if told:
        telling.nudge(parts.nudger)
    return told


def _tell(session: Session, parts: Parts, *, alert_id: int, now: datetime) -> bool:
    # Taken: of two sweeps the second sees what the first told, and either what somebody did since it was found.
    view = mailings.take(session, alert_id)
    if view.state not in (State.LOCKED, State.APPROVED) or view.start_at is not None:
        return False
    manifest = locks.current(session, alert_id)
    expires = view.expires_at or manifest.expires_at
    if now < expires - expiry.asks_before(manifest.written_at, manifest.expires_at) or not people.active(session):
        return False
    parts.letterhead.require()
    what = _over(session, view, now=now) if expires <= now else _lacks(session, parts, view, manifest, now=now)
    return announcing.unreleased(session, parts, view.id, what, count=manifest.count, expires=expires, now=now)


def _lacks(session: Session, parts: Parts, view: MailingView, manifest: Manifest, *, now: datetime) -> str:
    """Return which sentence says what an alert waits for: whoever approved it may have left the team since."""
    if view.state is State.LOCKED:
        return "locked"
    said = agreeing.words(session, manifest)
    return "approved" if agreeing.judged(session, parts, manifest, said, now=now) is None else "void"


def _over(session: Session, view: MailingView, *, now: datetime) -> str:
    """Return which sentence says what may be done once its time is over: of an authority's message that is over too, nothing."""
    # Every worker loads this story, and those that only send never load lxml, which reads an authority's message (decision 4).
    from newsletter.journeys import lasting

    message = lasting.until(session, view)
    return "then" if message is None or message > now else "over"
