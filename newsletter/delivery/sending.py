"""The engine room: lease → window → stamp → relay → record, shard after shard of a lane.

One `Sender` lives as long as its process, with its event loop, its connections and its stampers. What talks to the database
runs in a thread and in transactions that are closed before the wire is touched; outcomes are written 500 at a time while the
next window is already under way.
"""

import asyncio
import os
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial

import structlog
import uvloop

from newsletter.composer.stamping import Person, Stamper
from newsletter.database import Database
from newsletter.delivery import leasing, outcomes, pacing, windows
from newsletter.delivery.windows import Window
from newsletter.errors import Invalid
from newsletter.ledger import books, deliveries, shards, variants
from newsletter.ledger.deliveries import DeliveryState, Result, Row
from newsletter.ledger.mailings import Kind
from newsletter.relay.envelope import Envelope
from newsletter.relay.opening import Unreachable
from newsletter.relay.outcome import Outcome
from newsletter.relay.pool import Pool
from newsletter.relay.target import Relay
from newsletter.subscribers import subscriptions, suppression
from newsletter.tokens import Tokens

log = structlog.get_logger()

FLUSH = 500
STAMPERS = 64
KEEP_LEASE_SECONDS = 20.0
RELAY_AWAY = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sends: the From address (wire form), and the domain of return paths, None where bounces come to From."""

    sender: str
    bounce_domain: str | None
    owner: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")

    @property
    def domain(self) -> str:
        """The sending domain."""
        return self.sender.rpartition("@")[2]


class Sender:
    """Sends the shards of lanes. Made after any fork; `close` when done. Not for use by two threads at once."""

    def __init__(self, database: Database, tokens: Tokens, relays: Mapping[str, Relay], identity: Identity) -> None:
        self.database = database
        self._tokens = tokens
        self._relays = relays
        self._identity = identity
        self._pools: dict[Relay, Pool] = {}
        self._stampers: OrderedDict[int, Stamper] = OrderedDict()
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        # A window and a flush at once; every further thread would keep a heap of its own (10 MB a child).
        self._runner.get_loop().set_default_executor(ThreadPoolExecutor(max_workers=2))

    def work(self, lane: str, *, seconds: float, before_lease: Callable[[], object] = lambda: None) -> int:
        """Send shard after shard of a lane until nothing is due or the time is over; return how many messages were begun.

        before_lease   called before each lease: wishes that waited elsewhere come first
        """
        end = time.monotonic() + seconds
        begun = 0
        while time.monotonic() < end:
            before_lease()
            with self.database.transaction() as session:
                work = leasing.lease(session, lane, owner=self._identity.owner)
            if work is None:
                break
            try:
                begun += self._runner.run(_Run(self, work, end).complete())
            except Unreachable as unreachable:
                self.give_back(work.lease, after=RELAY_AWAY)
                log.warning("relay unreachable", lane=lane, **unreachable.facts)
                raise
        return begun

    def close(self) -> None:
        """Say QUIT on every connection and end the loop."""
        for pool in self._pools.values():
            self._runner.run(pool.close())
        self._runner.close()

    def give_back(self, lease: shards.Lease, *, after: timedelta = timedelta(0)) -> None:
        """Return a shard of which every begun message has its outcome."""
        with self.database.transaction() as session:
            shards.release(session, lease, after=after)

    def pool(self, lane: str) -> Pool:
        """Return the lane's pool of connections, made on first use and kept."""
        relay = self._relays[lane]
        if relay not in self._pools:
            self._pools[relay] = Pool(relay, helo=self._identity.domain)
        return self._pools[relay]

    def stamper(self, variant_id: int) -> Stamper:
        """Return the stamper of a variant, loaded on first use; the last 64 are kept."""
        stamper = self._stampers.get(variant_id)
        if stamper is None:
            with self.database.transaction() as session:
                stamper = Stamper(variants.load(session, variant_id))
            self._stampers[variant_id] = stamper
            if len(self._stampers) > STAMPERS:
                self._stampers.popitem(last=False)
        else:
            self._stampers.move_to_end(variant_id)
        return stamper

    def envelope(self, work: leasing.Work, row: Row, date: str) -> Envelope:
        """Return one recipient's finished envelope."""
        lease, reader, tokens = work.lease, work.readers[row.mailbox_id], self._tokens
        harmless = row.subscriber_id is None
        subscriber, digest = row.subscriber_id or 0, lease.digest_id or 0
        person = Person(
            address=reader.address,
            name=reader.name,
            reference=reader.reference,
            leave_token=tokens.harmless() if harmless else tokens.leave(subscriber, digest, lease.mailing_id),
            preferences_token=tokens.harmless() if harmless else tokens.preferences(subscriber),
            message_id=tokens.message_id(lease.mailing_id, row.mailbox_id, row.occasion, self._identity.domain),
            date=date,
        )
        return Envelope(
            row.id, self._return_path(lease, row), reader.address, self.stamper(row.variant_id).stamp(person)
        )

    def _return_path(self, lease: shards.Lease, row: Row) -> str:
        if self._identity.bounce_domain is None:
            return self._identity.sender
        return f"{self._tokens.return_path(lease.mailing_id, row.mailbox_id)}@{self._identity.bounce_domain}"

    def flush(self, work: leasing.Work, results: list[Result], dead: list[int]) -> None:
        """Write outcomes, what they say of addresses, and up to where readers have had the digest: one transaction."""
        lease = work.lease
        by_id = {row.id: row for row in work.rows}
        handed = [r for r in results if r.state in (DeliveryState.ACCEPTED, DeliveryState.UNCERTAIN)]
        readers = [reader for result in handed if (reader := by_id[result.id].subscriber_id) is not None]
        with self.database.transaction() as session:
            deliveries.record(session, lease, results)
            for delivery_id in dead:
                suppression.weigh_dead(session, by_id[delivery_id].mailbox_id)
            if lease.kind == Kind.DIGEST and lease.digest_id is not None and lease.had_to is not None and readers:
                subscriptions.moved(session, lease.digest_id, readers, had_to=lease.had_to)

    def finish(self, lease: shards.Lease) -> None:
        """End a shard of which nothing is left, and close the mailing's books when it was the last."""
        with self.database.transaction() as session:
            if shards.end(session, lease):
                books.finish(session, lease.mailing_id)


