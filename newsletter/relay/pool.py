"""Connections to one relay, and how envelopes are drawn through them.

Up to `relay.connections` sessions draw from one cargo, so the fast one takes more, and each message is stamped only when
somebody is there to send it. Sessions rest from one call to the next, in the loop they were opened in, until somebody ends them.
"""

import asyncio
import math
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Protocol

from newsletter.relay import verdict
from newsletter.relay.connection import Connection
from newsletter.relay.envelope import Envelope
from newsletter.relay.manners import Manners
from newsletter.relay.opening import Cause, Unreachable
from newsletter.relay.outcome import Accepted, Deferred, Outcome, Rejected, Stage, Uncertain
from newsletter.relay.target import Relay

PLAINLY = 3600.0
"""Seconds for which a relay that has shown that it misunderstands pipelines or parameters is spared them."""
ILL = 3
"""Sessions that end under as many envelopes, while nobody hears anything else, are no accident: the relay is ill."""
RESTED_SECONDS = 5.0
"""How long it is waited for whether sessions that rested still live, where no other relay could take the mail."""
CROWDED_SECONDS = 60.0
"""How long a number of sessions that a relay taught is kept before one more is tried."""


class Cargo(Protocol):
    """What is to be sent. `draw`, `clear` and `done` are called within microseconds of each other and must not wait."""

    def draw(self) -> Envelope | None:
        """Return the next envelope that may begin now, or None when there is none now: `more` tells whether to wait."""

    async def more(self) -> bool:
        """Wait until `draw` may give again; False when it never will."""

    async def turn(self, envelope: Envelope) -> bool:
        """Wait until an envelope may be introduced: asked right before it where each goes in turn. False withholds it."""

    def clear(self, envelope: Envelope) -> bool | None:
        """Return whether the message may be begun: asked right before its first byte. None: `cleared` can tell."""

    async def cleared(self, envelope: Envelope) -> bool:
        """Return whether the message may be begun, after asking somebody else. False withholds it, and it stays due."""

    def withheld(self, envelope: Envelope) -> None:
        """Hear that an envelope was drawn and its message not begun, since it was not cleared."""

    def done(self, envelope: Envelope, outcome: Outcome) -> None:
        """Hear what became of an envelope: once for each that was drawn and not withheld, in the order of the answers."""


