"""A message counts at a relay when it is introduced there, and not when it was granted."""

import asyncio
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

from sqlalchemy import event, text

from newsletter.delivery import leasing, pacing
from newsletter.delivery.carrying import Carrier
from newsletter.delivery.recording import Recorder
from newsletter.delivery.turns import Turn
from newsletter.journeys import publish
from newsletter.ledger.mailings import Lane
from newsletter.relay.opening import Unreachable
from newsletter.relay.outcome import Accepted
from newsletter.relay.reply import Reply
from newsletter.relay.target import Relay
from tests import house
from tests.fakes import smtp
from tests.fakes.cargo import envelope


class SlowToOpen(smtp.Sink):
    """Greets after almost a second, as one abroad that looks us up first."""

    async def serve(self, reader, writer):
        """Keep them waiting, then hold one session."""
        await asyncio.sleep(0.9)
        await super().serve(reader, writer)


class Small(smtp.Sink):
    """Bears four sessions at once, and thinks for 0.2 s about each message. connects: how many came."""

    delay_seconds = staticmethod(lambda: 0.2)
    now = connects = 0
    away = False

    async def serve(self, reader, writer):
        """Hold one session, or none."""
        self.now, self.connects = self.now + 1, self.connects + 1
        try:
            if self.away or self.now > 4:
                writer.write(b"" if self.away else b"421 4.7.0 Error: too many concurrent connections\r\n")
                writer.close()
            else:
                await super().serve(reader, writer)
        finally:
            self.now -= 1

    async def _data(self, *session):
        if self.away:
            raise ConnectionResetError
        return await super()._data(*session)


def delivering(made, ended):
    """Deliver in a thread of its own, which is given up where it does not end; what it raises is of no interest."""

    def run():
        with suppress(Unreachable):
            made.deliver("bulk", seconds=30, until=ended.is_set)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def used(made):
    with made.parts.database.transaction() as session:
        return session.execute(text("SELECT coalesce(sum(used), 0) FROM relay_use")).scalar_one()


def leases(made):
    with made.parts.database.transaction() as session:
        return session.execute(text("SELECT sum(fence) FROM shard")).scalar_one()


def slow_down(made, seconds):
    """Have the database a way off: so long for each statement."""
    event.listen(made.parts.database.engine, "before_cursor_execute", lambda *_all: time.sleep(seconds))


def test_only_a_slow_pace_goes_in_turn():
    """Whoever has no rate, or a quick one, pays nothing for those that have: no question, and messages in one breath."""
    takes = {
        "": False,
        "?rate=14": True,
        "?rate=39": True,
        "?rate=60": False,
        "?rate=14&ahead=100": False,
        "?daily=9": False,
    }
    assert {query: pacing.in_turn(Relay.parse(f"smtp://127.0.0.1:9{query}")) for query in takes} == takes


def test_what_a_slow_session_kept_from_its_turn_is_granted_anew_and_counted_once(tmp_path, database_urls):
    """A session abroad takes a while to open: what was granted meanwhile must not meet in one second what is granted then."""
    heard = []
    with smtp.running(SlowToOpen(refuse=lambda _recipient: heard.append(time.monotonic()))) as sink:
        made = house.build(tmp_path, database_urls, f"{sink.url}?connections=6&rate=14&daily=1000")
        composed = house.issue(made, tmp_path, addresses=house.addresses(42))
        publish.send(made.parts, composed.issue)
        made.deliver("bulk", seconds=20)
        assert len(sink.messages) == used(made) == 42, "each was paid for once"
        made.close()
    assert max(sum(start <= at < start + 0.95 for at in heard) for start in heard) <= 14
    assert heard[-1] - heard[0] < 4.5, "and nothing of the pace was lost"


def test_who_stops_while_a_turn_is_waited_for_pays_for_what_went(tmp_path, database_urls):
    """A part of the day that a stop has cost would be missing to an alert."""
    with smtp.running(smtp.Sink(command_seconds=0.05)) as sink:
        made = house.build(tmp_path, database_urls, f"{sink.url}?connections=6&rate=14&daily=1000")
        composed = house.issue(made, tmp_path, addresses=house.addresses(100))
        publish.send(made.parts, composed.issue)
        halt = threading.Event()
        threading.Timer(2, halt.set).start()
        made.deliver("bulk", seconds=20, until=halt.is_set)
        assert 10 < len(sink.messages) == used(made) < 40
        made.close()


class Asked(Recorder):
    """Counts how often a grant was asked for anew."""

    anew = 0

    def grant_anew(self, *which, **before):
        """Count it."""
        self.anew += 1
        return super().grant_anew(*which, **before)


async def one_that_is_slow_and_one_that_waits(cargo, **_how):
    """Have the window of both opened anew for the first, while the second has no session yet."""
    drawn = []
    while len(drawn) < 2:
        if (one := cargo.draw()) is not None:
            drawn.append(one)
        else:
            assert await cargo.more()
    await asyncio.sleep(0.6)
    for one in drawn:
        assert one is drawn[0] or await cargo.turn(one)
        assert await cargo.cleared(one)
        cargo.done(one, Accepted(Reply(250, "2.0.0", "kept")))
    return 2


