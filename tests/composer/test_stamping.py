"""One reader's bytes: what a mail server and a reader's program find in them."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.composer.headers import FORBIDDEN, BadAddress, BadHeader
from newsletter.composer.message import Gap, Kind, Piece, Slot
from newsletter.composer.stamping import BadToken, Person, Stamper
from tests.composer.samples import PERSON, compiled, delivered, parsed, part

NAME_HTML = Gap(Slot.NAME, Kind.HTML, "friend")
NAME_TEXT = Gap(Slot.NAME, Kind.TEXT, "friend")
LEAVE = Gap(Slot.LEAVE, Kind.TOKEN)

names = st.text(max_size=60).filter(lambda name: not FORBIDDEN.search(name) and _whole(name))
statics = (
    st.text(max_size=300)
    .filter(lambda text: _whole(text))
    .map(lambda text: text.replace("\r", "").replace("\n", "\r\n"))
)


def _whole(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _person(name: str) -> Person:
    return PERSON._replace(name=name)


def test_what_is_stamped_is_what_is_shown() -> None:
    """The archive and the preview must say what the reader got."""
    pieces: tuple[Piece, ...] = ("Dear ", NAME_HTML, ",\r\n=20 is no space. https://example.org/u/", LEAVE, "\r\n")
    message = compiled(pieces, ("Dear ", NAME_TEXT, "!\r\n"), ("For ", NAME_TEXT))
    read, shown = delivered(message), Stamper(message).parts(PERSON)
    assert (part(read, "html"), part(read, "plain")) == (shown.html, shown.text)
    assert read["Subject"] == shown.subject == "For Ann O'Neill"


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(statics, min_size=1, max_size=5), name=names)
def test_any_text_survives_with_any_name_in_its_gaps(texts: list[str], name: str) -> None:
    """Soft breaks, dots, blanks at line ends and half code points are where encoders go wrong."""
    pieces = tuple(piece for text in texts for piece in (text, NAME_TEXT))[:-1]
    html = part(delivered(compiled(pieces), _person(name)), "html")
    assert html == (name or "friend").join(texts)


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(statics.map(lambda text: "سلام " * 30 + text), min_size=1, max_size=5), name=names)
def test_base64_survives_every_shift(texts: list[str], name: str) -> None:
    """A name of one byte more moves all that follows into another phase."""
    pieces = tuple(piece for text in texts for piece in (text, NAME_TEXT))[:-1]
    stamped = Stamper(compiled(pieces)).stamp(_person(name))
    assert b"Content-Transfer-Encoding: base64" in stamped
    assert part(parsed(stamped), "html") == (name or "friend").join(texts)


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(st.one_of(statics, st.just("." * 90), st.just("x" * 200)), max_size=6), name=names)
def test_lines_are_short_and_never_begin_with_a_dot(texts: list[str], name: str) -> None:
    """RFC 2045: 76 characters; RFC 5321 §4.5.2: a line that begins with a dot would need stuffing; never a bare CR or LF."""
    pieces = tuple(piece for text in texts for piece in (NAME_HTML, text))
    stamped = Stamper(compiled(pieces, pieces)).stamp(_person(name))
    lines = stamped.split(b"\r\n")
    assert max(len(line) for line in lines) <= 76
    assert not any(line.startswith(b".") for line in lines)
    assert b"\r" not in b"".join(lines)
    assert b"\n" not in b"".join(lines)
    assert b"\0" not in stamped


def test_a_hostile_name_stays_a_name() -> None:
    """A name is typed by a stranger and must not become markup, nor end an attribute."""
    hostile = "<script>alert(1)</script>\"'&"
    message = compiled(("<b>", NAME_HTML, '</b><a href="https://e.org/?n=', Gap(Slot.NAME, Kind.URL), '">'))
    html = part(delivered(message, _person(hostile)), "html")
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;" in html
    assert "?n=%3Cscript%3Ealert%281%29%3C%2Fscript%3E%22%27%26" in html


def test_without_a_name_the_fallback_is_printed() -> None:
    """ "Dear ," tells a reader that we do not know who they are."""
    message = compiled(("Dear ", NAME_HTML), subject=("For ", NAME_TEXT))
    read = delivered(message, _person(""))
    assert (part(read, "html"), read["Subject"]) == ("Dear friend", "For friend")


@pytest.mark.parametrize("evil", ["Ann\r\nBcc: all@example.org", "Ann\nX: y", "Ann\x00", "Ann\u202egpj", "Ann\u2028"])
def test_a_name_with_a_line_break_is_refused(evil: str) -> None:
    """A line break in a subject is a second header of the sender's choosing."""
    with pytest.raises(BadHeader):
        Stamper(compiled(("x",), subject=("For ", NAME_TEXT))).stamp(_person(evil))


@pytest.mark.parametrize(
    "evil", ["a@b.example>\r\nBcc: <c@example.org", "a b@example.org", "<a@example.org>", "none", ""]
)
def test_an_address_that_breaks_out_is_refused(evil: str) -> None:
    """The address stands between angle brackets and must stay there."""
    with pytest.raises(BadAddress):
        Stamper(compiled(("x",))).stamp(PERSON._replace(address=evil))


@pytest.mark.parametrize("slot", ["leave_token", "preferences_token", "action_token", "reference"])
def test_a_token_that_is_none_is_refused(slot: str) -> None:
    """A token is written into a header as it is."""
    with pytest.raises(BadToken):
        Stamper(compiled(("x",))).stamp(PERSON._replace(**{slot: "a>\r\nX: y"}))


def test_stamping_twice_gives_the_same_bytes() -> None:
    """An alert that is sent again must be the same message, or a reader's program shows it twice."""
    message = compiled(("Dear ", NAME_HTML), subject=("سلام ", NAME_TEXT))
    assert Stamper(message).stamp(PERSON) == Stamper(message).stamp(PERSON)


def test_people_do_not_leak_into_each_other() -> None:
    """One Stamper serves a million people; what it made for one must not reach the next."""
    stamper = Stamper(compiled(("Dear ", NAME_HTML, LEAVE)))
    first = stamper.stamp(PERSON)
    stamper.stamp(PERSON._replace(name="Someone Else", leave_token="other"))
    assert stamper.stamp(PERSON) == first


def test_a_sender_never_loads_the_composing_half() -> None:
    """A worker that loads lxml, Jinja2 and premailer is twice as large as one that does not."""
    script = (
        "import sys; import newsletter.composer.stamping, newsletter.composer.transfer, newsletter.composer.message; "
        "print([name for name in ('lxml', 'jinja2', 'premailer', 'cssutils', 'babel', 'nh3') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
