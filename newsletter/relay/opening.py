"""How a session with a relay is opened: connect, greeting, EHLO, verified TLS, AUTH; or why it could not be.

A failure here has begun no message, so it is an error with its reason in words and not an outcome.
"""

import asyncio
import ipaddress
import socket
import ssl
from enum import StrEnum

import aiosmtplib

from newsletter.errors import NotFound
from newsletter.relay import verdict
from newsletter.relay.manners import Manners
from newsletter.relay.outcome import Stage
from newsletter.relay.reply import Reply
from newsletter.relay.target import Relay
from newsletter.relay.verdict import Class


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
    """

    def __init__(self, relay: Relay, cause: Cause, reason: str) -> None:
        super().__init__(f"relay.unreachable-{cause}", relay=relay.name, reason=reason)
        self.cause = cause
        self._reason = reason

    @property
    def crowded(self) -> bool:
        """Whether the relay answers and has all the sessions that it bears: not away, and no reason to ask for another."""
        return self.cause is Cause.GREETING and verdict.judge(Stage.GREETING, 421, None, self._reason).cls is Class.RATE


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
    sock = await _connected_socket(relay, manners.connect)
    try:
        await smtp.connect(sock=sock, timeout=manners.greeting)
    except aiosmtplib.SMTPResponseException as error:
        raise Unreachable(relay, Cause.GREETING, _words(error)) from None
    except aiosmtplib.SMTPTimeoutError:
        raise Unreachable(relay, Cause.SILENT, f"no greeting within {manners.greeting:g} s") from None
    except (aiosmtplib.SMTPException, OSError) as error:
        # aiosmtplib wraps a refused certificate, an OSError, in its own error.
        cause = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error
        if isinstance(cause, ssl.SSLError):
            raise Unreachable(relay, Cause.TLS, _why_not_trusted(cause)) from None
        raise Unreachable(relay, Cause.CLOSED, "closed before the greeting") from None


async def _connected_socket(relay: Relay, seconds: float) -> socket.socket:
    """Return a connected socket to the first address that answers; all of them share the seconds."""
    loop = asyncio.get_running_loop()
    problem: OSError = ConnectionRefusedError("no address")
    try:
        async with asyncio.timeout(seconds):
            found = await loop.getaddrinfo(relay.host, relay.port, type=socket.SOCK_STREAM)
            for family, kind, protocol, _, address in found:
                if relay.plain and not ipaddress.ip_address(address[0]).is_private:
                    raise Unreachable(relay, Cause.NOT_OURS, str(address[0]))
                try:
                    sock = socket.socket(family, kind, protocol)
                except OSError as error:  # no descriptor left: as good as nobody there
                    problem = error
                    continue
                sock.setblocking(False)
                try:
                    await loop.sock_connect(sock, address)
                except OSError as error:
                    sock.close()
                    problem = error
                except BaseException:
                    sock.close()
                    raise
                else:
                    return sock
    except socket.gaierror:
        raise Unreachable(relay, Cause.NAME, "the name is not known") from None
    except TimeoutError:
        raise Unreachable(relay, Cause.SILENT, f"no connection within {seconds:g} s") from None
    raise Unreachable(relay, Cause.REFUSED, problem.strerror or str(problem))


async def _hello(smtp: aiosmtplib.SMTP, relay: Relay) -> None:
    try:
        await smtp.ehlo()
    except aiosmtplib.SMTPHeloError as error:
        # RFC 5321 §3.2: a server that knows no EHLO is greeted with HELO; it can then offer no TLS and no AUTH.
        if error.code // 100 != 5 or not smtp.is_connected:
            raise Unreachable(relay, Cause.GREETING, _words(error)) from None
        await _old_hello(smtp, relay)
    except aiosmtplib.SMTPException as error:
        raise _broken(relay, error) from None


async def _old_hello(smtp: aiosmtplib.SMTP, relay: Relay) -> None:
    try:
        await smtp.helo()
    except aiosmtplib.SMTPResponseException as error:
        raise Unreachable(relay, Cause.GREETING, _words(error)) from None
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
        raise Unreachable(relay, Cause.TLS, _words(error)) from None
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
        raise Unreachable(relay, Cause.LOGIN, _words(error)) from None
    except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError) as error:
        raise _broken(relay, error) from None
    except aiosmtplib.SMTPException:
        raise Unreachable(relay, Cause.LOGIN, "no way to log in that we know is offered") from None


def _broken(relay: Relay, error: Exception) -> Unreachable:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return Unreachable(relay, Cause.GREETING, _words(error))
    if isinstance(error, TimeoutError):
        return Unreachable(relay, Cause.SILENT, "no answer in time")
    return Unreachable(relay, Cause.CLOSED, "closed in the middle of the introduction")


def _words(error: aiosmtplib.SMTPResponseException) -> str:
    return str(Reply.of(max(error.code, 0), error.message))


def _why_not_trusted(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return error.reason or "the handshake failed"
