"""How a session with a relay is opened: connect, greeting, EHLO, verified TLS, AUTH; or why it could not be.

A failure here has begun no message, so it is an error with its reason in words and not an outcome.
"""

import asyncio
import ipaddress
import socket
import ssl
from enum import StrEnum
from itertools import zip_longest
from typing import Any

import aiosmtplib

from newsletter.errors import NotFound
from newsletter.relay import verdict
from newsletter.relay.manners import Manners
from newsletter.relay.outcome import Stage
from newsletter.relay.reply import Reply
from newsletter.relay.target import Relay
from newsletter.relay.verdict import Class

Address = tuple[int, int, int, str, Any]


class Cause(StrEnum):
    """Why no session could be opened."""

    NAME = "name"
    REFUSED = "refused"
    SILENT = "silent"
    GREETING = "greeting"
    CLOSED = "closed"
    TLS = "tls"
    NO_STARTTLS = "no-starttls"
    LOGIN = "login"
    NOT_OURS = "not-ours"


class Unreachable(NotFound):
    """No session with the relay could be opened; nothing was begun.

    Facts: `relay` as host:port and `reason`, what the system or the server said. Never credentials.
    refused: the class of a final refusal of us (standards §16), which time alone does not mend; None where a relay is merely away.
    """

    def __init__(self, relay: Relay, cause: Cause, reason: str, *, said: Reply | None = None) -> None:
        super().__init__(f"relay.unreachable-{cause}", relay=relay.name, reason=reason)
        self.cause = cause
        self.refused = _refused(cause, said)
        self._said = said

    @property
    def crowded(self) -> bool:
        """Whether the relay answers and has all the sessions that it bears: not away, and no reason to ask for another.

        What it bears of one account it says once it knows the account.
        """
        if self._said is None or self.cause not in (Cause.GREETING, Cause.LOGIN):
            return False
        return verdict.crowded(self._said.code, self._said.text)


_STAGES = {Cause.GREETING: Stage.GREETING, Cause.TLS: Stage.TLS, Cause.LOGIN: Stage.AUTH}
_OURS = (Class.SENDER, Class.POLICY)


def _refused(cause: Cause, said: Reply | None) -> Class | None:
    if said is None or said.first_digit != 5:
        return Class.SENDER if cause is Cause.LOGIN and said is None else None
    found = verdict.judge(_STAGES.get(cause), said.code, said.enhanced, said.text).cls
    return found if found in _OURS else None


async def open_session(relay: Relay, *, helo: str, tls_context: ssl.SSLContext, manners: Manners) -> aiosmtplib.SMTP:
    """Return a session that has said EHLO, is encrypted unless the relay is on this machine, and is logged in.

    helo  our own host name, ASCII (RFC 5321 §4.1.1.1)

    Raises Unreachable.
    """
    smtp = aiosmtplib.SMTP(
        hostname=relay.host,
        local_hostname=helo,
        timeout=manners.command,
        use_tls=relay.implicit_tls,
        start_tls=False,
        tls_context=tls_context,
    )
    try:
        await _greet(smtp, relay, manners)
        await _hello(smtp, relay)
        if relay.starttls:
            await _upgrade(smtp, relay)
        if relay.user is not None:
            await _log_in(smtp, relay)
        if not smtp.is_connected:
            # Gone behind its last answer: nobody would tell us of it any more, and the first message would wait for minutes.
            raise Unreachable(relay, Cause.CLOSED, "closed behind the introduction")
    except BaseException:
        smtp.close()
        raise
    smtp.timeout = None  # from here on one timer of the connection serves all commands
    return smtp


async def _greet(smtp: aiosmtplib.SMTP, relay: Relay, manners: Manners) -> None:
    sock = await _connected_socket(relay, manners)
    try:
        await smtp.connect(sock=sock, timeout=manners.greeting)
    except aiosmtplib.SMTPResponseException as error:
        raise _answered(relay, Cause.GREETING, error) from None
    except aiosmtplib.SMTPTimeoutError:
        raise Unreachable(relay, Cause.SILENT, f"no greeting within {manners.greeting:g} s") from None
    except (aiosmtplib.SMTPException, OSError) as error:
        # aiosmtplib wraps a refused certificate, an OSError, in its own error.
        cause = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error
        if isinstance(cause, ssl.SSLError):
            raise Unreachable(relay, Cause.TLS, _why_not_trusted(cause)) from None
        raise Unreachable(relay, Cause.CLOSED, "closed before the greeting") from None


async def _connected_socket(relay: Relay, manners: Manners) -> socket.socket:
    """Return a connected socket to the first address that answers: one that is black-holed must not hide another (RFC 8305)."""
    try:
        async with asyncio.timeout(manners.connect):
            return await _first_to_answer(await _addresses(relay), manners)
    except socket.gaierror:
        raise Unreachable(relay, Cause.NAME, "the name is not known") from None
    except TimeoutError:
        raise Unreachable(relay, Cause.SILENT, f"no connection within {manners.connect:g} s") from None
    except OSError as problem:
        raise Unreachable(relay, Cause.REFUSED, problem.strerror or str(problem)) from None


