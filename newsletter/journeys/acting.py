"""Who asks, by what they prove it, and over which alert: what every story of alerts looks at first."""

from collections.abc import Callable
from typing import TypeVar

import structlog

from newsletter import database
from newsletter.database import Session
from newsletter.errors import Conflict, Forbidden
from newsletter.journeys.parts import Parts
from newsletter.ledger import mailings
from newsletter.ledger.mailings import Kind, MailingView
from newsletter.operators import audit, factors, people, roles
from newsletter.operators.factors import WrongFactor
from newsletter.operators.roles import May
from newsletter.operators.sessions import Factor

log = structlog.get_logger()

Made = TypeVar("Made")

SIGNS_WITHIN = 2_000
"""Milliseconds so long somebody's halt waits for its place in the audit: usually none has to."""


class NotAnAlert(Conflict):
    """The number is that of another kind of mailing."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.not-an-alert", mailing=mailing_id)


class NobodyNamed(Forbidden):
    """Where operators exist, whoever looks at people says who they are."""

    def __init__(self) -> None:
        super().__init__("operator.nobody-named")


def officer(session: Session, by: int | None) -> int | str:
    """Return who deals with people's data, for the audit: an operator who may, or the shell where there is none yet.

    Raises NobodyNamed, NotAllowed, UnknownOperator, Disabled.
    """
    if by is None:
        if people.active(session):
            raise NobodyNamed
        return audit.SHELL
    require(session, by, May.PEOPLE)
    return by


def an_alert(session: Session, mailing_id: int) -> MailingView:
    """Return an alert. Raises NotAnAlert, UnknownMailing."""
    view = mailings.get(session, mailing_id)
    if view.kind is not Kind.ALERT:
        raise NotAnAlert(mailing_id)
    return view


def allowed(parts: Parts, by: int | None, act: May) -> None:
    """Raise where the operator who is named may not do this. None: whoever runs the machine."""
    if by is None:
        return
    with parts.database.transaction() as session:
        require(session, by, act)


def require(session: Session, operator_id: int, act: May) -> None:
    """Raise UnknownOperator, Disabled or NotAllowed where an operator may not do this."""
    operator = people.by_id(session, operator_id)
    if not operator.active:
        raise people.Disabled(operator_id)
    roles.require(operator.may, act)


def by_factor(
    parts: Parts,
    by: int,
    factor: Factor,
    answer: str,
    *,
    before: Callable[[Session], object],
    act: Callable[[Session], Made],
) -> Made:
    """Do something by what an operator shows. Raises Locked, WrongFactor, and what `before` and `act` raise.

    answer   the code of their phone; of a passkey its assertion, which `before` and `act` look at
    before   says what cannot be, before a code is used up for it and a try is counted
    """
    coded = factor is not Factor.PASSKEY
    with parts.database.transaction() as session:
        before(session)
        if coded:
            factors.count_try(session, by, now=database.now(session))
    with parts.database.transaction() as session:
        if not coded or factors.check_totp(session, by, answer, now=database.now(session)):
            return act(session)
    raise WrongFactor


def sign_after(parts: Parts, *writes: Callable[[Session], object]) -> None:
    """Write into the audit who halted something, once all of it is halted, in a transaction of its own.

    Any role may hold the audit shut, and a stop that waited for it would be none. Where it is held, or somebody dies between the
    two, the halt stands unsigned: it was somebody's (`halts`).
    """
    try:
        with parts.database.impatient(SIGNS_WITHIN) as session:
            for write in writes:
                write(session)
    except (database.HeldUp, *database.FAILURES) as fault:
        log.error("halt not signed", why=str(fault))
