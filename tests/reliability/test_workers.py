"""Two beats, frozen workers, an impatient broker, and workers of two versions side by side."""

import signal
import time

import pytest
from celery import Celery
from sqlalchemy import text

from newsletter import jobs
from newsletter.journeys import mailing, publish
from tests import house
from tests.journeys import workers
from tests.reliability import former, forms
from tests.reliability.auditor import audit
from tests.reliability.machine import let_leases_run_out, wait_for

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]


def until_over(made, mailing_id, *, seconds=300):
    wait_for(lambda: made.sweep() and mailing.status(made.parts, mailing_id).over, seconds=seconds, every=0.3)


@forms.either
def test_two_beats_plan_a_scheduled_mailing_once(estate, relay, figures, form):
    """Two machines each run a beat, by mistake or for safety: what is scheduled goes out once."""
    readers = forms.of(form, short=1000, full=20_000)
    made = estate.product(connections=4)
    composed = house.issue(made, estate.folder, addresses=house.addresses(readers))
    machine = estate.machine()
    machine.worker("worker", "bulk,upkeep", children=2)
    for name in ("beat-one", "beat-two"):
        machine.beat(name)
    with made.parts.database.transaction() as session:
        soon = session.execute(text("SELECT now() + interval '3 seconds'")).scalar_one()
    publish.release(made.parts, composed.mailing, start_at=soon)
    wait_for(lambda: mailing.status(made.parts, composed.mailing).over, seconds=300, every=0.3)
    found = audit(made, relay.record(), composed.mailing).sound()
    figures("7", "two beats", **found.figures())
    assert (found.accepted, found.ever_in_doubt) == (readers, 0)


@forms.either
def test_a_worker_frozen_past_its_lease_doubles_nothing(estate, relay, figures, form):
    """A machine that swaps or sleeps wakes up believing that nothing happened; its permission ran out meanwhile."""
    readers, rounds = forms.of(form, short=2400, full=30_000), forms.of(form, short=1, full=5)
    made = estate.product(connections=4)
    composed = house.issue(made, estate.folder, addresses=house.addresses(readers))
    relay.be(hold=(0.0, 0.03 if form == forms.SHORT else 0.1))
    machine = estate.machine()
    for name in ("worker-one", "worker-two"):
        machine.worker(name, "bulk,upkeep")
    publish.send(made.parts, composed.issue)
    for turn in range(rounds):
        name = ("worker-one", "worker-two")[turn % 2]
        wait_for(lambda name=name: made.sweep() and holds(made, machine.group(name)[1:]), every=0.1, what="a lease")
        frozen = machine.group(name)[1:]
        machine.signal(signal.SIGSTOP, name)
        if form == forms.SHORT or turn < rounds - 1:  # the last of the full form sleeps through its real lease
            let_leases_run_out(made, frozen)
        wait_for(
            lambda frozen=frozen: made.sweep() and not holds(made, frozen), seconds=200, every=0.1, what="a successor"
        )
        time.sleep(1)
        machine.signal(signal.SIGCONT, name)
    relay.be(hold=(0.0, 0.005))
    until_over(made, composed.mailing)
    time.sleep(2)
    found = audit(made, relay.record(), composed.mailing).sound()
    figures("7 ice", "workers frozen past their lease and woken", freezes=rounds, **found.figures())
    assert found.state == "done"
    assert found.uncertain <= 4 * rounds


def holds(made, pids):
    """Whether one of these processes holds a shard of which something has been announced."""
    with made.parts.database.transaction() as session:
        query = text("SELECT count(*) FROM shard WHERE announced > 0 AND split_part(owner, ':', 2) = ANY (:pids)")
        return session.execute(query, {"pids": [str(pid) for pid in pids]}).scalar_one()


def test_a_broker_that_gives_work_away_twice_doubles_nothing(estate, relay, figures):
    """Redis hands what was not acknowledged within five seconds to others, and every nudge comes several times."""
    readers = 5000
    made = estate.product(connections=2)
    composed = house.issue(made, estate.folder, addresses=house.addresses(readers))
    relay.be(hold=(0.0, 0.05))
    machine = estate.machine()
    for name in ("one", "two"):
        machine.worker(name, "bulk,upkeep", app="tests.reliability.impatient:app", children=2)
    publish.send(made.parts, composed.issue)
    nudges = 0
    while not mailing.status(made.parts, composed.mailing).over:
        for job in (jobs.DELIVER["bulk"], jobs.SWEEP):
            nudges += sum(made.parts.nudger.nudge(job) for _ in range(5))
        time.sleep(0.3)
    found = audit(made, relay.record(), composed.mailing).sound()
    figures("8", "visibility timeout of 5 s and nudges by the handful", nudges=nudges, **found.figures())
    assert (found.accepted, found.ever_in_doubt) == (readers, 0)


@forms.either
def test_old_and_new_workers_share_a_mailing(estate, relay, figures, tmp_path, form):
    """During a deployment both versions work: the older takes jobs with words it does not know, and nothing is doubled."""
    old = tmp_path / "old"
    which = former.lay_out(workers.ROOT, old)
    others = former.differing(workers.ROOT, old)
    assert others, "both are the same: the test would prove nothing"
    made = estate.product(connections=2)
    readers = forms.of(form, short=4000, full=20_000)
    composed = house.issue(made, estate.folder, addresses=house.addresses(readers))
    relay.be(hold=(0.0, 0.02))
    machine = estate.machine(PYTHONDONTWRITEBYTECODE="")  # what it compiles tells which code a worker runs
    machine.worker("old", "bulk,upkeep", cwd=old)
    machine.worker("new", "bulk,upkeep")
    publish.send(made.parts, composed.issue)
    later = Celery("later", broker=made.urls.redis, set_as_current=False)
    later.conf.update(jobs.broker_options(patience=1.0))
    shared = {"old": 0, "new": 0}
    while not mailing.status(made.parts, composed.mailing).over:
        made.sweep()
        later.send_task("deliver.bulk", kwargs={"since": "next year"}, queue="bulk", retry=False)
        later.send_task("a.job.of.tomorrow", queue="bulk", retry=False)
        for name in shared:
            shared[name] += bool(holds(made, machine.group(name)[1:]))
        time.sleep(0.2)
    found = audit(made, relay.record(), composed.mailing).sound()
    figures(
        "9",
        "old and new workers side by side",
        old=which[:10],
        files_that_differ=len(others),
        looks_at_old=shared["old"],
        looks_at_new=shared["new"],
        **found.figures(),
    )
    assert (found.accepted, found.ever_in_doubt) == (readers, 0)
    assert all(shared.values()), "only one of them worked: the test proved nothing"
    compiled = {path.name.partition(".")[0] for path in (old / "newsletter/delivery/__pycache__").glob("*.pyc")}
    assert "carrying" in compiled, "the old worker ran the new code: the test proved nothing"
    assert all(process.poll() is None for process in machine.processes.values()), "an unknown job ended a worker"
