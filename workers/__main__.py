"""`python -m workers "worker -Q urgent -P solo" "worker -Q bulk" beat`: parts of Celery, each in a process of its own.

They are forked from one that has loaded everything, so that they share its memory: on one cheap server each costs half of what it
would by itself. One that ends is started again; all end with this one.
"""

import ctypes
import gc
import importlib
import os
import shlex
import signal
import sys
import time
import traceback

from workers import app

RESTART_SECONDS = 2.0
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_ending = bytearray(1)
_parts: dict[int, str] = {}


def main(parts: list[str]) -> None:
    """Run parts, each said as to Celery, until asked to end."""
    importlib.import_module("workers.tasks")
    gc.collect()
    gc.freeze()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    for part in parts:
        _start(part)
    while _parts:
        pid, _ = os.wait()
        part = _parts.pop(pid)
        if not _ending[0]:
            time.sleep(RESTART_SECONDS)
            _start(part)


def _start(part: str) -> None:
    parent = os.getpid()
    # Between the fork and the note of it nobody may ask us to end: that one would go on alone.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    pid = 0 if _ending[0] else os.fork()
    if pid == 0 and not _ending[0]:
        _become(part, parent)
    if pid:
        _parts[pid] = part
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))


def _become(part: str, parent: int) -> None:
    """Be a part, to its end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)
    code = 1
    try:
        if os.getppid() == parent:
            app.start(["-q", *shlex.split(part)])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _end(number: int, _frame: object) -> None:
    _ending[0] = 1
    for pid in list(_parts):
        os.kill(pid, number)


if __name__ == "__main__":
    main(sys.argv[1:])
