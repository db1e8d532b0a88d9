"""What a relay was given in the last second: no second may hold more than its rate, whichever one the relay counts. Pure.

A bucket that saves up for a quarter of a second lets so much more through in the second that begins with it. Without
savings each message that is asked for a moment late is lost for good. So the bucket keeps the pace, and this the second.
It is kept in hundredths of a second: a list of (hundredth since 1970, messages), oldest first.
"""

import math
from collections.abc import Sequence
from datetime import datetime

SLOTS = 100
"""Pieces of a second. What is in one counts until a second after its end: half a hundredth of the pace is lost, and `LATE` more."""
LATE = 2
"""So many pieces more: what is granted a moment later may be on the wire sooner than what was granted first.

What comes so much later than usual is granted anew (`Carrier.turn`)."""
_SPAN = SLOTS + LATE
_ASTRAY = 5 * SLOTS
Given = Sequence[Sequence[int]]


def most(rate: float) -> int:
    """Return how many messages a second may hold at a pace: a whole number, at least 1."""
    return max(1, math.ceil(rate - 1e-9))


def counting(given: Given, *, now: datetime) -> list[list[int]]:
    """Return what still counts. What lies ahead by more than seconds was given before the clock was set back."""
    slot = _slot(now)
    return [[at, messages] for at, messages in given if -_ASTRAY < slot - at <= _SPAN]


def held(least: int, given: Given, *, rate: float, now: datetime) -> tuple[int, float]:
    """Return how many messages may go now, and the seconds until so few may as are worth it; none and 0 are never both.

    least   messages that are worth a grant
    """
    alive = counting(given, now=now)
    free = most(rate) - sum(messages for _, messages in alive)
    least = max(1, min(least, most(rate)))
    if free >= least:
        return free, 0.0
    for at, messages in alive:
        free += messages
        if free >= least:
            return 0, max(0.01, (at + _SPAN + 1) / SLOTS - now.timestamp())
    return 0, 1.0


def with_more(given: Given, messages: int, *, now: datetime) -> list[list[int]]:
    """Return what counts once so many more were given."""
    alive, slot = counting(given, now=now), _slot(now)
    # Who waited for its turn may hold an older "now" than the one before: counted with that one, it counts longer.
    if alive and alive[-1][0] >= slot:
        alive[-1][1] += messages
        return alive
    return [*alive, [slot, messages]]


def with_less(given: Given, granted: Sequence[datetime], *, now: datetime) -> list[list[int]]:
    """Return what counts once those that were granted then are given back: the oldest, since they count for the shortest time.

    What does not count any more makes no room: somebody else's message would be forgotten for it.
    """
    left, messages = [], len(counting([(_slot(at), 1) for at in granted], now=now))
    for at, number in counting(given, now=now):
        part = min(number, messages)
        messages -= part
        if number > part:
            left.append([at, number - part])
    return left


def _slot(moment: datetime) -> int:
    return math.floor(moment.timestamp() * SLOTS)
