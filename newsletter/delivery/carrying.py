"""One leased shard on its way: window → stamp → relay → record, until nothing is left or it must stop.

Two questions are asked of every message. Before MAIL: is a window open? Before its first byte: is it still open? The mark in
the journal comes before the second question, so that a machine that is frozen between the two leaves a mark and not a
message that nobody knows of. A relay too slow for one window has its window opened anew while its answer is awaited.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog

from newsletter.database import DatabaseUnreachable
from newsletter.delivery import outcomes, pacing, windows
from newsletter.delivery.journal import Journal
from newsletter.delivery.leasing import Work
from newsletter.delivery.windows import Window
from newsletter.errors import Invalid
from newsletter.ledger import shards
from newsletter.ledger.deliveries import DeliveryState, Result, Row
from newsletter.ledger.mailings import AT_LEAST_ONCE
from newsletter.relay.envelope import Envelope
from newsletter.relay.outcome import Accepted, Outcome, Uncertain
from newsletter.relay.target import Relay
from newsletter.relay.verdict import Class, Limit

if TYPE_CHECKING:
    from newsletter.delivery.sending import Sender

log = structlog.get_logger()

FLUSH = 500
KEEP_LEASE_SECONDS = 20.0
HELD_FOR = timedelta(minutes=5)
PATIENCE_SECONDS = 2.0
"""A budget that holds nothing for longer than this gives its shard back, so that others are served meanwhile."""
LONGEST_WAIT_SECONDS = 60.0
SHUT = Window(frozenset(), 0.0)


@dataclass(frozen=True, slots=True)
class Carried:
    """What a turn did: messages begun, rows of the shard that are left for another, and how long these must wait."""

    begun: int
    left: int
    wait: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Turn:
    """How a shard is to be carried.

    relay     where to
    limited   windows are paid from the relay's budget
    until     True begins no further message: the turn is over
    halt      True begins no further body either: the process is asked to end
    """

    relay: Relay
    limited: bool
    until: Callable[[], bool]
    halt: Callable[[], bool]


class Carrier:
    """Carries one shard. Every message that was begun has its outcome in the ledger when `carry` returns."""

    def __init__(self, sender: "Sender", work: Work, journal: Journal, turn: Turn) -> None:
        self._sender = sender
        self._work = work
        self._journal = journal
        self._until, self._halt = turn.until, turn.halt
        self._relay, self._limited = turn.relay, turn.limited
        self._pool = sender.pool(turn.relay)
        self._left = list(work.rows)
        self._by_id = {row.id: row for row in work.rows}
        self._window = SHUT
        self._wait = 0.0
        self._unspent = 0
        self._limits: set[Limit] = set()
        self._renewing = asyncio.Lock()
        self._begun: set[int] = set()
        self._results: list[Result] = []
        self._dead: list[int] = []
        self._classes: list[Class | None] = []
        self._flush: asyncio.Future[None] | None = None

    async def carry(self) -> Carried:
        """Send until nothing is left, the window is refused, or it is time to end; write every outcome."""
        keeper = asyncio.create_task(self._keep_lease())
        try:
            begun = await self._send_all()
        finally:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
            await self._write(everything=True)
            await self._give_back_budget()
        return Carried(begun, len(self._left), timedelta(seconds=self._wait))

    async def _send_all(self) -> int:
        total, last = 0, None
        while self._left and not self._until():
            asked = time.monotonic()
            rows = self._left[: pacing.window_size(last_begun=last)]
            window = await self._ask(rows, relay=self._relay if self._limited else None)
            if window is None or window.wait > PATIENCE_SECONDS:
                self._wait = min(window.wait if window else 0.0, LONGEST_WAIT_SECONDS)
                break
            if not window.asked:
                await asyncio.sleep(window.wait)
                continue
            self._drop(window)
            last = await self._send([row for row in window.asked if row.id in window.allowed])
            self._unspent = len(window.asked) - last
            total += last
            await self._learn(last / max(0.001, time.monotonic() - asked))
            await self._write()
        return total

    async def _ask(self, rows: Sequence[Row], *, relay: Relay | None) -> Window | None:
        unspent, self._unspent = (self._unspent, 0) if relay else (0, self._unspent)
        opening = partial(windows.open, self._sender.database, self._work.lease, rows, relay=relay, unspent=unspent)
        window = await asyncio.to_thread(opening)
        self._window = window or SHUT
        if window and window.wait > PATIENCE_SECONDS:
            log.info("budget spent", relay=self._relay.name, limit=window.why, wait=round(window.wait))
        return window

    async def _give_back_budget(self) -> None:
        if self._limited and self._unspent:
            await asyncio.to_thread(self._sender.refund, self._relay, self._work.lease, self._unspent)

    async def _learn(self, observed: float) -> None:
        """Go slower where a relay or a provider asked for it; `observed`: the messages a second that were too many."""
        if self._limits:
            limits, self._limits = self._limits, set()
            self._limited = True
            lesson = partial(self._sender.learn, self._relay, self._work.lease.provider, limits, observed=observed)
            await asyncio.to_thread(lesson)

    def _drop(self, window: Window) -> None:
        """Forget the rows that were cancelled since the lease, or put them off while their variant is held."""
        refused = {row.id for row in window.asked} - window.allowed
        if refused:
            self._left = [row for row in self._left if row.id not in refused]
            # Cancelled rows keep their state (record passes them over); held ones look again in five minutes.
            due = datetime.now(UTC) + HELD_FOR
            self._results += [Result(row_id, DeliveryState.DEFERRED, reason="held", due_at=due) for row_id in refused]

    async def _send(self, rows: list[Row]) -> int:
        self._begun.clear()
        known = len(self._results)
        await self._pool.send(self._envelopes(rows), begin=self._begin, body=self._body, done=self._done)
        gone = self._begun | {result.id for result in self._results[known:]}
        self._left = [row for row in self._left if row.id not in gone]
        return len(self._begun)

    def _envelopes(self, rows: list[Row]) -> Iterator[Envelope]:
        date = self._date()
        for row in rows:
            if not self._window.is_open:
                return
            try:
                yield self._sender.envelope(self._work, row, date)
            except Invalid as error:
                # One reader's values could not be written into the message: theirs fails, the others go.
                self._results.append(Result(row.id, DeliveryState.REJECTED, reason=error.message))

    def _date(self) -> str:
        """What may go twice goes with the same bytes, the hour of its planning among them."""
        again = self._work.lease.kind in AT_LEAST_ONCE
        return format_datetime(self._work.lease.planned_at if again else datetime.now(UTC))

    def _begin(self, envelope: Envelope) -> bool:
        if not self._window.is_open or envelope.key not in self._window.allowed or self._until():
            return False
        self._begun.add(envelope.key)
        return True

    async def _body(self, envelope: Envelope) -> bool:
        """Mark the body as begun and return whether it may be; withheld ones stay due."""
        position = self._by_id[envelope.key].position
        while not self._halt():
            self._journal.begin(position)
            window = self._window
            if envelope.key in window.allowed and window.is_open:
                return True
            self._journal.withdraw(position)
            if not await self._renewed(window):
                break
        self._begun.discard(envelope.key)
        return False

    async def _renewed(self, stale: Window) -> bool:
        """Open the window again for those who were allowed in it and wait for a slow relay; return whether any still is."""
        async with self._renewing:
            if self._window is stale and stale.allowed:
                await self._ask([row for row in self._work.rows if row.id in stale.allowed], relay=None)
        return bool(self._window.allowed)

    def _done(self, envelope: Envelope, outcome: Outcome) -> None:
        row = self._by_id[envelope.key]
        if not isinstance(outcome, Uncertain):
            self._journal.answered(row.position, accepted=isinstance(outcome, Accepted))
        judged = outcomes.judge(row, outcome, kind=self._work.lease.kind, now=datetime.now(UTC))
        self._results.append(judged.result)
        self._classes.append(judged.cls)
        if judged.limit:
            self._limits.add(judged.limit)
        if judged.dead:
            self._dead.append(row.id)

    async def _write(self, *, everything: bool = False) -> None:
        """Write outcomes once there are 500, while the next window is opened; wait for the flush before it."""
        if len(self._results) < FLUSH and not everything:
            return
        if self._flush is not None:
            await self._flush
            self._flush = None
        if self._results:
            flush = partial(self._sender.flush, self._work, self._results, self._dead, self._classes)
            self._results, self._dead, self._classes = [], [], []
            self._flush = asyncio.get_running_loop().run_in_executor(None, flush)
        if everything and self._flush is not None:
            await self._flush
            self._flush = None

    async def _keep_lease(self) -> None:
        """Extend the lease while a slow server is waited for; a window is extended by being opened."""
        while True:
            await asyncio.sleep(KEEP_LEASE_SECONDS)
            with suppress(DatabaseUnreachable):
                await asyncio.to_thread(self._extend)

    def _extend(self) -> None:
        with self._sender.database.transaction() as session:
            shards.extend(session, self._work.lease)
