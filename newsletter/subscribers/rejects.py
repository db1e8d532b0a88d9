"""The rows an import could not take: in a table, and for a day in a file that only the operator can read."""

import csv
import os
import time
from collections.abc import Iterable
from pathlib import Path

import structlog

from newsletter import mailboxes
from newsletter.database import Session
from newsletter.errors import Conflict
from newsletter.subscribers.entries import Reject

log = structlog.get_logger()

KEEP_SECONDS = 24 * 3600
LIMIT = 100_000
"""How many are named; the rest is counted only: a file of nothing else is no list, and memory must not grow with it."""


class RejectsUnwritable(Conflict):
    """The file of rejected rows cannot be written, so nothing was imported."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__("import.rejects-unwritable", folder=str(folder), why=why)


class Rejects:
    """What one import has refused so far."""

    def __init__(self) -> None:
        self._rejects: list[Reject] = []

    def add(self, rejects: Iterable[Reject]) -> None:
        """Remember some, up to the limit."""
        self._rejects += rejects
        del self._rejects[LIMIT:]

    def store(self, session: Session, import_id: int) -> None:
        """Copy them into the table import_reject."""
        rows = ((import_id, reject.part, reject.row, reject.column, reject.reason) for reject in self._rejects)
        target = "import_reject (import_id, part, row, column_name, reason)"
        mailboxes.copy_rows(session, target, ("int8", "text", "int8", "text", "text"), rows)

    def write(self, folder: Path, import_id: int) -> Path | None:
        """Write row, column and reason to a file (0600); return its path, or None when all rows were taken.

        Raises RejectsUnwritable.
        """
        if not self._rejects:
            return None
        path = folder / f"import-{import_id}.csv"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(handle, "w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                several = any(reject.part for reject in self._rejects)
                writer.writerow(("file",) * several + ("row", "column", "reason"))
                for reject in self._rejects:
                    writer.writerow((reject.part,) * several + (reject.row, reject.column, reject.reason))
        except OSError as error:
            raise RejectsUnwritable(folder, error.strerror or "unknown reason") from None
        return path


def sweep(folder: Path, *, now_seconds: float | None = None) -> int:
    """Remove reject files older than 24 hours; return how many."""
    limit = (time.time() if now_seconds is None else now_seconds) - KEEP_SECONDS
    removed = 0
    for path in folder.glob("import-*.csv") if folder.is_dir() else ():
        try:
            if path.stat().st_mtime < limit:
                path.unlink(missing_ok=True)
                removed += 1
        except OSError as error:  # gone, or its disk became read-only: a sweep has more to do than this
            log.warning("reject file stays", name=path.name, why=error.strerror)
    return removed
