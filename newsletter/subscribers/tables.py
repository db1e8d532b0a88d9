"""Reading a CSV file as people bring it: any sensible separator, quotes, a byte order mark; one row at a time."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from newsletter.errors import Invalid

_SEPARATORS = ",;\t|"


class BadTable(Invalid):
    """The file is no table with the columns that are needed."""

    def __init__(self, problem: str, **facts: object) -> None:
        super().__init__(f"table.{problem}", **facts)


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


def rows(stream: BinaryIO, *, required: Sequence[str], known: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (row number, values by column) of the known columns; the header is row 1.

    Bytes that are not UTF-8 come through as lone surrogates, for the caller to reject that row alone. Raises BadTable when the
    header lacks a required column.
    """
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    first = text.readline()
    names = [name.strip().lower() for name in next(csv.reader([first], delimiter=_separator(first)), [])]
    missing = [name for name in required if name not in names]
    if missing:
        raise BadTable("no-column", column=missing[0])
    places = [(name, names.index(name)) for name in known if name in names]
    reader = csv.reader(text, delimiter=_separator(first))
    number = 1
    try:
        for number, values in enumerate(reader, start=2):
            if any(values):
                yield number, {name: values[place].strip() if place < len(values) else "" for name, place in places}
    except csv.Error as error:
        raise BadTable("broken", row=number + 1, why=str(error)) from None
    finally:
        text.detach()


def _separator(header: str) -> str:
    return max(_SEPARATORS, key=header.count)
