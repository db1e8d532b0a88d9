"""What a server offers, and what is said to it accordingly."""

import pytest

from newsletter.relay.envelope import Envelope
from newsletter.relay.manners import Manners
from newsletter.relay.offers import Offers
from newsletter.relay.outcome import Stage

MESSAGE = b"Subject: x\r\n\r\ntext\r\n"


def envelope(*, recipient="reader@example.org", message=MESSAGE, envid="b-1=2"):
    return Envelope(1, "b-1@bounces.example", recipient, message, envid)


def test_nothing_is_said_that_was_not_offered():
    """A parameter a server does not know is an error, and the reader gets no mail for it (RFC 5321 §4.1.1.11)."""
    assert Offers().mail(envelope()) == b"MAIL FROM:<b-1@bounces.example>"
    assert Offers().rcpt(envelope()) == b"RCPT TO:<reader@example.org>"


def test_size_and_reports_are_asked_for_where_they_are_offered():
    """A report that names the envelope finds its reader, whatever the bounce looks like (RFC 1870, RFC 3461)."""
    offers = Offers.of({"size": "10000", "dsn": "", "pipelining": "", "8bitmime": "", "smtputf8": ""})
    assert offers == Offers(pipelining=True, size=True, limit=10_000, eight_bit=True, utf8=True, dsn=True)
    assert offers.mail(envelope()) == b"MAIL FROM:<b-1@bounces.example> SIZE=20 RET=HDRS ENVID=b-1+3D2"
    assert offers.rcpt(envelope(recipient="a+b@example.org")) == (
        b"RCPT TO:<a+b@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb@example.org"
    )


def test_eight_bits_and_foreign_letters_are_announced():
    """RFC 6152 and 6531: what is not announced may be mangled on the way."""
    offers = Offers.of({"8bitmime": "", "smtputf8": ""})
    assert offers.mail(envelope(message="é\r\n".encode())) == b"MAIL FROM:<b-1@bounces.example> BODY=8BITMIME"
    assert offers.mail(envelope(recipient="jösé@example.org")).endswith(b" SMTPUTF8")


@pytest.mark.parametrize(
    ("extensions", "made", "code", "stage"),
    [
        ({"size": "19"}, envelope(), "5.3.4", Stage.MAIL),
        ({"8bitmime": ""}, envelope(recipient="jösé@example.org"), "5.6.7", Stage.RCPT),
        ({"smtputf8": ""}, envelope(recipient="jösé@example.org"), "5.6.7", Stage.RCPT),
        ({}, envelope(message="é\r\n".encode()), "5.6.3", Stage.MAIL),
    ],
)
def test_what_cannot_be_carried_is_found_before_anything_is_said(extensions, made, code, stage):
    """A megabyte is not sent to hear no; the reader's failure has the code a server would give."""
    hindrance = Offers.of(extensions).hindrance(made)
    assert (hindrance.reply.enhanced, hindrance.stage) == (code, stage)


@pytest.mark.parametrize("size", ["", "0", "much", "20", "9" * 20, "1" * 21, "9" * 5_000])
def test_a_limit_that_is_none_holds_nothing_up(size):
    """RFC 1870 §4: no number, or 0, means that no fixed limit is known; Python reads none of more than 4,300 digits."""
    assert Offers.of({"size": size}).hindrance(envelope()) is None


def test_the_final_dot_is_waited_for_ten_minutes():
    """RFC 5321 §4.5.3.2.6: who hangs up earlier sends a slow server's readers their mail twice."""
    assert Manners().final_dot >= 600
