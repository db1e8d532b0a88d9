"""Transfer encodings with gaps: quoted-printable and base64 whose static text is encoded once (RFC 2045 §6.7, §6.8).

Quoted-printable: a gap stands on its own line between soft breaks, so the static text after it always starts at column 0.
Base64: a gap shifts everything after it by 0, 1 or 2 bytes; each static text is therefore encoded in its three phases
beforehand and only the few bytes around a gap are encoded for a reader. Lines hold at most 76 characters, and no line begins
with a dot, so the dot-stuffing of RFC 5321 §4.5.2 never has work to do. No tab, no two blanks in a row and no blank before a
line's end are left, so the "relaxed" body of RFC 6376 §3.4.4 is the body as it stands.
"""

import binascii
import re
from dataclasses import dataclass

_LINE = 76  # RFC 2045 §6.7 (5) and §6.8: encoded lines of at most 76 characters, soft break included
_RAW = 57  # 57 bytes are 76 characters of base64
_UNSAFE = re.compile(rb"[^ !-<>-~]")
_BLANK_AGAIN = re.compile(rb"(?<= ) ")
_PLAIN = re.compile(rb"[ -\-/-<>-~][ -<>-~]{0,74}")  # needs no escape and does not begin with a dot
_ESCAPED = {bytes((byte,)): b"=%02X" % byte for byte in range(256)}


def prefers_base64(text: str) -> bool:
    """Return True when base64 makes the part shorter than quoted-printable would."""
    octets = text.encode()
    unsafe = len(_UNSAFE.findall(octets))
    return len(octets) + 2 * unsafe > len(octets) * 78 / 57


def quoted(text: bytes) -> bytes:
    """Return text (lines ending in CRLF, or none) in quoted-printable, starting at column 0."""
    return b"\r\n".join(_quoted_line(line) for line in text.split(b"\r\n"))


def quoted_gap(value: bytes) -> bytes:
    """Return a value for a gap: one or more whole lines, each ending in a soft break; no hard line break survives."""
    if _PLAIN.fullmatch(value) and b"  " not in value:
        return value + b"=\r\n"
    return _quoted_line(value) + b"=\r\n"


def before_gap(encoded: bytes) -> bytes:
    """Return encoded static text so that what follows starts a line: a soft break is added unless one line just ended."""
    return encoded if not encoded or encoded.endswith(b"\n") else encoded + b"=\r\n"


def _quoted_line(line: bytes) -> bytes:
    escaped = _BLANK_AGAIN.sub(b"=20", _UNSAFE.sub(lambda match: _ESCAPED[match.group()], line))
    if escaped.endswith(b" "):
        escaped = escaped[:-1] + b"=20"  # RFC 2045 §6.7 (3): no blank may end a line
    lines, start = [], 0
    while True:
        dot = b"=2E" if escaped[start : start + 1] == b"." else b""
        # One column is kept for a soft break, after the last line too: a gap may follow it.
        room = _LINE - 1 - (2 if dot else 0)
        if len(escaped) - start <= room:
            break
        end = start + room
        # Never cut inside "=XX".
        end -= 1 if escaped[end - 1 : end] == b"=" else 2 if escaped[end - 2 : end - 1] == b"=" else 0
        lines.append((dot + escaped[start + 1 : end]) if dot else escaped[start:end])
        start = end
    rest = escaped[start:]
    lines.append(b"=2E" + rest[1:] if dot else rest)
    return b"=\r\n".join(lines)


@dataclass(frozen=True, slots=True)
class Phases:
    """A static text in base64, for each number of its first bytes (0, 1, 2) that went into the group before it.

    heads   those first bytes; bodies   whole lines; tails   the 0–2 bytes left over for the group after it
    """

    heads: tuple[bytes, bytes, bytes]
    bodies: tuple[bytes, bytes, bytes]
    tails: tuple[bytes, bytes, bytes]


def phased(text: bytes) -> Phases:
    """Return the three encodings of a static text of at least 2 bytes."""
    heads, bodies, tails = [], [], []
    for taken in range(3):
        rest = text[taken:]
        whole = len(rest) - len(rest) % 3
        heads.append(text[:taken])
        bodies.append(based(rest[:whole]))
        tails.append(rest[whole:])
    return Phases(_three(heads), _three(bodies), _three(tails))


def based(text: bytes) -> bytes:
    """Return text in base64, in lines of at most 76 characters, each ending in CRLF; nothing for nothing."""
    if len(text) <= _RAW:
        return binascii.b2a_base64(text, newline=False) + b"\r\n" if text else b""
    lines = [binascii.b2a_base64(text[at : at + _RAW], newline=False) for at in range(0, len(text), _RAW)]
    return b"\r\n".join(lines) + b"\r\n"


def _three(values: list[bytes]) -> tuple[bytes, bytes, bytes]:
    return values[0], values[1], values[2]
