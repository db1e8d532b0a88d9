"""A real PostgreSQL and a real Redis-compatible server for one machine and for tests, under one folder.

`programs` finds what is installed, `guise` decides whom it runs as, `launching` brings it up and down, `postgresql` and `broker`
know their server, `state` remembers. A second start attaches to what runs. Knows plain arguments and no settings.
"""

import errno
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from newsletter import errors
from newsletter.embedded.broker import redis_answers, start_redis
from newsletter.embedded.launching import end, pid_of
from newsletter.embedded.postgresql import postgresql_answers, start_postgresql
from newsletter.embedded.state import DATABASE, OWNER, WEB, WORKER, State, alive, fresh, locked, read

# Fast shutdown: SIGINT ends sessions and writes a checkpoint; SIGQUIT leaves recovery to the next start.
POSTGRESQL_ENDS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
# PostgreSQL ends itself when it cannot write the next segment of its log, 16 MB each.
ROOM_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Servers:
    """Running servers. URLs are for SQLAlchemy (`postgresql+psycopg://`) and redis-py and carry passwords.

    admin_url  the superuser, on the database `postgres`: backups and tests
    pids, ports, versions  by "postgresql" and "redis"
    """

    admin_url: str = field(repr=False)
    owner_url: str = field(repr=False)
    worker_url: str = field(repr=False)
    web_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    pids: Mapping[str, int]
    ports: Mapping[str, int]
    versions: Mapping[str, str]


def start(home: Path, *, durable: bool = True) -> Servers:
    """Start what is not running under `home` and return both servers, or attach to them.

    durable  False only for data nobody will miss: no fsync, and a crash of the machine loses the cluster

    Raises NotFound when no program is installed, Conflict when the data is of another major version or a server
    does not come up or the folder cannot be written or its disk is full, Forbidden when the folder belongs to someone else.
    """
    home = home.absolute()
    try:
        with locked(home):
            return _start(home, durable=durable)
    except OSError as refused:
        if refused.errno in (errno.ENOSPC, errno.EDQUOT):
            raise errors.Conflict("embedded.disk-full", folder=str(home)) from refused
        raise errors.Conflict("embedded.unwritable", folder=str(home), reason=str(refused.strerror)) from refused


def _start(home: Path, *, durable: bool) -> Servers:
    """Both or none: what we started does not outlive the failure of its companion."""
    state = read(home) or fresh(home)
    lived = alive(home, "postgresql")
    state = start_postgresql(home, state, durable=durable)
    try:
        state = start_redis(home, state, durable=durable)
    except (errors.NewsletterError, OSError):
        if not lived:
            end(home, "postgresql", POSTGRESQL_ENDS)
        raise
    return _servers(home, state)


def require_room(home: Path) -> None:
    """Raise Conflict where the disk of `home` is so full that PostgreSQL could not run: servers that went away say no more."""
    try:
        found = os.statvfs(home)
    except OSError:
        return
    if found.f_bavail * found.f_frsize < ROOM_BYTES:
        raise errors.Conflict("embedded.disk-full", folder=str(home))


def status(home: Path) -> Servers | None:
    """Return the servers under `home` when both are running and answer, else None. Changes nothing."""
    home = home.absolute()
    state = read(home)
    if state is None or not (postgresql_answers(state) and redis_answers(state)):
        return None
    return _servers(home, state)


def stop(home: Path) -> None:
    """Shut both servers down cleanly. Safe to repeat, and where nothing was ever started."""
    home = home.absolute()
    if not (home / "servers.lock").exists():
        return
    with locked(home):
        end(home, "postgresql", POSTGRESQL_ENDS)
        end(home, "redis", (signal.SIGTERM, signal.SIGKILL))


def _servers(home: Path, state: State) -> Servers:
    def database(role: str, name: str = DATABASE) -> str:
        login = f"{role}:{state.passwords[role]}"
        return f"postgresql+psycopg://{login}@127.0.0.1:{state.ports['postgresql']}/{name}"

    return Servers(
        admin_url=database("postgres", "postgres"),
        owner_url=database(OWNER),
        worker_url=database(WORKER),
        web_url=database(WEB),
        redis_url=f"redis://:{state.passwords['redis']}@127.0.0.1:{state.ports['redis']}/0",
        pids={server: pid_of(home, server) for server in ("postgresql", "redis")},
        ports=state.ports,
        versions={server: program.version for server, program in state.programs.items()},
    )
