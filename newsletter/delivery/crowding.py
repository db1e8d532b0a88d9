"""Room at a relay that bears few sessions: who holds some there gives up half of them when what comes first found none.

An alert or a service mail that is told "too many connections" says so in a row (`delivery.needs`), where every sender of every
machine looks before each window. Who holds sessions ends its shard there, keeps half of them and goes on. Of bulk mail that may be
none, and it stays away for as long as somebody was in need of late. What comes first keeps its last session, but in the turn
of the other of the two lanes: these have the room in turns. What was given up is had back one a minute (`Pool.sessions`).
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain, repeat
from typing import Any

import structlog

from newsletter.database import Database
from newsletter.delivery import needs
from newsletter.delivery.needs import Need
from newsletter.ledger.mailings import Lane
from newsletter.relay.pool import Pool
from newsletter.relay.target import Relay

log = structlog.get_logger()

LOOK_SECONDS = 0.25
"""A sender looks no more often than this whether its sessions are wanted."""
IN_TURN_SECONDS = 2.0
"""A lane asks so soon where a session was given up for it, however long it waited before: its turn is over after four."""
LONG_PAUSE = 8.0
"""Of a stranger's relay it is asked so often: ours would have given way by then."""
SAY_SECONDS = 60.0
"""A log says no more often that there was no session."""
FORGET_SECONDS = 120.0
"""So long after a relay had no room for us, the next no is the first again."""


def kept(held: int, lane: Lane, turn: Lane) -> int:
    """Return how many of its sessions a sender of a lane keeps: half, and one in the lane's own turn."""
    return max(held // 2, min(held, 1) if lane is turn else 0)


def pauses() -> Iterator[float]:
    """Return the seconds before each further try: ours give way within a few, and a stranger is not pressed.

    Some servers count connections in a minute, those that they turn away among them.
    """
    return chain((0.25, 0.25, 0.5), repeat(1.0, 8), repeat(LONG_PAUSE))


class _Tries:
    """How often a lane has asked a relay in vain, and from when on it may again. In the clock of `time.monotonic`.

    turn   since when the turn went in which it last asked, by the database's
    """

    def __init__(self) -> None:
        self.not_before = 0.0
        self.turn: datetime | None = None
        self._pauses, self._pause, self._last = pauses(), 0.0, 0.0

    def failed(self) -> None:
        """Hear that there was no session."""
        now = time.monotonic()
        if now - self._last > FORGET_SECONDS:
            self._pauses = pauses()
        self._last, self._pause = now, next(self._pauses)
        self.not_before = now + self._pause

    @property
    def in_vain(self) -> bool:
        """Whether ours would have given way by now."""
        return self._pause >= LONG_PAUSE and time.monotonic() - self._last <= FORGET_SECONDS

    def in_turn(self, since: datetime) -> None:
        """Wait no longer than a moment where this lane's turn began since its last try: somebody gave a session up for it.

        A turn that its own no began tells nothing of who holds the room, and a stranger is not asked more often for it.
        """
        if since != self.turn:
            self.not_before = min(self.not_before, self._last + IN_TURN_SECONDS)

    def leave(self, seconds: float) -> None:
        """Leave the room to others for so long."""
        self.not_before = max(self.not_before, time.monotonic() + seconds)


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
        self._look_at = self._ours_until = self._say_at = 0.0
        self._tries: defaultdict[Lane, _Tries] = defaultdict(_Tries)

    def look(self) -> None:
        """Learn whether somebody was in need; from any thread, and as often as one likes."""
        if time.monotonic() >= max(self._look_at, self._ours_until):
            self._look_at = time.monotonic() + LOOK_SECONDS
            self.wanted = self._new(self._known()[0])

    def needed_at_rest(self) -> bool:
        """Return whether anybody was in need of what rests, which for bulk mail is given up as well."""
        with self._database.transaction() as session:
            need, _ = needs.known(session, self._relay)
            return self._new(need) or needs.of_bulk(session, self._relay)

    async def make(self, lane: Lane) -> bool:
        """Give up what is wanted of the sessions that rest; return whether this lane may use any, or ask for one, now."""
        need, now = await asyncio.to_thread(self._known)
        if need and self._new(need) and time.monotonic() >= self._ours_until:
            held = self.pool.resting
            self._kept = kept(held, lane, need.lane)
            await self.pool.keep(self._kept)
            if held and not self._kept and lane is not Lane.BULK:
                # The turn goes from now on, whatever was left of it: only now can the other have it.
                self._tries[lane].leave(needs.TURNS[need.lane].total_seconds())
                await asyncio.to_thread(self._given, need.lane)
            need, now = await asyncio.to_thread(self._known)
            self._heeded = need.at if need else None  # what was asked for meanwhile has been given
        self.wanted = False
        if need and lane is Lane.BULK:
            return self._kept > 0 and not self.shut(lane)
        if need and not self.pool.resting:
            self._in_turn(need, lane, now)
        return not self.shut(lane)

    def _in_turn(self, need: Need, lane: Lane, now: datetime) -> None:
        if need.runs(lane, now):
            self._tries[lane].in_turn(need.since)
        else:
            self._tries[lane].leave(need.left(lane, now).total_seconds())

    def found_none(self, lane: Lane, why: str = "") -> None:
        """Say that the relay had no session for us, and why in its own words. For bulk mail nobody who works gives up any."""
        if time.monotonic() >= self._say_at:
            self._say_at = time.monotonic() + SAY_SECONDS
            log.warning("no session left at a relay", relay=self._relay.name, lane=lane, why=why)
        tries = self._tries[lane]
        tries.failed()
        with self._database.transaction() as session:
            if lane is Lane.BULK:
                needs.tell_bulk(session, self._relay)
            else:
                tries.turn = needs.tell(session, self._relay, lane).since

    def had(self, *, opened_in: float, lane: Lane) -> None:
        """Hear that there is a session. One of what comes first is used for as long as it took to open, before it is given up."""
        self._tries.pop(lane, None)
        if lane is not Lane.BULK:
            self._ours_until = max(self._ours_until, time.monotonic() + opened_in)

    def shut(self, lane: Lane) -> float:
        """Return in how many seconds a lane may ask again, 0.0 for now."""
        return max(0.0, self._tries[lane].not_before - time.monotonic())

    def strange(self, lane: Lane) -> bool:
        """Return whether a stranger holds the room, so that nobody knows when a lane has a session."""
        return self._tries[lane].in_vain

    def wait(self, lane: Lane, over: Callable[[], bool]) -> None:
        """Wait until it may be tried again, or a turn is over. A turn that begins meanwhile is looked for now and then."""
        until = time.monotonic() + IN_TURN_SECONDS
        while (left := min(self.shut(lane), until - time.monotonic())) > 0 and not over():
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

    def _given(self, lane: Lane) -> None:
        with self._database.transaction() as session:
            needs.given(session, self._relay, lane)

    def _known(self) -> tuple[Need | None, datetime]:
        with self._database.transaction() as session:
            return needs.known(session, self._relay)
