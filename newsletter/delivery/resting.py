"""Sessions that took long to open rest between two turns: a relay that greets after ten seconds would cost each service mail these.

Whoever else needs the room has it: what rests is unused, so all of it ends when anybody found none, bulk mail too. Where a
session is opened at once nothing rests, and no thread looks.
"""

import threading
import time
from collections.abc import Callable

import structlog

log = structlog.get_logger()

SLOW_SECONDS = 1.0
"""A session that was opened more quickly is not kept: to open another costs less than to hold one that others may need."""
REST_SECONDS = 60.0
"""How long they rest: servers end them after some five minutes."""
LOOK_SECONDS = 0.5


class Rest:
    """What one process keeps between two turns: never while one is under way."""

    def __init__(self, wanted: Callable[[], bool], end: Callable[[], object]) -> None:
        """Remember what to ask and what to do, both from a thread.

        wanted  whether anybody needs the room
        end     ends the sessions
        """
        self._wanted, self._end = wanted, end
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Look from now on whether the room is wanted."""
        self._over.clear()
        self._thread = threading.Thread(target=self._watch, name="rest", daemon=True)
        self._thread.start()

    def over(self) -> None:
        """Look no more; when this returns no thread touches the sessions. It waits for a QUIT at most."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        until = time.monotonic() + REST_SECONDS
        while not self._over.wait(LOOK_SECONDS):
            if time.monotonic() > until or self._asked():
                self._end()
                return

    def _asked(self) -> bool:
        try:
            return self._wanted()
        except Exception:
            log.warning("nobody can say whether the room is wanted", exc_info=True)
            return True  # nobody can say, so nobody is kept out
