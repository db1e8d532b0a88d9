"""The engine room: lease → window → stamp → relay → record, shard after shard of a lane.

One `Sender` lives as long as its process, with its event loop, its connections and its stampers. What talks to the database
runs in a thread and in transactions that are closed before the wire is touched; outcomes are written 500 at a time while the
next window is already under way.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog
import uvloop

from newsletter import database
from newsletter.database import Database, Session
from newsletter.delivery import journal, knocking, leasing, recovery, standing, throttle, vouching, watching, yielding
from newsletter.delivery.carrying import Carrier
from newsletter.delivery.crowding import Room
from newsletter.delivery.envelopes import Envelopes, Identity
from newsletter.delivery.load import Load
from newsletter.delivery.recording import PATIENCE_SECONDS, Recorder
from newsletter.delivery.resting import SLOW_SECONDS, Rest
from newsletter.delivery.turns import Carried, Refusal, Term, Turn
from newsletter.delivery.vouching import House, NotVouched
from newsletter.ledger import shards
from newsletter.ledger.mailings import Kind, Lane
from newsletter.relay.opening import Cause, Unreachable
from newsletter.relay.pool import Pool
from newsletter.relay.target import Relay
from newsletter.relay.verdict import Class
from newsletter.tokens import Tokens

log = structlog.get_logger()

STUCK = timedelta(minutes=1)
"""How long a shard rests that has neither mail to send nor an outcome for each row."""

REMEMBERS_WITHIN = 1_000
"""Milliseconds so long an alert waits for a place in the audit: usually it has one at once."""

LOOK_SECONDS, LOOK_ON_SECONDS = 0.25, 0.75
"""How often, and for how long, it is looked again for readers who wait for an older mail; after that a sweep does."""


def _nothing() -> None:
    """Nobody wants to be told."""


def _away(found: BaseException) -> bool:
    """Surprises first: that a relay does not answer is none."""
    return isinstance(found, Unreachable)


class Sender:
    """Sends the shards of lanes. Made after any fork; `close` when done. Not for use by two threads at once."""

    def __init__(
        self,
        database: Database,
        tokens: Tokens,
        relays: Mapping[Lane, Sequence[Relay]],
        identity: Identity,
        *,
        journals: Path,
        house: House,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """Remember the parts; nothing is opened yet.

        journals   the folder this machine's senders share
        house      by what an alert is judged before it goes
        patience   for how many seconds outcomes that a journal keeps as well wait for a database that cannot write
        """
        self.database = database
        self._journals = journals
        self._relays = relays
        self._identity = identity
        self._rooms: dict[Relay, Room] = {}
        self._dice = random.Random()  # noqa: S311  (weights of relays are no secret)
        self._house = house
        self._envelopes = Envelopes(database, tokens, identity)
        self._recorder = Recorder(database, patience=patience)
        self._remembered: set[bytes] = set()
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        # A window and a flush at once; every further thread would keep a heap of its own (10 MB a child).
        self._runner.get_loop().set_default_executor(ThreadPoolExecutor(max_workers=2))
        self._rest = Rest(self._wanted, self._quit)

    def work(
        self,
        lane: str,
        *,
        seconds: float,
        heed: Callable[[], object] = _nothing,
        opened: Callable[[], object] = _nothing,
        until: Callable[[], bool] = lambda: False,
    ) -> int:
        """Send shard after shard of a lane until nothing is due or the time is over; return how many messages were begun.

        heed     called before each lease and before each window: wishes that waited elsewhere come first
        opened   called when a first window is open: there may be more for others
        until    asked before each message: True ends with what is on the wire, writes its outcomes and gives back

        A relay is knocked at in time of its own, however long it takes to answer. Sessions end with the work, since nobody knows
        when the next comes and others may need them; but those of what comes first rest where it took long to open one.

        Raises Unreachable when nothing was begun because no relay answers, and what the database raises.
        """
        self._rest.over()
        try:
            return self._work(Lane(lane), Term(seconds, until), heed=heed, opened=opened)
        finally:
            self._leave(Lane(lane))

    def _work(self, lane: Lane, term: Term, *, heed: Callable[[], object], opened: Callable[[], object]) -> int:
        if not self._identity.sender:
            # Its every message would be refused as one reader's fault; whoever released them had a sender.
            log.error("nothing is sent", lane=lane, why="NEWSLETTER_SENDER is not set where this worker runs")
            return 0
        begun, unreachable = 0, None
        crowded = set[Relay]()
        look_until = 0.0
        yields_to = self._relays[Lane.URGENT] if lane is Lane.BULK else ()
        while not term.over():
            heed()
            recovery.reclaim(self.database, self._journals)
            choice = self._choose(lane, crowded)
            if choice.relay is None:
                log.warning("no relay", lane=lane, why=choice.why, relays=[one.name for one in self._relays[lane]])
                break
            if not choice.probe and not self._has_room(choice.relay, lane):
                if choice.relay in crowded and not self._waits(choice.relay, lane, term):
                    break
                crowded.add(choice.relay)
                continue
            turn = Turn(
                choice.relay, False, term.over, term.until, opened, yields_to, heed, choice.probe, choice.instead
            )
            try:
                carried = self._carry_next(turn, choice, lane, term)
            except Unreachable as error:
                if error.crowded:
                    self._found_none(choice.relay, lane, error)
                    crowded.add(choice.relay)
                else:
                    unreachable = error
                    self._leave_out(choice.relay, lane, error)
                continue
            if carried is None:
                if time.monotonic() > look_until:
                    break
                time.sleep(LOOK_SECONDS)
                continue
            begun += carried.begun
            if carried.waits:
                look_until = time.monotonic() + LOOK_ON_SECONDS
            if begun:
                opened = _nothing
            self._heard(choice, carried)
        if unreachable and not begun:
            raise unreachable
        return begun

    def _heard(self, choice: throttle.Choice, carried: Carried) -> None:
        """Tell all senders what a turn showed of its relay."""
        assert choice.relay is not None
        if carried.refused:
            self._turned_away(choice.relay, carried.refused)
        elif choice.probe:
            self._mark(standing.answered, choice.relay)

    def _carry_next(self, turn: Turn, choice: throttle.Choice, lane: Lane, term: Term) -> Carried | None:
        """Carry the next shard of a lane; return what was done, None where nothing is due. Raises Unreachable."""
        if not self._answers(choice, lane, term):
            return None
        work, turn = self._take(lane, turn)
        if work is None:
            return None
        if work.waits and not work.rows:
            return Carried(0, work.waits, waits=True)
        if not self._vouch(work):
            return Carried(0, len(work.rows))
        turns = [turn, *self._beside(turn, work.lease)]
        return self._carry(work, [self._as_guest(one) for one in turns])

    def _waits(self, relay: Relay, lane: Lane, term: Term) -> bool:
        """Wait until a crowded relay may be asked again, where no other is left. False: bulk mail looks again later."""
        if lane is not Lane.BULK:
            self._room(relay).wait(lane, term.over)
        return lane is not Lane.BULK

    def _found_none(self, relay: Relay, lane: Lane, error: Unreachable) -> None:
        """It answers, and others have all the sessions that it bears."""
        self._mark(standing.answered, relay)
        self._room(relay).found_none(lane, str(error.facts["reason"]))

    def _has_room(self, relay: Relay, lane: Lane) -> bool:
        """Give up sessions that what comes first is in need of; return whether a lane may use any at a relay now."""
        return self._runner.run(self._room(relay).make(lane))

    def _as_guest(self, turn: Turn) -> Turn:
        """Return a turn that ends once its sessions are wanted: what is not on the wire by then goes in another."""
        room = self._room(turn.relay)

        def heed() -> None:
            turn.heed()
            room.look()

        return replace(turn, heed=heed, until=lambda: room.wanted or turn.until())

    def _beside(self, turn: Turn, lease: shards.Lease) -> list[Turn]:
        """Return the turns of the other relays with a pace: one sender gives a shard to all of them at once."""
        lane, relays = lease.lane, self._relays[lease.lane]
        if turn.probing or len(relays) < 2:
            return []
        with self.database.transaction() as session:
            now = database.now(session)
            found = throttle.beside(session, relays, lane, lease.provider, turn.relay, now=now)
        return [replace(turn, relay=relay, limited=True, opened=_nothing, instead=True) for relay in found]

    def _answers(self, choice: throttle.Choice, lane: Lane, term: Term) -> bool:
        """Have a session with a relay of which nobody here knows whether it answers, before mail is taken for it.

        False: nothing is due, so that nobody need know. Raises Unreachable.
        """
        assert choice.relay is not None
        room = self._room(choice.relay)
        if room.pool.resting and not room.pool.doubted and not choice.probe:
            return True
        with self.database.transaction() as session:
            if shards.next_mailing(session, lane) is None:
                return False
        term.lengthen(self._runner.run(self._knock(choice, choice.relay, lane)))
        return True

    async def _knock(self, choice: throttle.Choice, relay: Relay, lane: Lane) -> float:
        """Have a session with a relay; return how many seconds that took. Raises Unreachable."""
        room, began = self._room(relay), time.monotonic()
        await knocking.knock(room.pool, choice, self.database)
        took = time.monotonic() - began
        room.had(opened_in=took, lane=lane)
        return took

    def _take(self, lane: Lane, turn: Turn) -> tuple[leasing.Work | None, Turn]:
        """Lease the next shard of a lane, unless hands are wanted elsewhere; return it with how it is to be carried."""
        with self.database.transaction() as session:
            if turn.yields_to and yielding.wanted(session, turn.yields_to):
                return None, turn
            work = leasing.lease(session, lane, owner=self._identity.owner, journals=self._journals)
            limited = work is not None and throttle.limited(session, turn.relay, work.lease.provider)
        return work, replace(turn, limited=limited)

    def _choose(self, lane: Lane, crowded: Collection[Relay]) -> throttle.Choice:
        shut = {relay: self._room(relay).shut(lane) for relay in crowded}
        strange = {relay for relay in crowded if self._room(relay).strange(lane)}
        with self.database.transaction() as session:
            now, chance = database.now(session), self._dice.random()
            relays = self._relays[lane]
            return throttle.choose(session, relays, lane, chance=chance, now=now, crowded=shut, strange=strange)

    def _vouch(self, work: leasing.Work) -> bool:
        """Look at an alert or a drill before any of it goes; where it is not what was approved, halt it and say so."""
        lease = work.lease
        try:
            with self.database.transaction() as session:
                manifest = vouching.vouched(session, lease, work.rows, self._house, now=database.now(session))
                if manifest is not None:
                    for variant in {row.variant_id for row in work.rows}:
                        self._envelopes.require(session, manifest, lease, variant)
        except NotVouched as refused:
            with self.database.transaction() as session:
                vouching.refuse(session, lease, refused, now=database.now(session))
            return False
        if lease.kind is Kind.ALERT and lease.fingerprint not in self._remembered:
            self._remember(lease)
        return True

    def _remember(self, lease: shards.Lease) -> None:
        """Write down that an alert goes as it was locked. Any role may hold the audit shut: it goes all the same.

        Then whoever takes its next shard tries again; where nobody can, what takes it back is judged by the rules of that day.
        """
        try:
            with self.database.impatient(REMEMBERS_WITHIN) as session:
                vouching.remember(session, lease, now=database.now(session))
        except database.HeldUp as held:
            log.error("vouched for, and not written down", mailing=lease.mailing_id, why=held.cause)
        else:
            self._remembered.add(lease.fingerprint)

    def _mark(self, what: Callable[[Session, Relay], None], relay: Relay) -> None:
        """Tell all senders that a relay does not answer, or does again."""
        with self.database.transaction() as session:
            what(session, relay)

    def _leave_out(self, relay: Relay, lane: Lane, error: Unreachable) -> None:
        """Let others have the mail of a relay that does not answer. One that refuses us, where all others do, halts the mailing.

        One that is away for a while is waited for: it can still carry it. Alerts and answers to people go on by themselves once
        it is mended: nobody might be awake to say so.
        """
        log.warning("relay unreachable", lane=lane, **error.facts)
        probe = standing.REFUSED if error.refused else standing.PROBE
        with self.database.transaction() as session:
            standing.closed(session, relay, probe=probe, refuses=error.refused is not None)
            if error.refused and lane is Lane.BULK and standing.all_refuse(session, self._relays[lane]):
                why = "login" if error.cause is Cause.LOGIN else "unwelcome"
                mailing = shards.next_mailing(session, lane)
                if mailing:
                    watching.halt(session, mailing, lane, why, now=database.now(session))

    def _turned_away(self, relay: Relay, by: Refusal) -> None:
        """Leave to the others what a relay refuses to take from us: it counts as away, and is asked again in a minute.

        Whose pace or quota it was is remembered as such, and no reason to ask nothing of it.
        """
        log.warning("relay refuses us", relay=relay.name, why=str(by.cls))
        if by.cls is not Class.RATE:
            self._mark(partial(standing.closed, probe=standing.REFUSED, refuses=by.lasting), relay)

    def _carry(self, work: leasing.Work, turns: Sequence[Turn]) -> Carried:
        """Carry one shard, then end it or give it back. Its journal stays when the ledger does not know everything.

        A relay that cannot be reached has begun nothing: the shard goes back at once, and the next lease asks another.
        """
        lease = work.lease
        journal.remove(self._journals, lease.shard_id, lease.fence - 1)
        marks = journal.Journal.open(self._journals, lease)
        known = False
        try:
            carried = self._carried(work, marks, turns)
            known = self._put_down(lease, carried)
        except Unreachable:
            self._recorder.give_back(lease)
            with self.database.transaction() as session:
                shards.not_begun(session, lease)
            known = True
            raise
        except database.PASSING:
            if not marks.lasting:
                # What was begun is written. Of what was announced beside it nobody else could say that it was not begun.
                self._recorder.give_back_patiently(lease)
            raise
        finally:
            marks.close(remove=known)
        log.info("shard", shard=lease.shard_id, mailing=lease.mailing_id, begun=carried.begun, left=carried.left)
        return carried

    def _carried(self, work: leasing.Work, marks: journal.Journal, turns: Sequence[Turn]) -> Carried:
        """Carry a shard through all of these relays at once. Raises what one raises, and Unreachable where none of them answers."""
        load = Load(work.rows)
        carriers = [self._carrier(work, marks, turn, load) for turn in turns]
        found = self._runner.run(self._together(carriers, turns, work.lease.lane))
        done = [one for one in found if isinstance(one, Carried)]
        away = [(turn, one) for turn, one in zip(turns, found, strict=True) if isinstance(one, Unreachable)]
        failed = [one for one in found if isinstance(one, BaseException)]
        if len(failed) > len(away) or not done:
            raise min(failed, key=_away)
        for turn, error in away:
            if not error.crowded:
                self._leave_out(turn.relay, work.lease.lane, error)
            else:
                self._found_none(turn.relay, work.lease.lane, error)
        refused = [one.refused if isinstance(one, Carried) else None for one in found]
        for turn, by in zip(turns[1:], refused[1:], strict=True):
            if by:
                self._turned_away(turn.relay, by)
        begun, wait = sum(one.begun for one in done), min(one.wait for one in done)
        return Carried(begun, load.left + work.waits, wait, refused[0], waits=work.waits > 0)

    async def _together(
        self, carriers: Sequence[Carrier], turns: Sequence[Turn], lane: Lane
    ) -> list[Carried | BaseException | None]:
        """Return what became of each: nobody is left on the wire when it does."""
        first = asyncio.ensure_future(self._carry_there(carriers[0], turns[0].relay, lane))
        others = zip(carriers[1:], turns[1:], strict=True)
        company = (self._after_a_knock(one, turn.relay, lane, first) for one, turn in others)
        return await asyncio.gather(first, *company, return_exceptions=True)

    async def _after_a_knock(
        self, carrier: Carrier, relay: Relay, lane: Lane, first: asyncio.Future[Carried]
    ) -> Carried | None:
        """Carry what a relay beside the first takes. One that keeps us waiting keeps nothing of the shard waiting.

        None: it was crowded until the first had done.
        """
        choice = throttle.Choice(relay, others=True)
        while await self._room(relay).made(lane, first):
            try:
                await self._knock(choice, relay, lane)
            except Unreachable as error:
                if not error.crowded:
                    raise
                await asyncio.to_thread(self._found_none, relay, lane, error)
            else:
                return await self._carry_there(carrier, relay, lane)
        return None

    async def _carry_there(self, carrier: Carrier, relay: Relay, lane: Lane) -> Carried:
        """Carry what a relay takes. Where its room is wanted it is given up at once, however long others carry the shard."""
        carried = await carrier.carry()
        if self._room(relay).wanted:
            await self._room(relay).make(lane)
        return carried

    def _carrier(self, work: leasing.Work, marks: journal.Journal, turn: Turn, load: Load) -> Carrier:
        pool = self._room(turn.relay).pool
        return Carrier(work, marks, turn, pool=pool, envelopes=self._envelopes, recorder=self._recorder, load=load)

    def _put_down(self, lease: shards.Lease, carried: Carried) -> bool:
        """Return whether the ledger knows everything now; if its sums do not add up, the journal must stay to be read.

        Such a shard rests for a while and says so: taken at once, it would be taken for ever, and by everybody.
        """
        if carried.left:
            # Who waits for an older mail is asked for again before the others: they have read what is no longer true.
            self._recorder.give_back(lease, after=None if carried.begun and carried.waits else carried.wait)
            return True
        if ended := self._recorder.finish(lease):
            return ended
        log.error("shard does not end", shard=lease.shard_id, mailing=lease.mailing_id, rest=STUCK.total_seconds())
        with self.database.transaction() as session:
            shards.put_off(session, lease, after=STUCK)
        return False

    def close(self) -> None:
        """Say QUIT on every connection and end the loop."""
        self._rest.over()
        self._quit()
        self._runner.close()

    def _leave(self, lane: Lane) -> None:
        """End the sessions of a lane's work, or let them rest."""
        pools = [room.pool for room in self._rooms.values()]
        resting = [one for one in pools if one.resting and one.opened_in > SLOW_SECONDS and lane is not Lane.BULK]
        self._quit(but=resting)
        for one in resting:
            one.doubted = True  # it may fall silent meanwhile: the next work asks before it takes mail
        if resting:
            self._rest.begin()

    def _quit(self, *, but: Collection[Pool] = ()) -> None:
        async def close() -> None:
            await asyncio.gather(*(room.pool.close() for room in self._rooms.values() if room.pool not in but))

        self._runner.run(close())

    def _wanted(self) -> bool:
        """Return whether anybody needs the room of sessions that rest."""
        return any(room.needed_at_rest() for room in self._rooms.values() if room.pool.resting)

    def _room(self, relay: Relay) -> Room:
        """Return the room at a relay with our connections there, made on first use and kept."""
        if relay not in self._rooms:
            self._rooms[relay] = Room(self.database, relay, Pool(relay, helo=self._identity.domain))
        return self._rooms[relay]
