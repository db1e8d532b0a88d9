"""How many children of one worker may be busy with bulk mail at once.

A turn of bulk takes up to 30 s. A worker that serves every queue with two children or more keeps one of them free of it, so
that an alert, a confirmation or what somebody asked for on a page (the desk's errands) never waits behind two digests. A worker
for bulk alone (`-Q bulk`) needs no such care.
"""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

_PROMPT = {"urgent", "transactional", "compose"}
_seats: list[IO[bytes]] = []
_count = 0


def arrange(queues: set[str], children: int) -> int:
    """Leave one child free where bulk shares a worker with what must not wait; return how many seats bulk has, 0 any number.

    Called in the parent, before the fork.
    """
    global _count
    _count = children - 1 if "bulk" in queues and queues & _PROMPT and children > 1 else 0
    _seats[:] = [tempfile.TemporaryFile()] if _count else []  # noqa: SIM115 (it lives as long as the worker)
    return _count


@contextmanager
def bulk() -> Iterator[bool]:
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
