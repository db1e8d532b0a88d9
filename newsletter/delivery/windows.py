"""Nothing goes on the wire outside an open window.

A window is permission for at most 250 messages and half a second, bought with one short transaction (`ledger.shards.announce`).
Its deadline is on CLOCK_BOOTTIME, which runs on while a machine sleeps: a laptop closed at the wrong moment wakes up with its
permission gone.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from newsletter.database import Database, now
from newsletter.delivery import seconds, throttle, yielding
from newsletter.delivery.pacing import WINDOW_SECONDS
from newsletter.ledger import shards
from newsletter.ledger.deliveries import Row
from newsletter.ledger.shards import Lease
from newsletter.relay.target import Relay


@dataclass(frozen=True, slots=True)
class Clock:
    """The database's time, told on by CLOCK_BOOTTIME: what is compared with rows must not hang on this machine's own clock.

    told   the database's time, and at: the seconds since boot when it was heard
    """

    told: datetime
    at: float

    @property
    def now(self) -> datetime:
        """The database's time of this moment."""
        return self.told + timedelta(seconds=self.age)

    @property
    def age(self) -> float:
        """Seconds since it was heard."""
        return boot_seconds() - self.at


@dataclass(frozen=True, slots=True)
class Window:
    """Which deliveries may be begun (ids), and until when (seconds of CLOCK_BOOTTIME).

    asked   the rows it was opened over: as many as the relay's budget held
    wait    seconds to stay away where the budget held none, and why
    clock   what time it was when it was opened
    granted when the budget gave what it was paid with; None: nobody paid
    """

    allowed: frozenset[int]
    deadline: float
    asked: tuple[Row, ...] = ()
    wait: float = 0.0
    why: str | None = None
    clock: Clock | None = None
    granted: Clock | None = None

    @property
    def is_open(self) -> bool:
        """Whether another message may be begun."""
        return boot_seconds() < self.deadline


class Way:
    """How long a grant is on its way from the budget to us: what it usually takes, all take, and it delays nobody.

    So the pace holds where the database is far away, and what lies longer on its way there is told from that.
    """

    def __init__(self) -> None:
        self._usual: float | None = None

    def came(self, granted: Clock) -> None:
        """Hear that what was granted then is here."""
        usual = granted.age if self._usual is None else self._usual
        self._usual = usual + (granted.age - usual) * 0.1

    def late(self, granted: Clock) -> bool:
        """Return whether what was granted then may meet in one second what was granted a second after it."""
        return granted.age - (self._usual or 0.0) > seconds.LATE / seconds.SLOTS


def boot_seconds() -> float:
    """Return seconds since boot, sleep included; the clock no administrator can set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def open(
    database: Database,
    lease: Lease,
    rows: Sequence[Row],
    *,
    relay: Relay | None = None,
    unspent: Sequence[datetime] = (),
    yields_to: Sequence[Relay] = (),
) -> Window | None:
    """Open a window over some rows of a leased shard, or return None when the shard may not be sent now.

    rows    in order of position, at least one; fewer are announced where the budget holds fewer
    relay   whose budget it is spent from; None where there is no limit, or it was spent already
    unspent when each message was granted that the windows before did not begin
    yields_to  the relays of what comes first; none where this is not bulk
    """
    with database.transaction() as session:
        if relay is not None:
            throttle.refund(session, relay, lease.lane, lease.provider, unspent, now=now(session))
        if yields_to and yielding.wanted(session, yields_to):
            return None
        if lease.retry and shards.first_attempts_wait(session, lease.lane):
            return None
        granted = None
        if relay is not None:
            throttle.lock(session, relay)
            granted = Clock(now(session), boot_seconds())
            grant = throttle.grant(session, relay, lease.lane, lease.provider, len(rows), now=granted.told)
            if grant.messages == 0:
                return Window(frozenset(), 0.0, wait=grant.wait_seconds, why=grant.why)
            rows = rows[: grant.messages]
        # Read before it is asked: the permission counts from the question, not from a late answer. After the budget, whose locks
        # others may hold: nothing was asked of the shard while it was waited for.
        asked = boot_seconds()
        opened = shards.announce(session, lease, first=rows[0].position, upto=rows[-1].position + 1)
        clock = Clock(opened.at.astimezone(UTC), boot_seconds()) if opened else None
        if relay is not None and granted is not None:
            # What may not go, all of it or some, was granted and is not spent.
            unused = len(rows) if opened is None else len(opened.not_now & {row.id for row in rows})
            throttle.refund(session, relay, lease.lane, lease.provider, [granted.told] * unused, now=now(session))
    if opened is None:
        return None
    allowed = frozenset(row.id for row in rows) - opened.not_now
    return Window(allowed, asked + WINDOW_SECONDS, tuple(rows), clock=clock, granted=granted)
