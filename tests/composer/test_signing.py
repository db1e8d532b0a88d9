"""DKIM: what we sign, two verifiers that nobody here wrote must find good, and anything changed on the way bad."""

import contextlib
import subprocess

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.composer import signing
from newsletter.composer.signing import BadKey, Signer
from newsletter.composer.stamping import Stamper
from tests.composer.test_messages import FRAME, KINDS, PERSIAN, PERSON, made


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture(scope="module")
def setting():
    """Two keys as an operator writes them: a selector, and the key below it."""
    return f"s1\n{pem(rsa.generate_private_key(65537, 2048))}\ns2\n{pem(ed25519.Ed25519PrivateKey.generate())}"


@pytest.fixture(scope="module")
def keys(setting):
    return signing.keys(setting)


def verdicts(message, keys):
    """Return what dkimpy says of each signature."""
    zone = {f"{key.selector}._domainkey.example.org.": key.record for key in keys}

    def ask(name, timeout=5):
        return zone[name.decode()].encode()

    looking = dkim.DKIM(message)
    return [looking.verify(idx=place, dnsfunc=ask) for place in range(len(keys))]


@pytest.mark.parametrize("frame", [FRAME, PERSIAN], ids=["en", "fa"])
@pytest.mark.parametrize("kind", KINDS)
def test_dkimpy_finds_every_mail_well_signed(kind, frame, layout, keys):
    """Gmail, Yahoo and Microsoft refuse bulk mail without a signature that holds (standards §19)."""
    message = Signer("example.org", keys).sign(Stamper(made(kind, layout, frame)).stamp(PERSON))
    assert verdicts(message, keys) == [True, True]


@pytest.mark.parametrize("frame", [FRAME, PERSIAN], ids=["en", "fa"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_we_stamp_is_relaxed_as_it_stands(kind, frame, layout, keys):
    """The signer does not look through our own bodies: then they must be what it would have made of them."""
    stamper, signer = Stamper(made(kind, layout, frame)), Signer("example.org", keys)
    for name in ("Ann  Two   Blanks ", "", ".", "آن"):
        message = stamper.stamp(PERSON._replace(name=name))
        body = message.partition(b"\r\n\r\n")[2]
        assert signing.relaxed_body(body) == body
        assert verdicts(signer.sign(message, relaxed=True), keys) == [True, True]


def test_every_list_field_is_covered_and_from_twice(layout, keys):
    """An unsubscribe link that somebody could exchange on the way is worse than none (RFC 8058 §4)."""
    message = Signer("example.org", keys[:1]).sign(Stamper(made("digest", layout)).stamp(PERSON))
    signature = message.partition(b"\r\nFrom:")[0].replace(b"\r\n\t", b"").lower()
    covered = signature.split(b"h=")[1].split(b";")[0].split(b":")
    assert covered.count(b"from") == 2
    for name in (b"list-unsubscribe", b"list-unsubscribe-post", b"list-id", b"list-help", b"list-archive", b"feedback-id",
                 b"auto-submitted", b"subject", b"to", b"date", b"message-id"):  # fmt: skip
        assert name in covered, name
    assert b"l=" not in signature.replace(b"rel", b"")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"/u/leave-", b"/u/other-"),
        (b"\r\nSubject: ", b"\r\nSubject: Re: "),
        (b"\r\nFrom: ", b"\r\nFrom: evil@example.net\r\nFrom: "),
        (b"Your reference", b"Your reverence"),
    ],
    ids=["another unsubscribe link", "another subject", "a second From", "another word"],
)
def test_whatever_is_changed_on_the_way_breaks_the_signature(layout, keys, before, after):
    """That is what it is for."""
    message = Signer("example.org", keys).sign(Stamper(made("mailing", layout)).stamp(PERSON))
    assert before in message
    with contextlib.suppress(dkim.DKIMException):  # dkimpy's way of refusing a second From
        assert verdicts(message.replace(before, after, 1), keys) == [False, False]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet=" \tab.=é", max_size=12), max_size=8), st.sampled_from(["", "\r\n", "\r\n\r\n\r\n"]))
def test_bodies_with_blanks_in_every_place_are_signed_well(keys, lines, end):
    """Relaxed bodies are where signers and verifiers disagree: blanks at ends, empty lines, nothing at all."""
    text = (
        "From: a@example.org\r\nTo: b@example.net\r\nSubject:  two   blanks \r\n folded\r\n\r\n"
        + "\r\n".join(lines)
        + end
    )
    message = Signer("example.org", keys).sign(text.encode())
    assert verdicts(message, keys) == [True, True]


def test_keys_that_would_be_refused_are_refused_here(setting):
    """A receiver would only say "bad signature", to every reader's provider, on the first night."""
    weak = f"s1\n{pem(rsa.generate_private_key(65537, 1024))}"
    other = f"s1\n{pem(ec.generate_private_key(ec.SECP256R1()))}"
    bare = pem(ed25519.Ed25519PrivateKey.generate())
    without_selector, cut = f"{setting}\n{bare}", f"{setting}\ns3\n{bare[:60]}"
    for text in ("", "no key", bare, weak, other, setting.replace("MI", "XX"), without_selector, cut):
        with pytest.raises(BadKey) as refused:
            signing.keys(text)
        assert "PRIVATE" not in str(refused.value.facts)


def test_keys_never_show_themselves(keys):
    """A repr in a log is a key in a log."""
    assert "Private" not in repr(keys)


def test_openssl_agrees_on_the_public_half(keys, tmp_path):
    """What is published must belong to what signs."""
    (tmp_path / "key.pem").write_text(pem(keys[0].private))
    ran = subprocess.run(
        ["openssl", "rsa", "-in", str(tmp_path / "key.pem"), "-pubout"], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        pytest.skip("openssl is not on this machine")
    assert keys[0].record.rpartition("p=")[2] == "".join(ran.stdout.split("\n")[1:-2])


@pytest.mark.parametrize(
    ("body", "hashed"),
    [
        (b"a  b\t \tc\r\n", b"a b c\r\n"),
        (b"a \t\r\n \r\nb\r\n", b"a\r\n\r\nb\r\n"),
        (b"\ta\r\n\r\n\r\n", b" a\r\n"),
        (b"a", b"a\r\n"),
        (b"\r\n\r\n", b""),
    ],
)
def test_a_body_is_hashed_as_a_verifier_reads_it(body, hashed):
    """One blank read otherwise and every message fails (RFC 6376 §3.4.4)."""
    assert signing.relaxed_body(body) == hashed
