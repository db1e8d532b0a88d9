"""When to try again, how long a mail is worth trying, how much may be on the wire: pure rules."""

import hashlib
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from newsletter.delivery.budget import ASTRAY, worth
from newsletter.ledger.mailings import Kind
from newsletter.relay.target import Relay

_STEPS = tuple(timedelta(minutes=minutes) for minutes in (5, 15, 30, 60, 120, 240, 480))
FURTHEST = _STEPS[-1] * 1.2 + ASTRAY
"""Nothing is put off for longer: it was before the clock was set back."""
_PATIENCE = {
    Kind.DIGEST: timedelta(hours=72),
    Kind.MAILING: timedelta(hours=72),
    Kind.ALERT: None,
    Kind.RETRACTION: timedelta(hours=24),
    Kind.NOTICE: timedelta(hours=24),
    Kind.TEST: timedelta(minutes=30),
    Kind.DRILL: timedelta(minutes=30),
}
WINDOW_MESSAGES = 250
WINDOW_SECONDS = 0.5
ASKING_SECONDS = 0.03
"""What opening a window may take on a busy machine."""


WAKES, RESTS = 7, 22


def awake(*, now: datetime) -> list[str]:
    """Return the time zones in which people are awake: whoever can act at once is told first, the others find it at breakfast."""
    return [zone.key for zone in _zones() if WAKES <= now.astimezone(zone).hour < RESTS]


@cache
def _zones() -> tuple[ZoneInfo, ...]:
    """Return every time zone there is: found and read once, which takes some tens of milliseconds."""
    return tuple(ZoneInfo(key) for key in sorted(available_timezones()))


def next_attempt(
    tries: int,
    *,
    first_tried: datetime,
    now: datetime,
    patience: timedelta | None,
    spread: float,
    ends: datetime | None = None,
) -> datetime | None:
    """Return when to try a deferred delivery again, or None to give up.

    tries        already made, at least 1
    first_tried  aware, UTC
    patience     how long this kind of mail is worth trying: `patience_for`; None: for as long as there is a mailing
    spread       -1.0 … 1.0, from a hash of the delivery (`spread_of`), so the rule stays pure
    ends         until when there is a mailing, where that is known

    5, 15, 30 min, 1, 2, 4, then every 8 h, each ±20 % (RFC 5321 §4.5.4.1 asks for at least 30 min on average). What is tried for
    as long as there is a mailing waits for half of what is left of it at most: no step leads past its end.
    """
    step = _STEPS[min(tries, len(_STEPS)) - 1]
    if patience is None:
        step = within(step, now=now, ends=ends)
    due = now + step * (1 + 0.2 * spread)
    return due if patience is None or due - first_tried <= patience else None


def within(wait: timedelta, *, now: datetime, ends: datetime | None) -> timedelta:
    """Return a wait, or half of what is left of a mailing where that is less; never less than the first step for that.

    ends   until when there is a mailing, where that is known
    """
    return wait if ends is None else min(wait, max((ends - now) / 2, _STEPS[0]))


def patience_for(kind: Kind) -> timedelta | None:
    """Return how long a kind of mail is worth trying: a digest three days, what is urgent one (standards §16).

    None: for as long as there is a mailing. So is an alert, before whose end people are asked (ADR 0033).
    """
    return _PATIENCE[kind]


def spread_of(delivery_id: int, tries: int) -> float:
    """Return a number in -1.0 … 1.0 that is always the same for one attempt of one delivery."""
    digest = hashlib.blake2b(f"{delivery_id}:{tries}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) / 2**31 - 1.0


def window_size(*, rate: float | None, open_already: int) -> int:
    """Return how many messages the next window announces, at least 1.

    rate          messages a second that the wire has just shown; None before the first
    open_already  announced and not begun yet

    Never more than the wire can begin in a window: what is announced and not sent is uncertain after a crash of the machine.
    """
    size = WINDOW_MESSAGES if rate is None else max(16, int(2 * rate * WINDOW_SECONDS))
    return max(1, min(size, WINDOW_MESSAGES) - open_already)


def in_turn(relay: Relay) -> bool:
    """Return whether each message is granted as a session is there to introduce it: at a pace that is granted one by one.

    So no second at the relay holds more than its rate, however long it thinks. A quick pace cannot wait for a transaction each,
    and few of its messages are introduced behind another: as many as there are connections.
    """
    return relay.rate is not None and relay.ahead is None and worth(relay.rate, WINDOW_MESSAGES) == 1


def low_water(*, rate: float | None) -> int:
    """Return how few messages may be left in a window before the next one is asked for.

    As many as go while a busy database answers; a slow wire asks when it needs the next.
    """
    most = WINDOW_MESSAGES // 3
    return most if rate is None else max(1, min(most, int(rate * ASKING_SECONDS)))
