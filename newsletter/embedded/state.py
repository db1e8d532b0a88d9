"""What a folder of servers remembers (passwords, programs, ports), and the locks that tell whether anyone lives in it.

Each server inherits an open, locked file: the kernel frees the lock when its last process is gone, whatever killed it.
"""

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from newsletter import errors

DATABASE = "newsletter"
OWNER, WORKER, WEB = "newsletter_owner", "newsletter_worker", "newsletter_web"
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Program:
    """A server program and the version it reports, such as 18.6 or 9.1.2."""

    path: str
    version: str

    @property
    def major(self) -> str:
        """Return the part before the first point."""
        return self.version.split(".")[0]


@dataclass(frozen=True, slots=True)
class State:
    """What servers.json keeps. Keys of programs and ports: "postgresql", "redis"."""

    passwords: Mapping[str, str] = field(repr=False)
    programs: Mapping[str, Program] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)

    def pinned(self, server: str, program: Program, port: int) -> "State":
        """Return the state with the program and port of one server."""
        return replace(self, programs={**self.programs, server: program}, ports={**self.ports, server: port})


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the folder's lock; whoever else starts or stops waits for us."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(home / "servers.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError as refused:
        raise errors.Forbidden("embedded.not-yours", folder=str(home)) from refused
    try:
        if not within(2 * PATIENCE_SECONDS, lambda: take(lock)):
            raise errors.Conflict("embedded.busy", folder=str(home))
        yield
    finally:
        os.close(lock)


def take(lock: int, *, shared: bool = False) -> bool:
    """Lock an open file if it is free; return whether it is ours now."""
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def alive(home: Path, server: str) -> bool:
    """Whether any process of the server lives: each has inherited the lock. Asking with a shared lock disturbs no other asker."""
    try:
        lock = os.open(home / f"{server}.lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not take(lock, shared=True)
    finally:
        os.close(lock)


def within(seconds: float, done: Callable[[], bool]) -> bool:
    """Return whether `done` came true in that time, asking fifty times a second."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def read(home: Path) -> State | None:
    """Return what the folder remembers, None where it never held servers. Raises Forbidden."""
    try:
        kept = json.loads((home / "servers.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as refused:
        raise errors.Forbidden("embedded.not-yours", folder=str(home)) from refused
    programs = {server: Program(**program) for server, program in kept["programs"].items()}
    return State(passwords=kept["passwords"], programs=programs, ports=kept["ports"])


def fresh(home: Path) -> State:
    """Write new random passwords and return the state that holds them. Raises Conflict where data lies without its own."""
    if (home / "postgresql").exists():
        raise errors.Conflict("embedded.passwords-lost", folder=str(home))
    names = ("postgres", OWNER, WORKER, WEB, "redis")
    state = State(passwords={name: secrets.token_urlsafe(24) for name in names})
    write(home, state)
    return state


def write(home: Path, state: State) -> None:
    """Replace servers.json (0600), whole or not at all."""
    # Synced before the rename: the passwords must be on disk before a data folder that needs them.
    draft = home / "servers.json.new"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(state), file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(home / "servers.json")
