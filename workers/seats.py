"""How many children of one worker may be busy with what takes long at once: bulk mail, and links that are tried.

A turn of bulk takes up to 30 s, the links of an alert up to 45. A worker that serves every queue with two children or more keeps
one of them free of both, so that an alert, a confirmation or what somebody pressed on a page never waits behind two digests. A
worker for bulk alone (`-Q bulk`) needs no such care.
"""

import fcntl
import mmap
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

_PROMPT = {"urgent", "presses", "transactional", "compose"}
_LONG = {"bulk", "outside"}
_TURN_SECONDS = 15.0
_seats: list[IO[bytes]] = []
_count = 0
# When links last found no seat, on a clock that all children share: mapped before the fork.
_waits = mmap.mmap(-1, 8)


def arrange(queues: set[str], children: int) -> int:
    """Leave one child free where what takes long shares a worker with what must not wait; return its seats, 0 any number.

    Called in the parent, before the fork.
    """
    global _count
    _count = children - 1 if queues & _LONG and queues & _PROMPT and children > 1 else 0
    _waits[:] = struct.pack("d", float("-inf"))
    _seats[:] = [tempfile.TemporaryFile()] if _count else []  # noqa: SIM115 (it lives as long as the worker)
    return _count


@contextmanager
def bulk() -> Iterator[bool]:
    """Hold a seat for a turn of bulk; yields whether there was one. None while links wait for theirs: a digest takes hours."""
    if links_wait():
        yield False
        return
    with _seat() as free:
        yield free


def links_wait() -> bool:
    """Return whether links found no seat of late, and no other time since."""
    return _count > 0 and time.monotonic() - struct.unpack("d", _waits[:])[0] < _TURN_SECONDS


@contextmanager
def links() -> Iterator[bool]:
    """Hold a seat for the links of an alert; yields whether there was one. Where there was none, bulk leaves the next to it."""
    with _seat() as free:
        _waits[:] = struct.pack("d", float("-inf") if free else time.monotonic())
        yield free


@contextmanager
def _seat() -> Iterator[bool]:
    """Hold a seat for the length of the block; yields whether there was one. The kernel frees that of a child that dies."""
    place = next(filter(_take, range(_count)), None)
    try:
        yield place is not None or not _count
    finally:
        if place is not None:
            fcntl.lockf(_seats[0], fcntl.LOCK_UN, 1, place)


def _take(place: int) -> bool:
    try:
        # One byte is one seat; such a lock belongs to a process, also where the file was opened before the fork.
        fcntl.lockf(_seats[0], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except OSError:
        return False
    return True


def of_worker(instance: Any) -> int:
    """Arrange the seats of a Celery worker that is being set up."""
    return arrange(set(instance.app.amqp.queues.consume_from), int(instance.concurrency or 1))
