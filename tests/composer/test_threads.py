"""What a mail answers: mail programs put an update and a retraction under the mail that they are about."""

import pytest

from newsletter.composer import headers
from newsletter.composer.headers import BadAddress
from newsletter.composer.message import Block, Compiled, Gap, Head, Kind, Slot
from newsletter.composer.stamping import Stamper
from tests.composer.samples import PERSON

LONG = "x" * 24 + "@" + "a-rather-long-label." * 8 + "example"
THREADED = Compiled(
    Head(("From: <news@example.org>\r\n", Gap(Slot.THREAD, Kind.HEADER), Gap(Slot.SUBJECT, Kind.HEADER)), ("News",)),
    (Block(("<p>News</p>\r\n",), ("News\r\n",)),),
)


def test_one_mail_is_answered_under_its_id() -> None:
    """RFC 5322 §3.6.4: In-Reply-To names the parent, References the thread."""
    assert headers.answering(("a@example.org",)) == "In-Reply-To: <a@example.org>\r\nReferences: <a@example.org>\r\n"


def test_a_chain_names_the_first_and_the_last() -> None:
    """Whoever deleted the middle of a thread still finds its beginning."""
    assert headers.answering(("a@example.org", "b@example.org")) == (
        "In-Reply-To: <b@example.org>\r\nReferences: <a@example.org>\r\n <b@example.org>\r\n"
    )


def test_a_long_domain_breaks_no_line() -> None:
    """RFC 5322 §2.1.1: no line over 998 characters, and an id is never folded."""
    written = headers.answering((LONG, LONG))
    assert all(len(line) <= 998 for line in written.split("\r\n"))
    assert written.count(f"<{LONG}>") == 3


BAD = ("", "no-at", "a@b\r\nBcc: x@example.org", "a@b> <c@example.org", "a b@example.org", "a@bücher.example")


@pytest.mark.parametrize("bad", BAD)
def test_no_id_breaks_out_of_its_brackets(bad: str) -> None:
    """An id is worked out from numbers in the database, and what is there may be anything."""
    with pytest.raises(BadAddress):
        Stamper(THREADED).stamp(PERSON._replace(thread=(bad,)))


def test_what_answers_nothing_says_nothing() -> None:
    """A first alert has the same gap as its update, and leaves no trace of it."""
    stamped = Stamper(THREADED).stamp(PERSON)
    assert stamped.startswith(b"From: <news@example.org>\r\nSubject: News\r\n")
    assert b"References" not in stamped


def test_what_is_locked_of_a_thread_is_its_place() -> None:
    """The gap is part of the bytes that people approve, and comes back from storage as it was."""
    assert Head.load(THREADED.head.dump()) == THREADED.head
