"""How an operator comes by their factors: a link that works once and not for long; after a lost phone, on the word of two others.

The link of a lost phone is made by the worker and mailed to the address on file: neither the pages' database role nor the two
who signed can hold it, and it asks for the password besides.
"""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Update, select, update

from newsletter.database import Session
from newsletter.errors import Conflict, NotFound
from newsletter.models.operator import Calling as Calling
from newsletter.models.operator import Invitation, Operator, Rescue, RescueSignature
from newsletter.operators import audit, codes, factors, passwords, people, sessions, tokens
from newsletter.operators.factors import Proof, WrongFactor
from newsletter.operators.people import Disabled, OperatorView
from newsletter.operators.roles import May

PURPOSE = "invitation"
LIFE = {Calling.NEW: timedelta(hours=72), Calling.LOST: timedelta(hours=24)}
RESCUE_LIFE = timedelta(hours=24)
SIGNATURES = 2


class BadInvitation(NotFound):
    """The link was not made here, has been used, was replaced by a newer one, or is too old."""

    def __init__(self) -> None:
        super().__init__("operator.bad-invitation")


class WrongPassword(WrongFactor):
    """The link of a lost phone asks for the password; this was not it."""

    def __init__(self) -> None:
        super().__init__()
        self.message = "operator.wrong-password"


class NotForYourself(Conflict):
    """Nobody vouches for themselves."""

    def __init__(self) -> None:
        super().__init__("operator.not-for-yourself")


class SignedAlready(Conflict):
    """One operator is one signature."""

    def __init__(self) -> None:
        super().__init__("operator.signed-already")


class NotEnrolled(Conflict):
    """Who never enrolled has no phone to lose: their invitation is made anew by the command line."""

    def __init__(self, operator_id: int) -> None:
        super().__init__("operator.not-enrolled", operator=operator_id)


