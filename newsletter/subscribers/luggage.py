"""What somebody brings from another system: a zip, a table, a sheet, a list of lines; opened as often as it must be read.

Everything is bounded: what is unpacked, what a cell and a line may hold, what must be held in memory whole.
"""

import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo, is_zipfile

from newsletter.subscribers import alphabets, documents, formats, sheets, tables, unread
from newsletter.subscribers.formats import Format, Headings, Standing
from newsletter.subscribers.tables import BadTable, Rows

MOST_BYTES = 2 << 30
"""A list of a million people is 150 MB; what is larger than this is none."""
MOST_JSON = 128 << 20
"""JSON is read whole, so it must be small."""
_BOMB = 200
"""So many times smaller than what comes out of it no list of people can be packed."""
_LONGEST_LINE = 400
"""More than a name and an address need; what is longer is no person."""
_ESCAPE = {Format.MAILPOET: "\\"}
"""What stands before a quotation mark in a cell, where that is no other one: a name such as Ann \\", Esq. moves no status."""


class UnknownEncoding(BadTable):
    """An encoding that nobody saves lists in."""

    def __init__(self, name: str) -> None:
        super().__init__("bad-encoding", name=name, known="utf-8, utf-16, windows-1252, windows-1256")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What an operator says of a file; None: it shows.

    mapping   column by heading, in small letters
    moved     the list of listmonk's that moves, by its name; "": all of them do
    """

    kind: Format | None = None
    encoding: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    moved: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One table of what was brought.

    name       of a zip, the file; else ""
    standing   what all of its people are; None: each row says
    open       its rows, anew each time
    """

    name: str
    standing: Standing | None
    headings: Headings
    encoding: str
    open: Callable[[], Rows]


@dataclass(frozen=True, slots=True)
class Luggage:
    """What was brought: whose export it is, whether that was guessed, and its tables, those who left first.

    left_out   tables beside them of whose people nothing is known, and sheets after the first: neither is read
    doubts     ids of sentences: what such a file cannot say of its people, to be read before they are taken
    """

    kind: Format
    guessed: bool
    parts: tuple[Part, ...]
    left_out: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def proven(self) -> bool:
        """Whether rows can show when their people asked for mail."""
        return any(part.headings.proven for part in self.parts)

    @property
    def lenient(self) -> bool:
        """Whether what cannot be understood beside an address is left out: nobody can mend another system's export."""
        return self.kind not in formats.OWN


def open_(path: Path, chosen: Chosen) -> Luggage:
    """Look at what was brought. Raises BadTable, formats.BadMapping, OSError."""
    if chosen.encoding is not None and chosen.encoding.lower() not in alphabets.NAMES:
        raise UnknownEncoding(chosen.encoding)
    if path.stat().st_size > MOST_BYTES:
        raise BadTable("too-large", most="2 GB")
    with path.open("rb") as stream:
        start = stream.read(1 << 16).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:1] in (b"{", b"["):
        return _json(path, chosen)
    if chosen.moved:
        raise BadTable("no-lists")
    if is_zipfile(path):
        return _zip(path, chosen)
    if chosen.kind is Format.MAILMAN or (chosen.kind is None and _is_roll(start)):
        return _roll(path, chosen)
    part, kind = _table(_file(path), path.name, chosen)
    return _alone(part, kind, chosen)


def of_stream(stream: BinaryIO, chosen: Chosen | None = None) -> Luggage:
    """Look at a table that is open already; it can be read once, so its rows are not sorted by who left."""
    chosen = chosen or Chosen(Format.CSV)
    known = Format.CSV if chosen.kind is None else chosen.kind
    found: list[Headings] = []

    def named(first: tables.Header) -> Mapping[str, str]:
        found.append(formats.headings(first.names, known, chosen.mapping))
        return found[0].columns

    table = tables.opened(stream, required=("email",), known=formats.COLUMNS, named=named)
    part = Part("", Standing.SUBSCRIBED, found[0], "", lambda: table.rows)
    return Luggage(known, False, (part,))


def _alone(part: Part, kind: Format, chosen: Chosen) -> Luggage:
    """Return a table that came by itself, with what it does not say.

    That of listmonk says who is blocked, and not who left which list; MailPoet lets columns be left out and translates their names.
    """
    doubts = ("import.listmonk-table",) if kind is Format.LISTMONK else ()
    if kind is Format.MAILPOET and not {"status", "list_status"} <= set(part.headings.columns.values()):
        doubts = ("import.mailpoet-table",)
    return Luggage(kind, chosen.kind is None, (part,), doubts=doubts)


def _file(path: Path) -> Callable[[], Any]:
    return lambda: path.open("rb")


