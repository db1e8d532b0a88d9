"""A small campaign's relay through a day and a night: fourteen a second and fifty thousand a day, sixty times faster."""

import json
import subprocess
import sys
import threading
import time

import pytest
from sqlalchemy import text

from newsletter.journeys import alert, mailing, publish
from newsletter.ledger import books
from tests import house
from tests.fakes import smtp
from tests.journeys import workers
from tests.journeys.test_storms import wait_for

SCALE = 60
RATE, DAILY, RESERVE = 14 * SCALE, 50_000, 40_000
READERS = 40_000


class Strict:
    """What the relay does: it counts, and says 454 to whoever asks for more than was agreed."""

    def __init__(self):
        self.today = self.refused = 0
        self.tokens, self.last = float(RATE), time.monotonic()

    def __call__(self, _recipient):
        now = time.monotonic()
        self.tokens = min(RATE, self.tokens + (now - self.last) * RATE)
        self.last = now
        if self.today >= DAILY:
            self.refused += 1
            return "454 4.7.0 Throttling failure: Daily message quota exceeded"
        if self.tokens < 1:
            self.refused += 1
            return "454 4.7.0 Throttling failure: Maximum sending rate exceeded"
        self.tokens -= 1
        self.today += 1
        return None


def wait_until(seen, *, seconds):
    """Look once a second: counting forty thousand rows oftener would be the load that is measured."""
    wait_for(lambda: seen() or time.sleep(1), seconds=seconds)


def status(made, mailing_id):
    with made.parts.database.transaction() as session:
        assert books.faults(session, mailing_id) == []
    return mailing.status(made.parts, mailing_id)


def a_day_passes(made, strict):
    """What was given yesterday counts no more, on both sides."""
    with made.parts.database.transaction() as session:
        session.execute(text("DELETE FROM relay_use"))
        session.execute(text("UPDATE shard SET not_before = now() WHERE state = 'open'"))
    strict.today = 0
    made.sweep()


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_a_day_and_a_night_of_a_small_relay(tmp_path, database_urls, redis_url):
    """A digest of 40,000 in the morning, an alert of 40,000 at night, confirmations all the while, and no quota exceeded."""
    strict = Strict()
    with smtp.running(smtp.Sink(refuse=strict)) as sink:
        url = f"{sink.url}?connections=4&rate={RATE}&daily={DAILY}&reserve={RESERVE}"
        made = house.build(tmp_path, database_urls, url, redis_url=redis_url)
        composed = house.issue(made, tmp_path, addresses=house.addresses(READERS))
        command = [sys.executable, "-m", "newsletter", "issues", "send", str(composed.issue), "--dry-run", "--json"]
        told = json.loads(
            subprocess.run(command, env=workers.environment(made), capture_output=True, check=True).stdout
        )
        assert told["by_day"] == [9000, 9000, 9000, 9000, 4000]
        (tmp_path / "m.md").write_text("# A confirmation\n\nHello.\n")
        (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
        drafted = mailing.draft(made.parts, str(tmp_path / "m.md"), digest_key=house.DIGEST).mailing
        asked, ended = {}, threading.Event()

        def ask_for_service_mail():
            while not ended.wait(1):
                address = f"me{len(asked)}@example.net"
                mailing.test(made.parts, drafted, address)
                asked[address] = time.monotonic()

        asking = threading.Thread(target=ask_for_service_mail, daemon=True)
        with (
            workers.working(made, "bulk", log=tmp_path / "bulk.log"),
            workers.working(made, "urgent", log=tmp_path / "urgent.log"),
            workers.working(made, "transactional", log=tmp_path / "transactional.log"),
        ):
            asking.start()
            publish.send(made.parts, composed.issue)
            wait_until(lambda: status(made, composed.mailing).accepted == 9000, seconds=60)
            [row] = [row for row in json.loads(_relays(made)) if row["lane"] == "bulk"]
            assert (row["left"], row["held_by"]) == (0, "reserve"), "the digest says why it waits"
            sent = alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
            wait_until(lambda: status(made, sent).accepted == READERS, seconds=150)
            for day, most in enumerate(told["by_day"][1:], start=2):
                a_day_passes(made, strict)
                had = min(READERS, 9000 * day)
                wait_until(lambda had=had: made.sweep() and status(made, composed.mailing).accepted == had, seconds=90)
                assert most == min(READERS, 9000 * day) - 9000 * (day - 1)
            ended.set()
            asking.join()
            wait_for(lambda: all(sink.messages_for(address) for address in asked))
        waits = sorted(sink.messages_for(address)[0].at - when for address, when in asked.items())
        made.close()
    assert strict.refused == 0, "the relay had to say no"
    assert status(made, composed.mailing).state == "done"
    assert len(waits) >= 40
    assert waits[-1] <= 10, "somebody waited for a confirmation"


def _relays(made):
    command = [sys.executable, "-m", "newsletter", "relays", "list", "--json"]
    return subprocess.run(command, env=workers.environment(made), capture_output=True, check=True).stdout
