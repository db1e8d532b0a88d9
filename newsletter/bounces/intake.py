"""The LMTP server (RFC 2033), behind a mail server that has taken responsibility already: so it never makes a bounce of its own.

An address of ours that was never given out is answered 250 and thrown away unread: 550 would make the server before us write to a
sender that is forged. A domain that is not ours is refused, since only a wrong setting sends it here. What cannot be done now is
451: the server before us keeps it. What is too large is refused, and that server tells whoever wrote it. This is the one
asynchronous place besides the relay; what it takes in is done in threads.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import Envelope, Session

from newsletter.bounces import routing
from newsletter.bounces.routing import LARGEST, Arrived, Place, Router
from newsletter.errors import NotFound

log = structlog.get_logger()

Network = IPv4Network | IPv6Network
Take = Callable[[Arrived], object]
CONNECTIONS = 20
RECIPIENTS = 50
IDLE_SECONDS = 60.0
GRACE_SECONDS = 5.0


class CannotListen(NotFound):
    """The address is taken, or not of this machine."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__("intake.cannot-listen", where=where, reason=reason)


class Intake:
    """Answers for each recipient of each message; made once, shared by all connections. take: may raise, then it is 451."""

    def __init__(self, router: Router, take: Take, *, peers: Sequence[Network] = ()) -> None:
        self._router, self._take, self._peers = router, take, peers
        self.open = 0

    def admits(self, peer: Any) -> bool:
        """Whether a connection may be held: from this machine or a peer, and not too many at once."""
        try:
            address = ip_address(str(peer[0]).partition("%")[0])
        except (TypeError, IndexError, ValueError):
            return False
        known = address.is_loopback or any(address in net for net in self._peers if net.version == address.version)
        return known and self.open < CONNECTIONS

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, _server: LMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Answer RCPT; the keys alone are asked."""
        if len(envelope.rcpt_tos) >= RECIPIENTS:
            return "452 4.5.3 too many recipients at once"
        if self._router.route(address).place is Place.ELSEWHERE:
            return "550 5.1.2 no domain of ours"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, _server: LMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Answer once for each recipient (RFC 2033 §4.2), in their order."""
        sender = (envelope.mail_from or "").strip("<>")
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        return "\r\n".join([await self._answer(Arrived(sender, to, content)) for to in envelope.rcpt_tos])

    async def _answer(self, arrived: Arrived) -> str:
        if self._router.route(arrived.recipient).place is Place.NOBODY:
            return "250 2.0.0 thrown away"
        try:
            await asyncio.to_thread(self._take, arrived)
        except Exception as error:
            log.error("mail waits", why=type(error).__name__, where=routing.raised_in(error))
            return "451 4.3.0 not now"
        return "250 2.0.0 taken"


_REFUSED = ("500 Line too long", "552 Error: Too much mail data")


class _Session(LMTP):
    """One connection. Long lines are taken: what comes back was often written by no standard."""

    line_length_limit = 64 * 1024

    def __init__(self, intake: Intake) -> None:
        super().__init__(
            intake, data_size_limit=LARGEST, enable_SMTPUTF8=True, timeout=IDLE_SECONDS, hostname="intake", ident="LMTP"
        )
        self._intake = intake
        self._reading: list[str] = []

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 (aiosmtpd's name)
        """Read a message; where the library refuses it by itself its one answer is given once for each recipient."""
        self._reading = self.envelope.rcpt_tos if self.envelope and not arg else []
        try:
            await super().smtp_DATA(arg)
        finally:
            self._reading = []

    async def push(self, status: Any) -> None:
        """Answer; whoever counts one answer a recipient (RFC 2033 §4.2) would wait for the others, and bring all of it again."""
        refused = len(self._reading) if str(status).startswith(_REFUSED) else 1
        await super().push("\r\n".join([status] * max(1, refused)))

    def connection_made(self, transport: Any) -> None:
        if not self._intake.admits(transport.get_extra_info("peername")):
            transport.set_protocol(asyncio.Protocol())
            transport.write(b"421 4.3.2 not now, or not from there\r\n")
            transport.close()
            return
        self._intake.open += 1
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._intake.open -= 1
        super().connection_lost(error)


def serve(intake: Intake, where: tuple[str, int], *, ready: Callable[[int], object], ended: threading.Event) -> None:
    """Listen until `ended`, then finish what is in hand for up to 5 s. Raises CannotListen.

    ready   called once with the port, in a thread, while mail is already taken in
    """
    asyncio.run(_serve(intake, where, ready, ended))


async def _serve(
    intake: Intake, where: tuple[str, int], ready: Callable[[int], object], ended: threading.Event
) -> None:
    host, port = where
    try:
        server = await asyncio.get_running_loop().create_server(lambda: _Session(intake), host, port)
    except OSError as error:
        raise CannotListen(f"{host}:{port}", error.strerror or "unknown reason") from None
    try:
        await asyncio.to_thread(ready, server.sockets[0].getsockname()[1])
        await asyncio.to_thread(ended.wait)
    finally:
        server.close()
        for _ in range(int(GRACE_SECONDS / 0.1)):
            if not intake.open:
                break
            await asyncio.sleep(0.1)
