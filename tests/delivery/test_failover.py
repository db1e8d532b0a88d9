"""One relay of two is silent: nobody waits for it, and one process at a time asks whether it is back."""

import asyncio
import time
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import text

from newsletter.delivery import knocking, standing, throttle
from newsletter.delivery.throttle import Choice
from newsletter.journeys import alert
from newsletter.ledger import shards
from newsletter.ledger.mailings import Lane
from newsletter.relay.manners import Manners
from newsletter.relay.opening import Unreachable
from newsletter.relay.pool import Pool
from newsletter.relay.target import Relay
from tests import house
from tests.delivery.test_carrying import under_way
from tests.fakes import smtp

QUICK = replace(Manners(), connect=2, greeting=1.5, knock=0.3)


@dataclass
class Mute(smtp.Sink):
    """A server that takes connections and never greets. ever: how many."""

    ever: int = 0

    async def serve(self, reader, writer):
        self.ever += 1
        await reader.read()


@pytest.fixture
def mute():
    with smtp.running(Mute()) as server:
        yield server


def alarmed(tmp_path, database_urls, url):
    made = house.build(tmp_path, database_urls, url)
    house.add_readers(made, tmp_path, house.addresses(50))
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
    made.sweep()
    return made


@pytest.mark.parametrize("known", [True, False])
def test_an_alert_does_not_wait_for_a_silent_relay_beside_one_that_is_well(mute, sink, tmp_path, database_urls, known):
    """It waited a minute: whoever came first asked the silent one, with readers in hand."""
    made = alarmed(tmp_path, database_urls, f"{mute.url}?weight=1000 {sink.url}")
    if known:
        with made.parts.database.transaction() as session:
            standing.closed(session, made.parts.relays[Lane.URGENT][0])
            session.execute(text("UPDATE relay_state SET closed_until = clock_timestamp() - interval '1 second'"))
    began = time.monotonic()
    assert made.deliver("urgent", seconds=20) == 50
    assert time.monotonic() - began < knocking.BRIEF_SECONDS + 3
    assert mute.ever == 1
    with made.parts.database.transaction() as session:
        assert standing.of(session, made.parts.relays[Lane.URGENT][0]).closed_since is not None
    made.close()


def test_nothing_is_taken_for_a_relay_that_was_not_heard(mute, tmp_path, database_urls):
    """What lies with a process that waits for a silent server is kept from every other."""
    made = alarmed(tmp_path, database_urls, mute.url)
    relay = made.parts.relays[Lane.URGENT][0]
    with pytest.raises(Unreachable):
        asyncio.run(
            knocking.knock(Pool(relay, helo="sender.example", manners=QUICK), Choice(relay), made.parts.database)
        )
    with made.parts.database.transaction() as session:
        assert shards.next_mailing(session, "urgent") is not None
    made.close()


def test_a_silent_relay_is_asked_on_by_one_of_many(mute, newsletter):
    """Six children that each ask again are six too many for a server that has just come back."""
    relay = replace(newsletter.parts.relays[Lane.BULK][0], port=mute.port)

    async def one():
        pool = Pool(relay, helo="sender.example", manners=QUICK)
        began = time.monotonic()
        with pytest.raises(Unreachable):
            await knocking.knock(pool, Choice(relay), newsletter.parts.database)
        return time.monotonic() - began

    async def six():
        return await asyncio.gather(*(one() for _ in range(6)))

    waited = sorted(asyncio.run(six()))
    assert waited[4] < 1.2 < waited[5], "five gave up where the sixth asked on"
    assert mute.ever <= 6 + 4
    with newsletter.parts.database.transaction() as session:
        assert standing.of(session, relay).closed_since is not None
        assert not standing.probe(session, relay, patient=True)


@dataclass
class Full(smtp.Sink):
    """A server that has no session for anybody. ever: how many asked."""

    ever: int = 0

    async def serve(self, reader, writer):
        self.ever += 1
        writer.write(b"421 4.7.0 Error: too many concurrent connections from this client\r\n")
        writer.close()


