"""How a session is opened: TLS that is verified, passwords that are never said in the open, IPv6, as many sessions as agreed."""

import asyncio
import gc
import ipaddress
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from newsletter.relay import opening
from newsletter.relay.manners import Manners
from newsletter.relay.opening import Cause, Unreachable
from newsletter.relay.outcome import Accepted
from newsletter.relay.pool import Pool
from newsletter.relay.reply import Reply
from newsletter.relay.target import Relay
from newsletter.relay.verdict import Class
from tests.fakes import smtp
from tests.fakes.cargo import Batch
from tests.relay.test_pool import QUICK, envelopes


@dataclass
class Secure(smtp.Sink):
    """A server that offers STARTTLS and AUTH, or speaks TLS at once.

    heard   each verb, and whether it was said through TLS
    met     called for each session, before its first word
    """

    context: ssl.SSLContext | None = None
    at_once: bool = False
    offers: tuple[str, ...] = ("STARTTLS",)
    login: bytes = b"235 welcome"
    heard: list[tuple[str, bool]] = field(default_factory=list)
    met: Callable[[], None] = lambda: None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.met()
        try:
            if self.at_once:
                await writer.start_tls(self.context)
            writer.write(b"220 secure.test ESMTP\r\n")
            await self._talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _talk(self, reader, writer):
        recipient = ""
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            verb, encrypted = line[:4].upper(), writer.get_extra_info("ssl_object") is not None
            self.heard.append((verb, encrypted))
            if verb == "EHLO":
                offers = ["secure.test", *(("AUTH PLAIN",) if encrypted else self.offers)]
                writer.write("".join(f"250-{offer}\r\n" for offer in offers).encode() + b"250 HELP\r\n")
            elif verb == "STAR":
                writer.write(b"220 go ahead\r\n")
                await writer.start_tls(self.context)
            elif verb == "DATA":
                writer.write(b"354 go on\r\n")
                body = await reader.readuntil(b"\r\n.\r\n")
                self.messages.append(smtp.Message("", recipient, body[:-3], 0.0))
                writer.write(b"250 kept\r\n")
            else:
                recipient = line if verb == "RCPT" else recipient
                writer.write(self.login + b"\r\n" if verb == "AUTH" else b"250 ok\r\n")
                if verb == "QUIT":
                    return


@dataclass
class Counting(smtp.Sink):
    """A server that counts its sessions. most: how many were open at once; ever: how many there have been."""

    open: int = 0
    most: int = 0
    ever: int = 0

    async def serve(self, reader, writer):
        self.open, self.ever = self.open + 1, self.ever + 1
        self.most = max(self.most, self.open)
        try:
            await super().serve(reader, writer)
        finally:
            self.open -= 1


