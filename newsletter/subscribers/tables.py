"""Reading a CSV file as people bring it: any sensible separator, quotes, a byte order mark; one row at a time."""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import BinaryIO

from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from newsletter.errors import Conflict, Invalid

_SEPARATORS = ",;\t|"
_HEADER_LIMIT = 64_000


class BadTable(Invalid):
    """The file is no table with the columns that are needed."""

    def __init__(self, problem: str, **facts: object) -> None:
        super().__init__(f"table.{problem}", **facts)


class ImportBusy(Conflict):
    """Another import of people or addresses is running; two at once would wait for each other's rows."""

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
    rows: Iterator[tuple[int, dict[str, str]]]


def opened(stream: BinaryIO, *, required: Sequence[str], known: Sequence[str]) -> Table:
    """Read the header of a CSV file; its rows follow one at a time, blank ones left out.

    Bytes that are not UTF-8 come through as lone surrogates, for the caller to reject that row alone. Raises BadTable when the
    header lacks a required column or is no text, and while reading when a row cannot be told from the next.
    """
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    first = text.readline(_HEADER_LIMIT)
    if "\0" in first:
        raise BadTable("not-text")  # UTF-16, or a spreadsheet of another kind
    separator = _separator(first)
    names = [name.strip().lower() for name in next(csv.reader([first], delimiter=separator), [])]
    missing = [name for name in required if name not in names]
    if missing:
        raise BadTable("no-column", column=missing[0])
    places = [(name, names.index(name)) for name in known if name in names]
    ignored = tuple(name for name in names if name and name not in known)
    return Table(ignored, _rows(text, separator, places))


def claim(session: Session) -> None:
    """Let one import run at a time, until its transaction ends, and make it look things up by index. Raises ImportBusy."""
    if not session.execute(sql("SELECT pg_try_advisory_xact_lock(hashtext('subscribers.import'))")).scalar_one():
        raise ImportBusy
    # Tables just filled have no statistics yet; the planner would read them whole for every ten thousand rows.
    for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"):
        session.execute(sql(f"SET LOCAL {setting} = off"))


def _rows(
    text: io.TextIOWrapper, separator: str, places: list[tuple[str, int]]
) -> Iterator[tuple[int, dict[str, str]]]:
    number = 1
    try:
        for number, values in enumerate(csv.reader(text, delimiter=separator), start=2):
            if any(values):
                yield number, {name: values[place].strip() if place < len(values) else "" for name, place in places}
    except csv.Error as error:
        # What the reader says is for programmers; a row without an end is nearly always a quotation mark without one.
        problem = "unclosed" if "limit" in str(error) else "broken"
        raise BadTable(problem, row=number + 1, why=str(error)) from None
    finally:
        with suppress(ValueError):  # whoever gave up half-way has closed the file
            text.detach()


def _separator(header: str) -> str:
    return max(_SEPARATORS, key=header.count)
