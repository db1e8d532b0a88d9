"""What must hold when things break in the middle: killed workers, a dead broker, two lanes at once."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from sqlalchemy import text

from newsletter.journeys import alert, mailing, publish
from newsletter.ledger import books
from tests import house
from tests.journeys import workers

# One window and one flush for each of the two children (architecture, sending, step 5).
MOST_UNCERTAIN = 2 * (250 + 500)


def wait_for(seen, *, seconds=60):
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def books_of(made, mailing_id):
    with made.parts.database.transaction() as session:
        assert books.faults(session, mailing_id) == []
    return mailing.status(made.parts, mailing_id)


@pytest.mark.proof
@pytest.mark.short
def test_killed_workers_lose_nothing_and_double_nothing(newsletter, sink, tmp_path, database_urls, redis_url):
    """Power fails at the worst moment. Whoever has it does not get it again; whoever may have it is listed; the rest get it."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=4", redis_url=redis_url)
    composed = house.issue(made, tmp_path, addresses=house.addresses(12_000))
    with workers.working(made, "bulk", children=2, log=tmp_path / "first.log") as process:
        publish.send(made.parts, composed.issue)
        wait_for(lambda: len(sink.messages) > 3000)
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
        for pid in [*map(int, children.stdout.split()), process.pid]:
            os.kill(pid, signal.SIGKILL)
    time.sleep(1)
    with made.parts.database.transaction() as session:  # a minute passes
        session.execute(
            text("UPDATE shard SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL")
        )
    with workers.working(made, "bulk", children=2, log=tmp_path / "second.log"):
        made.sweep()
        wait_for(lambda: mailing.status(made.parts, composed.mailing).over)
    status = books_of(made, composed.mailing)
    made.close()
    received = Counter(message.recipient for message in sink.messages)
    assert max(received.values()) == 1, "somebody got the digest twice"
    assert status.accepted + status.uncertain == 12_000
    assert status.accepted <= len(received), "confirmed, but never handed over"
    assert 0 < status.uncertain <= MOST_UNCERTAIN


@pytest.mark.proof
@pytest.mark.short
def test_the_lifeboat_sends_while_the_broker_is_dead(newsletter, sink, tmp_path, database_urls):
    """Redis may be gone on the night of an alert; the rows are there, and a plain loop sends them."""
    made = house.build(tmp_path, database_urls, sink.url, redis_url="redis://127.0.0.1:9/0")
    house.add_readers(made, tmp_path, house.addresses(300))
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    began = time.monotonic()
    sent = alert.send(made.parts, str(tmp_path / "alert.md"), digest_key=house.DIGEST)
    assert time.monotonic() - began < 10, "a dead broker made the sender wait"
    command = [sys.executable, "-m", "newsletter", "deliver", "--lane", "urgent", "--once", "--json"]
    subprocess.run(command, env=workers.environment(made), check=True, timeout=60, capture_output=True)
    assert books_of(made, sent).accepted == 300
    made.close()


@pytest.mark.proof
@pytest.mark.short
def test_an_alert_does_not_wait_for_a_digest_under_way(newsletter, sink, tmp_path, database_urls, redis_url):
    """Urgent means before everything else, also when a million newsletters wait in front."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=4", redis_url=redis_url)
    composed = house.issue(made, tmp_path, addresses=house.addresses(12_000))
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    with (
        workers.working(made, "bulk", log=tmp_path / "bulk.log"),
        workers.working(made, "urgent", log=tmp_path / "urgent.log"),
    ):
        publish.send(made.parts, composed.issue)
        wait_for(lambda: len(sink.messages) > 500)
        released = time.monotonic()
        sent = alert.send(made.parts, str(tmp_path / "alert.md"), digest_key=house.DIGEST)
        wait_for(lambda: mailing.status(made.parts, sent).over)
        wait_for(lambda: mailing.status(made.parts, composed.mailing).over)
    made.close()
    assert books_of(made, sent).accepted == 12_000
    alerts = [message.at for message in sink.messages if b"\r\nFeedback-ID: weekly:weekly:alert:" in message.content]
    digests = [message.at for message in sink.messages if b"\r\nFeedback-ID: weekly:weekly:digest:" in message.content]
    assert (len(alerts), len(digests)) == (12_000, 12_000)
    # Planning twelve thousand rows is part of these seconds.
    assert min(alerts) - released < 5, "the alert waited"
    assert min(alerts) < max(digests), "the digest had ended: the test proved nothing"


@pytest.mark.proof
@pytest.mark.short
def test_two_sweeps_at_once_plan_a_mailing_once(newsletter, sink, tmp_path):
    """Two beats on two machines are harmless."""
    from concurrent.futures import ThreadPoolExecutor

    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(50))
    with newsletter.parts.database.transaction() as session:
        now = session.execute(text("SELECT now() + interval '1 second'")).scalar_one()
    publish.release(newsletter.parts, composed.mailing, start_at=now)
    time.sleep(1.5)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: newsletter.sweep(), range(8)))
    newsletter.deliver("bulk", seconds=10)
    assert len(sink.messages) == 50
    assert books_of(newsletter, composed.mailing).planned == 50


@pytest.mark.proof
@pytest.mark.short
def test_the_lifeboat_is_idle_while_workers_work_and_takes_what_nobody_takes(
    newsletter, sink, tmp_path, database_urls, redis_url
):
    """Two who send at once are harmless, but a lifeboat that always rows is a second worker; one that never does is none."""
    made = house.build(tmp_path, database_urls, sink.url, redis_url=redis_url)
    composed = house.issue(made, tmp_path, addresses=house.addresses(20))
    publish.send(made.parts, composed.issue)
    command = [sys.executable, "-m", "newsletter", "deliver", "--lane", "bulk"]
    process = subprocess.Popen(command, env=workers.environment(made))
    time.sleep(6)
    assert sink.messages == [], "the broker answers, and ten seconds have not passed"
    wait_for(lambda: len(sink.messages) == 20, seconds=20)
    process.terminate()
    assert process.wait(15) == 0
    made.close()
