"""An operator logs in: counted, then a password, then a second factor; and proves it again before what cannot be taken back.

Every attempt is counted and committed before it is looked at, and no transaction is open while argon2 works.
"""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from newsletter import database, mailboxes
from newsletter.addresses import BadAddress, EmailAddress
from newsletter.database import Session
from newsletter.errors import Forbidden
from newsletter.journeys.parts import Parts
from newsletter.operators import audit, factors, passkeys, passwords, people, roles, sessions, throttle
from newsletter.operators.factors import FRESH, Proof, WrongFactor
from newsletter.operators.passkeys import Site
from newsletter.operators.people import OperatorView
from newsletter.operators.roles import May
from newsletter.operators.sessions import PROVE, Factor, NotLoggedIn, SessionView, Stage
from newsletter.operators.throttle import Door, Knock, TooMany

Result = TypeVar("Result")


class WrongLogin(Forbidden):
    """Address or password is not right; the same words for both."""

    def __init__(self) -> None:
        super().__init__("operator.wrong-login")


@dataclass(frozen=True, slots=True)
class Where:
    """Whence somebody comes. address: of the client; device: its browser in words; cookie: "" or that of a known device."""

    address: str
    device: str = ""
    cookie: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody shows as their second factor: a code, a recovery code, or a browser's signature (JSON)."""

    factor: Factor
    text: str


