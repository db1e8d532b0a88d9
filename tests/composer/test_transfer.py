"""Transfer encodings, judged by the standard library's decoders."""

import base64
import quopri

from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.composer import transfer

blanks = st.text(alphabet=" \ta.=\n", max_size=120).map(str.encode)
bodies = (st.binary(max_size=400) | blanks).map(lambda text: text.replace(b"\r", b"").replace(b"\n", b"\r\n"))


@settings(max_examples=200, deadline=None)
@given(text=bodies)
def test_quoted_printable_decodes_to_what_went_in(text: bytes) -> None:
    """Whatever a feed brings, the reader gets the same."""
    encoded = transfer.quoted(text)
    assert quopri.decodestring(encoded) == text
    assert all(len(line) <= 76 and not line.startswith(b".") for line in encoded.split(b"\r\n"))
    assert not any(line.endswith((b" ", b"\t")) for line in encoded.split(b"\r\n"))
    assert b"  " not in encoded
    assert b"\t" not in encoded


@settings(max_examples=200, deadline=None)
@given(value=st.binary(max_size=300) | blanks)
def test_no_value_ends_the_line_it_stands_on(value: bytes) -> None:
    """A gap's value is text inside a line: a line break in it is kept as data, not as a line."""
    encoded = transfer.quoted_gap(value)
    assert encoded.endswith(b"=\r\n")
    assert quopri.decodestring(encoded) == value
    assert b"  " not in encoded
    assert all(len(line) <= 76 and not line.startswith(b".") for line in encoded.split(b"\r\n"))


@settings(max_examples=100, deadline=None)
@given(before=st.binary(max_size=5), text=st.binary(min_size=2, max_size=300))
def test_each_phase_continues_what_came_before(before: bytes, text: bytes) -> None:
    """The static text is encoded for every length of the name before it."""
    phases = transfer.phased(text)
    phase = -len(before) % 3
    encoded = transfer.based(before + phases.heads[phase]) + phases.bodies[phase] + transfer.based(phases.tails[phase])
    assert base64.b64decode(encoded.replace(b"\r\n", b"")) == before + text


def test_the_shorter_encoding_is_chosen() -> None:
    """Persian in quoted-printable is three times as long, English in base64 a third longer."""
    assert not transfer.prefers_base64("Plain words – with a dash. " * 20)
    assert transfer.prefers_base64("سلام دنیا " * 20)
