"""Which bodies were begun and which were answered: a byte for each recipient of a leased shard, in a mapped file.

The bytes survive the worker (SIGKILL), since the kernel keeps the pages; they do not survive the host, so a journal from
before the last boot counts as none. The file is locked as long as its holder lives: an unlocked one is a dead holder's.
A mark costs 0.1 µs, because nothing is called but a store into memory.
"""

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import structlog

from newsletter.ledger.shards import Lease, Marks

log = structlog.get_logger()

NONE, BEGUN, ACCEPTED, REFUSED = range(4)
_HEADER = struct.Struct("8s36sI")
_MAGIC = b"journal1"


class Journal:
    """The marks of one leased shard. Without a file (a full disk, a folder that cannot be written) they die with us."""

    def __init__(self, path: Path | None, marks: "mmap.mmap | bytearray", descriptor: int | None) -> None:
        self._path = path
        self._marks = marks
        self._descriptor = descriptor

    @classmethod
    def open(cls, folder: Path, lease: Lease) -> "Journal":
        """Return an empty, locked journal for a lease.

        An alert must go out on a full disk too: where no file can be made, it goes without, which is logged.
        """
        path = _path(folder, lease.shard_id, lease.fence)
        try:
            return cls._made(path, lease.size)
        except OSError as error:
            log.warning("no journal", shard=lease.shard_id, why=error.strerror)
            return cls(None, bytearray(_HEADER.size + lease.size), None)

    @classmethod
    def _made(cls, path: Path, size: int) -> "Journal":
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Locked under another name first: a journal that is seen is a journal that is held.
        making = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(making, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Every block now: a store into a hole of a full disk would kill the process (SIGBUS).
            os.posix_fallocate(descriptor, 0, _HEADER.size + size)
            os.pwrite(descriptor, _HEADER.pack(_MAGIC, _boot(), size), 0)
            marks = mmap.mmap(descriptor, _HEADER.size + size)
            making.rename(path)
        except OSError:
            os.close(descriptor)
            making.unlink(missing_ok=True)
            raise
        return cls(path, marks, descriptor)

    @property
    def lasting(self) -> bool:
        """Whether the marks outlive us."""
        return self._descriptor is not None

    def begin(self, position: int) -> None:
        """Mark that the body is about to be begun: before the first byte of it, and before the last look at the clock."""
        self._marks[_HEADER.size + position] = BEGUN

    def withdraw(self, position: int) -> None:
        """Take a mark back: the body was not begun after all."""
        self._marks[_HEADER.size + position] = NONE

    def answered(self, position: int, *, accepted: bool) -> None:
        """Mark that a full reply came."""
        self._marks[_HEADER.size + position] = ACCEPTED if accepted else REFUSED

    def close(self, *, remove: bool) -> None:
        """Unlock the journal; keep the file when outcomes could not be written, so that the next holder finds them."""
        if self._descriptor is None:
            return
        if remove and self._path:
            _unlink(self._path)
        if isinstance(self._marks, mmap.mmap):
            self._marks.close()
        os.close(self._descriptor)
        self._descriptor = None


def read(folder: Path, shard_id: int, fence: int) -> Marks | None:
    """Return what a journal says, or None when there is none of this boot of this machine."""
    try:
        written = _path(folder, shard_id, fence).read_bytes()
    except OSError:
        return None
    if len(written) < _HEADER.size:
        return None
    magic, boot, size = _HEADER.unpack_from(written)
    marks = written[_HEADER.size :]
    if magic != _MAGIC or boot != _boot() or len(marks) != size:
        return None
    return Marks(
        begun=tuple(place for place, mark in enumerate(marks) if mark == BEGUN),
        accepted=tuple(place for place, mark in enumerate(marks) if mark == ACCEPTED),
    )


def orphans(folder: Path) -> Iterator[tuple[int, int]]:
    """Yield (shard, fence) of each journal here whose holder is dead."""
    for path in folder.glob("*.journal"):
        with suppress(OSError, ValueError):
            descriptor = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                os.close(descriptor)
            shard, _, fence = path.stem.partition("-")
            yield int(shard), int(fence)


def remove(folder: Path, shard_id: int, fence: int) -> None:
    """Forget a journal: what it says is in the ledger now."""
    _unlink(_path(folder, shard_id, fence))


def _unlink(path: Path) -> None:
    """Remove a file, if the disk lets us: one that stays is of a lease that is over, and a failing disk must not stop an alert."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("journal stays", name=path.name, why=error.strerror)


def _path(folder: Path, shard_id: int, fence: int) -> Path:
    return folder / f"{shard_id}-{fence}.journal"


def _boot() -> bytes:
    """Return what names this run of the kernel: after a crash of the host the pages may be older than the wire."""
    return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()[:36]
