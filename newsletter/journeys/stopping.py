"""Stop: one person, no second factor, no log-in. The link for it is in the mail that tells the team of a release."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from newsletter import database
from newsletter.database import Session
from newsletter.jobs import HOOKS, SWEEP
from newsletter.journeys import acting, mailing
from newsletter.journeys.parts import Parts
from newsletter.ledger import hushed, locks, mailings
from newsletter.ledger.mailings import NOT_GONE, Kind, State, WrongState
from newsletter.ledger.manifest import short
from newsletter.operators import audit
from newsletter.operators.hooks import Event
from newsletter.operators.roles import May
from newsletter.tokens import Purpose

STOPPABLE = NOT_GONE | {State.SENDING, State.PAUSED}
ENDED = frozenset({State.STOPPED, State.CANCELLED, State.RETRACTED})


@dataclass(frozen=True, slots=True)
class Offer:
    """An alert as the page of its stop link shows it. count, code None: it is no longer locked.

    languages   those written later that would be stopped with it
    just        what this press has ended
    reached     of what is stopped: somebody has it, or may have it
    """

    mailing: int
    state: State
    subject: str
    count: int | None
    code: str | None
    starts_at: datetime | None
    languages: tuple[int, ...] = ()
    just: tuple[int, ...] = ()
    reached: bool = False

    @property
    def stoppable(self) -> bool:
        """Something of it is still to go."""
        return self.state in STOPPABLE or bool(self.languages)

    @property
    def had(self) -> bool:
        """Somebody may have it, and nobody has taken it back."""
        return self.reached if self.state is State.STOPPED else self.state not in ENDED and bool(self.just)

    @property
    def ended(self) -> bool:
        """Somebody has stopped it, or languages of it this moment."""
        return self.state in ENDED or bool(self.just)

    @property
    def silenced(self) -> tuple[int, ...]:
        """The numbers of what is stopped: of an alert that had gone those of its languages alone."""
        return (self.mailing,) if self.state in ENDED else self.just


def offer(parts: Parts, token: str) -> Offer:
    """Return what a link would stop, and change nothing. Raises BadToken, UnknownMailing."""
    with parts.database.transaction() as session:
        return _offer(session, _mailing(session, parts, token))


def by_link(parts: Parts, token: str) -> Offer:
    """Stop what a link is for, and return what became of it. Safe to repeat. Raises BadToken, UnknownMailing."""
    with parts.database.transaction() as session:
        mailing_id = _mailing(session, parts, token)
        if not (found := _offer(session, mailing_id)).stoppable:
            return found
    just: list[int] = []
    with suppress(WrongState):
        just = end_all(parts, mailing_id, by=audit.LINK)
    for job in (SWEEP, HOOKS):
        # What is left is cancelled by a worker: the pages' role may not.
        parts.nudger.nudge(job)
    return replace(offer(parts, token), just=tuple(just))


def end(session: Session, mailing_id: int, *, by: int | str) -> State:
    """End an alert in the transaction of the caller, or give up one that has not begun; return its state. Raises WrongState."""
    became = mailings.stop(session, mailing_id)
    mailing.sign(session, Event.STOPPED, mailing_id, by=by)
    return became


def end_all(parts: Parts, mailing_id: int, *, by: int | str) -> list[int]:
    """End an alert, and each of its languages that were written later; return which ended. Raises WrongState where none could.

    One after the other: the alert itself waits for no language that is being planned at this moment, and that finds it
    ended and does not go.
    """
    with parts.database.transaction() as session:
        along = languages(session, mailing_id)
        itself = not along or mailings.get(session, mailing_id).state in STOPPABLE
    with mailing.signed_after(parts, Event.STOPPED, by=by) as ended:
        if itself:
            _end(parts, mailing_id)
            ended.append(mailing_id)
        for one in along:
            with suppress(WrongState):
                _end(parts, one)
                ended.append(one)
    return ended


def _end(parts: Parts, mailing_id: int) -> None:
    with parts.database.transaction() as session:
        mailings.stop(session, mailing_id)


def languages(session: Session, mailing_id: int) -> list[int]:
    """Return those languages of an alert, written later, that have not ended: a stop ends them as well."""
    return [one.id for one in mailings.translations(session, mailing_id) if one.state in STOPPABLE]


def running(parts: Parts, mailing_id: int) -> list[int]:
    """Return those languages of an alert, written later, that a stop would end with it."""
    with parts.database.transaction() as session:
        return languages(session, mailing_id)


def may_halt(parts: Parts, mailing_id: int) -> bool:
    """Return whether a number is that of an alert of which something is still to go. Raises UnknownMailing."""
    with parts.database.transaction() as session:
        view = mailings.get(session, mailing_id)
        return view.kind is Kind.ALERT and (
            view.state in STOPPABLE - {State.DRAFT} or bool(languages(session, view.id))
        )


def is_so(parts: Parts, mailing_id: int, to: State) -> bool:
    """Return whether an alert is paused, or has ended by somebody's stop, already. Raises UnknownMailing."""
    with parts.database.transaction() as session:
        return mailings.get(session, mailing_id).state in (ENDED if to is State.STOPPED else {to})


def by_hand(parts: Parts, mailing_id: int, to: State, *, by: int) -> State:
    """Pause or stop an alert in all its languages, as somebody of the team on their page; return what it is by that.

    Raises WrongState, NotAnAlert, NotAllowed.

    to   PAUSED: it can go on; STOPPED: it cannot
    """
    acting.allowed(parts, by, May.STOP)
    with parts.database.transaction() as session:
        acting.an_alert(session, mailing_id)
    if to is State.PAUSED:
        mailing.pause(parts, mailing_id, by=by)
    else:
        end_all(parts, mailing_id, by=by)
        for job in (SWEEP, HOOKS):
            parts.nudger.nudge(job)
    with parts.database.transaction() as session:
        return mailings.get(session, mailing_id).state


def _mailing(session: Session, parts: Parts, token: str) -> int:
    return parts.tokens.read(token, Purpose.STOP, now=database.now(session)).mailing_id


def _offer(session: Session, mailing_id: int) -> Offer:
    view = mailings.get(session, mailing_id)
    count, code = None, None
    if view.fingerprint is not None:
        code = short(view.fingerprint)
        try:
            count = locks.of(session, mailing_id, view.fingerprint).count
        except locks.Broken:
            code = None  # all the more reason to stop it
    along = tuple(languages(session, mailing_id))
    reached = view.state is State.STOPPED and hushed.reached(session, mailing_id)
    return Offer(mailing_id, view.state, view.subject, count, code, view.start_at, along, reached=reached)
