"""What must hold when workers are asked to end, sweep at once, or stand idle. What breaks and dies: tests/reliability."""

import os
import signal
import subprocess
import sys
import time

import pytest
from sqlalchemy import text

from newsletter.journeys import mailing, publish
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
