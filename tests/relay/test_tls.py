"""Sessions with relays on other machines: encrypted, verified, and as fast a conversation as any."""

import asyncio
import datetime
import ssl

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from newsletter.relay.envelope import Envelope
from newsletter.relay.opening import Unreachable
from newsletter.relay.outcome import Accepted
from newsletter.relay.pool import Pool
from newsletter.relay.target import Relay
from tests.fakes import smtp
from tests.fakes.cargo import Batch
from tests.relay.test_pool import QUICK

# A spelling of 127.0.0.1 that is not recognised as this machine, so the rules for other machines hold.
ELSEWHERE = "127.1"
LOOPS = pytest.mark.parametrize(
    "loop_factory", [asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for ELSEWHERE and its key, in one file, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "relay.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(ELSEWHERE)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "relay.pem"
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + made.public_bytes(pem))
    return path


def serving(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def send(url, batch, trust, loop_factory=uvloop.new_event_loop):
    """Send a batch with these certificates trusted; return the cargo."""
    cargo = Batch(batch)

    async def main():
        pool = Pool(Relay.parse(url), helo="sender.example", tls_context=trust, manners=QUICK)
        await pool.send(cargo)
        await pool.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    return cargo


def batch(count):
    message = b"Subject: x\r\n\r\n" + b"words and words\r\n" * 2000
    return [Envelope(key, "b-1@bounces.example", f"reader{key}@example.org", message) for key in range(count)]


@LOOPS
@pytest.mark.parametrize("always", [False, True], ids=["STARTTLS", "smtps"])
def test_everything_arrives_once_through_tls(certificate, always, loop_factory):
    """Readers' addresses cross the open internet in every session with a relay."""
    trust = ssl.create_default_context(cafile=certificate)
    with smtp.running(smtp.Sink(tls=serving(certificate), always_tls=always)) as sink:
        url = f"{'smtps' if always else 'smtp'}://{ELSEWHERE}:{sink.port}?connections=3"
        cargo = send(url, batch(60), trust, loop_factory)
    assert all(isinstance(outcome, Accepted) for outcome in cargo.outcomes.values())
    assert sorted(message.recipient for message in sink.messages) == sorted(one.recipient for one in batch(60))
    assert {message.content for message in sink.messages} == {batch(1)[0].message}


@pytest.mark.parametrize("always", [False, True], ids=["STARTTLS", "smtps"])
def test_a_relay_nobody_vouches_for_gets_nothing(certificate, always):
    """Whoever sits between us and the relay can show a certificate; only a trusted one counts."""
    with smtp.running(smtp.Sink(tls=serving(certificate), always_tls=always)) as sink:
        url = f"{'smtps' if always else 'smtp'}://{ELSEWHERE}:{sink.port}"
        with pytest.raises(Unreachable) as refusal:
            send(url, batch(1), ssl.create_default_context())
    assert refusal.value.cause == "tls"
    assert sink.said == []


def test_a_relay_elsewhere_that_offers_no_tls_gets_nothing():
    """Stripping STARTTLS from the offer is the cheapest attack there is."""
    with smtp.running(smtp.Sink()) as sink, pytest.raises(Unreachable) as refusal:
        send(f"smtp://user:secret@{ELSEWHERE}:{sink.port}", batch(1), ssl.create_default_context())
    assert refusal.value.cause == "no-starttls"
    assert sink.said == []
