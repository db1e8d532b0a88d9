"""A full disk: under the journals, and under the database."""

import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from newsletter.journeys import alert, mailing, publish
from tests import house
from tests.journeys import workers
from tests.reliability.auditor import audit
from tests.reliability.conftest import Estate
from tests.reliability.machine import CELERY, let_leases_run_out, wait_for
from tests.servers import Servers

APART = ("unshare", "--user", "--map-root-user", "--mount", "--")


def apart():
    """Whether this machine lets us mount a disk of our own."""
    return subprocess.run([*APART, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.proof,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not apart(), reason="no disk of our own can be mounted here"),
]


def test_a_full_disk_under_the_journals_stops_no_mail(estate, relay, figures):
    """An alert must go out on a full disk too; should the worker die as well, its windows are in doubt, and no more."""
    readers = 20_000
    made = estate.product(connections=4)
    composed = house.issue(made, estate.folder, addresses=house.addresses(readers))
    relay.be(hold=(0.0, 0.01))
    machine = estate.machine()
    home = made.settings.home
    home.mkdir(exist_ok=True)
    full = 'mount -t tmpfs -o size=4k tmpfs "$0"; mkdir -m 700 "$0/journals"; exec "$@"'
    command = (*CELERY, "worker", "-Q", "bulk,upkeep", "-c", "2", "--without-mingle", "--without-gossip")
    machine.run("worker", *APART, "sh", "-c", full, str(home), *command)
    publish.send(made.parts, composed.issue)
    wait_for(lambda: made.sweep() and relay.taken > readers // 3, every=0.2)
    warned = machine.logged("no journal")
    pids = machine.group("worker")
    machine.signal(signal.SIGKILL, "worker")
    let_leases_run_out(made, pids)
    wait_for(lambda: machine.up() or (made.sweep() and mailing.status(made.parts, composed.mailing).over), every=0.3)
    found = audit(made, relay.record(), composed.mailing).sound()
    figures("13", "a full disk under the journals, and the worker killed", warnings=warned, **found.figures())
    assert warned > 0, "there was room: the test proved nothing"
    assert found.state == "done"
    assert found.uncertain <= 2 * (250 + 500)


class SmallDisk:
    """A handle on the servers whose disk can be filled. root: where others see that disk."""

    def __init__(self, folder, megabytes):
        folder.mkdir()
        command = [*APART, sys.executable, "-m", "tests.reliability.smalldisk", str(folder), str(megabytes)]
        self._process = subprocess.Popen(
            command, cwd=workers.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.urls = json.loads(self._process.stdout.readline())
        self.root = Path(f"/proc/{self._process.pid}/root") / folder.relative_to("/")

    def do(self, what):
        """Fill, free or start."""
        print(what, file=self._process.stdin, flush=True)
        self._process.stdout.readline()

    def close(self):
        """End the servers."""
        self._process.stdin.close()
        self._process.wait(60)


@contextmanager
def small(folder, relay):
    """Yield a small disk, and an estate whose servers are on it."""
    with ExitStack() as stack:
        disk = SmallDisk(folder / "disk", 800)
        stack.callback(disk.close)
        home = folder / "newsletter-tests-small"
        home.mkdir()
        servers = Servers(home, "disk", admin_url=disk.urls["admin"], redis_url=disk.urls["redis"])
        urls = stack.enter_context(servers.database())
        yield disk, Estate(folder, urls, servers.redis_url(), relay, stack)


def full_for_a_while(disk, relay):
    """Let the disk be full for more than a minute; return how many messages were gone after it, and in two seconds more."""
    disk.do("fill")
    time.sleep(70)
    meanwhile = relay.taken
    time.sleep(2)
    went_on = relay.taken - meanwhile
    disk.do("free")
    disk.do("start")
    return meanwhile, went_on


def test_a_full_disk_under_the_database_loses_nothing(tmp_path, relay, figures):
    """PostgreSQL can write no more in the middle of a digest: nothing new goes out, and all goes on when there is room."""
    readers = 40_000
    with small(tmp_path, relay) as (disk, estate):
        made = estate.product(connections=4)
        composed = house.issue(made, tmp_path, addresses=house.addresses(readers))
        relay.be(hold=(0.0, 0.03))
        machine = estate.machine()
        machine.worker("worker", "bulk,upkeep", children=2)
        machine.beat()
        publish.send(made.parts, composed.issue)
        wait_for(lambda: relay.taken > readers // 10)
        meanwhile, went_on = full_for_a_while(disk, relay)
        wait_for(lambda: machine.up() or mailing.status(made.parts, composed.mailing).over, seconds=400, every=0.5)
        found = audit(made, relay.record(), composed.mailing).sound()
    figures(
        "13 sql",
        "a full disk under PostgreSQL",
        had_gone=meanwhile,
        gone_in_two_seconds_while_full=went_on,
        **found.figures(),
    )
    assert meanwhile < readers, "it had ended before: the test proved nothing"
    assert went_on == 0, "what cannot be written down must not go out"
    assert (found.state, found.ever_in_doubt, found.accepted) == ("done", 0, readers)


NO_ROOM = """
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'delivery'::regclass LOOP
        EXECUTE format('ALTER TABLE %s SET (fillfactor = 100)', part);
    END LOOP;
END $$
"""
"""Outcomes need new pages: as it is, each page has room for a third of its own, and a full disk is not noticed for long."""


def test_one_full_disk_under_database_and_journals_doubles_no_alert(tmp_path, relay, figures):
    """One machine, one disk, full for more than a minute in the middle of an alert; nobody kills anybody, and none comes twice."""
    readers = 20_000
    with small(tmp_path, relay) as (disk, estate):
        made = estate.product(connections=4)
        house.by_owner(estate.urls, NO_ROOM)
        (disk.root / "journals").mkdir(mode=0o700)
        made.settings.home.mkdir(exist_ok=True)
        (made.settings.home / "journals").symlink_to(disk.root / "journals")
        house.add_readers(made, tmp_path, house.addresses(readers))
        (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
        relay.be(hold=(0.0, 0.1))
        machine = estate.machine()
        machine.worker("worker", "urgent,upkeep", children=2)
        machine.beat()
        sent = alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
        wait_for(lambda: made.sweep() and relay.taken > readers // 10)
        meanwhile, went_on = full_for_a_while(disk, relay)
        wait_for(lambda: machine.up() or mailing.status(made.parts, sent).over, seconds=400, every=0.5)
        found = audit(made, relay.record(), sent).sound()
        waited = machine.logged("outcomes wait")
    figures(
        "13 one",
        "one full disk under PostgreSQL and the journals, an alert",
        had_gone=meanwhile,
        gone_in_two_seconds_while_full=went_on,
        outcomes_waited=waited,
        **found.figures(),
    )
    assert meanwhile < readers, "it had ended before: the test proved nothing"
    assert waited > 0, "no outcome had to wait: the test proved nothing"
    assert went_on == 0, "what cannot be written down must not go out"
    assert (found.state, found.ever_in_doubt, found.repeated, found.accepted) == ("done", 0, 0, readers)