def _table(opener: Callable[[], Any], name: str, chosen: Chosen, *, part: str = "") -> tuple[Part, Format]:
    """Look at the header of a CSV file."""
    encoding = alphabets.NAMES[chosen.encoding.lower()] if chosen.encoding else None
    with opener() as stream:
        if encoding is None:
            encoding = alphabets.guess(stream)
    with opener() as stream:
        first = tables.header(tables.decoded(stream, encoding))
    kind = chosen.kind or formats.guess(first.names, name)
    mapping = _there(chosen.mapping, first.names) if part else chosen.mapping
    found, standing = _understood(first.names, name, kind, mapping)

    def rows() -> Rows:
        watch = _watch(first.names, found, standing, kind, mapping)
        with opener() as stream:
            table = tables.opened(
                stream,
                required=("email",),
                known=formats.COLUMNS,
                encoding=encoding,
                named=lambda _first: found.columns,
                watch=watch,
                escape=_ESCAPE.get(kind),
            )
            yield from table.rows
        watch.finish()

    return Part(part, standing, found, encoding, rows), kind


def _understood(
    names: Sequence[str], file: str, kind: Format, mapping: Mapping[str, str]
) -> tuple[Headings, Standing | None]:
    """Return what a table calls our columns, and what all its people are."""
    found = formats.headings(names, kind, mapping)
    if "email" not in found.columns.values():
        raise BadTable("no-email")
    standing = formats.of_table(kind, file, found)
    if standing in (None, Standing.SUBSCRIBED):
        unread.require_clear(found, kind, mapping)
    return found, standing


def _watch(
    names: Sequence[str], found: Headings, standing: Standing | None, kind: Format, mapping: Mapping[str, str]
) -> unread.Watch:
    """Return what looks at what nobody reads; a table of those who left may say anything."""
    if standing in (None, Standing.SUBSCRIBED):
        return unread.watch(names, found, kind, mapping)
    return unread.Watch((), frozenset(), frozenset(), own=False)


