"""An alert that is wrong is taken back: on every page at once, and by mail to all who have it or may have it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from newsletter import database
from newsletter.database import Session
from newsletter.delivery import planning
from newsletter.errors import Conflict
from newsletter.issues import withdrawal
from newsletter.jobs import DELIVER
from newsletter.journeys import acting, announcing, growing, mailing, telling
from newsletter.journeys.parts import Parts
from newsletter.ledger import mailings
from newsletter.ledger import planning as rows
from newsletter.ledger.mailings import GONE, NOT_GONE, Lane, MailingView, State, UnknownMailing
from newsletter.operators import audit
from newsletter.operators.roles import May

PATIENCE_SECONDS = 3.0
"""How long whoever retracts waits for open windows to close; after that the sweep lets it go."""
LOOK_SECONDS = 0.05


class NothingPrepared(Conflict):
    """The alert is older than retractions, or its own was given up past the program: nothing lies ready that could go."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.nothing-prepared", mailing=mailing_id)


@dataclass(frozen=True, slots=True)
class Retracted:
    """What was taken back.

    retraction   the mailing that tells its readers
    spared       how many the alert does not reach any more
    others       the retractions of what followed it, and of languages that came later
    """

    mailing: int
    retraction: int
    spared: int
    others: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Relatives:
    """What an alert follows, what followed it, and the mailing that took it back with its state; None where there is none.

    translates     the alert of which it is a language that came later
    translations   its own languages that were written later, each with its state
    """

    updates: int | None
    updated_by: int | None
    retraction: int | None
    retraction_state: State | None
    translates: int | None = None
    translations: tuple[tuple[int, State], ...] = ()


def retract(
    parts: Parts, mailing_id: int, *, by: int | None = None, patience_seconds: float = PATIENCE_SECONDS
) -> Retracted:
    """Take an alert back: one person, no second factor, since what it says was locked with the alert.

    From the commit on nothing more of the alert goes, and whoever looks for it finds that it was taken back. The mail to
    its readers begins once its last window has closed. Raises WrongState, NotAnAlert, NothingPrepared, NotAllowed.
    """
    acting.allowed(parts, by, May.STOP)
    who = by or audit.SHELL
    with parts.database.transaction() as session:
        now = database.now(session)
        gone = mailings.take_all(session, lambda: _affected(session, mailing_id)[0])
        _, languages = _affected(session, mailing_id)
        backs = {one: take_back(session, one, now=now) for one in gone}
        announcing.retracted(session, parts, mailing_id, by=by, now=now)
    given_up: list[int] = []
    try:
        # One after the other: the alert waits for no language that is being planned, and that finds it taken back.
        for one in languages:
            _take_language_back(parts, one, backs, given_up)
        for one in backs.values():
            _begin(parts, one, patience_seconds=patience_seconds)
    finally:
        _sign(parts, backs, given_up, by=who)
    parts.nudger.nudge(DELIVER[Lane.URGENT])
    telling.nudge(parts.nudger)
    for one in backs.values():
        growing.grow(parts, one)
    spared = sum(mailing.cancel_rest(parts, one) for one in backs)
    first, *others = backs.values()
    return Retracted(mailing_id, first, spared, tuple(others))


def _affected(session: Session, mailing_id: int) -> tuple[list[int], list[int]]:
    """Return an alert with what followed it, and the languages of these that were written later.

    Whoever had only an update is told as well, or only a later language. Where somebody died between the two, the languages
    alone are left.
    """
    alerts = [mailing_id, *_gone_after(session, mailing_id)]
    languages = [one for alert in alerts for one in mailings.translations(session, alert)]
    left = any(one.state in GONE for one in languages)
    if left and mailings.get(session, mailing_id).state is State.RETRACTED:
        alerts = []
    return alerts, [one.id for one in languages if one.state in GONE | NOT_GONE]


def _take_language_back(parts: Parts, mailing_id: int, backs: dict[int, int], given_up: list[int]) -> None:
    """Take a language back, or give it up where it had not gone, and put it to those once that is committed."""
    with parts.database.transaction() as session:
        now, state = database.now(session), mailings.take(session, mailing_id).state
        back = take_back(session, mailing_id, now=now) if state in GONE else None
        if state in NOT_GONE:
            mailings.move(session, mailing_id, State.CANCELLED)
    if back is not None:
        backs[mailing_id] = back
    elif state in NOT_GONE:
        given_up.append(mailing_id)


def _sign(parts: Parts, backs: Mapping[int, int], given_up: Sequence[int], *, by: int | str) -> None:
    """Sign once all of it is taken back (`acting.sign_after`). backs: what takes it back, by what was taken back."""

    def write(session: Session) -> None:
        now = database.now(session)
        for one, retraction in backs.items():
            audit.append(session, "alert.retracted", by=by, now=now, mailing=one, retraction=retraction)
        for one in given_up:
            audit.append(session, "alert.stopped", by=by, now=now, mailing=one)

    acting.sign_after(parts, write)


def _gone_after(session: Session, mailing_id: int) -> list[int]:
    """Return the alerts that followed one and went, in their order, those aside that were taken back."""
    return [one for one in mailings.followers(session, mailing_id) if mailings.get(session, one).state in GONE]


def take_back(session: Session, mailing_id: int, *, now: datetime) -> int:
    """Take an alert back in the transaction of the caller, and return the mailing that tells its readers: a sweep lets it go.

    Raises what `retract` raises, but asks nobody.
    """
    acting.an_alert(session, mailing_id)
    alert = mailings.take(session, mailing_id)
    if alert.state in (State.SENDING, State.PAUSED):
        mailings.move(session, alert.id, State.STOPPED, finished_at=now)
    mailings.move(session, alert.id, State.RETRACTED)
    back = _prepared(session, alert.id)
    mailings.move(session, back, State.LOCKED, fingerprint=alert.fingerprint)
    mailings.approve(session, back, start_at=now)
    for article in withdrawal.of_alert(session, alert.id, now=now):
        mailings.hold(session, article, why=mailings.WITHDRAWN)
    return back


def _prepared(session: Session, alert_id: int) -> int:
    try:
        back = mailings.retraction_of(session, alert_id)
    except UnknownMailing:
        raise NothingPrepared(alert_id) from None
    if mailings.get(session, back).state is not State.DRAFT:
        raise NothingPrepared(alert_id)
    return back


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
        _prepared(session, mailing_id)
        every = [mailings.get(session, one) for one in mailings.in_all_languages(session, mailing_id)]
        gone = [one for one in every if one.id == alert.id or one.state in GONE]
        return sum(_told(session, one) for one in gone)


def _told(session: Session, alert: MailingView) -> int:
    return rows.count(session, mailings.get(session, _prepared(session, alert.id)), planning.handed(alert))


def relatives(parts: Parts, mailing_id: int) -> Relatives:
    """Return what belongs to an alert."""
    with parts.database.transaction() as session:
        alert = acting.an_alert(session, mailing_id)
        back = mailings.retraction_of(session, mailing_id) if alert.state is State.RETRACTED else None
        how = mailings.get(session, back).state if back else None
        languages = tuple((one.id, one.state) for one in mailings.translations(session, mailing_id))
        newer = mailings.follower(session, mailing_id)
        return Relatives(alert.updates, newer, back, how, alert.translates, languages)
