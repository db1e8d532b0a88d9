"""From what a server said to what the ledger writes: pure."""

from datetime import datetime, timedelta
from typing import NamedTuple, assert_never

from newsletter.delivery import pacing
from newsletter.delivery.turns import Refusal
from newsletter.ledger.deliveries import DeliveryState, Result, Row
from newsletter.ledger.mailings import AT_LEAST_ONCE, Kind
from newsletter.ledger.shards import DOUBT, LONGER, LONGEST
from newsletter.relay import verdict
from newsletter.relay.outcome import Accepted, Deferred, Outcome, Rejected, Stage, Uncertain
from newsletter.relay.reply import Reply

HEARD_AT_ONCE = frozenset({Kind.TEST, Kind.DRILL})
"""Somebody waits for what becomes of these: they are given up in their time, whatever the reason."""
LONGEST_WAIT = timedelta(hours=8)
"""A server that asks for more is asked again all the same: its word is not trusted further than our own steps go."""
AT_ONCE = timedelta(seconds=1)
"""Behind the lease under which it was refused, so that a crash puts it in no doubt."""
ASKED = 3
"""How often a reader is asked for whose server refuses what a message is, or how we speak."""
_STILL = frozenset({verdict.Class.TRANSIENT, verdict.Class.QUOTA})
_WHO_WE_ARE = frozenset({verdict.Class.SENDER, verdict.Class.POLICY})
_OF_THE_ADDRESS = ("5.6.7", "5.6.8", "5.6.9", "5.6.10")
"""Letters that no server on this way can carry (RFC 6531): by their codes of the content, and yet one reader's alone."""


class Judged(NamedTuple):
    """The row's next state, whether the reply says that the address is dead, and whose limit of pace it met.

    cls        of a refusal, as what it counts towards the stop of the mailing; "try later" and "mailbox full" only if said for
               good, and of a first attempt: who is asked again was gathered for it
    elsewhere  the refusal was of us at this relay, and is for another to have: it counts towards no stop
    """

    result: Result
    dead: bool = False
    limit: verdict.Limit | None = None
    cls: verdict.Class | None = None
    elsewhere: Refusal | None = None


def judge(
    row: Row,
    outcome: Outcome,
    *,
    kind: Kind,
    now: datetime,
    ends: datetime | None = None,
    instead: bool = False,
    unstopped: bool = False,
) -> Judged:
    """Return what becomes of a delivery after one attempt.

    ends        until when its mailing goes; None: for as long as anybody is due
    instead     another relay could have it
    unstopped   its mailing goes on whatever is refused of it but our account (`thresholds.stops`)
    """
    instead = instead and kind is not Kind.TEST
    refused = outcome if instead and isinstance(outcome, Deferred | Rejected) else None
    if refused and (left := _elsewhere(row, refused, kind=kind, now=now, ends=ends)):
        return left
    match outcome:
        case Accepted(reply):
            return Judged(_result(row, DeliveryState.ACCEPTED, reply))
        case Rejected(reply):
            found = verdict.of(outcome)
            counts = None if found.cls in _STILL and row.tries else found.cls
            if kind is not Kind.TEST and _is_ours(row, found.cls, outcome, kind, unstopped=unstopped):
                return Judged(_deferred(row, reply, found, kind=kind, now=now, ends=ends), False, found.limit, counts)
            dead = found.cls is verdict.Class.DEAD
            return Judged(_result(row, DeliveryState.REJECTED, reply, reason=str(found.cls)), dead, found.limit, counts)
        case Deferred(reply):
            found = verdict.of(outcome)
            counts = None if found.cls in _STILL else found.cls
            return Judged(_deferred(row, reply, found, kind=kind, now=now, ends=ends), False, found.limit, counts)
        case Uncertain(_, stage):
            return Judged(_doubted(row, f"no answer after {stage}", kind=kind, now=now))
        case _:
            assert_never(outcome)


def _elsewhere(
    row: Row, refused: Deferred | Rejected, *, kind: Kind, now: datetime, ends: datetime | None
) -> Judged | None:
    """Return what becomes of mail that another relay could have; None where this refusal is no word of the relay's own.

    It is due at once, and by the usual steps where the others had their turns in vain. Who we are is refused to all readers
    alike, so that is never counted; "try later" is this reader's from the third time on.
    """
    found = verdict.of(refused)
    again = row.tries >= ASKED
    if not _of_the_relay(found, refused) or (again and found.cls not in _WHO_WE_ARE):
        return None
    result = _result(row, DeliveryState.DEFERRED, refused.reply, reason=str(found.cls), due_at=now + AT_ONCE)
    if again:
        result = _deferred(row, refused.reply, found, kind=kind, now=now, ends=ends)
    lasting = isinstance(refused, Rejected) or found.cls is not verdict.Class.TRANSIENT
    return Judged(result, limit=found.limit, elsewhere=Refusal(found.cls, lasting))