def _there(mapping: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Not every file of a zip has every heading."""
    known = set(names)
    return {heading: column for heading, column in mapping.items() if heading in known}


def _zip(path: Path, chosen: Chosen) -> Luggage:
    try:
        with ZipFile(path) as package:
            members = package.infolist()
    except (BadZipFile, NotImplementedError, ValueError):
        raise BadTable("bad-zip") from None
    if any(one.filename == "xl/workbook.xml" for one in members):
        _require_sane(members)
        return _sheet(path, chosen)
    files = [
        one for one in members if one.filename.lower().endswith(".csv") and not one.filename.startswith("__MACOSX")
    ]
    _require_sane(files)
    if not files:
        raise BadTable("empty-zip")
    guessed = chosen.kind is None
    filled = [(one, names) for one, names in _peeked(path, files) if any(names)]
    if len(filled) == 1:
        one = filled[0][0]
        return _alone(*_table(_member(path, one), one.filename, chosen, part=one.filename), chosen)
    kind = chosen.kind or Format.MAILCHIMP
    chosen = replace(chosen, kind=kind)
    known = [one for one, names in filled if formats.is_of_people(kind, one.filename, names)]
    if not known:
        raise BadTable("no-people")
    parts = [_table(_member(path, one), one.filename, chosen, part=one.filename)[0] for one in known]
    parts.sort(key=lambda part: part.standing is Standing.SUBSCRIBED)
    left_out = tuple(one.filename for one, _ in filled if one not in known)
    return Luggage(kind, guessed, tuple(parts), left_out)


def _peeked(path: Path, files: Iterable[ZipInfo]) -> list[tuple[ZipInfo, tuple[str, ...]]]:
    """Return each file of a zip with the names of its columns, as far as those are ASCII; none of an empty one."""
    found = []
    with _package(path) as package:
        for one in files:
            with package.open(one) as stream:
                start = stream.read(1 << 16).replace(b"\0", b"")
            text = io.TextIOWrapper(io.BytesIO(start), alphabets.UTF_8, "replace", newline="")
            found.append((one, tables.header(text).names))
    return found


def _require_sane(members: Iterable[ZipInfo]) -> None:
    """A zip of some kilobytes can unpack to what fills every disk: such a one is not opened."""
    unpacked = packed = 0
    for one in members:
        unpacked, packed = unpacked + one.file_size, packed + one.compress_size
        if one.flag_bits & 1:
            raise BadTable("locked-zip")
        if one.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise BadTable("bad-zip")  # exports are packed in no other way, and each has failures of its own
    if unpacked > MOST_BYTES or (unpacked > 10 << 20 and unpacked > _BOMB * max(1, packed)):
        raise BadTable("bomb")


def _member(path: Path, member: ZipInfo) -> Callable[[], Any]:
    @contextmanager
    def opener() -> Iterator[Any]:
        with _package(path) as package, package.open(member) as stream:
            yield stream

    return opener


@contextmanager
def _package(path: Path) -> Iterator[ZipFile]:
    try:
        with ZipFile(path) as package:
            yield package
    except (BadZipFile, NotImplementedError, EOFError, zlib.error):
        raise BadTable("bad-zip") from None


def _sheet(path: Path, chosen: Chosen) -> Luggage:
    with path.open("rb") as stream:
        book = sheets.look(stream)
        names, _ = sheets.named(sheets.rows(stream))
    kind = chosen.kind or formats.guess(names, path.name)
    kind = Format.XLSX if kind is Format.CSV else kind
    found, standing = _understood(names, path.name, kind, chosen.mapping)
    places = [(column, names.index(name)) for name, column in found.columns.items()]

    def rows() -> Rows:
        watch = _watch(names, found, standing, kind, chosen.mapping)
        with path.open("rb") as stream:
            _, rest = sheets.named(sheets.rows(stream))
            for number, values in sheets.picked(rest, places, watch):
                yield number, formats.from_1900(values) if book.from_1904 else values
        watch.finish()

    return replace(_alone(Part("", standing, found, "", rows), kind, chosen), left_out=book.others)


def _json(path: Path, chosen: Chosen) -> Luggage:
    if path.stat().st_size > MOST_JSON:
        raise BadTable("too-large", most="128 MB")
    try:
        document = json.loads(path.read_bytes())
    except RecursionError:
        raise BadTable("too-deep") from None
    except ValueError:
        raise BadTable("bad-json") from None
    people = documents.people(document)
    kind = chosen.kind or documents.guess(people)
    if chosen.moved:
        documents.require_list(people, chosen.moved)
    said = [documents.said(one, kind, chosen.moved) for one in people]
    listed = list(map(documents.row, said))
    names = tuple(dict.fromkeys(chain(documents.COLUMNS, chain.from_iterable(listed))))
    found, _ = _understood(names, path.name, kind, chosen.mapping)
    unread.require_unsaid(said, found, chosen.mapping)

    def rows() -> Rows:
        for number, one in enumerate(listed, start=1):
            yield number, {column: one.get(name, "") for name, column in found.columns.items()}

    part = Part("", None, found, "", rows)
    return Luggage(kind, chosen.kind is None, (part,), doubts=tuple(_unsaid(people, listed, kind)))


def _unsaid(people: Iterable[Mapping[str, Any]], rows: Iterable[Mapping[str, str]], kind: Format) -> Iterator[str]:
    """Yield what JSON leaves open: who left, or which of several lists moves."""
    says, doubt = ("delivery_status", "import.roll") if kind is Format.MAILMAN else ("lists", "import.listmonk-table")
    if not all(says in one for one in people):
        yield doubt
    if any(row.get("list_status") == Standing.UNCLEAR for row in rows):
        yield "import.listmonk-lists"


def _is_roll(start: bytes) -> bool:
    """Whether a file begins with an address, as `mailman members` prints them, and not with names of columns."""
    lines = (line for line in start.splitlines() if line.strip() and not line.startswith(b"#"))
    first = next(lines, b"")
    found = _person(first.decode("utf-8", "replace"))
    return found is not None and "@" in found[0]


def _person(line: str) -> tuple[str, str] | None:
    """Return address and name of a line: "Anne Person <anne@example.org>", or the address alone; None: it is neither.

    By hand and in one pass: a pattern for it can be made to try each of a line's blanks against all the others.
    """
    line = line.strip()[:_LONGEST_LINE]
    name, opened, address = line.removesuffix(">").partition("<")
    if opened and line.endswith(">"):
        sound = address.strip() and not set(address) & set("<>") and ">" not in name
        return (address.strip(), name.strip().strip('"').strip()) if sound else None
    bare = "@" in line.strip("@") and not set(line) & set("<>,;") and len(line.split()) == 1
    return (line, "") if bare else None


def _roll(path: Path, chosen: Chosen) -> Luggage:
    """A list of lines: "Anne Person <anne@example.org>", or the address alone; blank ones and those that begin with # are none."""
    with path.open("rb") as stream:
        encoding = alphabets.NAMES[chosen.encoding.lower()] if chosen.encoding else alphabets.guess(stream)

    def rows() -> Rows:
        with path.open("rb") as stream:
            text = tables.decoded(stream, encoding)
            for number, line in enumerate(tables.lines(text), start=1):
                if line.strip() and not line.startswith("#"):
                    email, name = _person(line) or (line.strip()[:_LONGEST_LINE], "")
                    yield number, {"email": email, "name": name}

    part = Part("", Standing.SUBSCRIBED, Headings({"email": "email", "name": "name"}, ()), encoding, rows)
    return Luggage(Format.MAILMAN, chosen.kind is None, (part,), doubts=("import.roll",))