def certified(folder, *names):
    """Return the context of a server with a certificate for these names, and one of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.now(UTC)
    alternatives = [
        x509.IPAddress(ipaddress.ip_address(name)) if name.count(".") == 3 else x509.DNSName(name) for name in names
    ]
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "relay.pem", folder / "relay.key"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(public, private)
    return server, ssl.create_default_context(cafile=public)


def hand_over(url, count=1, *, trust=None):
    """Send through a pool that trusts what it is given, else what the system does; return the outcomes."""
    cargo = Batch(envelopes(count))

    async def main():
        pool = Pool(Relay.parse(url), helo="sender.example", tls_context=trust, manners=QUICK)
        try:
            await pool.send(cargo)
        finally:
            await pool.close()

    asyncio.run(main())
    return list(cargo.outcomes.values())


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_password_is_said_through_tls_to_whom_it_was_meant_for(scheme, tmp_path):
    """The relay's account sends to every reader: who has its password has the campaign's name."""
    context, trust = certified(tmp_path, "localhost", "127.0.0.1")
    with smtp.running(Secure(context=context, at_once=scheme == "smtps")) as server:
        [outcome] = hand_over(f"{scheme}://user:secret@127.0.0.1:{server.port}?connections=1", trust=trust)
    assert isinstance(outcome, Accepted)
    assert ("AUTH", True) in server.heard
    in_the_open = {verb for verb, encrypted in server.heard if not encrypted}
    assert in_the_open <= {"EHLO", "STAR"}


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@pytest.mark.parametrize("mine", [True, False], ids=["another's name", "nobody's certificate"])
def test_whoever_cannot_prove_to_be_the_relay_hears_nothing(scheme, mine, tmp_path):
    """Somebody on the wire answers for the relay, with a certificate for another name or of their own making."""
    context, trust = certified(tmp_path, "elsewhere.example")
    with smtp.running(Secure(context=context, at_once=scheme == "smtps")) as server, pytest.raises(Unreachable) as why:
        hand_over(f"{scheme}://user:secret@127.0.0.1:{server.port}?connections=1", trust=trust if mine else None)
    assert why.value.cause is Cause.TLS
    assert not {"AUTH", "MAIL", "RCPT", "DATA"} & {verb for verb, _ in server.heard}
    assert "secret" not in str(why.value.facts)


@pytest.mark.parametrize(
    ("said", "refused"),
    [(b"535 5.7.8 authentication failed", Class.SENDER), (b"454 4.7.0 temporary failure", None)],
)
def test_a_refused_password_is_no_relay_that_is_away(said, refused, tmp_path):
    """Standards §16: time mends a relay that is away, and nobody but an operator mends a password."""
    context, trust = certified(tmp_path, "127.0.0.1")
    with smtp.running(Secure(context=context, at_once=True, login=said)) as server, pytest.raises(Unreachable) as why:
        hand_over(f"smtps://user:secret@127.0.0.1:{server.port}?connections=1", trust=trust)
    assert (why.value.cause, why.value.refused) == (Cause.LOGIN, refused)
    assert "secret" not in str(why.value.facts)


@pytest.mark.parametrize(
    ("said", "crowded"),
    [
        (b"421 4.7.0 Too many concurrent sessions for this account", True),
        (b"432 4.3.2 Concurrent connections limit exceeded", True),
        (b"454 4.7.0 Too many login attempts, try again later", False),
        (b"454 4.7.0 Temporary authentication failure", False),
        (b"535 5.7.8 Too many sessions", False),
    ],
)
def test_a_relay_that_bears_no_more_sessions_of_an_account_is_not_away(said, crowded, tmp_path):
    """It says so once it knows the account: taken for away, it had no mail of any lane for ten seconds, alerts among them."""
    context, trust = certified(tmp_path, "127.0.0.1")
    with smtp.running(Secure(context=context, at_once=True, login=said)) as server, pytest.raises(Unreachable) as why:
        hand_over(f"smtps://user:secret@127.0.0.1:{server.port}?connections=1", trust=trust)
    assert why.value.crowded is crowded


def unreachable(cause, line):
    said = Reply.parse(line)
    return Unreachable(Relay.parse("smtp://user:secret@relay.example:587"), cause, str(said), said=said)


@pytest.mark.parametrize("cause", [Cause.GREETING, Cause.LOGIN])
@pytest.mark.parametrize(
    "line",
    [
        "421 4.7.0 mx.example.net Error: too many connections from unknown[192.0.2.7]",  # Postfix
        "421 4.3.2 All server ports are busy",  # Postfix, postscreen
        "421 Too many concurrent SMTP connections from this IP address; please try again later.",  # Exim
        "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel",  # Exchange
        "432 4.3.2 Concurrent connections limit exceeded. Visit https://relay.example/concurrent for more",  # Exchange Online
        "421 4.3.2 Too many open connections.",  # Sendmail
        "421 Too many concurrent SMTP connections for authenticated user",  # SES
        "421 4.7.0 Too many open sessions for this account, close one and try again later",  # Gmail
        "421 4.7.0 account example.org: simultaneous connection allowance used up (10)",  # Mailgun
        "421 4.7.1 Trop de connexions, maximum atteint",  # OVH
        "421-mx.example.net\r\n421 Maximum number of connections from user+IP exceeded (limit=10)",  # Dovecot
        "421 The mail server IP has exceeded the connection limit allowed",  # Outlook
    ],
)
def test_a_relay_that_has_all_the_sessions_it_bears_is_crowded(cause, line):
    """One of ours that ends makes room, in whatever words it is said: an alert waits for that and for nothing longer."""
    assert unreachable(cause, line).crowded


@pytest.mark.parametrize("cause", [Cause.GREETING, Cause.LOGIN])
@pytest.mark.parametrize(
    "line",
    [
        "454 4.7.0 Too many logins, slow down",
        "454 4.7.0 Too many invalid logins from your IP, throttled",
        "451 4.7.1 rate limit exceeded for this user, try again in 10 minutes",
        "421 4.7.0 Too many failed sessions from your host",
        "421 4.7.0 mx.example.net Error: too many new TLS sessions from unknown[192.0.2.7]",  # Postfix: counted in a time
        "450 4.7.1 Error: too many AUTH commands from unknown[192.0.2.7]",  # Postfix
        "421 4.3.2 Connection rate limit exceeded.",  # Sendmail, Exchange
        "421 Too many connections per minute from your network",  # Exim
        "421 4.7.0 Too many connections; come back in 30 minutes",
        "421 4.7.0 Too many concurrent sessions, you are blocked for one hour",
        "454 Throttling failure: Maximum sending rate exceeded.",  # SES
        "421 4.7.1 Too many connections in the last 60 s (rate controlled)",  # OVH
        "421 4.7.0 Too many messages per connection, limit exceeded",
        "421 Too many errors on this connection",
        "421 4.7.0 Too many messages in open sessions",
        "554 5.7.1 too many connections, you are blocked for one hour",
        "554 5.7.1 Too many concurrent connections",
        "421 4.3.0 Temporary System Problem. Try again later",  # Gmail
        "421 4.7.0 Connection limited by policy",
    ],
)
def test_what_is_counted_in_a_time_is_no_want_of_sessions(cause, line):
    """Knocking on, once in two seconds, is what a count of logins or of connections in an hour punishes."""
    assert not unreachable(cause, line).crowded


def test_a_relay_that_has_lost_its_starttls_hears_no_password(tmp_path):
    """Whoever stands in between can strike STARTTLS out of the list: then nothing is sent."""
    context, trust = certified(tmp_path, "127.0.0.1")
    server = Secure(context=context, offers=("AUTH PLAIN LOGIN",))
    with smtp.running(server), pytest.raises(Unreachable) as why:
        hand_over(f"smtp://user:secret@127.0.0.1:{server.port}?connections=1", trust=trust)
    assert why.value.cause is Cause.NO_STARTTLS
    assert {verb for verb, _ in server.heard} == {"EHLO"}


def test_the_certificates_of_the_system_are_read_once(tmp_path):
    """Thirty milliseconds for each of eight sessions would be a quarter of a second for every hundred messages."""
    context, _ = certified(tmp_path, "127.0.0.1")

    def contexts():
        found = (one for one in gc.get_objects() if type(one) is ssl.SSLContext)  # isinstance would load what is lazy
        return sum(one.verify_mode is ssl.CERT_REQUIRED for one in found)

    before, seen = contexts(), []
    server = Secure(context=context, at_once=True, met=lambda: seen.append(contexts()))
    with smtp.running(server):
        for _ in range(2):
            with pytest.raises(Unreachable):
                hand_over(f"smtps://127.0.0.1:{server.port}?connections=4", count=8)
    assert len(seen) >= 2
    assert max(seen) <= before + 1


def test_a_relay_with_an_address_of_the_new_kind_is_reached():
    """Some relays have no other."""
    with smtp.running(smtp.Sink(), host="::1") as sink:
        [outcome] = hand_over(f"smtp://[::1]:{sink.port}")
    assert isinstance(outcome, Accepted)


@contextmanager
def hole(address):
    """An address whose SYNs get no answer: the queue of a socket that nobody accepts from is full."""
    with ExitStack() as stack:
        heard = stack.enter_context(socket.socket())
        heard.bind((address, 0))
        heard.listen(0)
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(heard.getsockname())
        yield heard.getsockname()[1]


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_an_address_that_is_black_holed_does_not_hide_the_other(loop):
    """A relay of two networks, one of which drops everything: the old kind of address works, and mail must find it."""
    with hole("127.0.0.2") as port, socket.socket() as good:
        good.bind(("127.0.0.1", 0))
        good.listen()
        found = [("127.0.0.2", port), good.getsockname()]
        addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", at) for at in found]
        with asyncio.Runner(loop_factory=loop) as runner:
            sock = runner.run(opening._first_to_answer(addresses, replace(QUICK, next_address=0.1)))
        with sock:
            assert sock.getpeername()[0] == "127.0.0.1"


def test_a_machine_that_is_gone_is_noticed_by_the_kernel_and_a_slow_one_is_left_its_time():
    """Without power a relay says nothing, which nothing but a question of the kernel tells from ten slow minutes."""
    with socket.socket() as good:
        good.bind(("127.0.0.1", 0))
        good.listen()
        where = (socket.AF_INET, socket.SOCK_STREAM, 6, "", good.getsockname())
        with asyncio.run(opening._first_to_answer([where], Manners())) as sock:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 10
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 180_000


def test_no_more_sessions_are_open_than_agreed():
    """A provider that allows four refuses the fifth, and in the end the sender."""
    with smtp.running(Counting(delay_seconds=lambda: 0.01)) as sink:
        assert len(hand_over(f"{sink.url}?connections=3", count=60)) == 60
    assert sink.most == 3
    assert sink.ever == 3, "a session is kept, not opened for each message"
