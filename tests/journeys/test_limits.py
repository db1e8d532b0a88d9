"""A small campaign's relay through a day and a night: fourteen a second and fifty thousand a day, sixty times faster.

What is sped up is the relay; the machine is as slow as ever. So how long somebody waits is measured at the true pace.
"""

import json
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from newsletter.journeys import alert, mailing, publish
from newsletter.ledger import books
from tests import house
from tests.fakes import smtp
from tests.journeys import workers
from tests.journeys.test_storms import wait_for

SCALE = 60
RATE, DAILY, RESERVE = 14, 50_000, 40_000
READERS = 40_000
DAY = 86_400.0


SECOND = 0.95
"""What of a second a relay here counts: a busy machine brings to the wire a little late what it was given first."""


class Strict:
    """What the relay does: it counts any second and any day, and says 454 to whoever asks for more than was agreed."""

    def __init__(self, rate):
        self.rate, self.refused = rate, 0
        self.lately = deque()
        self.taken, self.ahead = deque(), 0.0

    def __call__(self, _recipient):
        now = time.monotonic()
        while self.lately and self.lately[0] <= now - SECOND:
            self.lately.popleft()
        while self.taken and self.taken[0] <= now + self.ahead - DAY:
            self.taken.popleft()
        if len(self.taken) >= DAILY:
            self.refused += 1
            return "454 4.7.0 Throttling failure: Daily message quota exceeded"
        if len(self.lately) >= self.rate:
            self.refused += 1
            return "454 4.7.0 Throttling failure: Maximum sending rate exceeded"
        self.lately.append(now)
        self.taken.append(now + self.ahead)
        return None


def wait_until(seen, *, seconds):
    """Look once a second: counting forty thousand rows oftener would be the load that is measured."""
    wait_for(lambda: seen() or time.sleep(1), seconds=seconds)


def status(made, mailing_id):
    with made.parts.database.transaction() as session:
        assert books.faults(session, mailing_id) == []
    return mailing.status(made.parts, mailing_id)


def time_passes(made, strict, minutes):
    """Let everything that was given be so much older, on both sides."""
    with made.parts.database.transaction() as session:
        session.execute(
            text("UPDATE relay_use SET minute = minute - make_interval(mins => :minutes)"), {"minutes": minutes}
        )
        session.execute(text("UPDATE shard SET not_before = now() WHERE state = 'open'"))
    strict.ahead += 60 * minutes
    made.sweep()


def oldest(made):
    """Return how many minutes ago the first message of the digest was given that still counts."""
    with made.parts.database.transaction() as session:
        age = text(
            "SELECT floor(extract(epoch FROM now() - min(minute)) / 60) FROM relay_use"
            " WHERE lane = 'bulk' AND used > 0 AND minute > now() - interval '24 hours'"
        )
        return int(session.execute(age).scalar_one())


@contextmanager
def service_mail(made, sink, tmp_path):
    """Ask for a service mail each second; yield how long each took to the wire, in seconds, once all of them have come."""
    (tmp_path / "m.md").write_text("# A confirmation\n\nHello.\n")
    drafted = mailing.draft(made.parts, str(tmp_path / "m.md"), digest_key=house.DIGEST).mailing
    asked, waits, ended = {}, [], threading.Event()

    def ask():
        while not ended.wait(1):
            address = f"me{len(asked)}@example.net"
            mailing.test(made.parts, drafted, address)
            asked[address] = time.monotonic()

    # Workers take seconds to start; who waits for that is asked elsewhere.
    mailing.test(made.parts, drafted, "ready@example.net")
    wait_for(lambda: sink.messages_for("ready@example.net"))
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield waits
    finally:
        ended.set()
        asking.join()
    wait_for(lambda: all(sink.messages_for(address) for address in asked))
    waits += sorted(sink.messages_for(address)[0].at - when for address, when in asked.items())


