"""What must hold when things break in the middle: killed workers, a dead broker, two lanes at once."""

import os
import random
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

CONNECTIONS = 4


def wait_for(seen, *, seconds=60):
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def books_of(made, mailing_id):
    with made.parts.database.transaction() as session:
        assert books.faults(session, mailing_id) == []
    return mailing.status(made.parts, mailing_id)


def children_of(process):
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


def audit(made, sink, mailing_id, *, readers, most_uncertain):
    """Compare the books with the server's own record: nobody lost, nobody twice, and all doubts listed."""
    status = books_of(made, mailing_id)
    received = Counter(message.recipient for message in sink.messages)
    assert max(received.values()) == 1, "somebody got the digest twice"
    assert status.accepted + status.uncertain == readers
    assert status.accepted <= len(received) <= readers
    assert status.uncertain <= most_uncertain
    listed = [doubt.state for doubt in mailing.in_doubt(made.parts, mailing_id)]
    assert listed.count("uncertain") == status.uncertain, "whoever is in doubt is listed"
    return status


def busy(sink):
    """Return whether the server holds a message without having answered it."""
    return sink.holding > 0


@pytest.mark.proof
@pytest.mark.short
def test_a_storm_of_kills_loses_nothing_and_doubles_nothing(newsletter, sink, tmp_path, database_urls, redis_url):
    """Power fails at the worst moments. Whoever has it does not get it again, and at most one message a connection is in doubt."""
    chance = random.Random(20261124)
    sink.delay_seconds = lambda: chance.uniform(0, 0.1)
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections={CONNECTIONS}", redis_url=redis_url)
    composed = house.issue(made, tmp_path, addresses=house.addresses(3000))
    publish.send(made.parts, composed.issue)
    kills = 0
    with workers.working(made, "bulk,upkeep", children=2, log=tmp_path / "worker.log") as process:
        while not mailing.status(made.parts, composed.mailing).over:
            made.sweep()
            wait_for(lambda: busy(sink) or mailing.status(made.parts, composed.mailing).over)
            time.sleep(chance.uniform(0, 0.5))
            victims = children_of(process)
            if kills < 20 and victims and busy(sink):
                os.kill(chance.choice(victims), signal.SIGKILL)
                kills += 1
            else:
                time.sleep(0.2)
    status = audit(made, sink, composed.mailing, readers=3000, most_uncertain=kills * CONNECTIONS)
    made.close()
    assert kills == 20
    assert status.uncertain > 0, "no kill caught a message on the wire: the test proved nothing"


def kill_in_the_middle(made, sink, tmp_path):
    """Send to 12,000 and end worker and children at once when a quarter has it; return the issue."""
    composed = house.issue(made, tmp_path, addresses=house.addresses(12_000))
    with workers.working(made, "bulk", children=2, log=tmp_path / "first.log") as process:
        publish.send(made.parts, composed.issue)
        wait_for(lambda: len(sink.messages) > 3000)
        for pid in [*children_of(process), process.pid]:
            os.kill(pid, signal.SIGKILL)
    return composed


@pytest.mark.proof
@pytest.mark.short
def test_everything_killed_at_once_goes_on_where_it_stood(newsletter, sink, tmp_path, database_urls, redis_url):
    """The machine's power fails, or somebody ends the whole group: what the next start finds is enough."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections={CONNECTIONS}", redis_url=redis_url)
    composed = kill_in_the_middle(made, sink, tmp_path)
    with workers.working(made, "bulk", children=2, log=tmp_path / "second.log"):
        made.sweep()
        wait_for(lambda: mailing.status(made.parts, composed.mailing).over)
    audit(made, sink, composed.mailing, readers=12_000, most_uncertain=2 * CONNECTIONS)
    made.close()


@pytest.mark.proof
@pytest.mark.short
def test_a_lost_journal_costs_a_window_and_a_flush_and_no_double(newsletter, sink, tmp_path, database_urls, redis_url):
    """The host burned down with its disk: then everything announced and not recorded is in doubt, and nothing more."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections={CONNECTIONS}", redis_url=redis_url)
    composed = kill_in_the_middle(made, sink, tmp_path)
    for path in (made.settings.home / "journals").iterdir():
        path.unlink()
    with made.parts.database.transaction() as session:  # the lease runs out, and the time for its own machine
        session.execute(text("UPDATE shard SET lease_until = now() - interval '1 minute' WHERE lease_until > now()"))
    with workers.working(made, "bulk", children=2, log=tmp_path / "second.log"):
        made.sweep()
        wait_for(lambda: mailing.status(made.parts, composed.mailing).over)
    status = audit(made, sink, composed.mailing, readers=12_000, most_uncertain=2 * (250 + 500))
    made.close()
    assert status.uncertain > 0


@pytest.mark.proof
@pytest.mark.short
def test_a_worker_frozen_past_its_lease_doubles_nothing(newsletter, sink, tmp_path, database_urls, redis_url):
    """A machine that swaps or sleeps wakes up believing that nothing happened; its permission ran out meanwhile."""
    sink.delay_seconds = lambda: 0.01
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections={CONNECTIONS}", redis_url=redis_url)
    composed = house.issue(made, tmp_path, addresses=house.addresses(4000))
    publish.send(made.parts, composed.issue)
    with workers.working(made, "bulk", log=tmp_path / "frozen.log") as frozen:
        wait_for(lambda: len(sink.messages) > 300)
        [child] = children_of(frozen)
        os.kill(child, signal.SIGSTOP)
        with made.parts.database.transaction() as session:
            session.execute(text("UPDATE shard SET lease_until = now() - interval '1 hour' WHERE lease_until > now()"))
        with workers.working(made, "bulk", log=tmp_path / "other.log"):
            # As the beat does: the frozen worker swallows the first nudges.
            wait_for(lambda: made.sweep() and mailing.status(made.parts, composed.mailing).over)
        os.kill(child, signal.SIGCONT)
        time.sleep(2)
    # What it had in hand was in doubt until it woke and told.
    audit(made, sink, composed.mailing, readers=4000, most_uncertain=CONNECTIONS)
    made.close()


@pytest.mark.proof
@pytest.mark.short
@pytest.mark.parametrize("group", [False, True], ids=["the worker", "its whole group"])
def test_a_worker_asked_to_end_leaves_nothing_in_doubt(newsletter, sink, tmp_path, database_urls, redis_url, group):
    """A deployment in the middle of a digest: ten seconds, no message in doubt, the lease given back."""
    sink.delay_seconds = lambda: 0.1
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections={CONNECTIONS}", redis_url=redis_url)
    composed = house.issue(made, tmp_path, addresses=house.addresses(1500))
    publish.send(made.parts, composed.issue)
    with workers.working(made, "bulk", children=2, log=tmp_path / "worker.log") as process:
        wait_for(lambda: len(sink.messages) > 100)
        began = time.monotonic()
        for pid in [process.pid, *(children_of(process) if group else ())]:
            os.kill(pid, signal.SIGTERM)
        process.wait(20)
        assert time.monotonic() - began < 10
    status = books_of(made, composed.mailing)
    with made.parts.database.transaction() as session:
        held = session.execute(text("SELECT count(*) FROM shard WHERE lease_until IS NOT NULL")).scalar_one()
    made.close()
    assert (status.uncertain, status.accepted, held) == (0, len(sink.messages), 0)
    assert status.due == 1500 - status.accepted > 0


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
