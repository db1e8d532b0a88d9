"""The carrier by itself, with a database that answers when the test says: what its windows hold, row by row."""

import asyncio
import random
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from newsletter.delivery.carrying import Carrier
from newsletter.delivery.leasing import Work
from newsletter.delivery.recording import Recorder
from newsletter.delivery.turns import Turn
from newsletter.ledger.deliveries import DeliveryState, Row
from newsletter.ledger.mailings import Kind, Lane
from newsletter.ledger.shards import Lease
from newsletter.relay.outcome import Accepted, Deferred, Stage, Uncertain
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
        yield self

    def written(self, results):
        """Hear of outcomes."""

    def execute(self, _statement, facts):
        assert self.gate.wait(10)
        if "first" in facts:
            self.asked.append((facts["first"], facts["upto"]))
        return SimpleNamespace(one_or_none=lambda: SimpleNamespace(started_at=NOW, at=NOW), scalars=list)


class Crew:
    """Pool, envelopes and recorder in one: what a carrier is told to send is what the test's `send` does."""

    def __init__(self, desk):
        self.database = desk
        self.send = None

    def make(self, _work, row, _date):
        return envelope(row.id)

    def limited(self, _relay, _provider):
        return False

    def born_closed(self, lease, window):
        Recorder(self.database).born_closed(lease, window)

    def flush(self, work, results, dead, classes, *, lasting):
        """Nothing is kept, but the database takes its time where it must."""
        self.database.written(results)


def carry(send, *, count, desk=None, kind=Kind.MAILING, tries=0, first_tried=None, pace=""):
    """Carry so many rows by what `send` does; return the desk. pace: of the relay, of whose budget nobody asks here."""
    desk = desk or Desk()
    rows = [Row(place, place, 1, place, place, "", tries, first_tried) for place in range(count)]
    marks = SimpleNamespace(
        begin=lambda _place: None, withdraw=lambda _place: None, answered=lambda _place, **_how: None, lasting=True
    )
    turn = Turn(Relay.parse(f"smtp://127.0.0.1:9{pace}"), limited=False, until=lambda: False, halt=lambda: False)
    crew = Crew(desk)

    async def main():
        crew.send = lambda cargo, **_how: send(cargo, desk)
        work = Work(replace(LEASE, kind=kind), rows, {})
        return await Carrier(work, marks, turn, pool=crew, envelopes=crew, recorder=crew).carry()

    asyncio.run(asyncio.wait_for(main(), 10))
    return desk


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


async def one_by_one(cargo, gone, most=400):
    """Hand over up to so many messages as their turn comes, as a session of the pool does."""
    while most:
        if (drawn := cargo.draw()) is None:
            if not await cargo.more():
                return
            continue
        assert cargo.clear(drawn)
        cargo.done(drawn, KEPT)
        gone.append(drawn.key)
        most -= 1


def test_a_session_that_leaves_with_the_last_message_keeps_no_other_waiting():
    """Two waited, one message was granted, and whoever took it never came again: the other waited for ever, deaf to a stop."""
    gone = []

    async def send(cargo, _desk):
        await asyncio.gather(one_by_one(cargo, gone, most=3), one_by_one(cargo, gone))
        return len(gone)

    carry(send, count=20, pace="?rate=14")
    assert gone == list(range(20))


class Choosy(Desk):
    """Leaves these places out of every window, as those of readers who left since the lease."""

    def __init__(self, *places):
        super().__init__()
        self.left_out = set(places)

    def execute(self, statement, facts):
        found = super().execute(statement, facts)
        found.scalars = lambda: self.left_out
        return found


@pytest.mark.parametrize(
    ("pace", "left"), [("?rate=14", {7}), ("", set(range(250, 900)))], ids=["in turn", "at full speed"]
)
def test_a_window_in_which_nobody_may_go_is_followed_by_the_next(pace, left):
    """A reader who left was the only one of a window: all sessions waited for what nobody would ask for."""
    gone = []

    async def send(cargo, _desk):
        await one_by_one(cargo, gone, most=1000)
        return len(gone)

    carry(send, count=1000, desk=Choosy(*left), pace=pace)
    assert sorted(gone) == sorted(set(range(1000)) - left)


class Moody(Desk):
    """Opens windows late now and then, and leaves out one row in a hundred."""

    def __init__(self, dice):
        super().__init__()
        self.dice = dice
        self.left_out = set()

    @contextmanager
    def transaction(self):
        if self.dice.random() < 0.2:
            time.sleep(self.dice.choice((0.1, 0.3, 0.6)))
        yield self

    def execute(self, statement, facts):
        found = super().execute(statement, facts)
        if "first" in facts:
            not_now = [place for place in range(facts["first"], facts["upto"]) if place % 100 == 7]
            self.left_out.update(not_now)
            found.scalars = lambda: not_now
        return found


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_database_s_mood_each_row_is_begun_once_or_left(seed):
    """Eight sessions at any pace, windows that close at any moment: nobody has it twice, and nobody is forgotten."""
    dice = random.Random(seed)
    begun, withheld = [], []

    async def session(cargo):
        while True:
            if (drawn := cargo.draw()) is None:
                if not await cargo.more():
                    return
                continue
            await asyncio.sleep(dice.choice((0, 0, 0.001, 0.02)))
            may = cargo.clear(drawn)
            if may is None:
                may = await cargo.cleared(drawn)
            if not may:
                withheld.append(drawn.key)
                cargo.withheld(drawn)
                continue
            begun.append(drawn.key)
            await asyncio.sleep(dice.choice((0, 0.001, 0.01)))
            cargo.done(drawn, KEPT)

    async def send(cargo, _desk):
        await asyncio.gather(*(session(cargo) for _ in range(8)))
        return len(begun)

    desk = carry(send, count=1000, desk=Moody(dice))
    assert len(begun) == len(set(begun)), "begun twice"
    assert sorted({*begun, *withheld, *desk.left_out}) == list(range(1000)), "forgotten"
    assert not set(begun) & desk.left_out, "begun though it was left out of its window"


