"""The ways in which programs write a word so that whoever searches for it as it is does not find it."""

import base64
import gzip
import json
import quopri
import textwrap
from collections.abc import Callable, Mapping
from email.header import Header
from urllib.parse import quote_plus


def _lines(raw: bytes, *, end: bytes = b"\n") -> bytes:
    """As mail writes base64: in lines of 76 letters, the word across the end of the first."""
    whole = base64.b64encode(b"x" * 50 + raw + b"y" * 40).decode()
    return end.join(line.encode() for line in textwrap.wrap(whole, 76))


def _soft(raw: bytes) -> bytes:
    """As mail writes text: the word across a soft break."""
    return quopri.encodestring(b"x" * (73 - len(raw) // 2) + raw + b"y" * 90)


WAYS: Mapping[str, Callable[[bytes], bytes]] = {
    "plain": lambda raw: raw,
    "capitals": lambda raw: raw.decode().upper().encode(),
    "hex": lambda raw: raw.hex().encode() + b" ",
    "bytea": lambda raw: b"\\x" + raw.hex().upper().encode() + b" ",
    "base64": base64.b64encode,
    "base64, one on": lambda raw: base64.b64encode(b"x" + raw),
    "base64, two on": lambda raw: base64.b64encode(b"xy" + raw + b"z"),
    "base64 for addresses": lambda raw: base64.urlsafe_b64encode(b"??>" + raw),
    "base64 in lines": _lines,
    "base64 in lines of mail": lambda raw: _lines(raw, end=b"\r\n"),
    "quoted-printable over a line's end": _soft,
    "quoted-printable over a line's end of mail": lambda raw: _soft(raw).replace(b"\n", b"\r\n"),
    "a header": lambda raw: Header(f"é {raw.decode()}", "utf-8").encode().encode(),
    "a form": lambda raw: b"name=" + quote_plus(f"é {raw.decode()}").encode(),
    "UTF-16": lambda raw: raw.decode().encode("utf-16-le"),
    "UTF-16, the other way": lambda raw: raw.decode().encode("utf-16-be"),
    "gzip": gzip.compress,
    "gzip in hex": lambda raw: gzip.compress(raw).hex().encode() + b" ",
    "base64 in gzip": lambda raw: gzip.compress(base64.b64encode(b"q" + raw)),
    "lines of base64 in gzip": lambda raw: gzip.compress(_lines(raw)),
    "JSON": lambda raw: json.dumps(f"é {raw.decode()}").encode(),
}


def hidden(way: str, word: str) -> bytes:
    """Return the bytes of a word as they are written in a way."""
    return WAYS[way](word.encode())
