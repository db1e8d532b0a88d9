"""Beginning what was approved for a certain time, or waits for what is on the wire: the sweep finds it."""

from collections.abc import Collection

import structlog

from newsletter import database
from newsletter.database import DatabaseUnreachable
from newsletter.delivery import planning
from newsletter.jobs import DELIVER
from newsletter.journeys.parts import Parts
from newsletter.ledger import mailings
from newsletter.ledger.mailings import Lane, MailingView

log = structlog.get_logger()


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
        begun = planning.begin_due(
            session, mailing.id, now=now, tranche_pause=parts.tranche_pause, portions=parts.portions
        )
    if begun is None or begun.refused:
        return False
    parts.nudger.nudge(DELIVER[mailing.lane])
    return True
