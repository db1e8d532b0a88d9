"""The first sheet of an XLSX file as rows of text: streamed, bounded, and nothing of it is ever fetched or expanded.

An XLSX is a zip of XML. Only what holds cells is read; a document type, with which entities begin, is refused.
"""

import posixpath
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, BinaryIO
from xml.parsers import expat
from zipfile import BadZipFile, ZipFile

from newsletter.subscribers.tables import BadTable, Rows

_CHUNK = 1 << 16
_MOST_XML = 1 << 30
_MOST_WORDS = 64 << 20
"""Letters of all texts of the file together: they are kept while it is read."""
_MOST_COLUMNS = 200
_MOST_ROWS = 1 << 24
"""The largest number of a row that any spreadsheet has."""
_LONGEST = 32_767
_NAME = 31
"""Letters of the name of a sheet, at most."""
_REFERENCE = re.compile(r"([A-Z]{1,3})(\d+)").fullmatch


@dataclass(frozen=True, slots=True)
class Book:
    """What a workbook says of itself.

    part       of the package, its first sheet
    others     the names of the sheets after it
    from_1904  its days are counted from 1904, as Excel did on old Macs, and not from 1900
    """

    part: str
    others: tuple[str, ...]
    from_1904: bool


def look(stream: BinaryIO) -> Book:
    """Return what a workbook says of itself. Raises BadTable."""
    with _readable(), ZipFile(stream) as package:
        return _book(package)


def rows(stream: BinaryIO) -> Iterator[tuple[int, list[str]]]:
    """Yield (row number, cells) of the first sheet. Raises BadTable."""
    with _readable(), ZipFile(stream) as package:
        words = _words(package)
        reader = _Sheet(words)
        for piece in _pieces(package, _book(package).part):
            reader.feed(piece)
            yield from reader.taken()


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (
        BadZipFile,
        expat.ExpatError,
        NotImplementedError,
        KeyError,
        ValueError,
        IndexError,
        EOFError,
        zlib.error,
    ) as error:
        raise BadTable("bad-sheet", why=type(error).__name__) from None


def named(found: Iterator[tuple[int, list[str]]]) -> tuple[tuple[str, ...], Iterator[tuple[int, list[str]]]]:
    """Return the names of the first row in small letters, and the rows after it."""
    _, first = next(found, (0, []))
    return tuple(name.strip().lower() for name in first), found


def picked(
    found: Iterator[tuple[int, list[str]]],
    places: list[tuple[str, int]],
    watch: Callable[[int, Sequence[str]], None],
) -> Rows:
    """Yield (row number, values by column) of the rows in which anything stands. watch: looks at all cells of each."""
    for number, cells in found:
        if any(cells):
            watch(number, cells)
            yield number, {name: cells[place].strip() if place < len(cells) else "" for name, place in places}


def _pieces(package: ZipFile, name: str) -> Iterator[bytes]:
    """Yield a part of the package; more than a gigabyte of it is no list of people."""
    read = 0
    with package.open(name) as part:
        while piece := _some(part):
            read += len(piece)
            if read > _MOST_XML:
                raise BadTable("too-large", most="1 GB")
            yield piece


def _some(part: IO[bytes]) -> bytes:
    return part.read(_CHUNK)


def _book(package: ZipFile) -> Book:
    """Read which part the workbook names first, and how it counts days."""
    sheets: list[tuple[str, str]] = []
    targets: dict[str, str] = {}
    from_1904 = False

    def said(name: str, facts: dict[str, str]) -> None:
        nonlocal from_1904
        name = name.rpartition(":")[2]
        if name == "sheet":
            ids = [value for key, value in facts.items() if key.rpartition(":")[2] == "id" and ":" in key]
            sheets.extend((one, facts.get("name", "")[:_NAME]) for one in ids)
        elif name == "workbookPr":
            from_1904 = facts.get("date1904", "").strip().lower() in ("1", "true", "on")

    def relation(name: str, facts: dict[str, str]) -> None:
        if name.rpartition(":")[2] == "Relationship":
            targets[facts.get("Id", "")] = facts.get("Target", "")

    _parse(package, "xl/workbook.xml", said)
    _parse(package, "xl/_rels/workbook.xml.rels", relation)
    target = targets[sheets[0][0]] if sheets else ""
    part = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")
    return Book(part, tuple(name for _, name in sheets[1:]), from_1904)


def _parse(package: ZipFile, name: str, begin: Any, end: Any = None, said: Any = None) -> None:
    parser = _parser(begin, end, said)
    for piece in _pieces(package, name):
        parser.Parse(piece, False)
    parser.Parse(b"", True)


def _parser(begin: Any, end: Any = None, said: Any = None) -> Any:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = begin, end, said
    return parser


def _refuse(*_: object) -> None:
    raise BadTable("bad-sheet", why="DOCTYPE")


def _words(package: ZipFile) -> list[str]:
    """Return the texts that cells name by number; what says how they are read aloud (rPh) is left out."""
    words: list[str] = []
    if "xl/sharedStrings.xml" not in package.namelist():
        return words
    now, deep, total = [""], {"t": 0, "rPh": 0}, [0]

    def begin(name: str, _facts: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if name == "si":
            now[0] = ""
        elif name in deep:
            deep[name] += 1

    def end(name: str) -> None:
        name = name.rpartition(":")[2]
        if name == "si":
            words.append(now[0])
        elif name in deep:
            deep[name] -= 1

    def said(text: str) -> None:
        if deep["t"] and not deep["rPh"]:
            total[0] += len(text)
            now[0] += text
            if total[0] > _MOST_WORDS or len(now[0]) > _LONGEST:
                raise BadTable("too-large", most="64 MB")

    _parse(package, "xl/sharedStrings.xml", begin, end, said)
    return words


class _Sheet:
    """The cells of a sheet as they go by."""

    def __init__(self, words: list[str]) -> None:
        self._words, self._done = words, list[tuple[int, list[str]]]()
        self._row, self._cells, self._number = False, list[str](), 0
        self._place, self._kind, self._text, self._deep = 0, "", "", 0
        self._parser = _parser(self._begin, self._end, self._said)

    def feed(self, piece: bytes) -> None:
        self._parser.Parse(piece, False)

    def taken(self) -> list[tuple[int, list[str]]]:
        done, self._done = self._done, []
        return done

    def _begin(self, name: str, facts: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if name == "row":
            self._cells, self._place = [], -1
            self._number = int(facts.get("r", self._number + 1))
            if not 0 < self._number <= _MOST_ROWS:
                raise ValueError
        elif name == "c":
            at = _REFERENCE(facts.get("r", ""))
            self._place = _column(at[1]) if at else self._place + 1
            self._kind, self._text = facts.get("t", "n"), ""
        elif name in ("v", "t"):
            self._deep += 1

    def _end(self, name: str) -> None:
        name = name.rpartition(":")[2]
        if name in ("v", "t"):
            self._deep -= 1
        elif name == "c" and self._place < _MOST_COLUMNS:
            self._cells += [""] * (self._place + 1 - len(self._cells))
            self._cells[self._place] = self._words[int(self._text)] if self._kind == "s" and self._text else self._text
        elif name == "row":
            self._done.append((self._number, self._cells))

    def _said(self, text: str) -> None:
        if self._deep and self._place < _MOST_COLUMNS:
            self._text += text
            if len(self._text) > _LONGEST:
                raise BadTable("too-large", most="32,767")


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1
