"""Who was erased, written where no backup of the database brings it back: a file of keyed digests beside a table of the same.

A restored backup holds people who have been erased since. The file knows of erasures that the restored table does not: these are
done again before anything else is. The digests name nobody; without the keys they cannot even be compared with anything.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.dialects import postgresql

from newsletter.database import Session
from newsletter.errors import Conflict
from newsletter.models.privacy import Erasure
from newsletter.models.subscriber import Subscriber

_LINE = 4_096


class JournalUnwritable(Conflict):
    """Nobody is erased who would come back with the next restored backup."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__("erasures.unwritable", path=str(path), why=why)


@dataclass(frozen=True, slots=True)
class Entry:
    """One erasure. marks: the digests that named the person here, the first of them in the table too."""

    marks: tuple[bytes, ...]
    may_come_back: bool
    at: datetime

    @property
    def line(self) -> bytes:
        """Return it as the file has it."""
        told = {"at": self.at.isoformat(), "marks": [mark.hex() for mark in self.marks], "back": self.may_come_back}
        return json.dumps(told, separators=(",", ":")).encode() + b"\n"

    @staticmethod
    def parse(line: bytes) -> "Entry | None":
        """Return what a line of the file says; None for one that was cut short when the machine died."""
        try:
            told = json.loads(line)
            marks = tuple(bytes.fromhex(mark) for mark in told["marks"])
            return Entry(marks, bool(told["back"]), datetime.fromisoformat(told["at"])) if marks else None
        except (ValueError, KeyError, TypeError):
            return None


def of_reader(session: Session, reference: str) -> bytes:
    """Return the mark of a reader: of their reference, which nobody else ever gets. Numbers are given anew after a restore."""
    return session.vault.digest("erased reader", reference)


def of_mailbox(session: Session, mailbox_id: int, since: datetime) -> bytes:
    """Return the mark of a mailbox: of its number and the moment since which it is known."""
    return session.vault.digest("erased mailbox", f"{mailbox_id} {since.timestamp():.6f}")


def write(path: Path, entry: Entry) -> None:
    """Add an erasure to the file, on disk when this returns. Raises JournalUnwritable."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file.fileno()).st_size
            whole = not size or os.pread(file.fileno(), 1, size - 1) == b"\n"
            file.write(entry.line if whole else b"\n" + entry.line)
            os.fsync(file.fileno())
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise JournalUnwritable(path, error.strerror or type(error).__name__) from None


def read(path: Path) -> list[Entry]:
    """Return every erasure of the file, oldest first; none where there is no file. Raises JournalUnwritable."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise JournalUnwritable(path, error.strerror or type(error).__name__) from None
    return [entry for line in lines if (entry := Entry.parse(line))]


def last(path: Path) -> Entry | None:
    """Return the newest erasure of the file: what a restored table lacks first."""
    with suppress(OSError):
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LINE))
            lines = file.read().splitlines()
        return next((entry for line in reversed(lines) if (entry := Entry.parse(line))), None)
    return None


def add(session: Session, entry: Entry, *, by: str) -> None:
    """Write down that somebody was erased. Safe to repeat."""
    facts = {"mark": entry.marks[0], "kept": not entry.may_come_back, "by_whom": by, "at": entry.at}
    session.execute(postgresql.insert(Erasure).values(facts).on_conflict_do_nothing())


def unknown(session: Session, entries: Iterable[Entry]) -> list[Entry]:
    """Return those of some erasures that the table does not hold: what a restored backup has undone."""
    known = {bytes(mark) for mark in session.execute(select(Erasure.mark)).scalars()}
    return [entry for entry in entries if entry.marks[0] not in known]


def readers(session: Session) -> Iterator[tuple[int, int, bytes]]:
    """Yield each reader with mailbox and mark."""
    query = select(Subscriber.id, Subscriber.mailbox_id, Subscriber.reference).order_by(Subscriber.id)
    for number, mailbox_id, reference in session.execute(query.execution_options(yield_per=10_000)):
        yield number, mailbox_id, of_reader(session, reference)
