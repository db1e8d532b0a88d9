"""Wishes to leave on disk, while the database cannot take them: a line of JSON each, ids only (ADR 0006).

A wish is kept whole or not at all, so that nobody is told "done" who is not. A line that cannot be read (a machine lost its power
within it) is put aside into a file of its own for an operator to look at, and stops neither other wishes nor mail. Nor does a wish
whose reader somebody holds at this moment: it waits in another file and is tried again as often as the sweep comes. Nobody who
keeps a wish waits while others are acted on: the file is locked to read it, and to empty it if nothing came meanwhile.
"""

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import structlog

from newsletter.database import DatabaseUnreachable

log = structlog.get_logger()

AGAIN_SECONDS = 5.0
"""How long a wish that could not be written waits for its next try: as often as the sweep comes."""
_LARGEST = 2**63 - 1


class NotKept(DatabaseUnreachable):
    """Neither the database nor the disk could take a wish to leave: whoever asked must ask again."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.message = "leaving.not-kept"


@dataclass(frozen=True, slots=True)
class Wish:
    """A reader leaves a digest, or with None all of them. said: when, by the clock of that machine; None: nobody kept it."""

    subscriber: int
    digest: int | None
    said: datetime | None = None


def file(home: Path) -> Path:
    """Return where the wishes of this machine lie."""
    return home / "spool" / "leaving.jsonl"


def aside(home: Path) -> Path:
    """Return where lines lie that could not be read as wishes."""
    return home / "spool" / "unread.jsonl"


def later(home: Path) -> Path:
    """Return where the wishes lie that could not be written yet, since somebody held their readers."""
    return home / "spool" / "later.jsonl"


def tried(home: Path) -> Path:
    """Return the file whose hour is that of the last try of those that wait: who comes to them makes none wait longer."""
    return home / "spool" / "tried"


def keep(home: Path, wish: Wish) -> None:
    """Keep a wish; when this returns it is on the disk. Raises NotKept, and then nothing of it is there."""
    try:
        with _locked(file(home)) as spool:
            _append(spool, json.dumps(asdict(wish), default=datetime.isoformat).encode() + b"\n")
    except OSError as error:
        log.error("wish not kept", why=error.strerror)
        raise NotKept(str(file(home))) from error
    log.warning("leaving spooled")


def drain(home: Path, act: Callable[[list[Wish]], list[Wish]]) -> int:
    """Let `act` do what is wished, then forget it; return how many wishes were done. What `act` raises keeps them all.

    act   returns those that must wait: they are tried again with those that wait already, AGAIN_SECONDS after these were. It may
          hear a wish again that it has done
    """
    done = 0
    if _size(later(home)) and _is_time(home):
        _try_now(home)
        done = _drain(home, later(home), act)
    return done + _drain(home, file(home), act)


def _drain(home: Path, path: Path, act: Callable[[list[Wish]], list[Wish]]) -> int:
    if _size(path) == 0:
        return 0
    with _locked(path, reading=True) as spool:
        kept = _read(spool)
    read = [(line, _wish(line)) for line in kept.split(b"\n") if line]
    wishes = [wish for _, wish in read if wish]
    held = set(act(wishes)) if wishes else set()
    wait = [line for line, wish in read if wish in held]
    # What must wait stays where it is, in the one file: rewritten, it could be lost with the power. Done again it changes nothing.
    if not (path == later(home) and wait):
        with _locked(path, reading=True) as spool:
            # Else others came, or another process was faster: the next time.
            if _read(spool) == kept and _apart(home, [line for line, wish in read if wish is None], wait):
                _empty(spool)
    if done := len(wishes) - len(wait):
        log.info("spool drained", wishes=done)
    return done


def _read(spool: int) -> bytes:
    return os.pread(spool, os.fstat(spool).st_size, 0)


def _is_time(home: Path) -> bool:
    try:
        return not 0 <= time.time() - tried(home).stat().st_mtime < AGAIN_SECONDS
    except FileNotFoundError:
        return True


def _try_now(home: Path) -> None:
    with suppress(OSError):
        tried(home).touch(mode=0o600)


def _apart(home: Path, torn: list[bytes], wait: list[bytes]) -> bool:
    """Put lines aside, and off; return False where the disk has no room for them, so that all stay where they are."""
    return _put_aside(home, torn) and _put_off(home, wait)


def _empty(spool: int) -> None:
    """Forget what was done, if the disk lets us: done again it changes nothing, and a failing disk must not stop all mail."""
    try:
        os.ftruncate(spool, 0)
        os.fsync(spool)
    except OSError as error:
        log.error("spool stays", why=error.strerror)


def waiting(home: Path) -> int:
    """Return how many octets of wishes wait."""
    return _size(file(home)) + _size(later(home))


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def unread(home: Path) -> int:
    """Return how many lines were put aside."""
    with suppress(FileNotFoundError):
        return sum(1 for line in aside(home).read_bytes().split(b"\n") if line)
    return 0


def _wish(line: bytes) -> Wish | None:
    try:
        document = json.loads(line)
        wish = Wish(document["subscriber"], document["digest"], _moment(document.get("said")))
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError):
        return None
    known = _is_id(wish.subscriber) and (wish.digest is None or _is_id(wish.digest))
    return wish if known else None


def _moment(written: object) -> datetime | None:
    """Return when a wish was said; an hour that cannot be read keeps no wish from being heard."""
    try:
        moment = datetime.fromisoformat(written) if isinstance(written, str) else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None


def _is_id(value: object) -> bool:
    return type(value) is int and 0 < value <= _LARGEST


def _put_aside(home: Path, lines: list[bytes]) -> bool:
    """Keep lines apart; return False where the disk has no room for them, so that they stay where they are."""
    if lines:
        log.error("wishes unread", lines=len(lines), file=str(aside(home)))
    return _kept(aside(home), lines)


def _put_off(home: Path, lines: list[bytes]) -> bool:
    if lines:
        log.warning("leaving waits", wishes=len(lines), why="somebody holds their readers")
        if _size(later(home)) == 0:
            _try_now(home)
    return _kept(later(home), lines)


def _kept(path: Path, lines: list[bytes]) -> bool:
    try:
        if lines:
            with _locked(path) as kept:
                _append(kept, b"".join(line + b"\n" for line in lines))
    except OSError:
        return False
    return True


def _append(spool: int, text: bytes) -> None:
    """Write all of it or nothing: on a full disk a write may end in the middle. Raises OSError."""
    end = os.fstat(spool).st_size
    if end and os.pread(spool, 1, end - 1) != b"\n":
        text = b"\n" + text  # a line was torn before ours
    try:
        if os.write(spool, text) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(spool)
    except OSError:
        with suppress(OSError):
            os.ftruncate(spool, end)
        raise


@contextmanager
def _locked(path: Path, *, reading: bool = False) -> Iterator[int]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = not path.exists()
    try:
        spool = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        if not reading or error.errno != errno.EROFS:
            raise
        spool = os.open(path, os.O_RDONLY)  # a disk that fails is mounted read-only by the kernel
    try:
        if new:
            _sync_folder(path.parent)
        fcntl.flock(spool, fcntl.LOCK_EX)
        yield spool
    finally:
        os.close(spool)


def _sync_folder(path: Path) -> None:
    """A file is only as lasting as its name."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
