"""One leased shard on its way: window → stamp → relay → record, until nothing is left or it must stop.

Two questions are asked of every message. Before MAIL: is a window open? Before its first byte: is it still open? The mark in
the journal comes before the second question, so that a machine that is frozen between the two leaves a mark and not a
message that nobody knows of. A relay too slow for one window has its window opened anew while its answer is awaited.

The next window is opened while the wire is still busy with the one before, so that nothing waits for the database; together
they never hold more than one window's messages.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import partial
from itertools import count

import structlog

from newsletter.delivery import budget, outcomes, pacing, thresholds, windows
from newsletter.delivery.envelopes import Envelopes
from newsletter.delivery.findings import FLUSH, WAIT_SECONDS, Findings
from newsletter.delivery.journal import Journal
from newsletter.delivery.leasing import Work
from newsletter.delivery.load import Load
from newsletter.delivery.pacing import WINDOW_MESSAGES, WINDOW_SECONDS
from newsletter.delivery.recording import Recorder
from newsletter.delivery.speed import Speed
from newsletter.delivery.turns import Carried, Refusal, Turn
from newsletter.delivery.windows import Clock, Way, Window
from newsletter.errors import Invalid
from newsletter.ledger.deliveries import DeliveryState, Result, Row
from newsletter.ledger.mailings import AT_LEAST_ONCE
from newsletter.relay.envelope import Envelope
from newsletter.relay.outcome import Accepted, Outcome, Uncertain
from newsletter.relay.pool import Pool
from newsletter.relay.target import Relay
from newsletter.relay.verdict import Limit

log = structlog.get_logger()

KEEP_LEASE_BEATS = 20
"""A beat is as long as outcomes wait to be written."""
LONGEST_WAIT_SECONDS = 60.0
HEED_SECONDS = 1.0
"""How often a shard that pays nothing looks whether it must: at full speed every twentieth window."""
REST_SECONDS = 1.0
"""How long nobody takes a shard whose first window was refused."""
LOOK_SECONDS = 1.0
"""How often it is looked whether the turn is over while no further window is wanted."""
PUT_OFF = 3
"""So often a turn is asked for anew: on a machine that is busier than that it comes late all the same."""
SHUT = Window(frozenset(), 0.0)


class _Out:
    """A row on its way, the window under which its message may be begun, and when it got its part of the budget: None, not yet."""

    __slots__ = ("granted", "row", "window")

    def __init__(self, row: Row, window: Window) -> None:
        self.row = row
        self.window = window
        self.granted = window.granted


class Carrier:
    """Carries one shard: the cargo of a pool. Every message that was begun has its outcome in the ledger when `carry` returns."""

    def __init__(
        self,
        work: Work,
        journal: Journal,
        turn: Turn,
        *,
        pool: Pool,
        envelopes: Envelopes,
        recorder: Recorder,
        load: Load | None = None,
    ) -> None:
        """Remember the parts. load: what others carry of the same shard, through other relays; None: nobody does."""
        self._work = work
        self._journal = journal
        self._until, self._halt, self._opened = turn.until, turn.halt, turn.opened
        self._relay, self._limited, self._yields_to = turn.relay, turn.limited, turn.yields_to
        self._probing, self._heeding = turn.probing, turn.heed
        self._in_turn = pacing.in_turn(self._relay)
        self._waiting = 0
        self._away = _TurnedAway(turn.instead)
        self._way = Way()
        self._pool, self._envelopes, self._recorder = pool, envelopes, recorder
        self._load = load or Load(work.rows)
        self._load.carriers.append(self)
        self._allowed: deque[tuple[Row, Window]] = deque()
        self._out: dict[int, _Out] = {}
        self._kept: list[Row] = []
        self._low = pacing.low_water(rate=None)
        self._wanted, self._given = asyncio.Event(), asyncio.Event()
        self._over = False
        self._wait = 0.0
        self._unspent: list[datetime] = []
        self._drawn = 0
        self._limits: set[Limit] = set()
        self._heed_at = time.monotonic() + HEED_SECONDS
        self._speed = Speed()
        self._renewing = asyncio.Lock()
        self._asking: set[asyncio.Future[Window | None]] = set()
        self._clock = Clock(work.lease.planned_at, windows.boot_seconds())  # until the first window tells
        self._date = ""
        self._findings = Findings(partial(recorder.flush, work, lasting=journal.lasting))
        self._grave = False
        self._first = not (work.rows and work.rows[0].tries)

    async def carry(self) -> Carried:
        """Send until nothing is left, the window is refused, or it is time to end; write every outcome."""
        keeper, opener = asyncio.create_task(self._keep()), asyncio.create_task(self._open_windows())
        try:
            begun = await self._pool.send(self, probing=self._probing, in_turn=self._in_turn)
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])
            await self._stop(opener)
            self._recall()
            observed = self._speed.lately(self._drawn)
            # First: a database that cannot write what was learned must not cost us what became of the mail.
            await self._findings.write(everything=True)
            await self._learn(observed)
            await self._give_back_budget()
        opener.result()
        return Carried(begun, self._load.left, timedelta(seconds=self._wait), self._away.by)

    async def _stop(self, opener: "asyncio.Task[None]") -> None:
        """Let what asks for windows come to its end: one that is announced after the lease is given back would be in doubt."""
        self._over = True
        self._wanted.set()
        await asyncio.wait([opener])
        if self._asking:
            await asyncio.wait(self._asking)

    # What the pool asks.

    def draw(self) -> Envelope | None:
        """Return the next envelope that an open window allows; ask for another window before the last one runs dry."""
        while self._allowed and not self._until():
            row, window = self._allowed[0]
            if not window.is_open:
                self._recall()
                break
            self._allowed.popleft()
            if not self._in_turn and (not self._allowed or (len(self._allowed) < self._low and self._load.ahead)):
                self._wanted.set()
            try:
                envelope = self._envelopes.make(self._work, row, self._date)
            except Invalid as error:
                # One reader's values could not be written into the message: theirs fails, the others go.
                self._findings.add_unmade(Result(row.id, DeliveryState.REJECTED, reason=error.message))
                self._leave(window.granted)
                continue
            self._out[row.id] = _Out(row, window)
            self._drawn += 1
            return envelope
        self._wanted.set()
        self._given.clear()
        return None

    async def more(self) -> bool:
        """Wait for the next window; False when there will be none."""
        while not self._allowed:
            if self._over:
                return False
            # What was given may have gone to others: who waits on wakes whoever opens the next, and does so for itself.
            self._wanted.set()
            self._waiting += 1
            await self._given.wait()
            self._waiting -= 1
            self._given.clear()
        return not self._until()

    async def turn(self, envelope: Envelope) -> bool:
        """Wait for an envelope's turn in the relay's pace: asked for anew where it came too long before this moment."""
        out, asked = self._out[envelope.key], 0
        while out.granted is None or (self._way.late(out.granted) and asked < PUT_OFF):
            if self._away.enough or self._until():
                return False
            anew = partial(self._recorder.grant_anew, self._relay, self._work.lease, granted=out.granted)
            grant, at = await asyncio.to_thread(anew)
            out.granted, asked = at if grant.messages else None, asked + 1
            if grant.wait_seconds > budget.PATIENCE_SECONDS:
                return False
            await asyncio.sleep(grant.wait_seconds)
        return True

    def clear(self, envelope: Envelope) -> bool | None:
        """Mark the body as begun and look whether its window is still open; None when it must be opened again."""
        out = self._out[envelope.key]
        if self._halt():
            return False
        self._journal.begin(out.row.position)
        if out.window.is_open:
            return True
        self._journal.withdraw(out.row.position)
        return None

    async def cleared(self, envelope: Envelope) -> bool:
        """Open the window again for one who waits for a slow relay; return whether the body may be begun."""
        out = self._out[envelope.key]
        while (may := self.clear(envelope)) is None:
            await self._renew(out)
            if not out.window.allowed:
                return False
        return may

    def withheld(self, envelope: Envelope) -> None:
        """Leave an envelope for another turn."""
        out = self._out.pop(envelope.key)
        self._kept.append(out.row)
        self._leave(out.granted)

    def done(self, envelope: Envelope, outcome: Outcome) -> None:
        """Keep what became of an envelope until there is enough to write."""
        row = self._out.pop(envelope.key).row
        accepted = isinstance(outcome, Accepted)
        if not isinstance(outcome, Uncertain):
            self._journal.answered(row.position, accepted=accepted)
        # What was taken is not tried again, whatever the time: seven thousand a second need not ask for it.
        now = self._clock.told if accepted else self._clock.now
        judged = self._judged(row, outcome, now=now)
        self._findings.add(judged)
        if judged.cls and thresholds.breaches(self._findings.classes, first=self._first):
            # What is still allowed waits: each further one would hear the same.
            self._grave = True
            self._recall()
            self._wanted.set()
        if self._away.told(judged.elsewhere):
            self._over = True
            self._recall()
            self._wanted.set()
            self._given.set()
        if judged.limit:
            # Learned now and not with the next window: what is still allowed was allowed at the pace that was too fast.
            self._limits.add(judged.limit)
            self._wanted.set()

    def _judged(self, row: Row, outcome: Outcome, *, now: datetime) -> outcomes.Judged:
        lease, instead = self._work.lease, self._away.instead
        unstopped = lease.lane is thresholds.UNSTOPPED
        return outcomes.judge(
            row, outcome, kind=lease.kind, now=now, ends=lease.expires_at, instead=instead, unstopped=unstopped
        )

    # Beside the wire.

    async def _open_windows(self) -> None:
        """Open one window after the other, each a little before it is needed."""
        try:
            while not (self._over or self._until()) and (self._load.ahead or self._allowed):
                if not self._plenty:
                    await self._next_window()
                if self._over:
                    break
                await self._until_wanted()
                await self._learn(self._speed.lately(self._drawn))
                # Without a journal nothing new is begun while what became of the rest cannot be written.
                grave, self._grave = self._grave, False
                await self._findings.write(everything=grave or not self._journal.lasting)
        finally:
            self._over = True
            self._given.set()

    @property
    def _plenty(self) -> bool:
        """Whether what is allowed lasts for a while: who asked for more while the last window was opened has it by now."""
        return not self._in_turn and len(self._allowed) >= self._low and self._allowed[0][1].is_open

    async def _until_wanted(self) -> None:
        """Wait until another window is, or until it is time to end: nobody may be left to say so."""
        while not (self._wanted.is_set() or self._until()):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), LOOK_SECONDS)
        self._wanted.clear()

    async def _next_window(self) -> None:
        """Open a window over the next rows, as large as the wire has shown that it can use."""
        await self._heed()
        if self._over:
            return
        first = not self._speed.known
        rate = self._speed.step(self._drawn)
        self._low = pacing.low_water(rate=rate)
        size = pacing.window_size(rate=rate, open_already=len(self._allowed))
        if len(self._load.carriers) > 1:
            # No more than its pace can use, or than its part: what is asked for is nobody else's until the answer, and who
            # finds nothing left is done.
            part = (self._relay.rate or 0.0) * WINDOW_SECONDS or len(self._load.ahead) / len(self._load.carriers)
            size = min(size, max(1, math.ceil(part)))
        if self._in_turn:
            size = min(size, self._waiting)  # what nobody can introduce at once would have to be granted anew
        size = max(1, min(size, await self._room()))
        # Out of the queue while they are asked for: a window that closes meanwhile puts back what it leaves, wherever it belongs.
        rows = [self._load.ahead.popleft() for _ in range(min(size, len(self._load.ahead)))]
        if not rows:
            if not self._allowed:
                self._wanted.set()  # others have taken the last of them meanwhile
            return
        window = None
        try:
            window = await self._ask(rows, relay=self._relay if self._limited else None)
        finally:
            self._put_back(rows[len(window.asked) if window else 0 :])
        if window is None or window.wait > budget.PATIENCE_SECONDS:
            self._wait = min(window.wait, LONGEST_WAIT_SECONDS) if window else self._rest
            self._over = True
        elif not window.asked:
            self._wanted.set()
            await asyncio.sleep(window.wait)
        else:
            self._take(window)
            if self._grave or self._over:
                self._recall()  # refused, while this one was asked for
            if first and window.allowed:
                await asyncio.to_thread(self._opened)

    async def _room(self) -> int:
        """Return how many more may be begun before what became of others is written."""
        most = FLUSH + WINDOW_MESSAGES
        if self._load.unwritten >= most:
            await self._findings.write(everything=True)
        return most - self._load.unwritten

    @property
    def _rest(self) -> float:
        """Seconds for which a shard rests that may not be sent now: taken again at once it would be given back at once."""
        return 0.0 if self._drawn else REST_SECONDS

    async def _ask(self, rows: Sequence[Row], *, relay: Relay | None) -> Window | None:
        unspent, self._unspent = (self._unspent, []) if relay else ([], self._unspent)
        asking = asyncio.get_running_loop().run_in_executor(None, self._open, rows, relay, unspent)
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        # Shielded: a session that dies while it waits takes nobody else's permission with it, and `_stop` waits for the answer.
        window = await asyncio.shield(asking)
        if window and window.granted:
            self._way.came(window.granted)
        if window and window.wait > budget.PATIENCE_SECONDS:
            log.info("budget spent", relay=self._relay.name, limit=window.why, wait=round(window.wait))
        return window

    def _open(self, rows: Sequence[Row], relay: Relay | None, unspent: Sequence[datetime]) -> Window | None:
        self._heeding()
        database, lease, first = self._recorder.database, self._work.lease, self._yields_to
        return windows.open(database, lease, rows, relay=relay, unspent=unspent, yields_to=first)

    def _take(self, window: Window) -> None:
        """Allow the rows of a new window; forget those that are cancelled since the lease, or by the window itself."""
        self._hear(window)
        self._date = self._today()
        self._allowed.extend((row, window) for row in window.asked if row.id in window.allowed)
        self._given.set()

    def _hear(self, window: Window) -> None:
        """Set the clock by which outcomes are judged: every window brings the database's time."""
        self._clock = window.clock or self._clock
        if window.allowed and not window.is_open:
            self._recorder.born_closed(self._work.lease, window)

    def _recall(self) -> None:
        """Take back what was allowed and not begun: its window has closed, or will."""
        for _, window in self._allowed:
            self._leave(window.granted)
        self._put_back([row for row, _ in self._allowed])
        self._allowed.clear()

    def _leave(self, granted: Clock | None) -> None:
        """Remember to give back what was paid for then and is not begun."""
        if granted:
            self._unspent.append(granted.told)

    def _put_back(self, rows: Sequence[Row]) -> None:
        """Leave rows for another window, in the order of the shard: a window is opened from its first row to its last."""
        if rows:
            self._load.put_back(rows)

    async def _renew(self, out: _Out) -> None:
        """Open a window again over all who wait behind closed ones."""
        async with self._renewing:
            if out.window.is_open or not out.window.allowed:
                return
            waiting = sorted((one for one in self._out.values() if not one.window.is_open), key=_place)
            renewed = await self._ask([one.row for one in waiting], relay=None) or SHUT
            self._hear(renewed)
            for one in waiting:
                one.window = renewed if one.row.id in renewed.allowed else SHUT

    async def _give_back_budget(self) -> None:
        if self._limited and self._unspent:
            await asyncio.to_thread(self._recorder.refund, self._relay, self._work.lease, self._unspent)

    async def _learn(self, observed: float) -> None:
        """Go slower where a relay or a provider asked for it; `observed`: the messages a second that were too many."""
        if self._limits:
            limits, self._limits = self._limits, set()
            self._pay_from_now_on()
            lesson = partial(self._recorder.learn, self._relay, self._work.lease.provider, limits, observed=observed)
            await asyncio.to_thread(lesson)

    async def _heed(self) -> None:
        """Look now and then whether others learned that this relay or provider is to be spared."""
        if self._limited or time.monotonic() < self._heed_at:
            return
        self._heed_at = time.monotonic() + HEED_SECONDS
        if await asyncio.to_thread(self._recorder.limited, self._relay, self._work.lease.provider):
            self._pay_from_now_on()

    def _pay_from_now_on(self) -> None:
        """Ask again for what was allowed, at the pace that holds now."""
        self._recall()
        self._limited = True

    def _today(self) -> str:
        """What may go twice goes with the same bytes, the hour of its planning among them."""
        again = self._work.lease.kind in AT_LEAST_ONCE
        return format_datetime(self._work.lease.planned_at if again else self._clock.now)

    @property
    def kept(self) -> int:
        """How many were drawn and not begun."""
        return len(self._kept)

    @property
    def unwritten(self) -> int:
        """How many messages are out, or may be begun, of which nothing is written yet."""
        return len(self._findings) + len(self._out) + len(self._allowed)

    async def _keep(self) -> None:
        """Write what waits; extend the lease while a slow server is waited for: a window is extended by being opened."""
        for beat in count(1):
            await asyncio.sleep(WAIT_SECONDS)
            self._findings.write_late()
            if beat % KEEP_LEASE_BEATS == 0:
                await asyncio.to_thread(self._recorder.extend, self._work.lease)


TURNED_AWAY = 3
"""Refusals of us in a row after which a relay is left for another."""


class _TurnedAway:
    """Whether a relay refuses us, told by its answers: so many in a row, or all there were.

    instead  as of `Turn`
    enough   it has refused us so often in a row, once: nothing more is introduced to it
    """

    def __init__(self, instead: bool) -> None:
        self.instead = instead
        self.enough = False
        self._answers, self._in_a_row = 0, 0
        self._last: Refusal | None = None

    def told(self, by: Refusal | None) -> bool:
        """Hear of an answer, how it refused us or None; return whether it was enough by now."""
        self._answers += 1
        self._in_a_row = self._in_a_row + 1 if by else 0
        self._last = by or self._last
        self.enough |= self._in_a_row >= TURNED_AWAY
        return self.enough

    @property
    def by(self) -> Refusal | None:
        """Return the last refusal where the relay turned us away in the end."""
        return self._last if self._in_a_row and self._in_a_row >= min(TURNED_AWAY, self._answers) else None


def _place(out: _Out) -> int:
    return out.row.position