@dataclass(frozen=True, slots=True)
class Invited:
    """A fresh invitation. token: shown or mailed now, and kept nowhere."""

    operator_id: int
    expires_at: datetime
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Open:
    """An invitation that may be used now."""

    id: int
    operator: OperatorView
    calling: Calling
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody enrols with. code: of the secret, as their app shows it."""

    password: str = field(repr=False)
    secret: str = field(repr=False)
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Vouching:
    """Who has signed that an operator lost their phone, until when."""

    operator_id: int
    signers: tuple[int, ...]
    expires_at: datetime


def invite(session: Session, operator_id: int, calling: Calling, *, by: int | str, now: datetime) -> Invited:
    """Make the one link by which an operator enrols; an older one is worth nothing any more. Raises UnknownOperator.

    Who was disabled is as one who never enrolled, and comes back by using it; a lost phone brings nobody back. Raises Disabled.
    """
    if people.by_id(session, operator_id).disabled_at is not None:
        _begin_anew(session, operator_id, calling, by=by, now=now)
    token = secrets.token_urlsafe(32)
    session.execute(_open_ones(operator_id).values(ended_at=now))
    session.add(
        Invitation(
            operator_id=operator_id,
            calling=calling,
            digest=session.vault.digest(PURPOSE, token),
            made_at=now,
            expires_at=now + LIFE[calling],
        )
    )
    audit.append(session, "operator.invited", by=by, now=now, operator=operator_id, calling=calling)
    return Invited(operator_id, now + LIFE[calling], token)


def _begin_anew(session: Session, operator_id: int, calling: Calling, *, by: int | str, now: datetime) -> None:
    """Let somebody who was disabled be invited: by nothing of before do they act, neither now nor later.

    Only a worker's role may: the pages bring nobody back (migration 0014).
    """
    if calling is not Calling.NEW:
        raise Disabled(operator_id)
    factors.forget(session, operator_id)
    sessions.end_all(session, operator_id, now=now)
    tokens.end_all(session, operator_id, now=now)
    people.readmit(session, operator_id, by=by, now=now)


def _open_ones(operator_id: int) -> Update:
    return update(Invitation).where(Invitation.operator_id == operator_id, Invitation.ended_at.is_(None))


def look(session: Session, token: str, *, now: datetime) -> Open:
    """Return what a link is for, and change nothing. Raises BadInvitation."""
    wanted = (Invitation.digest == session.vault.digest(PURPOSE, token), Invitation.ended_at.is_(None))
    row = session.execute(select(Invitation).where(*wanted, Invitation.expires_at > now)).scalar_one_or_none()
    operator = None if row is None else people.by_id(session, row.operator_id)
    if row is None or operator is None or operator.disabled_at is not None:
        raise BadInvitation
    return Open(row.id, operator, Calling(row.calling), row.expires_at)


def enrol(session: Session, token: str, given: Given, *, now: datetime) -> list[str]:
    """Use a link: take password and second factor, end what was before, and return the ten recovery codes.

    Raises BadInvitation, WeakPassword, WrongPassword, WrongFactor; nothing has changed then.
    """
    found = look(session, token, now=now)
    operator_id = found.operator.id
    used = _open_ones(operator_id).where(Invitation.id == found.id).values(ended_at=now)
    if not session.execute(used).rowcount:  # type: ignore[attr-defined]
        raise BadInvitation
    if found.calling is Calling.LOST:
        if not passwords.matches(factors.password_of(session, operator_id), given.password):
            raise WrongPassword
    else:
        passwords.require_strong(given.password, known=factors.known_words(session, operator_id))
    secret = codes.read_secret(given.secret)
    step = None if secret is None else codes.matching_step(secret, given.code, now=now, used=None)
    if step is None:
        raise WrongFactor
    made = factors.replace(session, operator_id, password=given.password, secret=given.secret, step=step, now=now)
    sessions.end_all(session, operator_id, now=now)
    tokens.end_all(session, operator_id, now=now)
    audit.append(session, "operator.enrolled", by=operator_id, now=now, operator=operator_id, calling=found.calling)
    return made


def vouch(session: Session, operator_id: int, proof: Proof, *, now: datetime) -> Vouching:
    """Sign that another operator lost their phone, and return who has signed so far.

    proof   that the signer proved a second factor just now

    Raises UnknownOperator, NotForYourself, SignedAlready, NotEnrolled, Disabled.
    """
    lost = people.by_id(session, operator_id)
    if proof.operator_id == operator_id:
        raise NotForYourself
    if lost.disabled_at is not None:
        raise Disabled(operator_id)
    if not lost.active:
        raise NotEnrolled(operator_id)
    rescue = _rescue(session, operator_id, now=now)
    if proof.operator_id in _signers(session, rescue.id):
        raise SignedAlready
    session.add(RescueSignature(rescue_id=rescue.id, operator_id=operator_id, signer_id=proof.operator_id, at=now))
    session.flush()
    signers = _signers(session, rescue.id)
    audit.append(
        session,
        "rescue.signed",
        by=proof.operator_id,
        now=now,
        operator=operator_id,
        factor=proof.factor,
        of=len(signers),
    )
    return Vouching(operator_id, signers, rescue.expires_at)


def _rescue(session: Session, operator_id: int, *, now: datetime) -> Rescue:
    """Return the open rescue of an operator, begun now if there is none; held until the transaction ends."""
    session.execute(select(Operator.id).where(Operator.id == operator_id).with_for_update())
    mine = (Rescue.operator_id == operator_id, Rescue.ended_at.is_(None))
    session.execute(update(Rescue).where(*mine, Rescue.expires_at <= now).values(ended_at=now))
    row = session.execute(select(Rescue).where(*mine)).scalar_one_or_none()
    if row is None:
        row = Rescue(operator_id=operator_id, asked_at=now, expires_at=now + RESCUE_LIFE)
        session.add(row)
        session.flush()
    return row


def _signers(session: Session, rescue_id: int) -> tuple[int, ...]:
    query = select(RescueSignature.signer_id).where(RescueSignature.rescue_id == rescue_id)
    return tuple(session.execute(query.order_by(RescueSignature.at, RescueSignature.signer_id)).scalars())


def vouchings(session: Session, *, now: datetime) -> dict[int, Vouching]:
    """Return the rescues under way, by operator."""
    query = select(Rescue).where(Rescue.ended_at.is_(None), Rescue.expires_at > now)
    found = session.execute(query).scalars().all()
    return {row.operator_id: Vouching(row.operator_id, _signers(session, row.id), row.expires_at) for row in found}


def due(session: Session, *, now: datetime) -> list[int]:
    """Return whose rescues two others have signed, and end those: each gets one invitation.

    A signer who was disabled since does not count, nor one who might not sign any more.
    """
    active = people.active(session)
    trusted = {one.id for one in active if May.TEAM in one.may}
    signed = {number: one.signers for number, one in vouchings(session, now=now).items()}
    enough = [one.id for one in active if len(trusted.intersection(signed.get(one.id, ()))) >= SIGNATURES]
    statement = (
        update(Rescue)
        .where(Rescue.operator_id.in_(enough), Rescue.ended_at.is_(None), Rescue.expires_at > now)
        .values(ended_at=now)
        .returning(Rescue.operator_id)
    )
    return list(session.execute(statement.execution_options(synchronize_session=False)).scalars())
