"""From what a server said to what the ledger writes: pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from newsletter.delivery import pacing
from newsletter.ledger.deliveries import DeliveryState, Result, Row
from newsletter.ledger.mailings import Kind
from newsletter.relay import verdict
from newsletter.relay.outcome import Accepted, Deferred, Outcome, Rejected, Uncertain
from newsletter.relay.reply import Reply


@dataclass(frozen=True, slots=True)
class Judged:
    """The row's next state, and whether the reply says that the address is dead."""

    result: Result
    dead: bool = False


def judge(row: Row, outcome: Outcome, *, kind: Kind, now: datetime) -> Judged:
    """Return what becomes of a delivery after one attempt."""
    match outcome:
        case Accepted(reply):
            return Judged(_result(row, DeliveryState.ACCEPTED, reply))
        case Rejected(reply):
            found = verdict.of(outcome)
            dead = found.cls is verdict.Class.DEAD
            return Judged(_result(row, DeliveryState.REJECTED, reply, reason=str(found.cls)), dead=dead)
        case Deferred(reply):
            return Judged(_deferred(row, reply, str(verdict.of(outcome).cls), kind=kind, now=now))
        case Uncertain(_, stage):
            return Judged(Result(row.id, DeliveryState.UNCERTAIN, reason=f"no answer after {stage}"))
        case _:
            assert_never(outcome)


def _deferred(row: Row, reply: Reply, reason: str, *, kind: Kind, now: datetime) -> Result:
    tries = row.tries + 1
    due = pacing.next_attempt(
        tries,
        first_tried=row.first_tried or now,
        now=now,
        patience=pacing.patience_for(kind),
        spread=pacing.spread_of(row.id, tries),
    )
    state = DeliveryState.DEFERRED if due else DeliveryState.EXPIRED
    return _result(row, state, reply, reason=reason, due_at=due)


def _result(
    row: Row, state: DeliveryState, reply: Reply, *, reason: str | None = None, due_at: datetime | None = None
) -> Result:
    return Result(row.id, state, code=reply.code or None, enhanced=reply.enhanced, reason=reason, due_at=due_at)