class Slow(Desk):
    """Opens windows at once and is slow to write. most: how many messages had gone of which nothing stood in it."""

    def __init__(self, gone):
        super().__init__()
        self._gone, self._known = gone, 0
        self.most, self.flushes = 0, []

    def written(self, results):
        time.sleep(0.3)
        self.most = max(self.most, len(self._gone) - self._known)
        self._known += len(results)
        self.flushes.append(len(results))


def test_no_more_than_a_window_and_a_flush_are_out_of_which_nothing_is_written():
    """The machine is lost with its journal: so many readers may or may not have their mail, and that number was promised."""
    gone = []

    async def send(cargo, _desk):
        while await cargo.more():
            await take(cargo, gone, 10)
            await asyncio.sleep(0.002)
        return len(gone)

    slow = carry(send, count=2000, desk=Slow(gone))
    assert sum(slow.flushes) == len(gone) == 2000
    assert slow.most <= 750


class Watched(Desk):
    """Knows when it was told of outcomes: (how many, when)."""

    def __init__(self):
        super().__init__()
        self.flushes = []

    def written(self, results):
        self.flushes.append((len(results), time.monotonic()))


def test_what_a_slow_wire_has_done_is_written_within_a_second_or_so():
    """At fourteen a second the page said "0 handed over" for eighteen seconds, and of a stop meanwhile that nobody has it."""
    answered = []

    async def send(cargo, _desk):
        while await cargo.more():
            await take(cargo, [], 5)
            answered.append(time.monotonic())
            # At first five are left of the window; then there is nothing to ask for any more.
            await asyncio.sleep(1.6)
            cargo.draw()
        return 10

    watched = carry(send, count=10, desk=Watched())
    assert [size for size, _ in watched.flushes] == [5, 5]
    assert max(at - before for (_, at), before in zip(watched.flushes, answered, strict=True)) < 1.4


def test_a_fast_wire_pays_nothing_for_those_who_look_on():
    """At hundreds a second there is enough for a flush before the second is over: not one transaction more."""

    async def send(cargo, _desk):
        gone = []
        while await cargo.more():
            await take(cargo, gone, 10)
            await asyncio.sleep(0.01)
        return len(gone)

    watched = carry(send, count=1500, desk=Watched())
    assert sum(size for size, _ in watched.flushes) == 1500
    assert min(size for size, _ in watched.flushes[:-1]) > 250


class Far(Desk):
    """A database whose clock stands elsewhere than this machine's. results: what became of each."""

    def __init__(self):
        super().__init__()
        self.results = []

    def written(self, results):
        self.results += results


@pytest.mark.parametrize(
    "outcome",
    [Deferred(Reply(450, "4.2.0", "Greylisted, try again later"), Stage.RCPT), Uncertain("gone", Stage.BODY)],
    ids=["greylisted", "in doubt"],
)
def test_a_machine_whose_clock_is_wrong_gives_up_nobody_and_bothers_nobody(outcome):
    """A day ahead it gave up every greylisted reader of an alert at the second try; a day behind it sent it again each second."""

    async def send(cargo, _desk):
        assert await cargo.more()
        cargo.clear(drawn := cargo.draw())
        cargo.done(drawn, outcome)
        return 1

    far = carry(send, count=1, desk=Far(), kind=Kind.ALERT, tries=1, first_tried=NOW - timedelta(minutes=5))
    [result] = far.results
    assert result.state is DeliveryState.DEFERRED
    assert timedelta(minutes=2) < result.due_at - NOW < timedelta(minutes=20), "by the clock that the rows go by"


class Tired(Desk):
    """Takes longer to open its first window than a window lasts."""

    def execute(self, statement, facts):
        if "first" in facts and not self.asked:
            time.sleep(0.6)
        return super().execute(statement, facts)


def test_a_database_too_slow_to_open_a_window_is_named():
    """Nothing was sent, for ever, and no line said why."""
    gone = []

    async def send(cargo, _desk):
        while await cargo.more():
            await take(cargo, gone, 10)
        return len(gone)

    with capture_logs() as said:
        carry(send, count=10, desk=Tired())
    assert gone == list(range(10)), "it was put back, and went with the next window"
    assert [line["log_level"] for line in said if line["event"] == "window born closed"] == ["error"]


class Hesitating(Desk):
    """Takes a moment for each window."""

    def execute(self, statement, facts):
        time.sleep(0.01)
        return super().execute(statement, facts)


def test_who_waits_for_a_window_has_no_second_one_opened_behind_it():
    """Four of ten windows were of a few rows each: a transaction that cost a tenth of all that a message costs."""

    async def session(cargo):
        while await cargo.more():
            if drawn := cargo.draw():
                assert cargo.clear(drawn) is not False
                await asyncio.sleep(0.0005)
                cargo.done(drawn, KEPT)

    async def send(cargo, _desk):
        await asyncio.gather(*(session(cargo) for _ in range(6)))
        return 3000

    desk = carry(send, count=3000, desk=Hesitating())
    sizes = [upto - first for first, upto in desk.asked]
    assert sum(sizes) == 3000
    assert sum(size < 50 for size in sizes) <= 2, "the first, of a wire that nobody knows, and the last"
