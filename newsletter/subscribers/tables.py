"""Reading a CSV file as people bring it: any sensible separator, quotes, encoding; one row at a time, each of bounded length."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import BinaryIO

from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from newsletter.errors import Conflict, Invalid
from newsletter.subscribers import alphabets

_SEPARATORS = ",;\t|"
_HEADER_LIMIT = 64_000
_LINE_LIMIT = 1 << 20
Rows = Iterator[tuple[int, dict[str, str]]]


class BadTable(Invalid):
    """The file is no table with the columns that are needed."""

    def __init__(self, problem: str, **facts: object) -> None:
        super().__init__(f"table.{problem}", **facts)


class ImportBusy(Conflict):
    """A list is coming in or being taken back; two at once would wait for each other's rows."""

    def __init__(self) -> None:
        super().__init__("table.busy")


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rows of a file."""

    read: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: int = 0

    def plus(self, **more: int) -> "Counts":
        """Return the counts with some more."""
        return replace(self, **{name: getattr(self, name) + number for name, number in more.items()})


@dataclass(frozen=True, slots=True)
class Table:
    """A file whose header was understood. rows: (row number, values by known column), the header being row 1."""

    ignored: tuple[str, ...]
    rows: Rows


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a file: its names in small letters, and what stands between them."""

    names: tuple[str, ...]
    separator: str


def opened(
    stream: BinaryIO,
    *,
    required: Sequence[str],
    known: Sequence[str],
    encoding: str | None = None,
    named: Callable[[Header], Mapping[str, str]] | None = None,
    watch: Callable[[int, Sequence[str]], None] = lambda _number, _cells: None,
    escape: str | None = None,
) -> Table:
    """Read the header of a CSV file; its rows follow one at a time, blank ones left out.

    encoding   None: guessed from all of the stream
    named      what the file calls our columns: ours by theirs; None: it calls them as we do
    watch      looks at all cells of each row, also those that are not read
    escape     what stands before a quotation mark within a cell; None: another quotation mark

    Bytes that are not of the encoding come through as lone surrogates, for the caller to reject that row alone. Raises BadTable
    when the header lacks a required column or is no text, and while reading when a row cannot be told from the next.
    """
    text = decoded(stream, encoding or guessed(stream))
    first = header(text)
    names = first.names
    ours = named(first) if named else {name: name for name in known}
    missing = [name for name in required if name not in {ours.get(name) for name in names}]
    if missing:
        raise BadTable("no-column", column=missing[0])
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        if (column := ours.get(name)) in known:
            places.setdefault(str(column), place)
    ignored = tuple(name for name in names if name and name not in ours)
    cells = csv.reader(lines(text), delimiter=first.separator, escapechar=escape)
    return Table(ignored, _rows(text, cells, list(places.items()), watch))


def guessed(stream: BinaryIO) -> str:
    """Return the encoding of a stream, which stands at its beginning again."""
    if not stream.seekable():
        return alphabets.UTF_8
    found = alphabets.guess(stream)
    stream.seek(0)
    return found


def decoded(stream: BinaryIO, encoding: str) -> io.TextIOWrapper:
    """Return a stream as text; what is not of the encoding as lone surrogates where that can be."""
    errors = "replace" if encoding == alphabets.UTF_16 else "surrogateescape"
    return io.TextIOWrapper(stream, encoding=encoding, errors=errors, newline="")


def header(text: io.TextIOWrapper) -> Header:
    """Read the first line. Raises BadTable where it is no text."""
    first = text.readline(_HEADER_LIMIT)
    if "\0" in first:
        raise BadTable("not-text")  # UTF-16 that does not say so, or a spreadsheet of another kind
    separator = max(_SEPARATORS, key=first.count)
    names = next(csv.reader([first], delimiter=separator), [])
    return Header(tuple(name.strip().lower() for name in names), separator)


def claim(session: Session) -> None:
    """Let one import run at a time, until its transaction ends, and make it look things up by index. Raises ImportBusy."""
    alone(session)
    keep_all(session)
    # Tables just filled have no statistics yet; the planner would read them whole for every ten thousand rows.
    for setting in _PLANS:
        session.execute(sql(f"SET LOCAL {setting} = off"))


def alone(session: Session) -> None:
    """Let no import run until the transaction ends. Raises ImportBusy where one does."""
    if not session.execute(sql("SELECT pg_try_advisory_xact_lock(hashtext('subscribers.import'))")).scalar_one():
        raise ImportBusy


def keep_all(session: Session) -> None:
    """Let nobody be forgotten by anybody else until the transaction ends; who is being forgotten at this moment goes first."""
    session.execute(sql("SELECT pg_advisory_xact_lock(hashtext('subscribers.forgetting'))"))


def none_comes_in(session: Session) -> bool:
    """Whether no list comes in or is taken back, and then let none be until the transaction ends: ask before anybody is forgotten.

    A list holds its people for minutes, and what it writes of them nobody else sees before it is through: whoever is forgotten
    meanwhile would be waited for, have the list fail, or come back by it.
    """
    free = "SELECT pg_try_advisory_xact_lock_shared(hashtext('subscribers.forgetting'))"
    return bool(session.execute(sql(free)).scalar_one())


def count_freely(session: Session) -> None:
    """Let the planner read tables whole again, for what is counted when an import is through."""
    for setting in _PLANS[:-1]:
        session.execute(sql(f"SET LOCAL {setting} = on"))


_PLANS = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")


def lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield the lines of a text. One that does not end would be held in memory whole: then BadTable is raised."""
    for number in count(1):
        line = text.readline(_LINE_LIMIT)
        if not line:
            return
        if len(line) == _LINE_LIMIT and line[-1] not in "\r\n":
            raise BadTable("unclosed", row=number, why="a line that does not end")
        yield line


def _rows(
    text: io.TextIOWrapper,
    cells: Iterator[list[str]],
    places: list[tuple[str, int]],
    watch: Callable[[int, Sequence[str]], None],
) -> Rows:
    number = 1
    try:
        for number, values in enumerate(cells, start=2):
            if any(values):
                watch(number, values)
                yield number, {name: values[place].strip() if place < len(values) else "" for name, place in places}
    except csv.Error as error:
        # What the reader says is for programmers; a row without an end is nearly always a quotation mark without one.
        problem = "unclosed" if "limit" in str(error) else "broken"
        raise BadTable(problem, row=number + 1, why=str(error)) from None
    finally:
        with suppress(ValueError):  # whoever gave up half-way has closed the file
            text.detach()
