"""MIME as strangers write it: read once, never deeper, longer or wider than stated here, and never an error.

Python's `email` recurses as deep as the message wants and stumbles over charsets nobody knows; this reader needs a few fields and
parts, and takes what it can get.
"""

import base64
import binascii
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header

LARGEST = 2**20
"""Octets of a message that are looked at; a report says what it has to say long before."""
DEPTH = 6
PARTS = 40
FIELDS = 300
_HEADER = 64 * 1024
_VALUE = 8192
_FIELD = re.compile(r"([!-9;-~]{1,80})[ \t]*:[ \t]*(.*)", re.DOTALL)
_BOUNDARY = re.compile(r"""boundary\s*=\s*(?:"([^"\n]{1,200})"|([^\s;"]{1,200}))""", re.IGNORECASE)
_CHARSET = re.compile(r"""charset\s*=\s*"?([A-Za-z0-9._:-]{1,40})""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """A message or a part of one. fields: names in small letters, values unfolded; body: still in its transfer encoding."""

    fields: tuple[tuple[str, str], ...]
    body: bytes

    def field(self, name: str) -> str:
        """Return the first value of a field, "" where there is none."""
        return next((value for key, value in self.fields if key == name), "")

    @property
    def kind(self) -> str:
        """The media type in small letters; RFC 2045 §5.2 says what it is when nothing is said."""
        found = self.field("content-type").partition(";")[0].strip().lower()
        return found if "/" in found else "text/plain"

    @property
    def content(self) -> bytes:
        """The body without its transfer encoding, or as it stands where that is damaged."""
        match self.field("content-transfer-encoding").strip().lower():
            case "base64":
                return _unbased(self.body)
            case "quoted-printable":
                return quopri.decodestring(self.body)
        return self.body

    @property
    def text(self) -> str:
        """The body as text, whatever its charset."""
        found = _CHARSET.search(self.field("content-type"))
        return decoded(self.content, found[1] if found else "utf-8")


def read(raw: bytes) -> Part:
    """Return a message as header and body; LF line ends, and no more than LARGEST octets of it."""
    return _part(raw[:LARGEST].replace(b"\r\n", b"\n").lstrip(b"\n"))


def leaves(message: Part) -> Iterator[Part]:
    """Yield the parts that hold no others, in order; an attached message is a leaf."""
    yield from _leaves(message, DEPTH, [PARTS])


def words(value: str) -> str:
    """Return a field's text with its encoded words read (RFC 2047), or as it stands where they cannot be."""
    try:
        return "".join(
            decoded(piece, charset or "latin-1") if isinstance(piece, bytes) else piece
            for piece, charset in decode_header(value)
        )
    except (HeaderParseError, ValueError):
        return value


def decoded(octets: bytes, charset: str) -> str:
    """Return octets as text; a charset that nobody knows is read as UTF-8."""
    try:
        return octets.decode(charset, "replace")
    except (LookupError, ValueError):
        return octets.decode("utf-8", "replace")


def fields(head: bytes) -> tuple[tuple[str, str], ...]:
    """Return the fields of a header, or of one group of a report, which is written like one."""
    unfolded = re.sub(rb"\n[ \t]+", b" ", head[:_HEADER])
    found = (_FIELD.fullmatch(line[:_VALUE]) for line in unfolded.decode("utf-8", "replace").split("\n")[:FIELDS])
    return tuple((match[1].lower(), match[2].strip()) for match in found if match)


def _part(raw: bytes) -> Part:
    if raw.startswith(b"\n"):
        return Part((), raw[1:])
    head, _, body = raw.partition(b"\n\n")
    return Part(fields(head), body)


def _leaves(part: Part, depth: int, left: list[int]) -> Iterator[Part]:
    boundary = _BOUNDARY.search(part.field("content-type"))
    if not part.kind.startswith("multipart/") or not boundary or not depth:
        left[0] -= 1
        yield part
        return
    for piece in _split(part.body, (boundary[1] or boundary[2]).encode()):
        if left[0] <= 0:
            return
        yield from _leaves(_part(piece), depth - 1, left)


def _split(body: bytes, boundary: bytes) -> Iterator[bytes]:
    """Yield the pieces between the lines of a boundary (RFC 2046 §5.1.1); one that was never closed ends with the body."""
    begin = None
    for line in re.finditer(rb"^--" + re.escape(boundary) + rb"(--)?[ \t]*$\n?", body, re.MULTILINE):
        if begin is not None:
            yield body[begin : max(begin, line.start() - 1)]
        if line[1]:
            return
        begin = line.end()
    if begin is not None:
        yield body[begin:]


def _unbased(body: bytes) -> bytes:
    packed = re.sub(rb"[^A-Za-z0-9+/]", b"", body)
    try:
        return base64.b64decode(packed[: len(packed) // 4 * 4] or b"")
    except binascii.Error:
        return body