@pytest.mark.parametrize("lane", ["urgent", "bulk"])
def test_a_crowded_relay_is_left_to_itself_while_another_has_room(sink, tmp_path, database_urls, lane):
    """It was asked again and again by its weight, for a turn and the next, while the other idled: none of fifty in a minute."""
    with smtp.running(Full()) as full:
        url = f"{full.url}?weight=1000 {sink.url}"
        made = alarmed(tmp_path, database_urls, url) if lane == "urgent" else house.build(tmp_path, database_urls, url)
        if lane == "bulk":
            under_way(made, tmp_path, 50)
        assert made.deliver(lane, seconds=5) == len(sink.messages) == 50
        made.close()
    assert full.ever <= 2


def test_a_crowded_relay_is_asked_again_where_no_other_answers(tmp_path, database_urls):
    """It had no session for a moment; the other is gone."""

    class Once(Full):
        async def serve(self, reader, writer):
            await (super().serve if self.ever < 2 else super(Full, self).serve)(reader, writer)

    with smtp.running(Once()) as crowded:
        made = alarmed(tmp_path, database_urls, f"{crowded.url}?weight=1000 smtp://127.0.0.1:9")
        assert made.deliver("urgent", seconds=5) == len(crowded.messages) == 50
        made.close()


def test_a_crowded_relay_is_another_all_the_same(newsletter):
    """One that is silent is waited for two seconds and not for minutes while a crowded one could have the mail in a moment."""
    one, two, silent = (Relay.parse(f"smtp://127.0.0.{host}:25") for host in (1, 2, 3))
    with newsletter.parts.database.transaction() as session:
        now = session.execute(text("SELECT now()")).scalar_one()
        found = throttle.choose(session, [one, two], Lane.URGENT, chance=0.5, now=now, crowded={one: 0.25})
        assert (found.relay, found.others) == (two, True)
        found = throttle.choose(session, [one, two], Lane.URGENT, chance=0.01, now=now, crowded={one: 8.0, two: 0.25})
        assert (found.relay, found.others) == (two, True)
        standing.closed(session, silent)
        session.execute(text("UPDATE relay_state SET closed_until = now() - interval '1 second'"))
        found = throttle.choose(session, [one, silent], Lane.URGENT, chance=0.5, now=now, crowded={one: 0.25})
        assert (found.relay, found.probe, found.others, found.instead) == (silent, True, True, True)


@dataclass
class Turns(smtp.Sink):
    """A server that falls silent."""

    mute: bool = False

    async def serve(self, reader, writer):
        if self.mute:
            await reader.read()
        else:
            await super().serve(reader, writer)


def test_a_relay_that_went_silent_since_the_last_turn_keeps_no_alert_waiting(sink, tmp_path, database_urls):
    """Nobody knocked at a relay that had been well, though no session was left there: half a minute, with readers in hand."""
    with smtp.running(Turns()) as other:
        made = alarmed(tmp_path, database_urls, f"{other.url}?weight=1000 {sink.url}")
        assert made.deliver("urgent", seconds=20) == 50
        other.mute = True
        (tmp_path / "alert.md").write_text("# Again\n\nPlease call again.\n")
        alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
        made.sweep()
        began = time.monotonic()
        assert made.deliver("urgent", seconds=20) == 50
        assert time.monotonic() - began < knocking.BRIEF_SECONDS + 3
        made.close()


def test_the_first_session_that_rested_and_is_silent_speaks_for_all():
    """A path that was cut says nothing to NOOP either: eight were asked for five seconds each, and the relay itself was well."""

    async def main(url):
        pool = Pool(Relay.parse(url), helo="sender.example", manners=replace(Manners(), idle=0))
        await pool.knock()
        for one in [await pool.borrow(plainly=True) for _ in range(2)]:
            await pool.give_back(one)
        assert pool.resting == 3
        began = time.monotonic()
        await pool.knock(brief=0.6)
        took = time.monotonic() - began
        assert pool.resting == 1
        await pool.close()
        return took

    server = smtp.Scripted(script={"NOOP": b""})
    with smtp.running(server):
        assert asyncio.run(main(server.url)) < 1.0