def left(made):
    """Return what bulk mail may still be given, and the limit that says so."""
    command = [sys.executable, "-m", "newsletter", "relays", "list", "--json"]
    said = subprocess.run(command, env=workers.environment(made), capture_output=True, check=True).stdout
    [row] = [row for row in json.loads(said) if row["lane"] == "bulk"]
    return row["left"], row["held_by"]


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_a_day_and_a_night_of_a_small_relay(tmp_path, database_urls, redis_url):
    """A digest of 40,000 in the morning, an alert of 40,000 at night, confirmations all the while, and no quota exceeded."""
    strict = Strict(RATE * SCALE)
    with smtp.running(smtp.Sink(refuse=strict)) as sink:
        url = f"{sink.url}?connections=4&rate={RATE * SCALE}&daily={DAILY}&reserve={RESERVE}"
        made = house.build(tmp_path, database_urls, url, redis_url=redis_url)
        composed = house.issue(made, tmp_path, addresses=house.addresses(READERS))
        command = [sys.executable, "-m", "newsletter", "issues", "send", str(composed.issue), "--dry-run", "--json"]
        told = json.loads(
            subprocess.run(command, env=workers.environment(made), capture_output=True, check=True).stdout
        )
        assert told["by_day"] == [9000, 9000, 9000, 9000, 4000]
        (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")

        def had():
            return status(made, composed.mailing).accepted

        with (
            workers.working(made, "bulk", log=tmp_path / "bulk.log"),
            workers.working(made, "urgent", log=tmp_path / "urgent.log"),
            workers.working(made, "transactional", log=tmp_path / "transactional.log"),
            service_mail(made, sink, tmp_path) as waits,
        ):
            publish.send(made.parts, composed.issue)
            wait_until(lambda: had() == 9000, seconds=60)
            assert left(made) == (0, "reserve"), "the digest says why it waits"
            sent = alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
            wait_until(lambda: status(made, sent).accepted == READERS, seconds=150)
            gone = 9000
            for most in told["by_day"][1:]:
                time_passes(made, strict, 24 * 60 - oldest(made) - 1)
                time.sleep(3)
                assert (had(), left(made)[0]) == (gone, 0), "not before the first of it is a day old"
                time_passes(made, strict, 24 * 60 + 5)
                wait_until(lambda: made.sweep() and had() >= gone + most, seconds=90)  # noqa: B023  (called at once)
                time.sleep(2)
                assert had() - gone == most, "the plan was true"
                gone += most
        made.close()
    assert strict.refused == 0, "the relay had to say no"
    assert status(made, composed.mailing).state == "done"
    assert len(waits) >= 40
    # Ten of the machine's seconds: that nobody was starved is all that it shows. How long they wait is asked below.
    assert waits[-1] <= 10, "somebody was forgotten"


@pytest.mark.proof
@pytest.mark.timeout(180)
def test_nobody_waits_for_a_confirmation_at_fourteen_a_second(tmp_path, database_urls, redis_url):
    """The true pace, a digest and an alert under way: ten seconds are what somebody looks at an inbox before they give up."""
    strict = Strict(RATE)
    with smtp.running(smtp.Sink(refuse=strict)) as sink:
        url = f"{sink.url}?connections=4&rate={RATE}&daily={DAILY}&reserve={RESERVE}"
        made = house.build(tmp_path, database_urls, url, redis_url=redis_url)
        composed = house.issue(made, tmp_path, addresses=house.addresses(700))
        (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
        with (
            workers.working(made, "bulk", log=tmp_path / "bulk.log"),
            workers.working(made, "urgent", log=tmp_path / "urgent.log"),
            workers.working(made, "transactional", log=tmp_path / "transactional.log"),
            service_mail(made, sink, tmp_path) as waits,
        ):
            publish.send(made.parts, composed.issue)
            time.sleep(20)
            alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
            time.sleep(30)
        made.close()
    alerts = sum(b"Soldiers" in message.content for message in sink.messages)
    digests = len(sink.messages) - alerts - len(waits) - 1
    assert 100 <= alerts < 700, "the alert was not under way all the while: the test proved nothing"
    assert 50 <= digests < 700, "the digest was not: likewise"
    assert strict.refused == 0, "the relay had to say no"
    assert len(waits) >= 25
    assert waits[-1] <= 10, "somebody waited for a confirmation"
