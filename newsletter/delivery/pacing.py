"""When to try again, how long a mail is worth trying, how much may be on the wire: pure rules."""

import hashlib
from datetime import datetime, timedelta

from newsletter.ledger.mailings import Kind

_STEPS = tuple(timedelta(minutes=minutes) for minutes in (5, 15, 30, 60, 120, 240, 480))
_PATIENCE = {
    Kind.DIGEST: timedelta(hours=72),
    Kind.MAILING: timedelta(hours=72),
    Kind.ALERT: timedelta(hours=24),
    Kind.NOTICE: timedelta(hours=24),
    Kind.TEST: timedelta(minutes=30),
}
WINDOW_MESSAGES = 250
WINDOW_SECONDS = 0.5


def next_attempt(
    tries: int, *, first_tried: datetime, now: datetime, patience: timedelta, spread: float
) -> datetime | None:
    """Return when to try a deferred delivery again, or None to give up.

    tries        already made, at least 1
    first_tried  aware, UTC
    patience     how long this kind of mail is worth trying: `patience_for`
    spread       -1.0 … 1.0, from a hash of the delivery (`spread_of`), so the rule stays pure

    5, 15, 30 min, 1, 2, 4, then every 8 h, each ±20 % (RFC 5321 §4.5.4.1 asks for at least 30 min on average).
    """
    step = _STEPS[min(tries, len(_STEPS)) - 1]
    due = now + step * (1 + 0.2 * spread)
    return due if due - first_tried <= patience else None


def patience_for(kind: Kind) -> timedelta:
    """Return how long a kind of mail is worth trying: a digest three days, an alert one (standards §16)."""
    return _PATIENCE[kind]


def spread_of(delivery_id: int, tries: int) -> float:
    """Return a number in -1.0 … 1.0 that is always the same for one attempt of one delivery."""
    digest = hashlib.blake2b(f"{delivery_id}:{tries}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) / 2**31 - 1.0


def window_size(*, last_begun: int | None) -> int:
    """Return how many messages the next window announces.

    last_begun  messages the last window managed in its half second; None before the first

    Never more than the wire can begin in a window: what is announced and not sent is uncertain after a crash.
    """
    size = WINDOW_MESSAGES if last_begun is None else max(16, 2 * last_begun)
    return min(size, WINDOW_MESSAGES)
