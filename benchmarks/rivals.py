"""What ours is compared with: a load generator in C, the usual client with our messages, and the usual way from end to end.

Each is timed at the sink, as ours is. The Python rivals are `rival.py`, in processes of their own.
"""

import json
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass

import psycopg

from benchmarks import costs, sinks
from benchmarks.costs import Costs
from benchmarks.ours import Run
from benchmarks.rival import Told
from benchmarks.sinks import Sink, Watch
from newsletter import embedded
from newsletter.assembly import Newsletter
from newsletter.ledger import mailings

_SOURCE_OWN = -67
"""What smtp-source adds to the length it is asked for, measured: a short header, its commands, lines that it cuts short."""


def source(sink: Sink, messages: int, size_bytes: float) -> Run:
    """Return how Postfix's load generator does: ten sessions kept open, and messages of so many bytes on the wire."""
    size = str(max(1000, round(size_bytes) - _SOURCE_OWN))
    command = [str(sinks.tool("smtp-source")), "-d", "-s", "10", "-l", size, "-m", str(messages)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with Watch(sink) as watch:
        subprocess.run(
            [*command, "-f", "a@example.org", "-t", "b@example.org", f"127.0.0.1:{sink.port}"], check=True, timeout=1200
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(messages, watch.seconds, watch.size_bytes / messages, Costs(spent, 0, 0))


@dataclass(frozen=True, slots=True)
class Rival:
    """A way to send (a kind of `rival.py`): so many messages in all, from processes with so many connections each."""

    kind: str
    messages: int
    processes: int = 1
    connections: int = 6


class Field:
    """Where the Python rivals run: the same readers and the same message as ours, outcomes in a table of their own."""

    def __init__(self, made: Newsletter) -> None:
        self._made = made
        self._servers = embedded.start(made.settings.home)
        with psycopg.connect(self._servers.owner_url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(_TABLE)
            connection.execute(_ROWS)

    def run(self, one: Rival, sink: Sink, *, port: int | None = None) -> Run:
        """Return how a rival does. port: of a road to the sink, where it does not go there straight."""
        each = one.messages // one.processes
        told = [self._told(one, port or sink.port, number * each, each) for number in range(one.processes)]
        processes = [_started(one) for one in told]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        database = self._servers.pids["postgresql"]
        before = costs.cpu_seconds(database)
        with Watch(sink) as watch:
            for process in processes:
                assert process.stdin is not None
                process.stdin.write(b"go\n")
                process.stdin.flush()
            spent = sum(float(process.communicate(timeout=1200)[0]) for process in processes)
        messages = each * one.processes
        cost = Costs(spent, costs.cpu_seconds(database) - before, 0)
        return Run(messages, watch.seconds, watch.size_bytes / messages, cost)

    def _told(self, one: Rival, port: int, skip: int, count: int) -> Told:
        home, keys = self._made.settings.home, self._made.settings.keys
        return Told(one.kind, port, skip, count, one.connections, str(home), str(keys), self._latest())

    def _latest(self) -> int:
        """Return the mailing that went out last: ours goes first, so that the rivals have something to repeat."""
        with self._made.parts.database.transaction() as session:
            return int(mailings.listed(session, limit=1)[0].id)


_TABLE = """
    CREATE TABLE IF NOT EXISTS rival (id bigint PRIMARY KEY, state text NOT NULL, code smallint, at timestamptz)
    WITH (fillfactor = 70)
"""
_ROWS = "INSERT INTO rival SELECT id, 'planned' FROM subscriber ON CONFLICT DO NOTHING"


def _started(told: Told) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "benchmarks.rival", json.dumps(asdict(told))]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
