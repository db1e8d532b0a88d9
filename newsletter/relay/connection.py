"""One open SMTP session on a socket: the conversation's bytes go out, the server's come in, and nothing waits for ever.

aiosmtplib has connected, greeted, encrypted and logged in; from there on the transport is ours. All of a message happens
inside the call that brings the answer to the one before: no coroutine, future or timer for each.
"""

import asyncio
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, cast

import aiosmtplib

from newsletter.relay import opening
from newsletter.relay.conversation import Asked, Conversation, Event, Said
from newsletter.relay.envelope import Envelope
from newsletter.relay.manners import Manners
from newsletter.relay.offers import Offers
from newsletter.relay.outcome import Outcome, Stage
from newsletter.relay.target import Relay

NEVER = float("inf")
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
"""Linux alone has it; it holds until the kernel thinks otherwise, so it is said each time."""


class Load(Protocol):
    """Where a session gets its envelopes, and whom it tells what became of them. Each call is short and never waits."""

    def draw(self) -> Envelope | None:
        """Return the next envelope to introduce, or None when there is none now."""

    def clear(self, envelope: Envelope) -> bool | None:
        """Return whether the message may be begun: asked right before its first byte. None: `cleared` can tell."""

    async def cleared(self, envelope: Envelope) -> bool:
        """Return whether the message may be begun, after asking somebody else."""

    def withheld(self, envelope: Envelope) -> None:
        """Hear that the message was not begun, since it was not cleared."""

    def back(self, envelope: Envelope) -> None:
        """Take back an envelope that was drawn and not introduced."""

    def done(self, envelope: Envelope, outcome: Outcome, *, last: bool) -> bool | None:
        """Hear what became of an envelope; return whether the session is of no more use.

        last   a session that had carried others ended with it
        """


@dataclass(frozen=True, slots=True)
class _Pending:
    """The server waits for a message, and whether it may begin is not known yet.

    envelope    whose message
    following   the next, drawn already and not introduced
    asking      asks somebody else; None while what was written before is still to leave this machine
    """

    envelope: Envelope
    following: Envelope | None = None
    asking: asyncio.Task[None] | None = None


