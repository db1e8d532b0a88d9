"""The hound that looks for leaks must find what is hidden in every usual way, or a clean search says nothing."""

import base64
import gzip
import json
import quopri

import pytest

from tests.fakes import hound

WORD = {"name": "Zébulon Quaife", "address": "zebulon.quaife@wombat-glade.example"}
WAYS = {
    "plain": lambda raw: raw,
    "capitals": lambda raw: raw.upper(),
    "hex": lambda raw: raw.hex().encode(),
    "bytea": lambda raw: b"\\x" + raw.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64, one on": lambda raw: base64.b64encode(b"x" + raw),
    "base64, two on": lambda raw: base64.b64encode(b"xy" + raw + b"z"),
    "base64 for addresses": lambda raw: base64.urlsafe_b64encode(b"??>" + raw),
    "quoted-printable": lambda raw: quopri.encodestring(raw + b" " + b"y" * 90),
    "UTF-16": lambda raw: raw.decode().encode("utf-16-le"),
    "UTF-16, the other way": lambda raw: raw.decode().encode("utf-16-be"),
    "gzip": gzip.compress,
    "gzip in hex": lambda raw: gzip.compress(raw).hex().encode(),
    "base64 in gzip": lambda raw: gzip.compress(base64.b64encode(b"q" + raw)),
    "JSON": lambda raw: json.dumps(raw.decode()).encode(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", WORD)
def test_it_is_found_however_it_was_written(way, kind):
    """A dump writes bytes as hexadecimal, mail as base64, logs as JSON."""
    hidden = b"\x01" * 7 + WAYS[way](WORD[kind].encode()) + b"\n tail"
    if way in ("hex", "gzip in hex", "bytea"):
        hidden = b" ".join((b"x", WAYS[way](WORD[kind].encode()), b"y"))
    assert hound.found(hidden, hound.scents(WORD)) == {kind}


def test_it_does_not_bark_at_everything():
    """A hound that always barks is no proof either."""
    assert hound.found(b"nothing of anybody " * 50 + bytes(range(256)) * 4, hound.scents(WORD)) == set()