def _of_the_relay(found: verdict.Verdict, refused: Deferred | Rejected) -> bool:
    """Return whether a refusal is this relay's own, so that another one may take the same message.

    Of our sender or account, of what our account may send, at MAIL, where no reader was named, and of the server's own state
    (RFC 3463 §3.4: 3.1 its disk is full, 3.2 it takes nothing now); or final and of the moment where the reader had been taken.
    """
    reply, stage = refused.reply, refused.stage
    if found.cls is verdict.Class.RATE:
        return found.limit is not verdict.Limit.PROVIDER
    if found.cls is verdict.Class.TRANSIENT and reply.code:
        final = reply.first_digit == 5 and stage is not Stage.RCPT
        return final or stage is Stage.MAIL or (reply.enhanced or "").partition(".")[2] in ("3.1", "3.2")
    return found.cls is verdict.Class.SENDER or (found.cls is verdict.Class.POLICY and stage is Stage.MAIL)


def _is_ours(row: Row, cls: verdict.Class, refused: Rejected, kind: Kind, *, unstopped: bool) -> bool:
    """Return whether a final refusal was about us and not about this mail to this reader, who stays due until we are mended.

    Standards §16: a refused sender stops the mailing at once, so few are asked in vain; it goes on when an operator has mended
    the relay, and nobody may be missing then. At MAIL no reader was named yet, so a refusal by policy there is the same.
    Later in the session it stays final: RFC 5321 §4.2.1 asks not to repeat what got 5yz, a provider that blocks us counts every
    knock, and a bare 550 at RCPT is as often a mailbox that does not exist.
    What the message is (its size, its headers) and how we speak concern every reader of a mailing alike, so they stop it too;
    but one server may refuse what all others take, so a reader is asked three times, and not for days.
    "Try later", or "full", with a code that is for good may be our account or the server itself, which every reader would hear of
    alike: a reader is asked three times. Not at RCPT it is nobody's by name, so that what goes on by itself, without a person
    who resumes it, is tried for as long as its kind is.
    What we may send in a second or a day is never this reader's, whatever the code: at a pace that fits, it is taken.
    What is not stopped for any of this is tried for its day instead, policy anywhere in the session too: whoever wished to join
    while our relay was out of order, or our machine on a block list, is asked once it is mended. The steps bound what such a
    server hears of it: nine times.
    A test is there to hear the answer, and is asked again by hand.
    """
    again = unstopped or row.tries + 1 < ASKED
    if cls is verdict.Class.RATE:
        return True
    if cls in (verdict.Class.CONTENT, verdict.Class.PROTOCOL):
        return again and refused.reply.enhanced not in _OF_THE_ADDRESS
    if cls in _STILL and kind not in HEARD_AT_ONCE:
        patient = cls is verdict.Class.TRANSIENT and refused.stage is not Stage.RCPT and kind in AT_LEAST_ONCE
        return patient or again
    return cls is verdict.Class.SENDER or (cls is verdict.Class.POLICY and (unstopped or refused.stage is Stage.MAIL))


def _doubted(row: Row, reason: str, *, kind: Kind, now: datetime) -> Result:
    """A digest is sent at most once, an alert at least once: the same bytes soon, so that what arrives twice shows once.

    Each further time later: a server that takes it and never says so must not have it each minute for a day.
    """
    if kind not in AT_LEAST_ONCE or _next(row, patience=pacing.patience_for(kind), now=now) is None:
        return Result(row.id, DeliveryState.UNCERTAIN, reason=reason, in_doubt=True)
    soon = now + DOUBT * LONGER ** min(row.tries, LONGEST)
    return Result(row.id, DeliveryState.DEFERRED, reason=reason, due_at=soon, in_doubt=True)


def _deferred(
    row: Row, reply: Reply, found: verdict.Verdict, *, kind: Kind, now: datetime, ends: datetime | None
) -> Result:
    """Try again when the steps say so, and not before the server wants; but once more before the mailing is over.

    What we may send in a day is nobody's who waits for it: told "too fast", a reader stays due for as long as the mailing lives.
    """
    ours = found.cls is verdict.Class.RATE and kind not in HEARD_AT_ONCE
    patience = None if ours else pacing.patience_for(kind)
    due = _next(row, patience=patience, now=now, ends=ends)
    if due and found.wait:
        wait = min(found.wait, LONGEST_WAIT)
        due = max(due, now + (wait if patience else pacing.within(wait, now=now, ends=ends)))
    state = DeliveryState.DEFERRED if due else DeliveryState.EXPIRED
    return _result(row, state, reply, reason=str(found.cls), due_at=due)


def _next(row: Row, *, patience: timedelta | None, now: datetime, ends: datetime | None = None) -> datetime | None:
    tries = row.tries + 1
    return pacing.next_attempt(
        tries,
        first_tried=row.first_tried or now,
        now=now,
        patience=patience,
        spread=pacing.spread_of(row.id, tries),
        ends=ends,
    )


def _result(
    row: Row, state: DeliveryState, reply: Reply, *, reason: str | None = None, due_at: datetime | None = None
) -> Result:
    return Result(row.id, state, code=reply.code or None, enhanced=reply.enhanced, reason=reason, due_at=due_at)
