"""The processes of one machine (workers, beat, web, lifeboat) and its mail server, started, killed and ended by their own ids."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from newsletter.assembly import Newsletter
from tests.journeys import workers

CELERY = (sys.executable, "-m", "celery", "-A", "workers", "-q")


def wait_for(seen: Callable[[], object], *, seconds: float = 60, every: float = 0.02, what: str = "") -> None:
    """Wait until something is so, and fail when it is not in time.

    The time of a busy machine counts for less: what is late because others have the cores has not failed. Claims about time are
    measured by themselves. What takes long is looked for less often: a look may cost as much as what is waited for.
    """
    spent, last = 0.0, time.monotonic()
    began = last
    while not seen():
        assert spent < seconds, f"not within {seconds:g} s: {what or seen}"
        time.sleep(max(every, (last - began) / 50))
        now = time.monotonic()
        spent += (now - last) / max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        last = now


class Relay:
    """A handle on the mail server's process (`tests.reliability.relay`)."""

    def __init__(self, folder: Path, *, wire: str) -> None:
        """Start it. wire: what it is asked to be, "pipelining" or "serial"."""
        folder.mkdir(parents=True)
        self._folder, self.wire = folder, wire
        command = [sys.executable, "-m", "tests.reliability.relay", str(folder)]
        self._process = subprocess.Popen(command, cwd=workers.ROOT, start_new_session=True)
        wait_for((folder / "ports.json").exists, what="the mail server")
        ports = json.loads((folder / "ports.json").read_text())
        self.port = int(ports["smtp"])
        self._control = socket.create_connection(("127.0.0.1", ports["control"])).makefile("rwb")

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self._folder / "mail.log"

    def be(self, **mood: object) -> dict[str, Any]:
        """Change its mood, or ask how it is; return its counts."""
        self._control.write(json.dumps(mood).encode() + b"\n")
        self._control.flush()
        found: dict[str, Any] = json.loads(self._control.readline())
        return found

    @property
    def taken(self) -> int:
        """How many messages it has taken."""
        return int(self.be().get("taken", 0))

    def record(self) -> list[dict[str, Any]]:
        """Return its record: every message whose final dot came."""
        return [json.loads(line) for line in (self._folder / "record.jsonl").read_text().splitlines()]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@dataclass(frozen=True, slots=True)
class Kill:
    """What was killed: which part, at what time, and the ports of its connections to the mail server."""

    victim: str
    at: float
    ports: frozenset[int]