@dataclass(frozen=True, slots=True)
class Entered:
    """A full log-in: the session's token, and the cookie by which this device is known next time."""

    token: str
    cookie: str
    recovery_left: int


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is logged in. now: the moment of this request."""

    operator: OperatorView
    session: SessionView
    now: datetime

    def require(self, act: May) -> None:
        """Raise NotAllowed where none of the roles holds an act."""
        roles.require(self.operator.may, act)

    def fresh(self, *, within: timedelta = FRESH) -> Proof:
        """Return the proof that a second factor was shown just now. Raises NotFresh."""
        return factors.fresh(self.session, now=self.now, within=within)


def enter(parts: Parts, written: str, password: str, where: Where) -> str:
    """Return the token of a half session for a right password. Raises TooMany, WrongLogin."""
    address = _parsed(written)
    knocks = _knocks(parts, address.normal if address else written.strip().lower()[:254], where)
    with parts.database.transaction() as session:
        delay = throttle.count(session, knocks, now=database.now(session))
        found = factors.stored_password(session, address)
    if delay:
        raise TooMany(delay)
    right = passwords.matches(found[1] if found else None, password)
    with parts.database.transaction() as session:
        now = database.now(session)
        if found and right:
            if passwords.outdated(found[1]):
                factors.set_password(session, found[0], passwords.hash_(password))
            return sessions.begin(session, found[0], device=where.device, now=now)
        # For nobody as well: the answer must take as long.
        audit.append(session, "login.refused", by=audit.NOBODY, now=now, operator=found[0] if found else None)
    raise WrongLogin


def _parsed(written: str) -> EmailAddress | None:
    try:
        return EmailAddress.parse(written)
    except BadAddress:
        return None


def _knocks(parts: Parts, name: str, where: Where) -> list[Knock]:
    """A known device has a count of its own for the account, so that strangers cannot keep its owner out."""
    mark, _, seal = where.cookie.partition(".")
    known = bool(mark) and hmac.compare_digest(seal, _device_seal(parts, mark, name))
    mine = Knock(Door.DEVICE, f"{mark}:{name}") if known else Knock(Door.ACCOUNT, name)
    return [Knock(Door.ADDRESS, where.address), mine]


def _device_seal(parts: Parts, mark: str, name: str) -> str:
    return parts.database.vault.digest("known device", f"{mark}:{name}").hex()


def half(parts: Parts, token: str) -> Visitor:
    """Return who knows a password and is asked for a second factor. Raises NotLoggedIn."""
    found = _who(parts, token)
    if found is None or found.session.stage is not Stage.HALF:
        raise NotLoggedIn
    return found


def second(parts: Parts, token: str, answer: Answer, where: Where, site: Site | None) -> Entered:
    """Return a full log-in for a right second factor. Raises NotLoggedIn, Locked, WrongFactor."""
    visitor = half(parts, token)

    def complete(session: Session, now: datetime) -> Entered:
        operator = visitor.operator
        made = sessions.complete(session, visitor.session, answer.factor, now=now)
        name = mailboxes.open(session, operator.mailbox_id).normal
        mark = secrets.token_urlsafe(12)
        throttle.forget(session, _knocks(parts, name, where))
        left = factors.recovery_left(session, operator.id)
        audit.append(session, "login", by=operator.id, now=now, factor=answer.factor)
        return Entered(made, f"{mark}.{_device_seal(parts, mark, name)}", left)

    return _weigh(parts, visitor, answer, site, complete)


def prove(parts: Parts, visitor: Visitor, answer: Answer, site: Site | None) -> None:
    """Show a second factor again, for what needs a fresh one. Raises Locked, WrongFactor."""

    def remember(session: Session, now: datetime) -> None:
        sessions.prove(session, visitor.session.id, answer.factor, now=now)

    _weigh(parts, visitor, answer, site, remember)


def _weigh(
    parts: Parts, visitor: Visitor, answer: Answer, site: Site | None, then: Callable[[Session, datetime], Result]
) -> Result:
    """Count an attempt, look at it, and do what follows where it is right."""
    operator_id, asked = visitor.operator.id, None
    with parts.database.transaction() as session:
        now = database.now(session)
        if answer.factor is Factor.PASSKEY:
            asked = sessions.take_challenge(session, visitor.session.id, PROVE, now=now)
        else:
            factors.count_try(session, operator_id, now=now)
    with parts.database.transaction() as session:
        now = database.now(session)
        if _right(session, operator_id, answer, site, asked, now=now):
            return then(session, now)
        if answer.factor is Factor.PASSKEY:
            sessions.challenge(session, visitor.session.id, PROVE, now=now)
        audit.append(session, "factor.refused", by=operator_id, now=now, factor=answer.factor)
    raise WrongFactor


def _right(
    session: Session, operator_id: int, answer: Answer, site: Site | None, asked: bytes | None, *, now: datetime
) -> bool:
    match answer.factor:
        case Factor.TOTP:
            return factors.check_totp(session, operator_id, answer.text, now=now)
        case Factor.RECOVERY:
            return factors.check_recovery(session, operator_id, answer.text, now=now)
        case Factor.PASSKEY:
            return (
                site is not None
                and asked is not None
                and factors.check_passkey(session, site, operator_id, answer.text, challenge=asked, now=now)
            )


def ask_passkey(parts: Parts, visitor: Visitor) -> None:
    """Write down what a passkey is to sign next; the page then shows it."""
    with parts.database.transaction() as session:
        sessions.challenge(session, visitor.session.id, PROVE, now=visitor.now)


@dataclass(frozen=True, slots=True)
class Offer:
    """What somebody may show as a second factor. request: what a browser is to sign (JSON), None until it is asked for."""

    passkeys: int
    request: str | None


def offer(parts: Parts, visitor: Visitor, site: Site | None) -> Offer:
    """Return what a page that asks for a second factor shows, and change nothing."""
    if site is None:
        return Offer(0, None)
    with parts.database.transaction() as session:
        have = [one.credential for one in factors.passkeys_of(session, visitor.operator.id)]
        asked = sessions.asked(session, visitor.session.id, PROVE, now=visitor.now)
    request = passkeys.request(site, challenge=asked, have=have) if have and asked else None
    return Offer(len(have), request)


def who(parts: Parts, token: str) -> Visitor | None:
    """Return who is fully logged in, and change nothing."""
    found = _who(parts, token)
    return found if found and found.session.stage is Stage.FULL else None


def acting(parts: Parts, token: str) -> Visitor:
    """Return who is fully logged in and does something: their session's idle time begins anew. Raises NotLoggedIn."""
    found = who(parts, token)
    if found is None:
        raise NotLoggedIn
    with parts.database.transaction() as session:
        sessions.touch(session, found.session.id, now=found.now)
    return found


def halting(parts: Parts, token: str) -> Visitor:
    """Return who is fully logged in, though they may have only watched for long: to halt something asks for no code.

    It brings no session back to life. Raises NotLoggedIn.
    """
    found = _who(parts, token, idle=True)
    if found is None or found.session.stage is not Stage.FULL:
        raise NotLoggedIn
    return found


def _who(parts: Parts, token: str, *, idle: bool = False) -> Visitor | None:
    with parts.database.transaction() as session:
        now = database.now(session)
        found = sessions.find(session, token, now=now, idle=idle) if token else None
        operator = people.by_id(session, found.operator_id) if found else None
    return Visitor(operator, found, now) if found and operator and operator.active else None


def leave(parts: Parts, visitor: Visitor) -> None:
    """Log out here."""
    with parts.database.transaction() as session:
        sessions.end(session, visitor.session.id, operator_id=visitor.operator.id, now=visitor.now)
        audit.append(session, "logout", by=visitor.operator.id, now=visitor.now)
