"""What processes cost, read from /proc: CPU of a tree, memory of its members, and buffers that PostgreSQL touched."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

_TICK = 1 / os.sysconf("SC_CLK_TCK")
STATISTICS_SECONDS = 11.0
"""An idle session of PostgreSQL tells its counters after ten seconds at the latest."""


def tree(pid: int) -> Iterator[int]:
    """Yield a process and all that descend from it."""
    yield pid
    try:
        found = [child for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]
    except OSError:
        return
    for child in found:
        yield from tree(int(child))


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a tree of processes until now, with that of members that have ended."""
    return sum(_own(member) for member in tree(pid))


def _own(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    # utime, stime, and the same of children that were waited for: fields 14 to 17 of proc(5).
    return sum(map(int, fields[11:15])) * _TICK


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds until a moment, or between two."""

    client: float
    database: float
    broker: float

    def since(self, before: "Costs") -> "Costs":
        """Return what was spent since an earlier moment."""
        return Costs(self.client - before.client, self.database - before.database, self.broker - before.broker)

    def each(self, messages: int) -> str:
        """Return the parts in microseconds a message: client, PostgreSQL, broker."""
        return " · ".join(f"{1e6 * part / messages:.0f}" for part in (self.client, self.database, self.broker))


NOTHING = Costs(0.0, 0.0, 0.0)


def largest_mb(pid: int) -> float:
    """Return the proportional memory (PSS) of the largest descendant."""
    sizes = [0.0]
    for member in list(tree(pid))[1:]:
        for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                sizes.append(int(line.split()[1]) / 1024)
    return max(sizes)


def holds(pid: int, library: str) -> bool:
    """Return whether a descendant has a library mapped."""
    return any(library in Path(f"/proc/{member}/maps").read_text() for member in list(tree(pid))[1:])


def buffers(url: str, name: str) -> int:
    """Return the shared buffers that all sessions on a database have touched until now; waits until they have told."""
    time.sleep(STATISTICS_SECONDS)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        row = connection.execute(
            "SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = %s", (name,)
        ).fetchone()
    assert row is not None
    return int(row[0])
