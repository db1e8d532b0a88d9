"""What goes on sending where no broker calls anybody: a plain loop, one rower for each lane.

Idle while the broker answers and workers take what is due: a lane is served when its work has waited for ten seconds, or at once
when no broker takes anything.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import structlog

from newsletter.database import PASSING, Database, DatabaseUnreachable, fails_all
from newsletter.delivery.sending import Sender
from newsletter.ledger import shards
from newsletter.relay.opening import Unreachable

log = structlog.get_logger()

TURN_SECONDS = 30.0
"""How long a sender stays with a lane before others have their turn."""
PATIENCE_SECONDS = 10.0
"""How long work may lie untouched before it is taken here."""


Result = TypeVar("Result")


def attempt(chore: Callable[[], Result], otherwise: Result) -> Result:
    """Return what a chore returns; `otherwise` where it fails, and the log says so: it keeps no other from its turn.

    Raises PASSING and NotMigrated where the others would fail as well.
    """
    try:
        return chore()
    except Exception as error:
        if fails_all(error):
            raise
        log.exception("chore failed")
        return otherwise


def each(chores: Iterable[Callable[[], object]]) -> None:
    """Do chores one after the other, whatever becomes of one of them. Raises as `attempt` does."""
    for chore in chores:
        attempt(chore, None)


class Aside:
    """Does something beside a loop that must not wait for it, one at a time."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, unless it is at it still."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._try, daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait until it is at nothing."""
        if self._thread is not None:
            self._thread.join()

    def _try(self) -> None:
        with suppress(DatabaseUnreachable):
            self._work()


class Oar:
    """One lane: a relay that says nothing, or a digest under way, keeps no other lane waiting."""

    def __init__(
        self, make: Callable[[], Sender], lane: str, *, heed: Callable[[], object], until: Callable[[], bool]
    ) -> None:
        self._make, self._lane, self._heed, self._until = make, lane, heed, until
        self._aside, self._begun = Aside(self._pull), 0
        self._sender: Sender | None = None

    def start(self) -> None:
        """Begin a turn, unless one is under way."""
        self._aside.start()

    def put_away(self) -> int:
        """Wait for the turn's end, and return how many messages were begun in all."""
        self._aside.wait()
        if self._sender is not None:
            self._sender.close()
        return self._begun

    def _pull(self) -> None:
        self._sender = self._sender or self._make()
        try:
            self._begun += self._sender.work(self._lane, seconds=TURN_SECONDS, heed=self._heed, until=self._until)
        except Unreachable:
            pass  # it was said, and the relay is asked again in ten seconds
        except PASSING as error:
            log.warning("lifeboat waits", lane=self._lane, why=type(error).__name__)


@dataclass(frozen=True, slots=True)
class Chores:
    """What is done in each round beside sending.

    answers  whether a broker takes calls, so that others do the rest
    quick    where none does, one after the other; slow: each beside the loop
    always   on every machine, whether a broker answers or not
    """

    answers: Callable[[], bool]
    quick: Sequence[Callable[[], object]]
    slow: Sequence[Callable[[], object]]
    always: Callable[[], object]


class Lifeboat:
    """Rows until it is told to end."""

    def __init__(
        self, database: Database, make: Callable[[], Sender], chores: Chores, *, heed: Callable[[], object]
    ) -> None:
        """Remember the parts. make: a sender for one lane; heed: as for `Sender.work`."""
        self._database, self._make, self._chores, self._heed = database, make, chores, heed
        self._beside = [Aside(one) for one in chores.slow]

    def row(self, lanes: Collection[str], *, until: Callable[[], bool], pause_seconds: float) -> int:
        """Serve these lanes until told to end; return how many messages were begun."""
        waiting = dict.fromkeys(lanes, 0.0)
        oars = {lane: Oar(self._make, lane, heed=self._heed, until=until) for lane in lanes}
        while not until():
            try:
                for lane in self._round(waiting):
                    oars[lane].start()
            except PASSING as error:
                # Nobody starts this again at once, and what it looks after is what is left when much is away.
                log.warning("lifeboat waits", why=type(error).__name__)
            time.sleep(pause_seconds)
        return sum(oar.put_away() for oar in oars.values())

    def _round(self, waiting: dict[str, float]) -> list[str]:
        """Do the chores once; return the lanes to be served now."""
        alone = not self._chores.answers()
        if alone:
            for one in self._beside:
                one.start()
            each(self._chores.quick)
        attempt(self._chores.always, None)
        return self._left_lying(waiting, alone=alone)

    def _left_lying(self, waiting: dict[str, float], *, alone: bool) -> list[str]:
        """Return the lanes whose work nobody takes; `waiting` remembers since when each has had work (monotonic, 0 none)."""
        with self._database.transaction() as session:
            leasable = set(shards.lanes_with_work(session))
        for lane, since in waiting.items():
            waiting[lane] = (since or time.monotonic()) if lane in leasable else 0.0
        return [
            lane for lane, since in waiting.items() if since and (alone or time.monotonic() - since > PATIENCE_SECONDS)
        ]
