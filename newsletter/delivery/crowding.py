"""Room at a relay that bears few sessions: who holds some there gives up half of them when what comes first found none.

An alert or a service mail that is told "too many connections" says so in a row (`delivery.needs`), where every sender of every
machine looks before each window. Who holds sessions ends its shard there, keeps half of them and goes on. Of bulk mail that may be
none, and it stays away for as long as somebody was in need of late. What comes first keeps its last session, but in the turn
of the other of the two lanes: these have the room in turns. What was given up is had back one a minute (`Pool.sessions`).
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain, repeat
from typing import Any

from newsletter.database import Database
from newsletter.delivery import needs
from newsletter.delivery.needs import Need
from newsletter.ledger.mailings import Lane
from newsletter.relay.pool import Pool
from newsletter.relay.target import Relay

LOOK_SECONDS = 0.25
"""A sender looks no more often than this whether its sessions are wanted."""
FORGET_SECONDS = 120.0
"""So long after a relay had no room for us, the next no is the first again."""


def kept(held: int, lane: Lane, turn: Lane) -> int:
    """Return how many of its sessions a sender of a lane keeps: half, and one in the lane's own turn."""
    return max(held // 2, min(held, 1) if lane is turn else 0)


def pauses() -> Iterator[float]:
    """Return the seconds before each further try: ours give way within a few, and a stranger is not pressed.

    Some servers count connections in a minute, those that they turn away among them.
    """
    return chain((0.25, 0.25, 0.5), repeat(1.0, 8), repeat(8.0))


class Room:
    """What one sender knows of the room at one relay, and its sessions there.

    wanted   somebody was in need since this sender gave up what it could
    """

    def __init__(self, database: Database, relay: Relay, pool: Pool) -> None:
        self.pool = pool
        self.wanted = False
        self._database, self._relay = database, relay
        self._heeded: datetime | None = None
        self._kept = 0
        self._look_at = 0.0
        self._ours_until = self._not_before = self._tried_at = 0.0
        self._pauses = pauses()

    def look(self) -> None:
        """Learn whether somebody was in need; from any thread, and as often as one likes."""
        if time.monotonic() >= max(self._look_at, self._ours_until):
            self._look_at = time.monotonic() + LOOK_SECONDS
            self.wanted = self.needed()

    def needed(self) -> bool:
        """Return whether somebody was in need since this sender gave up what it could."""
        return self._new(self._known()[0])

    async def make(self, lane: Lane) -> bool:
        """Give up what is wanted of the sessions that rest; return whether this lane may use any, or ask for one, now."""
        need, now = await asyncio.to_thread(self._known)
        if need and self._new(need) and time.monotonic() >= self._ours_until:
            self._kept = kept(self.pool.resting, lane, need.lane)
            await self.pool.keep(self._kept)
            need, now = await asyncio.to_thread(self._known)
            self._heeded = need.at if need else None  # what was asked for meanwhile has been given
        self.wanted = False
        if need and lane is not Lane.BULK and not self.pool.resting:
            self._not_before = max(self._not_before, time.monotonic() + need.left(lane, now).total_seconds())
        if need and lane is Lane.BULK and not self._kept:
            return False
        return time.monotonic() >= self._not_before

    def found_none(self, lane: Lane) -> None:
        """Say that the relay had no session for us. For bulk mail nobody gives up any."""
        now = time.monotonic()
        if now - self._tried_at > FORGET_SECONDS:
            self._pauses = pauses()
        self._tried_at, self._not_before = now, now + next(self._pauses)
        if lane is not Lane.BULK:
            with self._database.transaction() as session:
                needs.tell(session, self._relay, lane)

    def had(self, *, opened_in: float, lane: Lane) -> None:
        """Hear that there is a session. One of what comes first is used for as long as it took to open, before it is given up."""
        self._pauses, self._not_before = pauses(), 0.0
        if lane is not Lane.BULK:
            self._ours_until = max(self._ours_until, time.monotonic() + opened_in)

    def wait(self, over: Callable[[], bool]) -> None:
        """Wait until it may be tried again, or a turn is over."""
        while (left := self._not_before - time.monotonic()) > 0 and not over():
            time.sleep(min(left, LOOK_SECONDS))

    async def made(self, lane: Lane, meanwhile: asyncio.Future[Any]) -> bool:
        """Wait until this lane may use a session or ask for one; False where something else is over before."""
        while not meanwhile.done():
            if await self.make(lane):
                return True
            await asyncio.wait([meanwhile], timeout=LOOK_SECONDS)
        return False

    def _new(self, need: Need | None) -> bool:
        return need is not None and need.at != self._heeded

    def _known(self) -> tuple[Need | None, datetime]:
        with self._database.transaction() as session:
            return needs.known(session, self._relay)