class Connection(asyncio.Protocol):
    """One session. `carry` as long as it is `usable`, then `close`; belongs to the loop that opened it."""

    def __init__(self, smtp: aiosmtplib.SMTP, manners: Manners, *, plainly: bool = False) -> None:
        transport = smtp.transport
        assert transport is not None
        self._transport = cast(asyncio.Transport, transport)
        self._former = self._transport.get_protocol()
        offers = Offers.of(smtp.esmtp_extensions)
        self._talk = Conversation(offers.plainly() if plainly else offers)
        self._retired = False
        self.hindered = False
        self.plainly = plainly
        self._manners = manners
        self._loop = asyncio.get_running_loop()
        self.opened = self._last_used = self._loop.time()
        """`opened`: when the session was, in the time of its loop."""
        self._sent = 0
        self._load: Load | None = None
        self._resting: asyncio.Future[None] | None = None
        self._pending: _Pending | None = None
        self._full = False
        self._deadline = NEVER
        self._awaited: Said | None = None
        self._unwritten = 0
        self._timer: asyncio.TimerHandle | None = None
        self._patience = {Said.DATA: manners.data, Said.MESSAGE: manners.final_dot, Said.LONE_DOT: manners.final_dot}
        self._socket = self._transport.get_extra_info("socket")
        self._transport.set_protocol(self)

    @classmethod
    async def open(
        cls, relay: Relay, *, helo: str, tls_context: ssl.SSLContext, manners: Manners, plainly: bool = False
    ) -> "Connection":
        """Return a session that is ready for MAIL; raises opening.Unreachable.

        plainly   without PIPELINING and whatever else a server may offer and not understand
        """
        smtp = await opening.open_session(relay, helo=helo, tls_context=tls_context, manners=manners)
        return cls(smtp, manners, plainly=plainly)

    @property
    def usable(self) -> bool:
        """Whether another message may go through this session."""
        manners = self._manners
        return (
            not (self._talk.closed or self._retired)
            and (manners.messages is None or self._sent < manners.messages)
            and (manners.seconds is None or self._loop.time() - self.opened < manners.seconds)
        )

    @property
    def alive(self) -> bool:
        """Whether the session still stands, used up or not."""
        return not self._talk.closed

    @property
    def sent(self) -> int:
        """Envelopes introduced in this session."""
        return self._sent

    async def carry(self, load: Load, first: Envelope) -> None:
        """Hand over an envelope and whatever the load gives after it; return when it gives none, or the session is over.

        Every envelope that was drawn has been told of, or was withheld, when this returns; also when it is cancelled.
        """
        self._load, self._resting = load, self._loop.create_future()
        try:
            if (envelope := self._fit(first, load) or self._next(load)) is not None:
                self._introduce(envelope)
                await self._resting
        finally:
            if not self._talk.ready:
                self._end("interrupted")
            self._load = None
            self._deadline = NEVER
            self._last_used = self._loop.time()

    async def still_there(self) -> bool:
        """Return whether a session that has lain idle can be used; asks the server if the pause was long."""
        # The loop may have stood still between two tasks: let it read what the server said or closed meanwhile.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if self.usable and self._loop.time() - self._last_used >= self._manners.idle:
            self._talk.noop()
            await self._exchange()
            self._last_used = self._loop.time()  # whoever puts it back without a message need not ask again
        return self.usable

    async def close(self) -> None:
        """Say QUIT and close; waits a few seconds at most and never raises."""
        if self._talk.ready:
            self._talk.quit()
            await self._exchange()
        self.abort()

    def abort(self) -> None:
        """Drop the session without a word."""
        self._end("dropped")

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        """Read answers and do at once what follows from them."""
        self._hear(self._talk.receive(data))
        if not self._write() and self._talk.awaited is not None:
            self._acknowledge()
        self._rest_if_idle()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell what became of the envelopes in hand; what the server had said before has been heard."""
        self._end("connection lost")
        self._former.connection_lost(error)

    def pause_writing(self) -> None:
        """Begin no other message: the server reads more slowly than it answers, and it is our memory that would fill."""
        self._full = True

    def resume_writing(self) -> None:
        """Go on with the message that was asked for meanwhile."""
        self._full = False
        pending, load = self._pending, self._load
        if pending is not None and pending.asking is None and load is not None:
            self._pending = None
            self._decide(pending.envelope, load)
            self._write()
            self._rest_if_idle()

    def _hear(self, events: list[Event]) -> None:
        load = self._load
        for event in events:
            if load is None:  # nobody is waiting for it any more
                return
            if isinstance(event, Asked):
                if not self._talk.closed:  # asked and given up in one breath: what became of it follows
                    self._decide(event.envelope, load)
            else:
                self._retired |= bool(
                    load.done(event.envelope, event.outcome, last=self._talk.closed and self._sent > 1)
                )
        if load is not None and self._talk.ready and (following := self._next(load)):
            self._introduce(following)

    def _decide(self, envelope: Envelope, load: Load) -> None:
        if self._full:
            self._pending = _Pending(envelope)
            return self._wait(self._manners.final_dot)
        # The next is stamped first: between the mark that `clear` makes and the write there must be next to nothing,
        # since who is killed in between leaves a doubt that no server can settle.
        following = self._next(load) if self._talk.offers.pipelining else None
        may = load.clear(envelope)
        if may is None:
            self._deadline = NEVER  # it is the server that waits
            asking = self._loop.create_task(self._decide_later(envelope, following, load))
            self._pending = _Pending(envelope, following, asking)
            return None
        return self._speak_or_not(following, load, may=may)

    async def _decide_later(self, envelope: Envelope, following: Envelope | None, load: Load) -> None:
        may = await load.cleared(envelope)
        if self._pending is not None:  # a session that ended meanwhile has told of both
            self._pending = None
            self._speak_or_not(following, load, may=may)
            self._write()
            self._rest_if_idle()

    def _speak_or_not(self, following: Envelope | None, load: Load, *, may: bool) -> None:
        if may:
            self._talk.speak(following)
            return
        load.withheld(self._talk.withhold())
        if following is not None:
            load.back(following)

    def _next(self, load: Load) -> Envelope | None:
        """Draw the next envelope that this server can carry; the others are told of at once."""
        while self.usable and (envelope := load.draw()) is not None:
            if self._fit(envelope, load):
                return envelope
        return None

    def _fit(self, envelope: Envelope, load: Load) -> Envelope | None:
        hindrance = self._talk.offers.hindrance(envelope)
        if hindrance is not None:
            self.hindered |= hindrance.stage is Stage.MAIL
            load.done(envelope, hindrance, last=False)
            return None
        self._sent += 1
        return envelope

    def _introduce(self, envelope: Envelope) -> None:
        self._talk.introduce(envelope)
        self._write()

    def _write(self) -> bool:
        out = self._talk.outgoing()
        if out:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))
        # An answer has its time as a whole: one that drips is not waited for anew with every byte.
        awaited = self._talk.awaited
        if awaited is not None and (out or awaited is not self._awaited):
            self._wait(self._patience.get(awaited, self._manners.command))
        self._awaited = awaited
        return bool(out)

    def _acknowledge(self) -> None:
        """Let the server know at once that a part of its answers is here.

        One that writes each answer by itself and has Nagle's algorithm on (RFC 1122 §4.2.3.4) keeps the next until it knows, and
        Linux would tell it 40 ms later: so many for each message.
        """
        if _QUICKACK is not None and self._socket is not None:
            with suppress(OSError):  # it may be closed already
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def _rest_if_idle(self) -> None:
        """Wake who waits for the session: everything is answered and nothing was drawn, or it is over."""
        if self._talk.closed:
            self._end("dropped")
        elif self._talk.ready:
            self._wake()

    def _wake(self) -> None:
        if self._resting is not None and not self._resting.done():
            self._resting.set_result(None)

    def _end(self, reason: str) -> None:
        """End the session and tell what became of the envelopes in hand. Safe to call twice."""
        pending, self._pending = self._pending, None
        self._hear(self._talk.lost(reason))
        if pending is not None:
            self._drop(pending)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport.abort()
        self._wake()

    def _drop(self, pending: _Pending) -> None:
        """Nobody waits for this message any more: what became of its envelope has been told."""
        if pending.asking is not None:
            pending.asking.cancel()
        if pending.following is not None and self._load is not None:
            self._load.back(pending.following)

    async def _exchange(self) -> None:
        """Write what the conversation holds and wait a few seconds for the answer; no answer ends the session."""
        self._resting = self._loop.create_future()
        self._write()
        self._deadline = NEVER
        try:
            await asyncio.wait_for(self._resting, self._manners.goodbye)
        except TimeoutError:
            self._end("no answer in time")
        except asyncio.CancelledError:
            self._end("interrupted")
            raise

    def _wait(self, seconds: float) -> None:
        self._deadline = self._loop.time() + seconds
        if self._timer is None:
            self._unwritten = 0
            self._watch()

    def _watch(self) -> None:
        """Look at the clock now and then: one timer a session, where one a command costs a future each."""
        self._timer = None
        now = self._loop.time()
        # RFC 5321 §4.5.3.2.6: the ten minutes count from the final dot, and that has not left us while the kernel refuses it.
        unwritten = self._transport.get_write_buffer_size()
        if unwritten and unwritten != self._unwritten and self._deadline < NEVER:
            self._deadline = now + self._manners.final_dot
        self._unwritten = unwritten
        left = self._deadline - now
        if left <= 0:
            self._end("no answer in time")
        elif left < NEVER:
            self._timer = self._loop.call_later(min(left, self._manners.look), self._watch)
