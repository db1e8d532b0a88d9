"""An alert that is wrong is taken back: on every page at once, and by mail to all who have it or may have it."""

import time
from dataclasses import dataclass
from datetime import datetime

from newsletter import database
from newsletter.database import Session
from newsletter.delivery import planning
from newsletter.errors import Conflict
from newsletter.issues import withdrawal
from newsletter.jobs import DELIVER
from newsletter.journeys import acting, growing, mailing
from newsletter.journeys.parts import Parts
from newsletter.ledger import deliveries, mailings
from newsletter.ledger import planning as rows
from newsletter.ledger.mailings import RELEASED, Lane, State, UnknownMailing
from newsletter.operators import audit
from newsletter.operators.roles import May

PATIENCE_SECONDS = 3.0
"""How long whoever retracts waits for open windows to close; after that the sweep lets it go."""
LOOK_SECONDS = 0.05


class NothingPrepared(Conflict):
    """The alert is older than retractions: nothing was locked with it that could go."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.nothing-prepared", mailing=mailing_id)


@dataclass(frozen=True, slots=True)
class Retracted:
    """What was taken back. retraction: the mailing that tells its readers; spared: how many the alert does not reach any more."""

    mailing: int
    retraction: int
    spared: int


@dataclass(frozen=True, slots=True)
class Relatives:
    """What an alert follows, what followed it, and the mailing that took it back with its state; None where there is none."""

    updates: int | None
    updated_by: int | None
    retraction: int | None
    retraction_state: State | None


def retract(
    parts: Parts, mailing_id: int, *, by: int | None = None, patience_seconds: float = PATIENCE_SECONDS
) -> Retracted:
    """Take an alert back: one person, no second factor, since what it says was locked with the alert.

    From the commit on nothing more of the alert goes, and whoever looks for it finds that it was taken back. The mail to
    its readers begins once its last window has closed. Raises WrongState, NotAnAlert, NothingPrepared, NotAllowed.
    """
    acting.allowed(parts, by, May.STOP)
    with parts.database.transaction() as session:
        now, who = database.now(session), by or audit.SHELL
        back = take_back(session, mailing_id, by=who, now=now)
        # Whoever had only an update of it is told as well.
        later = _gone_after(session, mailing_id)
        backs = [back, *(take_back(session, one, by=who, now=now) for one in later)]
    for one in backs:
        _begin(parts, one, patience_seconds=patience_seconds)
    parts.nudger.nudge(DELIVER[Lane.URGENT])
    for one in backs:
        growing.grow(parts, one)
    spared = sum(mailing.cancel_rest(parts, one) for one in (mailing_id, *later))
    return Retracted(mailing_id, back, spared)


def _gone_after(session: Session, mailing_id: int) -> list[int]:
    """Return the alerts that followed one and went, in their order, those aside that were taken back."""
    gone = RELEASED - {State.RETRACTED}
    return [one for one in mailings.followers(session, mailing_id) if mailings.get(session, one).state in gone]


def take_back(session: Session, mailing_id: int, *, by: int | str, now: datetime) -> int:
    """Take an alert back in the transaction of the caller, and return the mailing that tells its readers: a sweep lets it go.

    by   as for audit.append

    Raises what `retract` raises, but asks nobody.
    """
    acting.an_alert(session, mailing_id)
    alert, back = mailings.take(session, mailing_id), _prepared(session, mailing_id)
    if alert.state in (State.SENDING, State.PAUSED):
        mailings.move(session, alert.id, State.STOPPED, finished_at=now)
    mailings.move(session, alert.id, State.RETRACTED)
    mailings.move(session, back, State.LOCKED, fingerprint=alert.fingerprint)
    mailings.approve(session, back, start_at=now)
    for article in withdrawal.of_alert(session, alert.id, now=now):
        mailings.hold(session, article, why=mailings.WITHDRAWN)
    audit.append(session, "alert.retracted", by=by, now=now, mailing=alert.id, retraction=back)
    return back


def _prepared(session: Session, alert_id: int) -> int:
    try:
        return mailings.retraction_of(session, alert_id)
    except UnknownMailing:
        raise NothingPrepared(alert_id) from None


def _begin(parts: Parts, back: int, *, patience_seconds: float) -> bool:
    """Plan the mail once the alert is off the wire; return whether that was soon."""
    until = time.monotonic() + patience_seconds
    while True:
        with parts.database.transaction() as session:
            now = database.now(session)
            if planning.plan_if_approved(session, back, now=now, portions=parts.portions):
                return True
        if time.monotonic() > until:
            return False
        time.sleep(LOOK_SECONDS)


def would_retract(parts: Parts, mailing_id: int) -> int:
    """Return to how many a retraction would go now, and change nothing. Raises what `retract` raises."""
    with parts.database.transaction() as session:
        alert = acting.an_alert(session, mailing_id)
        if alert.state not in (State.SENDING, State.PAUSED):
            mailings.require(session, mailing_id, State.RETRACTED)
        back = mailings.get(session, _prepared(session, mailing_id))
        return rows.count(session, back, deliveries.handed(alert))


def relatives(parts: Parts, mailing_id: int) -> Relatives:
    """Return what belongs to an alert."""
    with parts.database.transaction() as session:
        alert = acting.an_alert(session, mailing_id)
        back = mailings.retraction_of(session, mailing_id) if alert.state is State.RETRACTED else None
        how = mailings.get(session, back).state if back else None
        return Relatives(alert.updates, mailings.follower(session, mailing_id), back, how)
