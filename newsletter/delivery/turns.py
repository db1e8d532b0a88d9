"""How a shard is to be carried, for how long, and what was done of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from newsletter.relay.target import Relay
from newsletter.relay.verdict import Class


@dataclass(frozen=True, slots=True)
class Refusal:
    """That a relay refuses us, and nobody's mail in particular. lasting: were it the only relay, a mailing would stop by it."""

    cls: Class
    lasting: bool


@dataclass(frozen=True, slots=True)
class Carried:
    """What a turn did: messages begun, rows of the shard that are left for another, and how long these must wait.

    refused  how the relay turned us away, so that another is to have what is left; None: it did not
    waits    some of those left wait for an older mail to be answered for
    """

    begun: int
    left: int
    wait: timedelta = timedelta(0)
    refused: Refusal | None = None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """How a shard is to be carried.

    relay     where to
    limited   windows are paid from the relay's budget
    until     True begins no further message: the turn is over
    halt      True begins no further body either: the process is asked to end
    opened    called once the first window is open
    yields_to the relays for whose shards this turn ends early; none where it is not bulk
    heed      called, in a thread, before each window is opened: wishes that waited elsewhere come first
    probing   the relay did not answer before: one session asks whether it is well
    instead   another relay can take what this one refuses to take from us, now or once it is back or may be given more
    """

    relay: Relay
    limited: bool
    until: Callable[[], bool]
    halt: Callable[[], bool]
    opened: Callable[[], object] = lambda: None
    yields_to: Sequence[Relay] = ()
    heed: Callable[[], object] = lambda: None
    probing: bool = False
    instead: bool = False


class Term:
    """How long a sender works at a lane.

    until   asked again and again: True ends it at once
    """

    def __init__(self, seconds: float, until: Callable[[], bool]) -> None:
        self.until = until
        self._end = time.monotonic() + seconds

    def over(self) -> bool:
        """Return whether no further message may be begun."""
        return time.monotonic() > self._end or self.until()

    def lengthen(self, seconds: float) -> None:
        """Add what it took until a relay had greeted: one that takes longer than a turn would never have any mail."""
        self._end += seconds
