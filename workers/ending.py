"""How the children of a worker learn that it is asked to end: Celery tells only the parent.

A child that sends then begins no further body, finishes what is on the wire, writes its outcomes and gives its shard back,
so that a deployment takes seconds and leaves nothing in doubt.
"""

import mmap
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from celery.signals import worker_shutting_down

# One byte that parent and children share, mapped before the fork: the worker ends. The other flag is one child's own.
_worker = mmap.mmap(-1, 1)
_child = bytearray(1)


def asked() -> bool:
    """Return whether this worker, or this child alone, has been asked to end."""
    return bool(_worker[0] or _child[0])


@contextmanager
def with_patience() -> Iterator[None]:
    """Put SIGTERM off for the length of the block: service managers send it to every process of a group."""
    usual = signal.signal(signal.SIGTERM, _note)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)
        if _child[0] and not _worker[0]:
            os.kill(os.getpid(), signal.SIGTERM)


def _note(*_signal: object) -> None:
    _child[0] = 1


@worker_shutting_down.connect
def _tell_children(**_later: object) -> None:
    _worker[0] = 1
