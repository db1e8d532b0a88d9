"""Whoever may write and not lock asks those who may, by mail and hook; not once more at each press."""

from datetime import datetime, timedelta

from newsletter import database
from newsletter.errors import Conflict
from newsletter.journeys import acting, announcing, telling
from newsletter.journeys.parts import Parts
from newsletter.ledger import mailings
from newsletter.ledger.mailings import MailingView, State
from newsletter.operators import audit
from newsletter.operators.roles import May

ASK_AGAIN = timedelta(minutes=10)
"""How long those who may lock an alert are left alone once they were asked, whatever is written in it meanwhile."""
ASKED = "lock_wanted"
"""Under what an alert's draft says when they were last asked."""


class AskedLately(Conflict):
    """Those who may lock an alert were asked a moment ago: each further press would mail all of them again."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.asked-lately", mailing=mailing_id)


def ask_for_lock(parts: Parts, mailing_id: int, *, by: int) -> None:
    """Ask those who may lock an alert to do so, by mail and hook. Raises WrongState, NotAllowed, NotAnAlert, AskedLately."""
    acting.allowed(parts, by, May.WRITE)
    with parts.database.transaction() as session:
        acting.an_alert(session, mailing_id)
        # Of two presses at once the second sees the first.
        view = mailings.take(session, mailing_id)
        now = database.now(session)
        mailings.require(session, mailing_id, State.LOCKED)
        if not may_ask(view, now=now):
            raise AskedLately(mailing_id)
        mailings.write_down(session, mailing_id, view.subject, view.content | {ASKED: now.isoformat()})
        announcing.lock_wanted(session, parts, view, by=by, now=now)
        audit.append(session, "alert.lock-wanted", by=by, now=now, mailing=mailing_id)
    telling.nudge(parts.nudger)


def lock_asked(view: MailingView) -> datetime | None:
    """Return when those who may lock an alert were last asked to; None: never."""
    said = view.content.get(ASKED)
    return datetime.fromisoformat(said) if said else None


def may_ask(view: MailingView, *, now: datetime) -> bool:
    """Return whether it is time to ask for a lock, once more too."""
    asked = lock_asked(view)
    return asked is None or now - asked >= ASK_AGAIN