class Pool:
    """The sessions of one process with one relay. One `send` at a time."""

    def __init__(
        self,
        relay: Relay,
        *,
        helo: str,
        tls_context: ssl.SSLContext | None = None,
        manners: Manners | None = None,
    ) -> None:
        """Remember where to send; nothing is opened yet.

        helo         our own host name for EHLO
        tls_context  certificates to trust instead of the system's
        manners      patience and length of a session instead of what fits the relay
        """
        self.relay = relay
        self._helo = helo
        self._tls = tls_context
        self._manners = manners or Manners.towards(relay)
        self._greeted = False
        self.doubted = False
        """Whether the last session could not be opened: who asks next asks alone, by `knock`."""
        self.opened_in = 0.0
        """How many seconds it took to open the last session."""
        self._plainly_until = 0.0
        self._idle: deque[Connection] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._most, self._most_until = relay.connections, 0.0

    async def send(self, cargo: Cargo, *, probing: bool = False, in_turn: bool = False) -> int:
        """Hand over a cargo and return how many envelopes were drawn and not withheld.

        probing   one session alone begins, and the others once it has been answered
        in_turn   each envelope is introduced as its `turn` comes, by a session that waits for nothing else: one introduced
                  behind a message is heard only when the relay has answered that, and may count in a later second

        Raises opening.Unreachable if no session could be opened and nothing was begun, or if each session ended while nobody
        heard anything else: the cargo has been told of all that was drawn. If sessions die later, the rest is simply not
        drawn. What the cargo raises is raised again once the sessions rest.
        """
        self._settle_in()
        return await _Run(self, cargo, probing=probing, in_turn=in_turn).complete()

    async def knock(self, *, brief: float | None = None, another: Callable[[], bool] = lambda: True) -> None:
        """Have one session open and keep it; raises opening.Unreachable. A dead relay is then asked once, not by all at once.

        brief    seconds after which a relay that has not opened one counts as silent: for whoever has another to send by
        another  asked, in a thread, before another session is tried beside one that waits: False gives it up
        """
        self._settle_in()
        self.doubted = True
        await self.give_back(await self._rested(brief) or await self._patiently(brief, another))
        self.doubted = False

    async def _rested(self, brief: float | None) -> Connection | None:
        """Return a session that still lives, None where none does.

        A path that fell silent took all of them with it: the first that does not answer speaks for the others.
        """
        try:
            async with asyncio.timeout(brief / 2 if brief else RESTED_SECONDS):
                return await self.idle()
        except TimeoutError:
            while self._idle:
                self._idle.pop().abort()
            return None

    async def _patiently(self, brief: float | None, another: Callable[[], bool]) -> Connection:
        """Open a session with a relay that may be ill: one that is not greeted has another tried beside it.

        A relay that takes five minutes to greet is waited for (RFC 5321 §4.5.3.2.1), and one that never will, and is well
        again for others, is found meanwhile.
        """
        tries = set[asyncio.Task[Connection]]()
        patience = self._manners.knock if brief is None else brief
        try:
            while True:
                tries.add(asyncio.create_task(self._open(self._manners)))
                done, tries = await asyncio.wait(tries, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                if not done and (brief is not None or not await asyncio.to_thread(another)):
                    raise Unreachable(self.relay, Cause.SILENT, f"no session within {patience:g} s")
                if done:
                    first, *others = sorted(done, key=lambda one: one.exception() is not None)
                    tries.update(others)
                    return first.result()
        finally:
            for one in tries:
                one.add_done_callback(_abort_late)
                one.cancel()

    def _settle_in(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._idle.clear()  # sessions of a loop that is gone cannot even be closed
            self._loop = loop

    async def close(self) -> None:
        """QUIT all sessions; never raises, waits a few seconds at most."""
        idle, self._idle = self._idle, deque()
        if self._loop is asyncio.get_running_loop():
            await asyncio.gather(*(connection.close() for connection in idle))

    async def borrow(self, *, plainly: bool = False) -> Connection:
        """Return a living session, opened now if none lies idle; raises opening.Unreachable."""
        if not plainly and (connection := await self.idle()):
            return connection
        manners = self._manners
        if self._greeted:
            # Others of its sessions were greeted at once: what keeps this one waiting is no slow relay but an ill one.
            manners = replace(manners, greeting=min(manners.greeting, manners.prompt))
        return await self._open(manners, plainly=plainly)

    async def idle(self) -> Connection | None:
        """Return a living session that lay idle, None where none does."""
        plainly = self._plainly
        while self._idle:
            connection = self._idle.pop()
            if (connection.plainly or not plainly) and await connection.still_there():
                return connection
            await connection.close()
        return None

    async def _open(self, manners: Manners, *, plainly: bool = False) -> Connection:
        began = time.monotonic()
        connection = await Connection.open(
            self.relay,
            helo=self._helo,
            tls_context=self._tls or _system_trust(),
            manners=manners,
            plainly=plainly or self._plainly,
        )
        self._greeted, self.opened_in = True, time.monotonic() - began
        return connection

    @property
    def _plainly(self) -> bool:
        return asyncio.get_running_loop().time() < self._plainly_until

    def speak_plainly(self) -> None:
        """Remember that the relay took without pipelines and parameters what it had not understood with them."""
        self._plainly_until = asyncio.get_running_loop().time() + PLAINLY

    async def give_back(self, connection: Connection) -> None:
        """Keep a session for the next envelope or the next call, or close it if it has served its time.

        One that could not carry a message is asked anew what it offers: limits are raised without ending sessions.
        """
        if connection.usable and not connection.hindered:
            self._idle.append(connection)
        else:
            await connection.close()

    @property
    def resting(self) -> int:
        """How many sessions rest: between two calls, all that are open."""
        return len(self._idle)

    async def keep(self, most: int) -> None:
        """End all sessions that rest but so many, and have no more than these for a while."""
        if self._idle:
            self.crowded(most)
        surplus = [self._idle.popleft() for _ in range(len(self._idle) - most)]
        await asyncio.gather(*(connection.close() for connection in surplus))

    @property
    def sessions(self) -> int:
        """How many sessions to have at once: what the URL says, or fewer where the relay bore no more, one more each minute."""
        if self._most < self.relay.connections and time.monotonic() > self._most_until:
            self._most, self._most_until = self._most + 1, time.monotonic() + CROWDED_SECONDS
        return self._most

    def crowded(self, borne: int) -> None:
        """Learn that the relay wanted no session beside so many."""
        self._most, self._most_until = max(1, borne), time.monotonic() + CROWDED_SECONDS

    @property
    def reconnects(self) -> int:
        """How often one worker of a call may open a new session after one died."""
        return self._manners.reconnects


class _Run:
    """One call of `send`: what its sessions share. To each of them it is the load; what goes wrong in the cargo is kept."""

    def __init__(self, pool: Pool, cargo: Cargo, *, probing: bool, in_turn: bool) -> None:
        self._probing, self._in_turn = probing, in_turn
        self._answered, self._answered_or_over = asyncio.Event(), asyncio.Event()
        self._anew, self._well_at, self._died_at = asyncio.Lock(), -math.inf, -math.inf
        self._ended: set[int] = set()
        self._apart: deque[Envelope] = deque()
        self._plain: set[int] = set()
        self._pool = pool
        self._cargo = cargo
        self._again: deque[Envelope] = deque()
        self._earlier: dict[int, Outcome] = {}
        self._begun = 0
        self._open = self._most = 0
        self._failure: Exception | None = None
        self._unreachable: Unreachable | None = None

    async def complete(self) -> int:
        try:
            ended = await asyncio.gather(
                *(self._work(number) for number in range(self._pool.sessions)), return_exceptions=True
            )
        finally:
            self._leave()
        if self._most and self._unreachable is not None and self._unreachable.crowded:
            # Counted now: it says no at its greeting, while the others of ours still log in.
            self._pool.crowded(self._most)
        # One that fails waits for the others: nothing is on the wire any more when this is told.
        for surprise in ended:
            if surprise is not None:
                raise surprise
        if self._failure is not None:
            raise self._failure
        if (self._begun == 0 or self._ill) and self._unreachable is not None:
            raise self._unreachable
        return self._begun

    @property
    def _ill(self) -> bool:
        """Whether sessions have ended, and nobody heard anything else."""
        return not self._answered.is_set() and len(self._ended) >= (1 if self._probing else ILL)

    def _leave(self) -> None:
        """No session is left for these: what a first try came to holds, and without one they were not begun."""
        self._again += self._apart
        while self._again:
            envelope = self._again.popleft()
            if earlier := self._earlier.get(envelope.key):
                self._tell(envelope, earlier)
            else:
                self.withheld(envelope)

    async def _work(self, number: int) -> None:
        """Draw envelopes through one session after the other, until none is left or sessions die too often.

        Once a session could not be opened, nobody opens another: a dead relay is not asked by all of us in turn.
        """
        if self._probing and number:
            await self._answered_or_over.wait()
        try:
            await self._draw_through_sessions()
        finally:
            self._answered_or_over.set()

    async def _draw_through_sessions(self) -> None:
        deaths, died = 0, -math.inf
        while deaths <= self._pool.reconnects and self._unreachable is None:
            # Drawn before a session is opened, so that three envelopes open three sessions and not eight.
            apart = bool(self._apart)
            envelope = self._apart.popleft() if apart else await self._first()
            if envelope is None:
                return
            try:
                connection = await self._session(plainly=apart, died=died if deaths else self._died_at)
            except BaseException as error:
                self._again.appendleft(envelope)
                if not isinstance(error, Unreachable):
                    raise
                self._unreachable = error
                self._pool.doubted = True
                return
            self._open += 1
            self._most = max(self._most, self._open + self._pool.resting)
            try:
                await self._carry(connection, envelope)
            finally:
                self._open -= 1
            if not connection.alive:
                deaths, died = deaths + 1, asyncio.get_running_loop().time()
                self._died_at = died
            await self._pool.give_back(connection)

    async def _session(self, *, plainly: bool, died: float) -> Connection:
        """Return a session. died: when the last one did, in the loop's time: since a relay may be gone for all, one asks at a time.

        Whoever has lost none yet goes by what another lost. Where one has been opened after that, the relay is well and only ends
        sessions early: then nobody waits for another. Whether those that lie idle are still there is asked of all at once: of a
        relay that vanished each answer takes minutes.
        """
        if not plainly and (idle := await self._pool.idle()):
            return idle
        if died >= self._well_at:
            async with self._anew:
                if self._unreachable is not None:
                    raise self._unreachable
                if died >= self._well_at:
                    return await self._open_anew(plainly=plainly)
        return await self._open_anew(plainly=plainly)

    async def _open_anew(self, *, plainly: bool) -> Connection:
        connection = await self._pool.borrow(plainly=plainly)
        self._well_at = max(self._well_at, connection.opened)
        return connection

    async def _carry(self, connection: Connection, envelope: Envelope) -> None:
        if self._in_turn and not await self._turn(envelope):
            self.withheld(envelope)
        else:
            await connection.carry(self, envelope)

    async def _turn(self, envelope: Envelope) -> bool:
        try:
            return await self._cargo.turn(envelope)
        except Exception as failure:
            self._failure = failure
            return False

    async def _first(self) -> Envelope | None:
        """Return an envelope for a session that has none, waiting for it if need be."""
        while (envelope := self._draw()) is None:
            if self._failure is not None or not await self._cargo.more() or self._unreachable is not None:
                return None
        return envelope

    def draw(self) -> Envelope | None:
        return None if self._in_turn else self._draw()

    def _draw(self) -> Envelope | None:
        if self._failure is not None:
            return None
        if self._again:
            # The cargo gave it before and is not asked again whether it may be introduced. MAIL and RCPT hand over nothing;
            # what counts is the message, and before its first byte `clear` asks as for any other, however old the permission
            # is. To ask here as well would put off what only lost its session, and a permission can run out after it too.
            return self._again.popleft()
        try:
            envelope = self._cargo.draw()
        except Exception as failure:  # it stamps: the sessions finish what they have in hand
            self._failure = failure
            return None
        self._begun += envelope is not None
        return envelope

    def clear(self, envelope: Envelope) -> bool | None:
        try:
            return self._failure is None and self._cargo.clear(envelope)
        except Exception as failure:
            self._failure = failure
            return False

    async def cleared(self, envelope: Envelope) -> bool:
        try:
            return await self._cargo.cleared(envelope)
        except Exception as failure:
            self._failure = failure
            return False

    def withheld(self, envelope: Envelope) -> None:
        self._begun -= 1
        try:
            self._cargo.withheld(envelope)
        except Exception as failure:
            self._failure = failure

    def back(self, envelope: Envelope) -> None:
        self._again.appendleft(envelope)

    def done(self, envelope: Envelope, outcome: Outcome, *, last: bool) -> bool:
        self._note(envelope, outcome)
        again = envelope.key not in self._earlier
        misunderstood = _misunderstood(outcome)
        if again and misunderstood:
            # Standards §16: a new session, and nothing in it but what RFC 5321 asks for.
            self._earlier[envelope.key] = outcome
            self._plain.add(envelope.key)
            self._apart.append(envelope)
        elif again and last and _only_the_session_ended(outcome):
            self._earlier[envelope.key] = outcome
            self._again.append(envelope)
        else:
            if envelope.key in self._plain and isinstance(outcome, Accepted):
                self._pool.speak_plainly()
            self._tell(envelope, outcome)
        return misunderstood

    def _note(self, envelope: Envelope, outcome: Outcome) -> None:
        """Tell a relay that is ill from a session that ended: other answers are heard as well."""
        if not (isinstance(outcome, Uncertain) or _sickly(outcome)):
            self._answered.set()
            self._answered_or_over.set()
            return
        self._ended.add(envelope.key)
        if self._ill and self._unreachable is None:
            words = str(outcome.reply) if isinstance(outcome, Deferred) else "sessions end in the middle of messages"
            self._unreachable = Unreachable(self._pool.relay, Cause.CLOSED, words)

    def _tell(self, envelope: Envelope, outcome: Outcome) -> None:
        try:
            self._cargo.done(envelope, outcome)
        except Exception as failure:
            self._failure = failure


def _only_the_session_ended(outcome: Outcome) -> bool:
    """Return whether a server had had enough of the session, not of the message: worth one try in a new one."""
    return isinstance(outcome, Deferred) and outcome.stage is not Stage.BODY and outcome.reply.code in (0, 421)


def _sickly(outcome: Outcome) -> bool:
    """Return whether a session ended for the relay's own sake: not over a reader, whose provider may stand behind it, nor pace."""
    if not _only_the_session_ended(outcome):
        return False
    assert isinstance(outcome, Deferred)
    return outcome.reply.code == 0 or (
        outcome.stage is not Stage.RCPT and verdict.of(outcome).cls is verdict.Class.TRANSIENT
    )


def _misunderstood(outcome: Outcome) -> bool:
    """Return whether a refusal was about how we spoke."""
    if not isinstance(outcome, (Deferred, Rejected)) or outcome.reply.code == 0:
        return False
    return verdict.of(outcome).cls is verdict.Class.PROTOCOL


def _abort_late(one: "asyncio.Task[Connection]") -> None:
    """Drop a session that was greeted after another."""
    if not one.cancelled() and one.exception() is None:
        one.result().abort()


@cache
def _system_trust() -> ssl.SSLContext:
    """Return the one context of this process: building it costs 30 ms, a session with it 1 ms."""
    return ssl.create_default_context()