class Machine:
    """Processes that share a NEWSLETTER_HOME. `up` starts them again when they die, as a service manager does."""

    def __init__(self, made: Newsletter, folder: Path, **environment: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.made = made
        self.environment = workers.environment(made) | environment
        self._folder = folder
        self._commands: dict[str, list[str]] = {}
        self.cwd: dict[str, Path] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._groups: set[int] = set()

    def worker(
        self, name: str, queues: str, *, children: int = 1, app: str = "workers", cwd: Path | None = None
    ) -> None:
        """Run a Celery worker."""
        command = [sys.executable, "-m", "celery", "-A", app, "-q", "worker", "-Q", queues, "-c", str(children)]
        self.run(name, *command, "-n", f"{name}@%h", "--without-mingle", "--without-gossip", cwd=cwd)

    def beat(self, name: str = "beat") -> None:
        """Run a beat."""
        self.run(name, *CELERY, "beat")

    def web(self, port: int) -> None:
        """Run the public pages."""
        serve = (sys.executable, "-m", "uvicorn", "--factory", "newsletter.web:create", "--host", "127.0.0.1")
        self.run("web", *serve, "--port", str(port), "--log-level", "warning", "--no-access-log")

    def lifeboat(self, *lanes: str) -> None:
        """Run the lifeboat for these lanes."""
        chosen = [word for lane in lanes for word in ("--lane", lane)]
        self.run("lifeboat", sys.executable, "-m", "newsletter", "deliver", *chosen)

    def run(self, name: str, *command: str, cwd: Path | None = None) -> None:
        """Run a part, in a group of its own so that all of it can be ended."""
        self._commands[name] = list(command)
        self.cwd[name] = cwd or workers.ROOT
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, cwd=self.cwd[name], env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        self._groups.add(self.processes[name].pid)

    def log(self, name: str) -> Path:
        """Return the log file of a part."""
        return self._folder / f"{name}.log"

    def logged(self, word: str) -> int:
        """Return how often a word stands in the logs of all parts."""
        return sum(log.read_text(errors="replace").count(word) for log in self._folder.glob("*.log"))

    def up(self) -> None:
        """Start again whatever died."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                self.run(name, *self._commands[name], cwd=self.cwd[name])

    def group(self, name: str) -> list[int]:
        """Return the processes of a part: itself and its children."""
        parent = self.processes[name].pid
        return [parent, *children_of(parent)]

    def signal(self, number: signal.Signals, *names: str) -> None:
        """Send a signal to whole parts, all of their processes."""
        for pid in [pid for name in names or self.processes for pid in self.group(name)]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def cli(self, *words: str, code: int = 0) -> Any:
        """Run a command of the product and return the document it prints."""
        command = [sys.executable, "-m", "newsletter", *words, "--json"]
        ran = subprocess.run(
            command, cwd=workers.ROOT, env=self.environment, capture_output=True, text=True, timeout=90
        )
        assert ran.returncode == code, ran.stderr[-2000:]
        return json.loads(ran.stdout)

    def stop(self) -> None:
        """End all of it at once: the scenario is over."""
        for group in self._groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        for process in self.processes.values():
            process.wait()


class Killer:
    """Kills by the seed: mostly a child that has mail on the wire, sometimes a whole worker, its parent alone, beat or web."""

    def __init__(self, machine: Machine, relay: Relay, *, seed: int) -> None:
        self.dice = random.Random(seed)
        self.kills: list[Kill] = []
        self._machine, self._relay = machine, relay

    def strike(self) -> Kill | None:
        """Kill something; None when no worker has mail on the wire just now."""
        name = self.dice.choices(("child", "worker", "parent", "other"), (80, 10, 5, 5))[0]
        if name == "other":
            other = self.dice.choice([part for part in self._machine.processes if "worker" not in part])
            return self._kill(other, self._machine.group(other))
        holding = set(self._relay.be()["holding"])
        if not holding:
            return None
        busy = [
            (part, pid)
            for part in self._machine.processes
            if part.startswith("worker")
            for pid in self._machine.group(part)[1:]
            if ports_of(pid, self._relay.port) & holding
        ]
        if not busy:
            return None
        part, pid = self.dice.choice(busy)
        group = self._machine.group(part)
        if name == "child":
            return self._kill(f"child of {part}", [pid])
        # Whoever kills the parent alone kills the children too: the kernel does it for Celery.
        return self._kill(f"{name} {part}", group, struck=1 if name == "parent" else None)

    def _kill(self, what: str, pids: list[int], *, struck: int | None = None) -> Kill:
        # Stopped first: between the count and the blow a child that has just begun would open more.
        _signal(pids, signal.SIGSTOP)
        ports = frozenset().union(*(ports_of(pid, self._relay.port) for pid in pids))
        _signal(pids[:struck], signal.SIGKILL)
        self.kills.append(Kill(what, time.monotonic(), ports))
        return self.kills[-1]


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


# What somebody is writing just now is left for the next time.
_HURRY = text("""
    UPDATE delivery SET due_at = now() WHERE (month, id) IN (
        SELECT month, id FROM delivery WHERE state = 'deferred' AND due_at > now() FOR UPDATE SKIP LOCKED)
""")


def hurry(made: Newsletter) -> None:
    """Let the time pass after which deferred mail goes again."""
    with made.parts.database.transaction() as session:
        session.execute(_HURRY)
        session.execute(text("UPDATE shard SET not_before = now() WHERE state = 'open' AND not_before > now()"))
    made.sweep()


def let_leases_run_out(made: Newsletter, pids: list[int]) -> None:
    """Let ninety seconds pass for the shards that these processes held."""
    owners = [f"{socket.gethostname()}:{pid}" for pid in pids]
    with made.parts.database.transaction() as session:
        session.execute(
            text("UPDATE shard SET lease_until = now() - interval '1 minute' WHERE owner = ANY (:owners)"),
            {"owners": owners},
        )


def children_of(pid: int) -> list[int]:
    """Return the children of a process."""
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def ports_of(pid: int, server_port: int) -> frozenset[int]:
    """Return our ends of the connections which a process has open to a port of this machine."""
    inodes = set()
    with suppress(OSError):
        for one in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                inodes.add(os.readlink(one).removeprefix("socket:[").removesuffix("]"))
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        parts = line.split()
        if parts[9] in inodes and int(parts[2].rpartition(":")[2], 16) == server_port and parts[3] == "01":
            found.add(int(parts[1].rpartition(":")[2], 16))
    return frozenset(found)


def attempts_at(server_port: int) -> set[int]:
    """Return the ports from which somebody on this machine asks for a connection to one of its ports, and has no answer yet."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    asking = [one for one in lines if one[3] == "02" and int(one[2].rpartition(":")[2], 16) == server_port]
    return {int(one[1].rpartition(":")[2], 16) for one in asking}


def answers(url: str, data: bytes | None = None) -> bool:
    """Whether a page answers with 200; `data` posts."""
    try:
        with urllib.request.urlopen(url, data=data, timeout=10) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False
