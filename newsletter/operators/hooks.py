"""What the organisation's hook is to be told: written with the act itself, called afterwards, tried again for an hour.

Mail wakes nobody. A call says which alert, for how many and its code; never an address, a name or the text.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from newsletter.database import Session
from newsletter.models.hook import HookCall

FIRST_PAUSE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(minutes=15)
PATIENCE = timedelta(hours=1)
KEPT = timedelta(days=90)


class Event(StrEnum):
    """What a hook is told of."""

    DRAFTED = "drafted"
    PRESSING = "pressing"
    LOCK_WANTED = "lock-wanted"
    APPROVAL_WANTED = "approval-wanted"
    APPROVED = "approved"
    RELEASED = "released"
    STOPPED = "stopped"
    PAUSED = "paused"
    RESUMED = "resumed"
    LANES = "lanes"
    UNLOCKED = "unlocked"
    RETRACTED = "retracted"
    CANCELLED = "cancelled-by-issuer"
    REFUSED = "refused"
    HELD = "held"
    HALTED = "halted"
    UNHEARD = "unheard"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    DRILL_FAILED = "drill-failed"
    SIGNUPS_HELD = "signups-held"
    DISABLED = "disabled"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Call:
    """One call that is to be made now. tries: with this one."""

    id: int
    event: str
    facts: dict[str, Any]
    made_at: datetime
    tries: int


@dataclass(frozen=True, slots=True)
class Said:
    """What a hook was told of, or is to be: in the order in which it came to pass."""

    id: int
    event: Event
    facts: dict[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Health:
    """How the hook does: when it last took a call and last refused one (with an id of the catalogue), and how many wait."""

    taken_at: datetime | None
    failed_at: datetime | None
    fault: str | None
    waiting: int


def add(session: Session, event: Event, **facts: Any) -> None:
    """Write down that the hook is to be told, in the transaction of what it tells. facts: ids, counts and codes alone.

    Of what the pages' role adds nothing is kept: the sweep goes by these rows (`said`, `lately`).
    """
    session.execute(insert(HookCall).values(event=event, facts=facts).inline())


def add_once(session: Session, event: Event, **facts: Any) -> bool:
    """Have the hook told of what it was not told yet; return whether it is now. The pages' role may not."""
    if said(session, event, **facts):
        return False
    add(session, event, **facts)
    return True


def said(session: Session, event: Event, **facts: Any) -> bool:
    """Return whether the hook was to be told of this already. The pages' role may not ask."""
    same = select(HookCall.id).where(HookCall.event == event, HookCall.facts == facts).limit(1)
    return session.execute(same).first() is not None


def lately(session: Session, events: Iterable[Event], *, since: datetime) -> list[Said]:
    """Return what came to pass of some events since then, oldest first. The pages' role may not ask."""
    chosen = HookCall.event.in_(list(events)), HookCall.made_at > since
    columns = select(HookCall.id, HookCall.event, HookCall.facts, HookCall.made_at)
    rows = session.execute(columns.where(*chosen).order_by(HookCall.id))
    return [Said(row.id, Event(row.event), row.facts, row.made_at) for row in rows]


def hold(session: Session, said: Iterable[Said]) -> None:
    """Keep every other sweep from telling of these until the transaction is over; one that comes later finds what was told.

    No stop waits for it, since each adds a row of its own; and the pages' role, which may take any advisory lock, can hold none.
    """
    mine = select(HookCall.id).where(HookCall.id.in_([one.id for one in said])).order_by(HookCall.id)
    session.execute(mine.with_for_update(key_share=True)).all()


def next_try(tries: int, *, made_at: datetime, now: datetime) -> datetime | None:
    """Return when to call again after so many tries, or None to give up: 15, 30 s, 1, 2, 4, 8, then every 15 min, for an hour."""
    pause = min(FIRST_PAUSE * 2 ** (tries - 1), LONGEST_PAUSE)
    return now + pause if now + pause <= made_at + PATIENCE else None


def any_due(session: Session, *, now: datetime) -> bool:
    """Return whether a call is to be made."""
    return session.execute(select(HookCall.id).where(HookCall.due_at <= now).limit(1)).first() is not None


def claim(session: Session, *, now: datetime) -> Call | None:
    """Take the call that has been due longest, and put it off: whoever dies over it is followed by another. None: none is due."""
    due = select(HookCall).where(HookCall.due_at <= now).order_by(HookCall.due_at).limit(1)
    row = session.execute(due.with_for_update(skip_locked=True)).scalar_one_or_none()
    if row is None:
        return None
    row.tries += 1
    row.due_at = now + FIRST_PAUSE
    session.flush()
    return Call(row.id, row.event, row.facts, row.made_at, row.tries)


def done(session: Session, call_id: int, *, now: datetime) -> None:
    """Write down that a call was taken."""
    _set(session, call_id, done_at=now, due_at=None)


def failed(session: Session, call: Call, fault: str, *, now: datetime) -> None:
    """Write down why a call was not taken; it is tried again, or given up after an hour."""
    _set(session, call.id, failed_at=now, fault=fault, due_at=next_try(call.tries, made_at=call.made_at, now=now))


def _set(session: Session, call_id: int, **facts: Any) -> None:
    session.execute(update(HookCall).where(HookCall.id == call_id).values(**facts))


def forget(session: Session, *, now: datetime) -> None:
    """Remove what is long over."""
    session.execute(delete(HookCall).where(HookCall.due_at.is_(None), HookCall.made_at < now - KEPT))


def health(session: Session) -> Health:
    """Return how the hook does."""
    taken = session.execute(select(func.max(HookCall.done_at)).where(HookCall.tries > 0)).scalar_one()
    last = select(HookCall.failed_at, HookCall.fault).where(HookCall.failed_at.is_not(None))
    failure = session.execute(last.order_by(HookCall.failed_at.desc()).limit(1)).first()
    waiting = session.execute(select(func.count()).where(HookCall.due_at.is_not(None))).scalar_one()
    return Health(taken, failure[0] if failure else None, failure[1] if failure else None, waiting)
