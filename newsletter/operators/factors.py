"""What an operator proves themselves by: a password and, after it, a code, a passkey or a recovery code.

Attempts are counted before they are looked at, in a transaction of their own, so that a hundred at once are a hundred attempts.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, insert, select, update

from newsletter import mailboxes
from newsletter.addresses import EmailAddress
from newsletter.database import Session
from newsletter.errors import Conflict, Forbidden, NewsletterError
from newsletter.models.operator import Factor as Factor
from newsletter.models.operator import Operator, RecoveryCode
from newsletter.models.operator import Passkey as Row
from newsletter.operators import codes, labels, passkeys, passwords
from newsletter.operators.passkeys import Known, Site
from newsletter.operators.sessions import SessionView

TRIES = 5
LOCK = timedelta(minutes=15)
FRESH = timedelta(minutes=5)
MOST_PASSKEYS = 10
RECOVERY = "recovery code"


class Locked(NewsletterError):
    """Too many wrong codes: nobody may try one for a while. A passkey still works."""

    status = 429

    def __init__(self, until: datetime, now: datetime) -> None:
        super().__init__("operator.locked", minutes=max(1, -(-int((until - now).total_seconds()) // 60)))


class WrongFactor(Forbidden):
    """The code or passkey is not right, or has been used before."""

    def __init__(self) -> None:
        super().__init__("operator.wrong-factor")


class NotFresh(Forbidden):
    """What was asked for needs a second factor proven just now."""

    def __init__(self) -> None:
        super().__init__("operator.not-fresh")


class TooManyPasskeys(Conflict):
    """Nobody needs so many, and one of them is forgotten somewhere."""

    def __init__(self) -> None:
        super().__init__("operator.too-many-passkeys", most=MOST_PASSKEYS)


class PasskeyTaken(Conflict):
    """This passkey is registered already."""

    def __init__(self) -> None:
        super().__init__("operator.passkey-taken")


@dataclass(frozen=True, slots=True)
class Proof:
    """That an operator proved a second factor in this session at this moment: what an approval asks for."""

    operator_id: int
    session_id: int
    factor: Factor
    at: datetime


@dataclass(frozen=True, slots=True)
class PasskeyView:
    """A passkey as its owner sees it."""

    id: int
    label: str
    credential: bytes
    public_key: bytes
    added_at: datetime
    used_at: datetime | None


def fresh(view: SessionView, *, now: datetime, within: timedelta = FRESH) -> Proof:
    """Return the proof that a session's second factor was proven within so long. Raises NotFresh."""
    if view.factor is None or view.factor_at is None or not now - within < view.factor_at <= now:
        raise NotFresh
    return Proof(view.operator_id, view.id, view.factor, view.factor_at)


def counted(tries: int, locked_until: datetime | None, *, now: datetime) -> tuple[int, datetime | None]:
    """Return tries and lock after one more attempt: the fifth locks, and only its own success opens. Raises Locked."""
    if locked_until is not None:
        if now < locked_until:
            raise Locked(locked_until, now)
        tries = 0
    tries += 1
    return tries, now + LOCK if tries >= TRIES else None


def stored_password(session: Session, address: EmailAddress | None) -> tuple[int, str] | None:
    """Return number and password hash of whoever may log in with an address; the same questions are asked for nobody."""
    mailbox_id = mailboxes.find(session, address or EmailAddress("nobody", "invalid.example"))
    query = select(Operator.id, Operator.password_hash).where(
        Operator.mailbox_id == (mailbox_id or 0), Operator.enrolled_at.is_not(None), Operator.disabled_at.is_(None)
    )
    found = session.execute(query).first()
    return None if found is None or address is None or found[1] is None else (found[0], found[1])


def password_of(session: Session, operator_id: int) -> str | None:
    """Return an operator's password hash."""
    return session.execute(select(Operator.password_hash).where(Operator.id == operator_id)).scalar_one_or_none()


def set_password(session: Session, operator_id: int, hashed: str) -> None:
    """Store a password's hash."""
    session.execute(update(Operator).where(Operator.id == operator_id).values(password_hash=hashed))


def known_words(session: Session, operator_id: int) -> tuple[str, ...]:
    """Return what others know of an operator, and a password must not be made of."""
    row = session.get_one(Operator, operator_id)
    address = mailboxes.open(session, row.mailbox_id)
    name = session.vault.unseal("operator", "name", row.id, row.name_sealed)
    return (*name.split(), *address.local.replace(".", " ").split(), address.domain.split(".")[0])


def count_try(session: Session, operator_id: int, *, now: datetime) -> None:
    """Count an attempt at a code; commit before it is looked at. Raises Locked."""
    row = _held(session, operator_id)
    row.tries, row.locked_until = counted(row.tries, row.locked_until, now=now)
    session.flush()


def check_totp(session: Session, operator_id: int, code: str, *, now: datetime) -> bool:
    """Return whether this is the code of now, not used before; it is used by that."""
    row = _held(session, operator_id)
    if row.totp_sealed is None:
        return False
    secret = codes.read_secret(session.vault.unseal("operator", "totp", row.id, row.totp_sealed))
    step = None if secret is None else codes.matching_step(secret, code, now=now, used=row.totp_step)
    if step is None:
        return False
    row.totp_step, row.tries, row.locked_until = step, 0, None
    session.flush()
    return True


