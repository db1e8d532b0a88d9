"""A relay that takes long to greet: it has its mail all the same, and what was opened is not thrown away after each turn."""

import asyncio
import threading
import time
from dataclasses import dataclass

import pytest

from newsletter.delivery import needs, resting
from newsletter.delivery.resting import Rest
from newsletter.journeys import joining
from newsletter.ledger.mailings import Lane
from newsletter.subscribers.signup import Wish
from tests import house
from tests.delivery.test_carrying import under_way
from tests.delivery.test_failover import alarmed
from tests.fakes import smtp


@dataclass
class Slow(smtp.Sink):
    """A server that thinks before it greets. ever, now: sessions."""

    banner: float = 1.3
    ever: int = 0
    now: int = 0

    async def serve(self, reader, writer):
        self.ever += 1
        self.now += 1
        try:
            await asyncio.sleep(self.banner)
            await super().serve(reader, writer)
        finally:
            self.now -= 1


@pytest.fixture
def slow():
    with smtp.running(Slow()) as server:
        yield server


def confirm(made, name):
    """Ask somebody to confirm; return how long that mail took."""
    joining.ask(made.parts, Wish(f"{name}@example.org", "en", {"weekly": "weekly"}))
    joining.work(made.parts)
    began = time.monotonic()
    assert made.deliver("transactional", seconds=20) == 1
    return time.monotonic() - began


def until(met, within=5.0):
    end = time.monotonic() + within
    while not met() and time.monotonic() < end:
        time.sleep(0.05)
    return met()


def threads():
    return [one for one in threading.enumerate() if one.name == "rest"]


@pytest.mark.parametrize("lane", ["urgent", "bulk"])
def test_a_relay_that_takes_longer_than_a_turn_to_greet_has_its_mail(slow, tmp_path, database_urls, lane):
    """Its sessions ended with each turn, and it greeted in the next: no mail went, for ever."""
    made = (
        alarmed(tmp_path, database_urls, slow.url)
        if lane == "urgent"
        else house.build(tmp_path, database_urls, slow.url)
    )
    if lane == "bulk":
        under_way(made, tmp_path, 50)
    assert made.deliver(lane, seconds=0.7) > 0
    made.close()


def test_the_next_service_mail_waits_for_no_other_greeting(slow, tmp_path, database_urls):
    """Each confirmation waited twelve seconds at a relay that greets after twelve."""
    made = house.build(tmp_path, database_urls, slow.url)
    assert confirm(made, "ann") > 1.3
    time.sleep(1.2)
    assert confirm(made, "bob") < 1.0
    assert slow.ever == 1
    made.close()
    assert not threads()
    assert until(lambda: slow.now == 0)


def test_what_rests_ends_when_anybody_needs_the_room(slow, tmp_path, database_urls):
    """It is unused: an alert of another process would wait a minute for it."""
    made = house.build(tmp_path, database_urls, slow.url)
    confirm(made, "ann")
    assert slow.now == 1
    with made.parts.database.transaction() as session:
        needs.tell(session, made.parts.relays[Lane.URGENT][0], Lane.TRANSACTIONAL)
    assert until(lambda: slow.now == 0, within=2.0)
    assert until(lambda: not threads(), within=2.0)
    assert confirm(made, "bob") > 1.3
    made.close()


def test_what_rests_ends_for_bulk_mail_too(slow, tmp_path, database_urls):
    """A sign-up each minute would keep a digest away from a relay of one session for ever."""
    made = house.build(tmp_path, database_urls, slow.url)
    confirm(made, "ann")
    with made.parts.database.transaction() as session:
        needs.tell_bulk(session, made.parts.relays[Lane.BULK][0])
    assert until(lambda: slow.now == 0, within=2.0)
    made.close()


def test_whatever_keeps_it_from_asking_ends_what_rests():
    """Nobody can say then that the room is free, and a thread that died would keep the sessions for good."""
    ended = threading.Event()

    def wanted():
        raise ValueError("no such lane")

    Rest(wanted, ended.set).begin()
    assert ended.wait(3)


def test_a_quick_relay_keeps_no_session_and_no_thread(sink, tmp_path, database_urls):
    """To open another costs a moment, and each that rests may be the one that somebody else lacks."""
    made = house.build(tmp_path, database_urls, sink.url)
    confirm(made, "ann")
    assert not threads()
    made.close()


def test_nobody_touches_the_sessions_once_a_turn_has_begun():
    """One loop is run by one thread at a time, or both fail in the middle of mail."""
    ended, asked = [], threading.Event()

    def wanted():
        asked.set()
        time.sleep(0.3)
        return False

    rest = Rest(wanted, lambda: ended.append(time.monotonic()))
    rest.begin()
    assert asked.wait(2)
    rest.over()
    assert not threads()
    assert not ended
    rest.over()
    assert resting.LOOK_SECONDS < 1
