"""The marks that survive a worker: what a dead one had begun, and what a server had already answered."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from newsletter.delivery import journal
from newsletter.delivery.journal import Journal
from newsletter.ledger.mailings import Kind, Lane
from newsletter.ledger.shards import Lease, Marks

LEASE = Lease(
    shard_id=7,
    fence=3,
    mailing_id=1,
    kind=Kind.DIGEST,
    lane=Lane.BULK,
    provider="other",
    size=2000,
    month=date(2026, 6, 1),
    digest_id=1,
    had_to=5,
    fingerprint=b"",
    planned_at=datetime(2026, 6, 1, tzinfo=UTC),
)

HOLDER = """
import sys, time, pathlib, pickle
from newsletter.delivery.journal import Journal
held = Journal.open(pathlib.Path(sys.argv[1]), pickle.loads(bytes.fromhex(sys.argv[2])))
held.begin(0); held.answered(0, accepted=True)
held.begin(1); held.answered(1, accepted=False)
held.begin(2)
held.begin(3); held.withdraw(3)
print("marked", flush=True)
time.sleep(60)
"""


@pytest.fixture
def killed(tmp_path):
    """A holder in a process of its own, killed with its marks set."""
    import pickle

    command = [sys.executable, "-c", HOLDER, str(tmp_path), pickle.dumps(LEASE).hex()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "marked\n"
    return process


def test_a_killed_holder_s_marks_are_found(killed, tmp_path):
    """SIGKILL leaves no time to write anything; the kernel keeps the page. Only what was begun and not answered is in doubt."""
    assert list(journal.orphans(tmp_path)) == [], "its holder lives"
    killed.kill()
    killed.wait()
    assert list(journal.orphans(tmp_path)) == [(7, 3)]
    assert journal.read(tmp_path, 7, 3) == Marks(begun=(2,), accepted=(0,))


def test_a_frozen_holder_is_not_taken_for_dead(killed, tmp_path):
    """A stopped process still has its sockets: its lease must run out, while its marks can be read already."""
    os.kill(killed.pid, signal.SIGSTOP)
    time.sleep(0.1)
    assert list(journal.orphans(tmp_path)) == []
    assert journal.read(tmp_path, 7, 3) == Marks(begun=(2,), accepted=(0,))
    killed.kill()
    killed.wait()


def test_a_journal_of_an_earlier_boot_counts_as_none(tmp_path):
    """After a power cut the disk may hold older pages than the wire saw: "not begun" would be a guess, and a double."""
    Journal.open(tmp_path, LEASE).close(remove=False)
    path = tmp_path / "7-3.journal"
    written = bytearray(path.read_bytes())
    written[8:12] = b"gone"
    path.write_bytes(written)
    assert journal.read(tmp_path, 7, 3) is None


def test_another_fence_is_another_journal(tmp_path):
    """What an earlier holder began says nothing of a later one."""
    Journal.open(tmp_path, LEASE).close(remove=False)
    assert journal.read(tmp_path, 7, 4) is None
    assert journal.read(tmp_path, 7, 3) == Marks((), ())


def test_a_journal_that_cannot_be_written_stops_nobody(tmp_path):
    """An alert goes out on a full disk and from a folder that cannot be written; only the doubt after a crash is larger."""
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    without = Journal.open(blocked, LEASE)
    without.begin(5)
    without.answered(5, accepted=True)
    without.close(remove=True)


def test_a_closed_journal_leaves_nothing_behind(tmp_path):
    """A million readers make five hundred shards a day; their journals must not pile up."""
    Journal.open(tmp_path, LEASE).close(remove=True)
    Journal.open(tmp_path, replace(LEASE, fence=4)).close(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_a_mark_costs_next_to_nothing(tmp_path):
    """It is paid for every message of every mailing (aim: well under a microsecond; bounded generously here)."""
    held = Journal.open(tmp_path, LEASE)
    began = time.perf_counter()
    for _ in range(50):
        for position in range(2000):
            held.begin(position)
            held.answered(position, accepted=True)
    each = (time.perf_counter() - began) / 200_000
    held.close(remove=True)
    assert each < 5e-6