def test_who_waits_under_a_window_opened_anew_was_paid_for_when_it_was(tmp_path, database_urls):
    """Its grant is as old as before, though the window is new: taken for fresh it would come on top of the next second."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9?rate=14&daily=1000")
    composed = house.issue(made, tmp_path, addresses=house.addresses(2))
    publish.send(made.parts, composed.issue)
    with made.parts.database.transaction() as session:
        work = leasing.lease(session, Lane.BULK, owner="a test", journals=tmp_path)
    crew = SimpleNamespace(
        send=one_that_is_slow_and_one_that_waits,
        make=lambda _work, row, _date: envelope(row.id),
        begin=lambda _place: None,
        withdraw=lambda _place: None,
        answered=lambda _place, **_how: None,
        lasting=True,
    )
    turn = Turn(Relay.parse("smtp://127.0.0.1:9?rate=14&daily=1000"), True, lambda: False, lambda: False)
    recorder = Asked(made.parts.database)

    async def carry():
        return await Carrier(work, crew, turn, pool=crew, envelopes=crew, recorder=recorder).carry()

    assert asyncio.run(carry()).left == 0
    assert (recorder.anew > 0, used(made)) == (True, 2)
    made.close()


def test_the_last_message_goes_through_a_session_abroad_that_had_lain_idle(tmp_path, database_urls):
    """Whether it is still there is asked first, and the answer alone takes longer than a turn: a service mail went never."""
    with smtp.running(smtp.Sink(command_seconds=0.05)) as sink:
        made = house.build(tmp_path, database_urls, f"{sink.url}?connections=4&rate=14&daily=1000")
        composed = house.issue(made, tmp_path, addresses=["first@example.org", "second@example.com"])
        publish.send(made.parts, composed.issue)
        with made.parts.database.transaction() as session:
            session.execute(
                text("UPDATE delivery SET state = 'deferred', due_at = now() + interval '1 hour' WHERE position = 1")
            )
        made.deliver("bulk", seconds=3)
        assert len(sink.messages) == 1
        with made.parts.database.transaction() as session:
            session.execute(text("UPDATE delivery SET due_at = now() WHERE state = 'deferred'"))
        made.sweep()
        time.sleep(1.5)
        before, began = leases(made), time.monotonic()
        made.deliver("bulk", seconds=10)
        assert (len(sink.messages), leases(made) - before, used(made)) == (2, 1, 2)
        assert sink.messages[1].at - began < 2
        made.close()


def test_a_pace_holds_where_the_database_is_a_way_off(tmp_path, database_urls):
    """What each grant takes to come delays nobody: who granted every message three times over sent a third of the pace."""
    heard = []
    with smtp.running(smtp.Sink(refuse=lambda _recipient: heard.append(time.monotonic()))) as sink:
        made = house.build(tmp_path, database_urls, f"{sink.url}?connections=6&rate=14&daily=1000")
        composed = house.issue(made, tmp_path, addresses=house.addresses(120))
        publish.send(made.parts, composed.issue)
        slow_down(made, 0.002)
        made.deliver("bulk", seconds=7)
        made.close()
    assert max(sum(start <= at < start + 0.99 for at in heard) for start in heard) <= 14
    steady = heard[14:]
    assert (len(steady) - 1) / (steady[-1] - steady[0]) >= 8, (
        "13 and more where nobody else has the cores, and it was 4.5"
    )


def test_the_last_message_goes_where_the_database_is_a_way_off(tmp_path, database_urls):
    """Asking alone takes longer than a turn there: who is given up for that is leased again at once, for ever."""
    with smtp.running(smtp.Sink()) as sink:
        made = house.build(tmp_path, database_urls, f"{sink.url}?connections=4&rate=14&daily=1000")
        composed = house.issue(made, tmp_path, addresses=house.addresses(1))
        publish.send(made.parts, composed.issue)
        slow_down(made, 0.003)
        made.deliver("bulk", seconds=10)
        assert (len(sink.messages), leases(made), used(made)) == (1, 1, 1)
        made.close()


def test_a_relay_that_bears_few_sessions_has_all_of_a_slow_pace_and_ends_when_asked(tmp_path, database_urls):
    """One session that could not be opened kept the others waiting for ever, and SIGTERM with them."""
    with smtp.running(Small()) as sink:
        made = house.build(tmp_path, database_urls, f"{sink.url}?connections=8&rate=14&daily=1000")
        composed = house.issue(made, tmp_path, addresses=house.addresses(100))
        publish.send(made.parts, composed.issue)
        ended = threading.Event()
        thread = delivering(made, ended)
        time.sleep(4)
        taken = len(sink.messages)
        ended.set()
        thread.join(5)
        assert not thread.is_alive()
        assert 20 < taken < 70
        assert len(sink.messages) == used(made) < 70
        made.close()


def test_a_slow_pace_outlives_a_relay_that_was_away(tmp_path, database_urls):
    """Sessions that died left the others waiting: nothing went on its return, and nobody else could have the shard."""
    with smtp.running(Small()) as sink:
        made = house.build(tmp_path, database_urls, f"{sink.url}?connections=4&rate=14&daily=1000")
        composed = house.issue(made, tmp_path, addresses=house.addresses(60))
        publish.send(made.parts, composed.issue)
        thread = delivering(made, threading.Event())
        time.sleep(1.5)
        before, sink.away = sink.connects, True
        thread.join(10)
        assert not thread.is_alive()
        assert sink.connects - before <= 2, "one session asks, and who sends next once more"
        sink.away, taken = False, len(sink.messages)
        with made.parts.database.transaction() as session:
            session.execute(text("UPDATE relay_state SET closed_until = now() - interval '1 second'"))
        made.deliver("bulk", seconds=15)
        with made.parts.database.transaction() as session:
            found = dict(session.execute(text("SELECT state, count(*) FROM delivery GROUP BY state")).all())
        assert 0 < taken < len(sink.messages) == found["accepted"]
        assert sum(found.values()) - found["accepted"] <= 4, "what was on the wire"
        made.close()