async def _addresses(relay: Relay) -> list[Address]:
    """Return where a relay stands, the kinds of addresses in turn."""
    found = await asyncio.get_running_loop().getaddrinfo(relay.host, relay.port, type=socket.SOCK_STREAM)
    for *_, address in found:
        if relay.plain and not ipaddress.ip_address(address[0]).is_private:
            raise Unreachable(relay, Cause.NOT_OURS, str(address[0]))
    kinds = list(dict.fromkeys(family for family, *_ in found))
    by_kind = [[one for one in found if one[0] == kind] for kind in kinds]
    return [one for turn in zip_longest(*by_kind) for one in turn if one is not None]


async def _first_to_answer(addresses: list[Address], manners: Manners) -> socket.socket:
    """Try one address after the other, each a moment after the one before and at once when that failed."""
    left, tries = list(addresses), set[asyncio.Task[socket.socket]]()
    problem: OSError = ConnectionRefusedError("no address")
    try:
        while left or tries:
            if left:
                tries.add(asyncio.create_task(_connect(left.pop(0), manners)))
            moment = manners.next_address if left else None
            done, _ = await asyncio.wait(tries, timeout=moment, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                tries.discard(one)
                if isinstance(error := one.exception(), OSError):
                    problem = error
                else:
                    return one.result()
        raise problem
    finally:
        for one in tries:
            one.add_done_callback(_close_late)
            one.cancel()


def _close_late(one: "asyncio.Task[socket.socket]") -> None:
    """Close what connected after another had."""
    if not one.cancelled() and one.exception() is None:
        one.result().close()


async def _connect(where: Address, manners: Manners) -> socket.socket:
    family, kind, protocol, _, address = where
    sock = socket.socket(family, kind, protocol)  # no descriptor left: as good as nobody there
    try:
        sock.setblocking(False)
        _notice_death(sock, manners)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _notice_death(sock: socket.socket, manners: Manners) -> None:
    """Have the kernel ask whether the other machine lives: without power it says nothing, and neither does one that is slow.

    A living one confirms what is asked however long its mail server thinks, so the ten minutes of the final dot stay whole.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in (("TCP_KEEPIDLE", manners.keepalive), ("TCP_KEEPINTVL", manners.keepalive / 3)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), max(1, round(seconds)))
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(manners.vanished * 1000))


async def _hello(smtp: aiosmtplib.SMTP, relay: Relay) -> None:
    try:
        await smtp.ehlo()
    except aiosmtplib.SMTPHeloError as error:
        # RFC 5321 §3.2: a server that knows no EHLO is greeted with HELO; it can then offer no TLS and no AUTH.
        if error.code // 100 != 5 or not smtp.is_connected:
            raise _answered(relay, Cause.GREETING, error) from None
        await _old_hello(smtp, relay)
    except aiosmtplib.SMTPException as error:
        raise _broken(relay, error) from None


async def _old_hello(smtp: aiosmtplib.SMTP, relay: Relay) -> None:
    try:
        await smtp.helo()
    except aiosmtplib.SMTPResponseException as error:
        raise _answered(relay, Cause.GREETING, error) from None
    except aiosmtplib.SMTPException as error:
        raise _broken(relay, error) from None


async def _upgrade(smtp: aiosmtplib.SMTP, relay: Relay) -> None:
    if not smtp.supports_extension("starttls"):
        raise Unreachable(relay, Cause.NO_STARTTLS, "STARTTLS is not offered")
    try:
        await smtp.starttls()
    except ssl.SSLError as error:
        raise Unreachable(relay, Cause.TLS, _why_not_trusted(error)) from None
    except aiosmtplib.SMTPResponseException as error:
        raise _answered(relay, Cause.TLS, error) from None
    except (aiosmtplib.SMTPException, OSError) as error:
        raise _broken(relay, error) from None
    # RFC 3207 §4.2: what was learned in the clear is forgotten and asked again.
    await _hello(smtp, relay)


async def _log_in(smtp: aiosmtplib.SMTP, relay: Relay) -> None:
    assert relay.user is not None
    assert relay.password is not None
    try:
        await smtp.login(relay.user, relay.password)
    except aiosmtplib.SMTPResponseException as error:
        raise _answered(relay, Cause.LOGIN, error) from None
    except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError) as error:
        raise _broken(relay, error) from None
    except aiosmtplib.SMTPException:
        raise Unreachable(relay, Cause.LOGIN, "no way to log in that we know is offered") from None


def _broken(relay: Relay, error: Exception) -> Unreachable:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _answered(relay, Cause.GREETING, error)
    if isinstance(error, TimeoutError):
        return Unreachable(relay, Cause.SILENT, "no answer in time")
    return Unreachable(relay, Cause.CLOSED, "closed in the middle of the introduction")


def _answered(relay: Relay, cause: Cause, error: aiosmtplib.SMTPResponseException) -> Unreachable:
    said = Reply.of(max(error.code, 0), error.message)
    return Unreachable(relay, cause, str(said), said=said)


def _why_not_trusted(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return error.reason or "the handshake failed"
