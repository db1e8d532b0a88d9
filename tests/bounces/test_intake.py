"""The LMTP server: one answer a recipient, no bounce of its own, and cheap where it is nonsense."""

import smtplib
import socket
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest

from newsletter.bounces import intake
from newsletter.bounces.intake import Intake
from tests.bounces.conftest import DOMAIN
from tests.fakes import returns


@contextmanager
def listening(answering):
    """Serve until the block ends; yield the port."""
    ended, port, started = threading.Event(), [], threading.Event()

    def ready(actual):
        port.append(actual)
        started.set()

    serving = threading.Thread(
        target=intake.serve, args=(answering, ("127.0.0.1", 0)), kwargs={"ready": ready, "ended": ended}
    )
    serving.start()
    assert started.wait(10)
    try:
        yield port[0]
    finally:
        ended.set()
        serving.join(10)


def talk(port, *lines):
    """Send lines and return the first line of each answer: smtplib reads one answer where LMTP gives several."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        file = connection.makefile("rb")
        file.readline()
        connection.sendall("".join(f"{line}\r\n" for line in lines).encode())
        connection.shutdown(socket.SHUT_WR)
        return [line.decode().rstrip() for line in file if line[3:4] == b" "]


def test_each_recipient_has_an_answer_of_its_own(router, tokens):
    """Postfix counts the answers: one too few, and it sends the same mail for a week."""
    taken = []
    with listening(Intake(router, taken.append)) as port:
        good, odd = f"{tokens.return_path(1, 2, now=datetime.now(UTC))}@{DOMAIN}", f"nobody@{DOMAIN}"
        with smtplib.LMTP("127.0.0.1", port) as connection:
            connection.ehlo()
            connection.mail("")
            assert [connection.rcpt(one)[0] for one in (good, odd, "x@elsewhere.example", router.leaving)] == [
                250,
                250,
                550,
                250,
            ]
            assert connection.data(b"Subject: x\r\n\r\n.y\r\n") == (250, b"2.0.0 taken")
            assert connection.getreply() == (250, b"2.0.0 thrown away")
            assert connection.getreply() == (250, b"2.0.0 taken")
    assert [(one.sender, one.recipient) for one in taken] == [("", good), ("", router.leaving)]
    assert taken[0].content == b"Subject: x\r\n\r\n.y\r\n"


@pytest.mark.parametrize(
    ("body", "code"),
    [(["x" * 70_000], "500"), (["x" * 60_000] * (intake.LARGEST // 60_000 + 1), "552")],
    ids=["line", "mail"],
)
def test_what_is_too_large_is_refused_once_for_each_recipient(router, body, code):
    """Postfix waits for as many answers as it named people, and brings the whole of it again where one is missing."""
    taken = []
    with listening(Intake(router, taken.append)) as port:
        rcpt = f"RCPT TO:<{router.leaving}>"
        said = talk(port, "LHLO x", "MAIL FROM:<a@example.org>", rcpt, rcpt, "DATA", *body, ".", "NOOP", "QUIT")
    assert [line[:3] for line in said[4:]] == ["354", code, code, "250", "221"]
    assert taken == []


def test_what_cannot_be_done_now_is_kept_by_the_server_before_us(router):
    """The database restarts: the wish of a reader must wait in a queue, not vanish."""

    def take(_mail):
        raise RuntimeError("no database")

    with listening(Intake(router, take)) as port:
        letter = returns.letter("a@example.org", router.leaving, "x")
        assert returns.hand_over(port, "a@example.org", router.leaving, letter) == (451, b"4.3.0 not now")


def test_long_lines_and_octets_are_taken(router):
    """What comes back was often written by no standard; refusing it would only make another bounce."""
    taken = []
    with listening(Intake(router, taken.append)) as port:
        body = b"Subject: \xff\xfe\r\n\r\n" + b"x" * 20_000 + b"\r\n"
        assert returns.hand_over(port, "", router.leaving, body)[0] == 250
    assert taken[0].content == body


def test_strangers_and_crowds_are_sent_away(router):
    """The server must not be a way in for the network it stands in, nor be held open by somebody who says nothing."""
    answering = Intake(router, lambda _mail: None, peers=[ip_network("10.1.0.0/16")])
    assert answering.admits(("127.0.0.1", 1))
    assert answering.admits(("::1", 1, 0, 0))
    assert answering.admits(("10.1.2.3", 1))
    assert not answering.admits(("10.2.0.1", 1))
    assert not answering.admits(None)
    answering.open = intake.CONNECTIONS
    with listening(answering) as port, pytest.raises(smtplib.SMTPConnectError) as refused:
        smtplib.LMTP("127.0.0.1", port)
    assert refused.value.smtp_code == 421
    assert answering.open == intake.CONNECTIONS


def test_too_many_recipients_at_once_come_again(router):
    """A flood to ten thousand invented addresses must not be one long answer."""
    lines = [f"RCPT TO:<x{number}@{DOMAIN}>" for number in range(intake.RECIPIENTS + 1)]
    with listening(Intake(router, lambda _mail: None)) as port:
        answers = talk(port, "LHLO x", "MAIL FROM:<>", *lines, "QUIT")
    assert sum(answer.startswith("452") for answer in answers) == 1


def test_a_taken_address_is_said_in_a_sentence(router):
    """Whoever starts it twice must read which of the two is in the way."""
    answering, ended = Intake(router, lambda _mail: None), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = ("127.0.0.1", other.getsockname()[1])
        with pytest.raises(intake.CannotListen):
            intake.serve(answering, where, ready=lambda _port: None, ended=ended)
