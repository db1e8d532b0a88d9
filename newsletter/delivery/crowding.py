"""Room at a relay that bears few sessions: who holds some there gives up half of them when what comes first found none.

An alert or a service mail that is told "too many connections" says so in the relay's row, where every sender of every machine
looks before each window. Who holds sessions ends its turn there, keeps half of them and goes on; of bulk mail that may be none,
and it stays away for as long as somebody was in need of late. What was given up is had back one a minute (`Pool.sessions`).
"""

import time
from collections.abc import Iterator
from datetime import datetime
from itertools import chain, repeat

from newsletter.database import Database
from newsletter.delivery import standing
from newsletter.ledger.mailings import Lane
from newsletter.relay.pool import Pool
from newsletter.relay.target import Relay

LOOK_SECONDS = 0.25
"""A sender looks no more often than this whether its sessions are wanted."""


def kept(held: int, lane: Lane) -> int:
    """Return how many of its sessions a sender keeps: half, and what comes first keeps one."""
    return max(held // 2, 0 if lane is Lane.BULK else min(held, 1))


def pauses() -> Iterator[float]:
    """Return the seconds before each further try: ours need one to give a session up, and a stranger is not pressed."""
    return chain((0.25, 0.25, 0.5, 1.0), repeat(2.0))


class Room:
    """What one sender knows of the room at one relay.

    wanted   somebody was in need since this sender gave up what it could
    """

    def __init__(self, database: Database, relay: Relay) -> None:
        self.wanted = False
        self._database, self._relay = database, relay
        self._heeded: datetime | None = None
        self._kept = 0
        self._look_at = 0.0

    def look(self) -> None:
        """Learn whether somebody was in need; from any thread, and as often as one likes."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_SECONDS
            self.wanted = self._needed() not in (None, self._heeded)

    async def make(self, lane: Lane, pool: Pool | None) -> bool:
        """Give up what is wanted of the sessions that rest; return whether this lane may use any now."""
        needed = self._needed()
        if needed not in (None, self._heeded):
            self._kept = kept(pool.resting, lane) if pool else 0
            if pool:
                await pool.keep(self._kept)
            self._heeded = self._needed()  # what was asked for meanwhile has been given
        self.wanted = False
        return needed is None or self._kept > 0 or lane is not Lane.BULK

    def _needed(self) -> datetime | None:
        with self._database.transaction() as session:
            return standing.crowded_at(session, self._relay)
