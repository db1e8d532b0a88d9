"""The relay's values: where it is, what it says, what is handed to it. No socket."""

import asyncio
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter import languages
from newsletter.relay import opening
from newsletter.relay.conversation import stuffed
from newsletter.relay.envelope import Envelope, UnsafeEnvelope
from newsletter.relay.manners import Manners
from newsletter.relay.reply import Reply
from newsletter.relay.target import InvalidRelay, Relay


def test_a_url_says_where_and_how_much():
    """One line of the settings, read the way the documentation writes it."""
    relay = Relay.parse(
        "smtp://user:p%40ss@mail.example.org:587?connections=4&rate=14&hourly=40000&daily=50000&reserve=40000"
    )
    assert (relay.host, relay.port, relay.user, relay.password) == ("mail.example.org", 587, "user", "p@ss")
    assert (relay.connections, relay.rate, relay.daily, relay.reserve) == (4, 14.0, 50_000, 40_000)
    assert relay.starttls
    assert Relay.parse("smtps://mail.example.org").port == 465


def test_plain_text_goes_to_this_machine_only():
    """A list of people at risk is not read out over the wire."""
    assert not Relay.parse("smtp://127.0.0.1:25").starttls
    assert not Relay.parse("smtp://[::1]:25").starttls
    assert Relay.parse("smtp://10.0.0.1:25").starttls


def test_a_password_goes_to_nobody_in_the_open():
    """Whoever may run a program on this machine may listen on a port that the relay has left."""
    assert Relay.parse("smtp://user:secret@127.0.0.1:587").starttls
    assert not Relay.parse("smtps://user:secret@127.0.0.1:465").starttls, "it speaks TLS already"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://mail.example.org",
        "smtp://",
        "smtp://mail.example.org:0",
        "smtp://mail.example.org:99999",
        "smtp://user@mail.example.org",
        "smtp://mail.example.org?rate=fast",
        "smtp://mail.example.org?rate=1&rate=2",
        "smtp://mail.example.org?colour=red",
        "smtp://mail.example.org?hourly=10&daily=5",
        "smtp://mail.example.org?reserve=5",
        "smtp://mail.example.org?ahead=5",
        "smtp://u:secret@mail.example.org/path",
    ],
)
def test_a_url_that_cannot_be_is_refused_without_its_password(url):
    """The sentence goes to a screen or a log; the password must not."""
    with pytest.raises(InvalidRelay) as refusal:
        Relay.parse_all(url)
    sentence = languages.say(refusal.value.message, **refusal.value.facts)
    assert "secret" not in sentence
    assert not sentence.startswith("relay."), "nobody worded this refusal"


def test_two_accounts_at_one_relay_are_told_apart_and_nobody_s_name_is_read():
    """A provider counts by account; what stands in rows and on screens must not be half of a login."""
    keys = [Relay.parse(f"smtp://{user}:x@mail.example.org:587").key for user in ("ann", "ben", "ann")]
    assert keys[0] == keys[2] != keys[1]
    assert all(key.startswith("mail.example.org:587#") and "ann" not in key for key in keys)
    assert Relay.parse("smtp://mail.example.org:25").key == "mail.example.org:25"


def test_a_password_is_never_shown():
    """A repr ends in logs and tracebacks."""
    assert "secret" not in repr(Relay.parse("smtp://user:secret@mail.example.org"))


@pytest.mark.parametrize("bad", ["a@x>\r\nRCPT TO:<b@x", "a b@x", "a@x\x00", "<a@x>", "a@x\u2028", ""])
def test_an_address_that_could_be_a_command_never_reaches_the_wire(bad):
    """SMTP is lines: a line break in an address would begin a command of its own."""
    with pytest.raises(UnsafeEnvelope):
        Envelope(1, "news@example.org", bad, b"")


@pytest.mark.parametrize(
    ("raw", "code", "enhanced", "text"),
    [
        (b"250 2.0.0 ok\r\n", 250, "2.0.0", "ok"),
        (b"550-5.1.1 no such user\r\n550 5.1.1 here\r\n", 550, "5.1.1", "no such user\nhere"),
        (b"250-sink\n250 ", 250, None, "sink"),
        (b"\xff garbage", 0, None, "\ufffd garbage"),
    ],
)
def test_replies_are_read_as_servers_write_them(raw, code, enhanced, text):
    """Servers repeat, forget and break lines; a reply misread is a reader lost."""
    assert Reply.parse(raw) == Reply(code, enhanced, text)


@given(st.lists(st.sampled_from([b".", b"..", b"", b"a", b".a", b"text.", b"\xc3\xa9"]), min_size=1, max_size=12))
def test_dots_are_stuffed_so_that_no_body_ends_itself(lines):
    """A line that is a single dot would end the message in its middle (RFC 5321 §4.5.2)."""
    message = b"".join(line + b"\r\n" for line in lines)
    wire = b"".join(stuffed(Envelope(1, "news@example.org", "reader@example.org", message)))
    assert wire.endswith(b"\r\n.\r\n") or wire == b".\r\n"
    body = wire[:-3]
    assert b"\r\n.\r\n" not in b"\r\n" + body
    unstuffed = b"".join(line[1:] if line.startswith(b".") else line for line in body.splitlines(keepends=True))
    assert unstuffed == message


def test_mail_without_encryption_stays_on_this_host_s_network():
    """An inbox in a container beside us is worth a look; a server somewhere else must never see a reader's mail in the open."""
    relay = Relay.parse("smtp://mailpit:1025?plain=1")
    assert (relay.starttls, relay.near) == (False, True)
    for url in ("smtp://user:secret@mailpit:1025?plain=1", "smtps://mailpit:1025?plain=1"):
        with pytest.raises(InvalidRelay):
            Relay.parse(url)

    async def connect() -> None:
        outside = Relay.parse("smtp://192.88.99.1:25?plain=1")  # an address that no network of one's own has
        manners = Manners(connect=1)
        await opening.open_session(outside, helo="x.test", tls_context=ssl.create_default_context(), manners=manners)

    with pytest.raises(opening.Unreachable) as refused:
        asyncio.run(connect())
    assert refused.value.cause is opening.Cause.NOT_OURS
