"""Beginning what was approved for a certain time, or waits for what is on the wire: the sweep finds it."""

from collections.abc import Collection
from datetime import datetime, timedelta

import structlog

from newsletter import database
from newsletter.database import DatabaseUnreachable, Session
from newsletter.delivery import alone, planning
from newsletter.jobs import DELIVER, HOOKS
from newsletter.journeys import telling
from newsletter.journeys.parts import Parts
from newsletter.ledger import locks, mailings
from newsletter.ledger.mailings import Kind, Lane, MailingView

log = structlog.get_logger()

LATE = timedelta(minutes=1)
"""By how much later an alert goes than was said, where the hook is told of it anew."""


def start_due(parts: Parts, lanes: Collection[Lane]) -> list[int]:
    """Begin the approved mailings of these lanes whose time has come, the urgent ones first; return their numbers.

    Each in a transaction of its own: neither a stop nor the first mail of one waits for the rows of another.
    """
    with parts.database.transaction() as session:
        due = [one for one in mailings.to_start(session, now=database.now(session)) if one.lane in lanes]
    return [one.id for one in due if _begun(parts, one)]


def _begun(parts: Parts, mailing: MailingView) -> bool:
    """Begin one; one that cannot be, whatever the reason, keeps no other waiting, and the next sweep tries it again."""
    try:
        return _start(parts, mailing)
    except DatabaseUnreachable:
        raise
    except Exception as error:  # whatever it is, the others' readers are not to wait for it
        log.error("not begun", mailing=mailing.id, why=type(error).__name__)
        return False


def _start(parts: Parts, mailing: MailingView) -> bool:
    """Begin one; of what does not go after all the same sweep tells the team (`refusing`)."""
    with parts.database.transaction() as session:
        now = database.now(session)
        if _put_back(session, parts, mailing, now=now):
            return False
        begun = planning.begin_due(
            session, mailing.id, now=now, tranche_pause=parts.tranche_pause, portions=parts.portions
        )
    if begun is None or begun.refused:
        return False
    parts.nudger.nudge(DELIVER[mailing.lane])
    return True


def _put_back(session: Session, parts: Parts, mailing: MailingView, *, now: datetime) -> bool:
    """Give what one person sends alone a later hour where the mail that stops it reached nobody else in time; return whether so.

    Where that is after its lock is over it does not go, and becomes a draft of which the team hears.
    """
    delay = parts.house.rules.alone
    if mailing.kind is not Kind.ALERT or delay is None:
        return False
    taken = mailings.take_to_start(session, mailing.id, now=now)
    try:
        at = alone.not_before(session, taken, delay=delay) if taken else None
    except locks.Broken:
        return False  # whoever begins it says so
    if taken is None or at is None or at <= now:
        return False
    mailings.start_at(session, mailing.id, at)
    if taken.start_at is not None and at - taken.start_at >= LATE:
        telling.told(session, locks.current(session, mailing.id), starts_at=at)
        parts.nudger.nudge(HOOKS)
    log.warning("put back", mailing=mailing.id, starts_at=at.isoformat())
    return True
