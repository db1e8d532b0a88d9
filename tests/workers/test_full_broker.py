"""A broker that answers and takes nothing more: its disk is full."""

import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from newsletter.jobs import DELIVER, Nudger
from newsletter.journeys import alert, mailing
from tests import house
from tests.fakes import broker as brokers
from tests.journeys import workers
from tests.reliability.machine import wait_for


@pytest.fixture
def broker(tmp_path):
    with brokers.running(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def made(tmp_path, database_urls, sink, broker):
    """A product whose broker can be full."""
    built = house.build(tmp_path, database_urls, f"{sink.url}?connections=4", redis_url=broker.url)
    yield built
    built.close()


def release(made, tmp_path, *, readers=5):
    house.add_readers(made, tmp_path, house.addresses(readers))
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    return alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)


@contextmanager
def beating(made, *, log):
    """Run a beat until the block ends."""
    with log.open("wb") as out:
        command = [sys.executable, "-m", "celery", "-A", "workers", "-q", "beat"]
        process = subprocess.Popen(command, cwd=workers.ROOT, env=workers.environment(made), stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)


def test_a_full_broker_costs_nobody_their_click(broker):
    """What was committed is done: whoever asked for it must not be shown an error because a nudge was lost."""
    nudger = Nudger(broker.url)
    assert nudger.nudge(DELIVER["urgent"])
    broker.fill()
    began = time.monotonic()
    assert not any(nudger.nudge(DELIVER["urgent"]) for _ in range(3))
    assert time.monotonic() - began < 2


def test_where_the_broker_takes_nothing_the_lifeboat_does_all_of_it(made, broker, tmp_path, sink):
    """No beat and no nudge comes through it: also what is due again, and what is to start, is found without it, and at once."""
    broker.fill()
    sent = release(made, tmp_path)
    with made.parts.database.transaction() as session:
        deferred = "UPDATE delivery SET state = 'deferred', due_at = now(), tries = 1, first_tried = now() WHERE id = 1"
        session.execute(text(deferred))
    ends = time.monotonic() + 8
    over = lambda: time.monotonic() > ends or mailing.status(made.parts, sent).over  # noqa: E731
    made.lifeboat(["urgent"], until=over, pause_seconds=0.05)
    assert (mailing.status(made.parts, sent).state, len(sink.messages)) == ("done", 5)


@pytest.mark.timeout(120)
def test_a_worker_outlives_a_full_broker(made, broker, tmp_path):
    """Nobody has to start it again at night: it waits as for a broker that is away, and takes the next nudge."""
    log = tmp_path / "worker.log"
    with workers.working(made, "urgent,upkeep", log=log) as worker, beating(made, log=tmp_path / "beat.log") as beat:
        sent = release(made, tmp_path)
        wait_for(lambda: mailing.status(made.parts, sent).over, what="the first alert")
        broker.fill()
        time.sleep(11)  # two beats
        assert (worker.poll(), beat.poll()) == (None, None), log.read_text()[-2000:]
        broker.free()
        (tmp_path / "alert.md").write_text("# They are leaving\n\nThank you.\n")
        again = alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
        wait_for(lambda: mailing.status(made.parts, again).over, what="the second alert")
        swept = log.read_text().count("Task sweep")
        wait_for(lambda: log.read_text().count("Task sweep") > swept, what="a sweep that the beat asked for")
