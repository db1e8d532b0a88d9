"""A hound that finds personal data wherever it lies, also where it was written in another way.

What is looked for is turned into every way in which programs write bytes, and what is searched is first unwrapped: hexadecimal,
quoted-printable and compressed parts are decoded; base64 is looked for in its three phases, UTF-16 in both orders.
"""

import base64
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_HEX = re.compile(rb"(?:[0-9a-f]{2}){6,}")
_QP = re.compile(rb"=[0-9a-f]{2}|=\r?\n")
_GZIP = b"\x1f\x8b\x08"
_DEEP = 3
LARGEST = 64 * 2**20


class Scent(NamedTuple):
    """Every form of one word: those where capitals do not count, in small letters, and those where they do."""

    small: tuple[bytes, ...]
    exact: tuple[bytes, ...]


def scents(words: Mapping[str, str]) -> dict[str, Scent]:
    """Return by kind every form in which a word may stand in bytes that are not wrapped."""
    return {kind: _scent((word, word.lower(), word.upper())) for kind, word in words.items()}


def _scent(texts: Iterable[str]) -> Scent:
    written = list(texts)
    small = [way(text).lower() for text in written for way in _WAYS]
    exact = [form for text in written for form in _base64(text.encode())]
    return Scent(tuple(dict.fromkeys(small)), tuple(dict.fromkeys(exact)))


def _escaped(text: str) -> bytes:
    """As JSON writes it."""
    return text.encode("ascii", "backslashreplace").replace(b"\\x", b"\\u00")


_WAYS = (str.encode, lambda text: text.encode("utf-16-le"), lambda text: text.encode("utf-16-be"), _escaped)


def _base64(raw: bytes) -> Iterator[bytes]:
    """Return the middle of its base64 for each of the three places within a group at which it may begin."""
    for phase in range(3):
        # The first and the last letter hold bits of a neighbour too.
        whole = base64.b64encode(b"\0" * phase + raw)
        begin = (phase * 8 + 5) // 6
        inner = whole[begin : (phase + len(raw)) * 8 // 6]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def found(data: bytes, scents: Mapping[str, Scent]) -> set[str]:
    """Return the kinds that stand in some bytes, however they are wrapped."""
    kinds: set[str] = set()
    for layer in _layers(data, _DEEP):
        small = layer.lower()
        kinds |= {kind for kind, scent in scents.items() if _smells(scent, small, layer)}
    return kinds


def _smells(scent: Scent, small: bytes, layer: bytes) -> bool:
    return any(form in small for form in scent.small) or any(form in layer for form in scent.exact)


def _layers(data: bytes, deep: int) -> Iterator[bytes]:
    """Return the bytes, and what is wrapped in them."""
    yield data
    if not deep:
        return
    small = data.lower()
    if unhexed := b"\0".join(bytes.fromhex(one.decode()) for one in _HEX.findall(small)):
        yield from _layers(unhexed, deep - 1)
    if deep == _DEEP:
        yield _QP.sub(_unquoted, small)
    for place in _places(data):
        yield from _layers(_unzipped(data[place:]), deep - 1)


def _unquoted(one: re.Match[bytes]) -> bytes:
    return b"" if one[0].endswith(b"\n") else bytes.fromhex(one[0][1:].decode())


def _places(data: bytes) -> Iterator[int]:
    place = data.find(_GZIP)
    while place >= 0:
        yield place
        place = data.find(_GZIP, place + 1)


def _unzipped(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(data, LARGEST)
    except zlib.error:
        return b""


def in_files(folders: Iterable[Path], scents: Mapping[str, Scent]) -> dict[Path, set[str]]:
    """Return what stands in which file, of names as well as of contents."""
    hits = {}
    for path in (path for folder in folders for path in sorted(folder.rglob("*"))):
        kinds = found(path.name.encode(), scents)
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                kinds |= found(file.read(LARGEST), scents)
        if kinds:
            hits[path] = kinds
    return hits