class _Run:
    """One leased shard on its way."""

    def __init__(self, sender: Sender, work: leasing.Work, end: float) -> None:
        self._sender = sender
        self._work = work
        self._end = end
        self._pool = sender.pool(work.lease.lane)
        self._left = list(work.rows)
        self._by_id = {row.id: row for row in work.rows}
        self._results: list[Result] = []
        self._dead: list[int] = []
        self._flush: asyncio.Future[None] | None = None

    async def complete(self) -> int:
        keeper = asyncio.create_task(self._keep_lease())
        begun = 0
        try:
            begun = await self._send_all()
        finally:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
            await self._write(everything=True)
        if self._left:
            await asyncio.to_thread(self._sender.give_back, self._work.lease)
        else:
            await asyncio.to_thread(self._sender.finish, self._work.lease)
        log.info(
            "shard",
            shard=self._work.lease.shard_id,
            mailing=self._work.lease.mailing_id,
            begun=begun,
            left=len(self._left),
        )
        return begun

    async def _send_all(self) -> int:
        rate = self._pool.relay.rate
        total, last = 0, None
        while self._left:
            size = pacing.window_size(last_begun=last, rate=rate)
            asked = time.monotonic()
            window = await asyncio.to_thread(windows.open, self._sender.database, self._work.lease, self._left[:size])
            if window is None:
                break
            self._drop(self._left[:size], window)
            if window.rows:
                last = await self._send(window)
                total += last
            await self._write()
            if wait := pacing.pause_after(last or 0, rate=rate, took_seconds=time.monotonic() - asked):
                await asyncio.sleep(wait)
            if time.monotonic() > self._end:
                break
        return total

    def _drop(self, asked: list[Row], window: Window) -> None:
        """Forget the rows that were cancelled since the lease, or put them off while their variant is held."""
        allowed = {row.id for row in window.rows}
        refused = {row.id for row in asked} - allowed
        if refused:
            self._left = [row for row in self._left if row.id not in refused]
            # Cancelled rows keep their state (record passes them over); held ones look again in five minutes.
            due = datetime.now(UTC) + timedelta(minutes=5)
            self._results += [Result(row_id, DeliveryState.DEFERRED, reason="held", due_at=due) for row_id in refused]

    async def _send(self, window: Window) -> int:
        begun: set[int] = set()

        def begin(envelope: Envelope) -> bool:
            if not window.is_open:
                return False
            begun.add(envelope.key)
            return True

        await self._pool.send(self._envelopes(window), begin=begin, done=self._done)
        gone = begun | {result.id for result in self._results}
        self._left = [row for row in self._left if row.id not in gone]
        return len(begun)

    def _envelopes(self, window: Window) -> Iterator[Envelope]:
        date = format_datetime(datetime.now(UTC))
        for row in window.rows:
            if not window.is_open:
                return
            try:
                yield self._sender.envelope(self._work, row, date)
            except Invalid as error:
                # One reader's values could not be written into the message: theirs fails, the others go.
                self._results.append(Result(row.id, DeliveryState.REJECTED, reason=error.message))

    def _done(self, envelope: Envelope, outcome: Outcome) -> None:
        row = self._by_id[envelope.key]
        judged = outcomes.judge(row, outcome, kind=self._work.lease.kind, now=datetime.now(UTC))
        self._results.append(judged.result)
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
            flush = partial(self._sender.flush, self._work, self._results, self._dead)
            self._results, self._dead = [], []
            self._flush = asyncio.get_running_loop().run_in_executor(None, flush)
        if everything and self._flush is not None:
            await self._flush
            self._flush = None

    async def _keep_lease(self) -> None:
        """Extend the lease while a slow server is waited for; a window is extended by being opened."""
        while True:
            await asyncio.sleep(KEEP_LEASE_SECONDS)
            await asyncio.to_thread(self._extend)

    def _extend(self) -> None:
        with self._sender.database.transaction() as session:
            shards.extend(session, self._work.lease)
