"""Log-ins, kept by the server: each can be listed and ended, and none outlives its time.

The cookie's token changes at every step (password, second factor), so that one planted before is worth nothing after. Looking at
pages does not keep a session alive; only a POST does. Whoever has only watched may still halt what they watch.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, text, update
from sqlalchemy.orm import InstrumentedAttribute

from newsletter.database import Session
from newsletter.errors import Forbidden
from newsletter.models.operator import Factor as Factor
from newsletter.models.operator import OperatorSession
from newsletter.models.operator import Stage as Stage
from newsletter.operators.passkeys import CHALLENGE_BYTES

IDLE = timedelta(minutes=30)
LIFE = timedelta(hours=12)
HALF_LIFE = timedelta(minutes=10)
CHALLENGE_LIFE = timedelta(minutes=5)
PURPOSE = "operator session"
PROVE, CREATE = "prove", "create"
"""What a challenge is for: to show a passkey one has, or to make one."""

# Every legal move, as data. A full session comes from a half one, under a new token; nothing comes back to life.
MOVES: dict[Stage | None, frozenset[Stage | None]] = {
    None: frozenset({Stage.HALF}),
    Stage.HALF: frozenset({Stage.FULL, None}),
    Stage.FULL: frozenset({None}),
}
"""From → to; None: nobody is logged in."""


class NotLoggedIn(Forbidden):
    """There is no session, or it is over, or it has not come far enough."""

    status = 401

    def __init__(self) -> None:
        super().__init__("operator.not-logged-in")


@dataclass(frozen=True, slots=True)
class SessionView:
    """A log-in on one device."""

    id: int
    operator_id: int
    stage: Stage
    device: str
    began_at: datetime
    seen_at: datetime
    factor: Factor | None
    factor_at: datetime | None

    def idle(self, now: datetime) -> bool:
        """Return whether nothing was done in it for so long that it may only halt something."""
        return self.seen_at + IDLE <= now


def ends_at(stage: Stage, *, began_at: datetime, seen_at: datetime) -> datetime:
    """Return when a session is over if nothing more is done: by idleness, or by its absolute life."""
    return began_at + HALF_LIFE if stage is Stage.HALF else min(seen_at + IDLE, began_at + LIFE)


def begin(session: Session, operator_id: int, *, device: str, now: datetime) -> str:
    """Open a half session after a right password, and return its token. A passkey may sign at once."""
    token = _open(session, operator_id, Stage.HALF, device, now=now)
    found = find(session, token, now=now)
    assert found is not None
    challenge(session, found.id, PROVE, now=now)
    return token


def complete(session: Session, half: SessionView, factor: Factor, *, now: datetime) -> str:
    """End a half session and open a full one in its place; return the new token. Raises NotLoggedIn."""
    if Stage.FULL not in MOVES[half.stage] or not _end(session, OperatorSession.id, half.id, now=now):
        raise NotLoggedIn
    return _open(session, half.operator_id, Stage.FULL, half.device, factor=factor, now=now)


def _open(
    session: Session, operator_id: int, stage: Stage, device: str, *, factor: Factor | None = None, now: datetime
) -> str:
    token = secrets.token_urlsafe(32)
    row = OperatorSession(
        operator_id=operator_id,
        digest=session.vault.digest(PURPOSE, token),
        stage=stage,
        began_at=now,
        seen_at=now,
        factor=factor,
        factor_at=now if factor else None,
    )
    session.add(row)
    session.flush()
    row.device_sealed = session.vault.seal_for_team("operator_session", "device", row.id, device)
    session.flush()
    return token


def find(session: Session, token: str, *, now: datetime, idle: bool = False) -> SessionView | None:
    """Return the living session of a token, or None.

    idle   also a full one in which nothing was done for a while, within its absolute life: enough to halt something
    """
    wanted = OperatorSession.digest == session.vault.digest(PURPOSE, token)
    row = session.execute(select(OperatorSession).where(wanted)).scalar_one_or_none()
    found = None if row is None or row.ended_at is not None else _view(session, row)
    if found is None:
        return None
    seen_at = now if idle and found.stage is Stage.FULL else found.seen_at
    return found if now < ends_at(found.stage, began_at=found.began_at, seen_at=seen_at) else None


def touch(session: Session, session_id: int, *, now: datetime) -> None:
    """Keep a session alive: something was done."""
    session.execute(update(OperatorSession).where(OperatorSession.id == session_id).values(seen_at=now))


def prove(session: Session, session_id: int, factor: Factor, *, now: datetime) -> None:
    """Remember that a second factor was proven again, just now."""
    mine = (OperatorSession.id == session_id, OperatorSession.stage == Stage.FULL, OperatorSession.ended_at.is_(None))
    session.execute(update(OperatorSession).where(*mine).values(factor=factor, factor_at=now))


def end(session: Session, session_id: int, *, operator_id: int, now: datetime) -> bool:
    """End one session of an operator; False where there is none such, or it is over."""
    owner = select(OperatorSession.operator_id).where(OperatorSession.id == session_id)
    if session.execute(owner).scalar_one_or_none() != operator_id:
        return False
    return _end(session, OperatorSession.id, session_id, now=now) == 1


def end_all(session: Session, operator_id: int, *, now: datetime, but: int | None = None) -> int:
    """End every session of an operator, but one; return how many."""
    return _end(session, OperatorSession.operator_id, operator_id, now=now, but=but)


def _end(
    session: Session, column: InstrumentedAttribute[int], value: int, *, now: datetime, but: int | None = None
) -> int:
    statement = update(OperatorSession).where(column == value, OperatorSession.ended_at.is_(None))
    if but is not None:
        statement = statement.where(OperatorSession.id != but)
    return int(session.execute(statement.values(ended_at=now, challenge=None)).rowcount)  # type: ignore[attr-defined]


def listed(session: Session, operator_id: int, *, now: datetime) -> list[SessionView]:
    """Return the full sessions of an operator that may still do something, newest first: idle ones too, which may halt."""
    mine = (
        OperatorSession.operator_id == operator_id,
        OperatorSession.ended_at.is_(None),
        OperatorSession.stage == Stage.FULL,
        OperatorSession.began_at > now - LIFE,
    )
    found = session.execute(select(OperatorSession).where(*mine).order_by(OperatorSession.id.desc())).scalars()
    return [_view(session, row) for row in found]


def challenge(session: Session, session_id: int, purpose: str, *, now: datetime, signing: bytes | None = None) -> bytes:
    """Write down what a passkey is to sign next in this session, and return it; one asked before counts no more.

    signing   these very bytes (a fingerprint), where the signature itself is what is wanted; None: fresh random ones
    """
    made = signing or secrets.token_bytes(CHALLENGE_BYTES)
    values = {"challenge": made, "challenge_for": purpose, "challenge_at": now}
    session.execute(update(OperatorSession).where(OperatorSession.id == session_id).values(values))
    return made


def asked(session: Session, session_id: int, purpose: str, *, now: datetime) -> bytes | None:
    """Return what is to be signed for a purpose, and change nothing: for the page that asks."""
    wanted = (OperatorSession.id == session_id, OperatorSession.challenge_for == purpose)
    query = select(OperatorSession.challenge).where(*wanted, OperatorSession.challenge_at > now - CHALLENGE_LIFE)
    found = session.execute(query).scalar_one_or_none()
    return None if found is None else bytes(found)


def take_challenge(session: Session, session_id: int, purpose: str, *, now: datetime) -> bytes | None:
    """Return what was to be signed for a purpose, or None; commit before the answer is looked at: it counts once."""
    facts = {"id": session_id, "purpose": purpose, "oldest": now - CHALLENGE_LIFE}
    found = session.execute(_TAKE, facts).scalar_one_or_none()
    return None if found is None else bytes(found)


_TAKE = text("""
    WITH asked AS (
        SELECT id, challenge FROM operator_session
        WHERE id = :id AND challenge_for = :purpose AND challenge_at > :oldest AND ended_at IS NULL FOR UPDATE
    )
    UPDATE operator_session s SET challenge = NULL, challenge_for = NULL, challenge_at = NULL
    FROM asked WHERE s.id = asked.id RETURNING asked.challenge
""")


def clear(session: Session, *, now: datetime) -> int:
    """Remove sessions that are long over; return how many. What was done in them stands in the audit."""
    gone = text("DELETE FROM operator_session WHERE began_at < :then")
    return int(session.execute(gone, {"then": now - 7 * LIFE}).rowcount)  # type: ignore[attr-defined]


def _view(session: Session, row: OperatorSession) -> SessionView:
    sealed = row.device_sealed
    return SessionView(
        row.id,
        row.operator_id,
        Stage(row.stage),
        session.vault.unseal("operator_session", "device", row.id, sealed) if sealed else "",
        row.began_at,
        row.seen_at,
        Factor(row.factor) if row.factor else None,
        row.factor_at,
    )
