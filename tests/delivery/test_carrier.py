"""The carrier by itself, with a database that answers when the test says: what its windows hold, row by row."""

import asyncio
import threading
from contextlib import contextmanager
from datetime import UTC, date, datetime
from types import SimpleNamespace

from newsletter.delivery.carrying import Carrier, Turn
from newsletter.delivery.leasing import Work
from newsletter.ledger.deliveries import Row
from newsletter.ledger.mailings import Kind, Lane
from newsletter.ledger.shards import Lease
from newsletter.relay.outcome import Accepted
from newsletter.relay.reply import Reply
from newsletter.relay.target import Relay
from tests.fakes.cargo import envelope

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LEASE = Lease(1, 1, 1, Kind.MAILING, Lane.BULK, "other", 400, date(2026, 6, 1), None, None, b"", NOW)
KEPT = Accepted(Reply(250, "2.0.0", "kept"))


class Desk:
    """A database that opens every window it is asked for, once the gate is open. asked: (first, upto) of each."""

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.asked = []

    @contextmanager
    def transaction(self):
        assert self.gate.wait(10)
        yield self

    def execute(self, _statement, facts):
        if "first" in facts:
            self.asked.append((facts["first"], facts["upto"]))
        return SimpleNamespace(one_or_none=lambda: SimpleNamespace(started_at=NOW), scalars=list)


class Crew:
    """The sender and its pool: what a carrier is told to send is what the test's `send` does."""

    def __init__(self, send):
        self.database = Desk()
        self.send = send

    def pool(self, _relay):
        return self

    def envelope(self, _work, row, _date):
        return envelope(row.id)

    def flush(self, work, results, dead, classes):
        """Nothing is kept."""


def carry(send, *, count):
    """Carry so many rows by what `send` does; return the desk."""
    rows = [Row(place, place, 1, place, place, "", 0, None) for place in range(count)]
    marks = SimpleNamespace(
        begin=lambda _place: None, withdraw=lambda _place: None, answered=lambda _place, **_how: None
    )
    turn = Turn(Relay.parse("smtp://127.0.0.1:9"), limited=False, until=lambda: False, halt=lambda: False)
    crew = Crew(None)

    async def main():
        crew.send = lambda cargo: send(cargo, crew.database)
        return await Carrier(crew, Work(LEASE, rows, {}), marks, turn).carry()

    asyncio.run(asyncio.wait_for(main(), 30))
    return crew.database


async def take(cargo, gone, most):
    """Hand over up to so many messages, as long as there are any."""
    while most and (drawn := cargo.draw()) is not None:
        assert cargo.clear(drawn) is not False
        cargo.done(drawn, KEPT)
        gone.append(drawn.key)
        most -= 1


def test_a_window_that_closes_while_the_next_is_asked_for_doubles_and_forgets_nobody():
    """A database that hesitates for a second must not send a digest twice: what was allowed goes back behind the question."""
    gone = []

    async def send(cargo, desk):
        assert await cargo.more()
        desk.gate.clear()
        await take(cargo, gone, 240)
        await asyncio.sleep(0.7)  # ten are left, more were asked for, and the window has closed
        await take(cargo, gone, 1)
        assert len(gone) == 240
        desk.gate.set()
        while await cargo.more():
            await take(cargo, gone, 400)
        return len(gone)

    desk = carry(send, count=400)
    assert sorted(gone) == list(range(400))
    assert gone == sorted(gone), "in the order of the shard"
    assert all(first < upto for first, upto in desk.asked), "a window over nothing would let through who has left"
