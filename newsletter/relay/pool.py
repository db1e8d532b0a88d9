"""Connections to one relay, and how envelopes are drawn through them.

Up to `relay.connections` sessions pull from one iterator, so the fast one takes more and the iterator stamps each
message only when somebody is there to send it. Sessions stay open from one call to the next, in the loop they were
opened in.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from functools import cache

from newsletter.relay.connection import Body, Connection
from newsletter.relay.envelope import Envelope
from newsletter.relay.manners import Manners
from newsletter.relay.opening import Unreachable
from newsletter.relay.outcome import Deferred, Outcome, Stage
from newsletter.relay.target import Relay

Begin = Callable[[Envelope], bool]
Done = Callable[[Envelope, Outcome], None]


async def at_once(_envelope: Envelope) -> bool:
    """Withhold nothing."""
    return True


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
        self._idle: deque[Connection] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(self, envelopes: Iterable[Envelope], *, begin: Begin, done: Done, body: Body = at_once) -> int:
        """Hand over the envelopes and return how many were begun.

        begin  asked immediately before each MAIL; False leaves the envelope out, and it stays due
        body   asked immediately before the message itself; False withholds it, and it stays due
        done   called exactly once for each begun envelope that was not withheld, in the order of the answers

        Raises opening.Unreachable if no session could be opened and nothing was begun. If sessions die later, the
        rest is simply not begun. What the iterator or a callback raises is raised again once the sessions rest.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._idle.clear()  # sessions of a loop that is gone cannot even be closed
            self._loop = loop
        return await _Run(self, envelopes, begin, body, done).complete()

    async def close(self) -> None:
        """QUIT all sessions; never raises, waits a few seconds at most."""
        idle, self._idle = self._idle, deque()
        if self._loop is asyncio.get_running_loop():
            await asyncio.gather(*(connection.close() for connection in idle))

    async def borrow(self) -> Connection:
        """Return a living session, opened now if none lies idle; raises opening.Unreachable."""
        while self._idle:
            connection = self._idle.pop()
            if await connection.still_there():
                return connection
            await connection.close()
        context = self._tls or _system_trust()
        return await Connection.open(self.relay, helo=self._helo, tls_context=context, manners=self._manners)

    async def give_back(self, connection: Connection) -> None:
        """Keep a session for the next envelope or the next call, or close it if it has served its time."""
        if connection.usable:
            self._idle.append(connection)
        else:
            await connection.close()

    @property
    def reconnects(self) -> int:
        """How often one worker of a call may open a new session after one died or could not be opened."""
        return self._manners.reconnects


class _Run:
    """One call of `send`: what its workers share."""

    def __init__(self, pool: Pool, envelopes: Iterable[Envelope], begin: Begin, body: Body, done: Done) -> None:
        self._pool = pool
        self._envelopes = iter(envelopes)
        self._begin = begin
        self._body = body
        self._done = done
        self._again: deque[_Turn] = deque()
        self._begun = 0
        self._failure: Exception | None = None
        self._unreachable: Unreachable | None = None

    async def complete(self) -> int:
        await asyncio.gather(*(self._work() for _ in range(self._pool.relay.connections)))
        for envelope, earlier in self._again:
            if earlier is not None:
                self._done(envelope, earlier)
        if self._failure is not None:
            raise self._failure
        if self._begun == 0 and self._unreachable is not None:
            raise self._unreachable
        return self._begun

    async def _work(self) -> None:
        """Draw envelopes through one session after the other, until none is left or sessions die too often."""
        deaths = 0
        while deaths <= self._pool.reconnects:
            # Drawn before a session is opened, so that three envelopes open three sessions and not eight.
            turn = self._next()
            if turn is None:
                return
            try:
                connection = await self._pool.borrow()
            except Unreachable as unreachable:
                self._unreachable = unreachable
                self._again.appendleft(turn)
                deaths += 1
                continue
            await self._draw(connection, turn)
            if not connection.alive:
                deaths += 1
            await self._pool.give_back(connection)

    async def _draw(self, connection: Connection, turn: "_Turn | None") -> None:
        """Send one envelope after the other through a session while it is usable."""
        while turn is not None:
            try:
                await self._take(connection, turn)
            except Exception as failure:  # a callback's: the other sessions finish what they have in hand
                self._failure = failure
            turn = self._next() if connection.usable else None

    async def _take(self, connection: Connection, turn: "_Turn") -> None:
        envelope, earlier = turn
        if not self._begin(envelope):
            if earlier is not None:
                self._done(envelope, earlier)
            return
        if earlier is None:
            self._begun += 1
        try:
            outcome = await connection.deliver(envelope, body=self._body)
        except asyncio.CancelledError:
            self._done(envelope, connection.interrupted())
            raise
        if outcome is None:
            self._begun -= earlier is None
        elif earlier is None and _only_the_session_ended(connection, outcome):
            self._again.append((envelope, outcome))
        else:
            self._done(envelope, outcome)

    def _next(self) -> "_Turn | None":
        if self._failure is not None:
            return None
        if self._again:
            return self._again.popleft()
        try:
            envelope = next(self._envelopes, None)
        except Exception as failure:  # the iterator's: it stamps
            self._failure = failure
            return None
        return None if envelope is None else (envelope, None)


_Turn = tuple[Envelope, Outcome | None]
"""An envelope, and what became of a first try that a session's end spoiled."""


def _only_the_session_ended(connection: Connection, outcome: Outcome) -> bool:
    """Return whether a server had had enough of the session, not of the message: worth one try in a new one."""
    return (
        not connection.alive
        and connection.sent > 1
        and isinstance(outcome, Deferred)
        and outcome.stage is Stage.MAIL
        and outcome.reply.code in (0, 421)
    )


@cache
def _system_trust() -> ssl.SSLContext:
    """Return the one context of this process: building it costs 30 ms, a session with it 1 ms."""
    return ssl.create_default_context()
