"""A hound that finds personal data wherever it lies, also where it was written in another way.

What is looked for is turned into every way in which programs write bytes, and what is searched is first unwrapped: hexadecimal,
quoted-printable, what addresses of the web escape and compressed parts are decoded, and lines that were broken are joined, also
where a dump or JSON wrote the break as two letters. Base64 is looked for in its three phases, UTF-16 in both orders.

It does not read what PostgreSQL compresses its own way, nor what was compressed before it was made base64.
"""

import base64
import multiprocessing
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

_HEX = re.compile(rb"(?:[0-9a-f]{2}){6,}")
# A line's end as it is, and as COPY and JSON write it.
_BREAK = rb"(?:\r?\n|(?:\\r)?\\n)"
# Between two words that a header encodes (RFC 2047 §2): the frames of both. A blank behind any other break is one of the text.
_FRAMES = rb"\?=" + _BREAK + rb"[ \t]+=\?utf-8\?[bq]\?"
_LINES = re.compile(_FRAMES + rb"|" + _BREAK, re.IGNORECASE)
_QP = re.compile(rb"=(?P<octet>[0-9a-f]{2})|(?P<blank>_)|" + _FRAMES + rb"|=?" + _BREAK, re.IGNORECASE)
_URL = re.compile(rb"%(?P<octet>[0-9a-f]{2})|(?P<blank>\+)", re.IGNORECASE)
_GZIP = b"\x1f\x8b\x08"
_DEEP = 3
_UNUSED = b"\0" * 512
PART = 8 * 2**20
_LARGEST = 64 * 2**20
_LAP = 4096


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


_WAYS: tuple[Callable[[str], bytes], ...] = (
    str.encode,
    lambda text: text.encode("utf-16-le"),
    lambda text: text.encode("utf-16-be"),
    _escaped,
)


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
        kinds |= {
            kind for kind, scent in scents.items() if kind not in kinds and _smells(scent, small=small, exact=layer)
        }
    return kinds


def _smells(scent: Scent, *, small: bytes, exact: bytes) -> bool:
    return any(form in small for form in scent.small) or any(form in exact for form in scent.exact)


def _layers(data: bytes, deep: int) -> Iterator[bytes]:
    """Return the bytes, and what is wrapped in them."""
    yield data
    yield from (layer for layer in _unfolded(data) if layer != data)
    if not deep:
        return
    if unhexed := b"\0".join(bytes.fromhex(one.decode()) for one in _HEX.findall(data.lower())):
        yield from _layers(unhexed, deep - 1)
    for place in _places(data):
        yield from _layers(_unzipped(data[place:]), deep - 1)


def _unfolded(data: bytes) -> Iterator[bytes]:
    """Return a text without its line breaks, and as mail and addresses of the web mean it."""
    yield _LINES.sub(b"", data)
    yield _QP.sub(_meant, data)
    yield _URL.sub(_meant, data)


def _meant(one: re.Match[bytes]) -> bytes:
    if one["blank"]:
        return b" "
    return bytes.fromhex(one["octet"].decode()) if one["octet"] else b""


def _places(data: bytes) -> Iterator[int]:
    place = data.find(_GZIP)
    while place >= 0:
        yield place
        place = data.find(_GZIP, place + 1)


def _unzipped(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(data, _LARGEST)
    except zlib.error:
        return b""


def pack() -> Executor:
    """Return hounds that search side by side, one for each core."""
    return ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"))


def in_files(
    folders: Iterable[Path],
    scents: Mapping[str, Scent],
    *,
    pack: Executor,
    since: float = 0,
    read: Callable[[Path, Mapping[str, Scent]], set[str]] | None = None,
) -> dict[Path, set[str]]:
    """Return what stands in which file, of names as well as of contents.

    since   only what was written from then on
    read    how a file is searched (`in_file`)
    """
    paths = (path for folder in folders for path in (sorted(folder.rglob("*")) if folder.is_dir() else [folder]))
    chosen = list(written(paths, since=since))
    hits = pack.map(partial(read or in_file, scents=scents), chosen, chunksize=1 + len(chosen) // 50)
    return {path: kinds for path, kinds in zip(chosen, hits, strict=True) if kinds}


def written(paths: Iterable[Path], *, since: float) -> Iterator[Path]:
    """Return those that were written since; not those that their server has just put away."""
    for path in paths:
        with suppress(FileNotFoundError):
            if path.lstat().st_mtime >= since:
                yield path


def used(data: bytes) -> bytes:
    """Return the data of a server's file without what stands empty: most of it does."""
    return data.replace(_UNUSED, b"")


def in_file(path: Path, scents: Mapping[str, Scent]) -> set[str]:
    """Return what stands in a file, or in its name. It is read to its end, in parts that overlap."""
    kinds = found(path.name.encode(), scents)
    if path.is_file() and not path.is_symlink():
        with path.open("rb") as file:
            while part := file.read(PART):
                kinds |= found(used(part), scents)
                if len(part) == PART:
                    file.seek(-_LAP, 1)
    return kinds
