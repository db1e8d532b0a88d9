"""What became of messages and is not written yet: kept until there is enough of it, or until it has waited for a second.

The second is for those who look on: whoever watches a relay of fourteen a second, or stops an alert, is shown rows. A fast wire
has enough for a flush long before.
"""

import asyncio
import time
from collections.abc import Callable

from newsletter.delivery import thresholds
from newsletter.delivery.outcomes import Judged
from newsletter.delivery.pacing import WINDOW_MESSAGES
from newsletter.ledger.deliveries import Result
from newsletter.relay.verdict import Class

FLUSH = 500
WAIT_SECONDS = 1.0

Flush = Callable[[list[Result], list[int], list[Class | None]], None]
"""Writes outcomes, which deliveries' addresses are nobody's, and the classes of refusals: as of `recording.Recorder.flush`."""


class Findings:
    """Outcomes of one carrier that wait to be written. One flush at a time, in a thread beside the wire.

    classes   what each attempt's refusal was about since the last flush was begun
    """

    def __init__(self, flush: Flush) -> None:
        """Remember how they are written."""
        self._write = flush
        self._results: list[Result] = []
        self._dead: list[int] = []
        self.classes: list[Class | None] = []
        self._refused = False
        self._flush: asyncio.Future[None] | None = None
        self._flushing = 0
        self._begun_at = time.monotonic()

    def __len__(self) -> int:
        """How many are not surely written."""
        return len(self._results) + (self._flushing if self._flush is not None else 0)

    def add(self, judged: Judged) -> None:
        """Keep what became of a message that was begun."""
        self._results.append(judged.result)
        self.classes.append(judged.cls)
        # Standards §16: it stops at once, and at fourteen a second five hundred outcomes are half a minute.
        self._refused |= judged.cls in thresholds.AT_ONCE
        if judged.dead:
            self._dead.append(judged.result.id)

    def add_unmade(self, result: Result) -> None:
        """Keep that a message could not be made: no attempt, so it counts towards no stop."""
        self._results.append(result)

    async def write(self, *, everything: bool = False) -> None:
        """Write outcomes before they could be more than 500, or once our sender was refused, while the next window is opened.

        No window is opened beside it whose messages would be more than a window and a flush of which nothing is written: that
        is what is in doubt where a machine is lost with its journal.
        """
        due = everything or self._refused or len(self._results) > FLUSH - WINDOW_MESSAGES
        while self._flush and (due or self._flush.done() or len(self) > FLUSH):
            await self._flushed(self._flush)
        if due:
            self._begin()
        while everything and self._flush:
            await self._flushed(self._flush)

    def write_late(self) -> None:
        """Begin to write what has waited for a second, and wait for nothing: who waits hears of what a flush has raised."""
        flush = self._flush
        if flush and flush.done() and not flush.cancelled() and flush.exception() is None:
            self._flush = None
        if self._flush is None and time.monotonic() - self._begun_at >= WAIT_SECONDS:
            self._begin()

    def _begin(self) -> None:
        self._begun_at = time.monotonic()
        if not self._results:
            return
        found = (self._results, self._dead, self.classes)
        self._flushing = len(self._results)
        self._results, self._dead, self.classes, self._refused = [], [], [], False
        self._flush = asyncio.get_running_loop().run_in_executor(None, self._write, *found)

    async def _flushed(self, flush: asyncio.Future[None]) -> None:
        """Wait for a flush; once it has ended another may have been begun behind our back."""
        await flush
        if self._flush is flush:
            self._flush = None
