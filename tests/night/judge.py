"""What a night must keep, by the clock: pure, so that it can be shown to convict."""

from collections.abc import Mapping
from dataclasses import dataclass, field

HALF_SECOND = 0.5
FIRST_MAIL = 2.0
"""Within so many seconds after the thumb the first message is at the mail server; by as much a last one may be late, which the
night's faster clock makes minutes of."""
ON_AGAIN = 10.0
"""Within so many seconds after a worker was killed another goes on: twice the sweep that finds what a nudge lost."""


@dataclass(frozen=True, slots=True)
class Promised:
    """By when all were to have a mail, and when the last of them had it: moments of one clock, in seconds."""

    by: float
    last: float

    @property
    def late(self) -> float:
        """By how much it was later; 0 where it was not."""
        return max(0.0, self.last - self.by)

    @property
    def broken(self) -> bool:
        """Whether a promise was broken, and not only the first mail's own seconds later."""
        return self.late > FIRST_MAIL


@dataclass(frozen=True, slots=True)
class Measured:
    """A night by the clock, in this machine's seconds.

    first        what → how long after the thumb its first message was taken; None: none was
    after_stop   how long after the stop was written down the last message was begun
    on_again     which kill → how long after it the next message was begun; None: none was
    promised     what → its promise
    """

    first: Mapping[str, float | None]
    after_stop: float
    promised: Mapping[str, Promised]
    on_again: Mapping[str, float | None] = field(default_factory=dict)


def late(night: Measured) -> list[str]:
    """Return what came later than it may, each as a line of the page; nothing where the night was in time."""
    found = []
    for what, seconds in night.first.items():
        if seconds is None:
            found.append(f"{what}: no message of it reached the mail server")
        elif seconds > FIRST_MAIL:
            found.append(f"{what}: first mail {seconds:.1f} s after the thumb, promised within {FIRST_MAIL:.0f} s")
    if night.after_stop > HALF_SECOND:
        found.append(f"a message was begun {night.after_stop:.2f} s after the stop, promised within {HALF_SECOND} s")
    for what, seconds in night.on_again.items():
        if seconds is None:
            found.append(f"{what}: nothing went on")
        elif seconds > ON_AGAIN:
            found.append(f"{what}: it went on after {seconds:.1f} s, promised within {ON_AGAIN:.0f} s")
    for what, one in night.promised.items():
        if one.broken:
            found.append(
                f"{what}: the last mail came {one.late:.1f} s of this machine after the hour that was promised"
            )
    return found