def check_recovery(session: Session, operator_id: int, code: str, *, now: datetime) -> bool:
    """Return whether this is one of the ten codes, not used before; it is used by that."""
    typed = codes.read_recovery(code)
    if typed is None:
        return False
    mine = (RecoveryCode.operator_id == operator_id, RecoveryCode.digest == _recovery(session, operator_id, typed))
    used = update(RecoveryCode).where(*mine, RecoveryCode.used_at.is_(None)).values(used_at=now)
    if not session.execute(used).rowcount:  # type: ignore[attr-defined]
        return False
    row = _held(session, operator_id)
    row.tries, row.locked_until = 0, None
    session.flush()
    return True


def renew_recovery(session: Session, operator_id: int) -> list[str]:
    """Make ten new codes in the place of the old, and return them: they are never shown again."""
    made = codes.new_recovery()
    session.execute(delete(RecoveryCode).where(RecoveryCode.operator_id == operator_id))
    digests = [_recovery(session, operator_id, codes.read_recovery(one) or "") for one in made]
    session.execute(insert(RecoveryCode), [{"operator_id": operator_id, "digest": digest} for digest in digests])
    return made


def recovery_left(session: Session, operator_id: int) -> int:
    """Return how many recovery codes were not used yet."""
    mine = (RecoveryCode.operator_id == operator_id, RecoveryCode.used_at.is_(None))
    return session.execute(select(func.count()).select_from(RecoveryCode).where(*mine)).scalar_one()


def passkeys_of(session: Session, operator_id: int) -> list[PasskeyView]:
    """Return an operator's passkeys, oldest first."""
    found = session.execute(select(Row).where(Row.operator_id == operator_id).order_by(Row.id)).scalars()
    return [PasskeyView(r.id, r.label, bytes(r.credential), bytes(r.public_key), r.added_at, r.used_at) for r in found]


def add_passkey(session: Session, operator_id: int, known: Known, *, label: str, now: datetime) -> int:
    """Store a new passkey and return its number. Raises TooManyPasskeys, PasskeyTaken."""
    _held(session, operator_id)
    if len(passkeys_of(session, operator_id)) >= MOST_PASSKEYS:
        raise TooManyPasskeys
    if session.execute(select(Row.id).where(Row.credential == known.credential)).first():
        raise PasskeyTaken
    row = Row(
        operator_id=operator_id,
        credential=known.credential,
        public_key=known.public_key,
        count=known.count,
        label=labels.clean(label, otherwise="Passkey"),
        added_at=now,
    )
    session.add(row)
    session.flush()
    return row.id


def check_passkey(
    session: Session, site: Site, operator_id: int, answer: str, *, challenge: bytes, now: datetime
) -> bool:
    """Return whether an answer is one of the operator's own passkeys over this challenge; its count moves on."""
    try:
        mine = (Row.operator_id == operator_id, Row.credential == passkeys.credential_of(answer))
        row = session.execute(select(Row).where(*mine).with_for_update()).scalar_one_or_none()
        if row is None:
            return False
        known = Known(bytes(row.credential), bytes(row.public_key), row.count)
        row.count, row.used_at = passkeys.verify(site, answer, known=known, challenge=challenge).count, now
    except passkeys.BadPasskey:
        return False
    session.flush()
    return True


def remove_passkey(session: Session, operator_id: int, passkey_id: int) -> bool:
    """Forget one of an operator's passkeys; False where it is none of theirs."""
    mine = (Row.operator_id == operator_id, Row.id == passkey_id)
    return bool(session.execute(delete(Row).where(*mine)).rowcount)  # type: ignore[attr-defined]


def replace(session: Session, operator_id: int, *, password: str, secret: str, step: int, now: datetime) -> list[str]:
    """Set password and TOTP anew, forget passkeys and old codes, and return ten recovery codes.

    step    of the code that proved the secret: it counts no second time
    """
    row = _held(session, operator_id)
    row.password_hash = passwords.hash_(password)
    row.totp_sealed = session.vault.seal_for_team("operator", "totp", row.id, secret)
    row.totp_step, row.tries, row.locked_until = step, 0, None
    row.enrolled_at = now
    session.flush()
    session.execute(delete(Row).where(Row.operator_id == operator_id))
    return renew_recovery(session, operator_id)


def forget(session: Session, operator_id: int) -> None:
    """Forget password, app, passkeys and recovery codes: until they enrol anew an operator proves nothing."""
    nothing = {"enrolled_at": None, "password_hash": None, "totp_sealed": None, "totp_step": None, "tries": 0}
    session.execute(update(Operator).where(Operator.id == operator_id).values(nothing | {"locked_until": None}))
    for kept in (Row, RecoveryCode):
        session.execute(delete(kept).where(kept.operator_id == operator_id))


def _held(session: Session, operator_id: int) -> Operator:
    """One at a time for each operator: two uses of one code at once are one use."""
    query = (
        select(Operator).where(Operator.id == operator_id).with_for_update().execution_options(populate_existing=True)
    )
    return session.execute(query).scalar_one()


def _recovery(session: Session, operator_id: int, typed: str) -> bytes:
    return session.vault.digest(RECOVERY, f"{operator_id}:{typed}")
