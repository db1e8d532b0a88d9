"""One open SMTP session, used for one envelope after the other.

aiosmtplib holds the conversation. Around it this module does what it leaves out: SIZE and SMTPUTF8 are obeyed
before DATA, the body is written as it is (two regular expressions over the body cost two thirds of its time), one
timer serves all messages of the session, and what fails before the body is told apart from what fails after it.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import cast

import aiosmtplib

from newsletter.relay import opening
from newsletter.relay.envelope import Envelope
from newsletter.relay.manners import Manners
from newsletter.relay.outcome import Accepted, Deferred, Outcome, Rejected, Stage, Uncertain
from newsletter.relay.reply import Reply
from newsletter.relay.target import Relay

NEVER = float("inf")
Body = Callable[[Envelope], Awaitable[bool]]


class Connection:
    """One session. `deliver` as long as it is `usable`, then `close`; belongs to the loop that opened it."""

    def __init__(self, smtp: aiosmtplib.SMTP, manners: Manners) -> None:
        self._smtp = smtp
        self._manners = manners
        self._loop = asyncio.get_running_loop()
        self._opened = self._last_used = self._loop.time()
        self._sent = 0
        self._stage = Stage.EHLO
        self._deadline = NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._timed_out = False
        size = smtp.esmtp_extensions.get("size", "")
        # RFC 1870 §4: no number, or 0, means that no fixed limit is known.
        self._size_limit = int(size) if size.isdecimal() and int(size) else None
        self._offers_size = smtp.supports_extension("size")
        self._offers_utf8 = smtp.supports_extension("smtputf8")
        self._offers_dsn = smtp.supports_extension("dsn")

    @classmethod
    async def open(cls, relay: Relay, *, helo: str, tls_context: ssl.SSLContext, manners: Manners) -> "Connection":
        """Return a session that is ready for MAIL; raises opening.Unreachable."""
        smtp = await opening.open_session(relay, helo=helo, tls_context=tls_context, manners=manners)
        return cls(smtp, manners)

    @property
    def usable(self) -> bool:
        """Whether another message may go through this session."""
        manners = self._manners
        return (
            self._smtp.is_connected
            and (manners.messages is None or self._sent < manners.messages)
            and (manners.seconds is None or self._loop.time() - self._opened < manners.seconds)
        )

    @property
    def alive(self) -> bool:
        """Whether the session still stands, used up or not."""
        return self._smtp.is_connected

    @property
    def sent(self) -> int:
        """Envelopes tried in this session."""
        return self._sent

    async def still_there(self) -> bool:
        """Return whether a session that has lain idle can be used; asks the server if the pause was long."""
        # The loop may have stood still between two tasks: let it read what the server said or closed meanwhile.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if not self.usable or self._loop.time() - self._last_used < self._manners.idle:
            return self.usable
        with contextlib.suppress(aiosmtplib.SMTPException):
            reply = await self._smtp.execute_command(b"NOOP", timeout=self._manners.goodbye)
            return reply.code // 100 == 2 and self.usable
        return False

    async def deliver(self, envelope: Envelope, *, body: Body) -> Outcome | None:
        """Hand over one envelope and return what became of it; never raises for what a server does.

        body   asked when the server waits for the message: False withholds it. The session is dropped then, since a
               server that said 354 takes whatever comes next for the message, and the outcome is None.

        When the task is cancelled inside, `interrupted` says what became of the envelope.
        """
        self._sent += 1
        self._stage = Stage.MAIL
        hindrance = self._hindrance(envelope)
        if hindrance is not None:
            return hindrance
        try:
            return await self._converse(envelope, body)
        except aiosmtplib.SMTPException as error:
            self.abort()
            return self._broken_off("no answer in time" if self._timed_out else error.message)
        finally:
            self._deadline = NEVER
            self._last_used = self._loop.time()

    def interrupted(self) -> Outcome:
        """Drop the session and return what became of the envelope in hand."""
        self.abort()
        return self._broken_off("interrupted")

    async def close(self) -> None:
        """Say QUIT and close; waits a few seconds at most and never raises."""
        if self._smtp.is_connected:
            with contextlib.suppress(aiosmtplib.SMTPException):
                await self._smtp.quit(timeout=self._manners.goodbye)
        self.abort()

    def abort(self) -> None:
        """Drop the session without a word."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._smtp.transport is not None:
            cast(asyncio.WriteTransport, self._smtp.transport).abort()
        self._smtp.close()

    def _hindrance(self, envelope: Envelope) -> Rejected | None:
        """Return why this relay cannot carry the envelope, found before anything is said about it."""
        size = len(envelope.message)
        if self._size_limit is not None and size > self._size_limit:
            words = f"the message has {size} bytes, the relay takes {self._size_limit}"
            return Rejected(Reply(552, "5.3.4", words), Stage.MAIL)
        if not self._offers_utf8 and not (envelope.sender.isascii() and envelope.recipient.isascii()):
            words = "the relay does not offer SMTPUTF8, which this address needs"
            return Rejected(Reply(553, "5.6.7", words), Stage.RCPT)
        return None

    async def _converse(self, envelope: Envelope, body: Body) -> Outcome | None:
        reply = await self._command(self._mail(envelope), self._manners.command)
        if reply.code // 100 == 2:
            self._stage = Stage.RCPT
            reply = await self._command(self._rcpt(envelope), self._manners.command)
        if reply.code // 100 == 2:
            self._stage = Stage.DATA
            reply = await self._command(b"DATA", self._manners.data)
            if reply.code == 354:
                return await self._body(envelope, body)
        return await self._refused(reply)

    async def _body(self, envelope: Envelope, body: Body) -> Outcome | None:
        self._deadline = NEVER
        allowed = False
        try:
            allowed = await body(envelope)
        finally:
            if not allowed:
                self.abort()
        if not allowed:
            return None
        protocol = self._smtp.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        self._wait_until(self._manners.final_dot)
        # Through the protocol's own two public calls, but without its regular expressions. No await stands between
        # them, so no answer can arrive before somebody waits for it.
        protocol.write(on_the_wire(envelope.message))
        self._stage = Stage.BODY
        answer = await protocol.read_response(timeout=None)
        reply = Reply.of(answer.code, answer.message)
        if reply.code == 421:
            self.abort()
        match reply.first_digit:
            case 2:
                return Accepted(reply)
            case 4:
                return Deferred(reply, Stage.BODY)
            case 5:
                return Rejected(reply, Stage.BODY)
            case _:
                self.abort()
                return Uncertain(f"unexpected answer: {reply}", Stage.BODY)

    async def _refused(self, reply: Reply) -> Outcome:
        """Return the outcome of a refusal before the body, and make the session fit for the next envelope."""
        stage = self._stage
        if self._smtp.is_connected:
            # RFC 5321 §4.1.1.5: RSET drops sender and recipient; only needed after an error.
            reset = await self._command_or_none(b"RSET")
            if reset is None or reply.first_digit not in (4, 5):
                self.abort()
        return Rejected(reply, stage) if reply.first_digit == 5 else Deferred(reply, stage)

    async def _command_or_none(self, line: bytes) -> Reply | None:
        try:
            reply = await self._command(line, self._manners.command)
        except aiosmtplib.SMTPException:
            return None
        return reply if reply.code // 100 == 2 else None

    async def _command(self, line: bytes, seconds: float) -> Reply:
        self._wait_until(seconds)
        answer = await self._smtp.execute_command(line, timeout=None)
        return Reply.of(answer.code, answer.message)

    def _mail(self, envelope: Envelope) -> bytes:
        parameters = ""
        if self._offers_size:
            parameters += f" SIZE={len(envelope.message)}"
        if not (envelope.sender.isascii() and envelope.recipient.isascii()):
            parameters += " SMTPUTF8"
        if self._offers_dsn:
            # RFC 3461 §4.3: the return path is a token of its own, so the headers are enough to know the message.
            parameters += " RET=HDRS" + (f" ENVID={xtext(envelope.envid)}" if envelope.envid else "")
        return f"MAIL FROM:<{envelope.sender}>{parameters}".encode()

    def _rcpt(self, envelope: Envelope) -> bytes:
        if self._offers_dsn and envelope.recipient.isascii():
            original = xtext(envelope.recipient)
            return f"RCPT TO:<{envelope.recipient}> NOTIFY=FAILURE,DELAY ORCPT=rfc822;{original}".encode()
        return f"RCPT TO:<{envelope.recipient}>".encode()

    def _broken_off(self, reason: str) -> Outcome:
        if self._stage is Stage.BODY:
            return Uncertain(reason, Stage.BODY)
        return Deferred(Reply(0, None, reason), self._stage)

    def _wait_until(self, seconds: float) -> None:
        self._deadline = self._loop.time() + seconds
        if self._timer is None:
            self._watch()

    def _watch(self) -> None:
        """Look at the clock now and then: one timer a session, where one a command costs a future each."""
        self._timer = None
        left = self._deadline - self._loop.time()
        if left <= 0:
            self._timed_out = True
            self.abort()
        elif left < NEVER:
            self._timer = self._loop.call_later(min(left, self._manners.look), self._watch)


def xtext(text: str) -> str:
    """Return ASCII text as a parameter's value may be written (RFC 3461 §4): "+" and "=" as hexadecimal."""
    return "".join(f"+{ord(letter):02X}" if letter in "+=" or not "!" <= letter <= "~" else letter for letter in text)


def on_the_wire(message: bytes) -> bytes:
    """Return the message dot-stuffed and ended by CRLF . CRLF (RFC 5321 §4.5.2)."""
    if b"\r\n." in message:
        message = message.replace(b"\r\n.", b"\r\n..")
    if message.startswith(b"."):
        message = b"." + message
    return message + (b".\r\n" if message.endswith(b"\r\n") else b"\r\n.\r\n")
