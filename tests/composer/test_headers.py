"""The serialiser of headers, judged by Python's parser, which nobody here wrote."""

import email
import email.policy
import re
from email.header import decode_header, make_header
from email.utils import parseaddr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.composer import headers
from newsletter.composer.headers import BadAddress, BadHeader

SCRIPTS = ("ABCxyz  =?_.,;\"\\()<>@'", "éüßñ", "سلام‌دنیا", "שלום", "日本語テスト", "👩‍👩‍👧🏽🇮🇷", "नमस्ते", "Ελλάδα")
multi_script = st.lists(st.sampled_from([letter for script in SCRIPTS for letter in script]), max_size=120).map("".join)


def read(field: str) -> str:
    """Return the value of a whole field as Python's parser decodes it."""
    message = email.message_from_bytes(field.encode("ascii") + b"\r\n", policy=email.policy.default)
    return str(next(iter(message.values())))


def shape_holds(field: str) -> None:
    """Fail unless the field is folded and encoded as RFC 5322 and RFC 2047 ask."""
    assert field.endswith("\r\n")
    assert field.isascii()
    lines = field[:-2].split("\r\n")
    assert all(line[0] == " " and line.strip() for line in lines[1:])
    assert all(len(line) <= (76 if "=?utf-8?" in line else 78) for line in lines)
    for charset, encoded in re.findall(r"=\?(utf-8)\?[qb]\?([^?]*)\?=", field):
        assert charset
        assert encoded
    assert all(len(word) <= 75 for line in lines for word in line.split() if word.startswith("=?utf-8?"))


@settings(max_examples=500, deadline=None)
@given(subject=multi_script)
def test_any_subject_survives(subject: str) -> None:
    """A reader decides by the subject; half a letter or a question mark in it loses them."""
    field = headers.unstructured("Subject", subject)
    shape_holds(field)
    assert read(field) == re.sub(" +", " ", subject).strip(" ")


@settings(max_examples=500, deadline=None)
@given(name=multi_script)
def test_any_display_name_survives(name: str) -> None:
    """The sender's name is the first thing anyone reads."""
    field = headers.mailbox("From", name, "news@example.org")
    shape_holds(field)
    # Not policy.default: its phrases keep the blank between two encoded words, which RFC 2047 §6.2 takes away.
    shown, address = parseaddr(field.removeprefix("From: ").replace("\r\n", ""))
    assert address == "news@example.org"
    assert str(make_header(decode_header(shown))) == re.sub(" +", " ", name).strip(" ")


@pytest.mark.parametrize("evil", ["a\r\nBcc: x@example.org", "a\nb", "a\rb", "a\0b", "a\x85b", "a\u2029b", "a\u202eb"])
def test_controls_are_refused_in_every_field(evil: str) -> None:
    """Whoever can put a line break into a header writes the next header."""
    with pytest.raises(BadHeader):
        headers.unstructured("Subject", evil)
    with pytest.raises(BadHeader):
        headers.mailbox("From", evil, "news@example.org")
    with pytest.raises(BadHeader):
        headers.list_id(evil, "weekly", "example.org")
    with pytest.raises(BadHeader):
        headers.listed("List-Help", [f"https://example.org/{evil}"])
    with pytest.raises(BadAddress):
        headers.mailbox("From", "News", f"{evil}@example.org")


def test_half_a_code_point_is_refused() -> None:
    """A lone surrogate comes out of a broken feed and cannot be written as UTF-8."""
    with pytest.raises(BadHeader):
        headers.unstructured("Subject", "broken \ud83d emoji")


def test_a_link_is_never_encoded_nor_broken() -> None:
    """A mail client that finds an encoded word in List-Unsubscribe shows no button."""
    url = "https://news.example.org/u/" + "t" * 120
    field = headers.listed("List-Unsubscribe", [url, "mailto:leave@example.org"])
    assert re.findall(r"<[^>]*>", field) == [f"<{url}>", "<mailto:leave@example.org>"]
    assert "=?" not in field


def test_a_domain_with_letters_of_its_own_is_refused_in_headers() -> None:
    """Domains travel as A-labels; an encoded word in an address is an address nobody has."""
    with pytest.raises(BadAddress):
        headers.mailbox("From", "News", "news@bücher.example")


def test_text_that_looks_encoded_is_encoded() -> None:
    """A subject that quotes an encoded word must be read as typed."""
    assert read(headers.unstructured("Subject", "about =?utf-8?q?x?= words")) == "about =?utf-8?q?x?= words"


def test_list_id_is_stable_and_plain() -> None:
    """People's filters match on it for ever (RFC 2919)."""
    assert (
        headers.list_id("Weekly digest", "weekly", "example.org") == 'List-Id: "Weekly digest" <weekly.example.org>\r\n'
    )
    assert headers.list_id("خبرنامه", "weekly", "example.org") == "List-Id: <weekly.example.org>\r\n"


def test_feedback_id_has_four_fields() -> None:
    """Gmail reads exactly four, the last naming the sender in 5 to 15 letters."""
    field = headers.feedback_id("issue 12", "weekly", "digest", "ex.org")
    assert field == "Feedback-ID: issue-12:weekly:digest:exorg\r\n"
