"""Everything on one machine: the embedded servers, a worker with its children, beat, lifeboat and the public pages.

Each part is a process of its own with the settings in its environment; when one dies it is started again, and when we end,
all end.
"""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from newsletter import assembly, embedded, migrations
from newsletter.errors import Conflict
from newsletter.settings import PREFIX, Settings, reveal

GRACE_SECONDS = 15.0
RESTART_SECONDS = 2.0
READY_SECONDS = 60.0
DRILL_AT = "06:10"
_INTAKE = {"intake": [sys.executable, "-m", "newsletter", "intake"]}


@dataclass
class Machine:
    """The parts that run. `ready` returns when the pages answer, `wait` when a signal asks for the end."""

    base_url: str
    port: int
    home: Path
    keys: Path
    commands: dict[str, list[str]]
    environment: dict[str, str] = field(repr=False)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start every part; each writes its log into HOME/logs."""
        (self.home / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in self.commands:
            self._start(name)

    def _start(self, name: str) -> None:
        with (self.home / "logs" / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self.commands[name], env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def ready(self) -> None:
        """Wait until the pages answer. Raises PagesSilent."""
        deadline = time.monotonic() + READY_SECONDS
        while not answers(self.port):
            if time.monotonic() > deadline:
                raise PagesSilent(self.home / "logs" / "web.log")
            time.sleep(0.1)

    def heed(self) -> None:
        """From now on take a signal as the wish that `wait` ends, and let it interrupt nothing."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.ended.set())

    def wait(self) -> None:
        """Watch the parts until asked to end; start again what died."""
        self.heed()
        while not self.ended.wait(RESTART_SECONDS):
            for name, process in list(self.processes.items()):
                if process.poll() is not None:
                    self._start(name)

    def stop(self) -> None:
        """Ask every part to end, and end those that do not."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for process in self.processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class PagesElsewhere(Conflict):
    """Mail would point to pages on another port of this machine, where nobody answers."""

    def __init__(self, base_url: str, port: int) -> None:
        super().__init__("up.pages-elsewhere", base_url=base_url, port=port)


class PortTaken(Conflict):
    """Something else listens where the pages should, very likely another `newsletter up`."""

    def __init__(self, port: int) -> None:
        super().__init__("up.port-taken", port=port)


class PagesSilent(Conflict):
    """The pages were started and do not answer."""

    def __init__(self, log: Path) -> None:
        super().__init__("up.pages-silent", log=str(log))


def answers(port: int) -> bool:
    """Whether pages answer on a port of this machine; no proxy is asked."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def require_free(port: int) -> None:
    """Raise PortTaken where the pages could not listen."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise PortTaken(port) from None


def require_own_pages(chosen: Settings, port: int) -> None:
    """Raise PagesElsewhere when the pages' address is on this machine but on another port."""
    parts = urlsplit(chosen.base_url)
    if parts.hostname in ("127.0.0.1", "localhost", "::1") and (parts.port or 80) != port:
        raise PagesElsewhere(chosen.base_url, port)


def morning(chosen: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what one machine sets of itself: the hour of the drill, where nobody said one or none, and mail could go.

    Without a sender, an address for the footer or a relay it would fail each morning, of something that nobody has set up yet.
    """
    said = {f"{PREFIX}DRILL_AT", f"{PREFIX}DRILL_AT_FILE"} & environment.keys()
    reaches = chosen.sender and chosen.postal_address and (reveal(chosen.relay_url_urgent) or reveal(chosen.relay_url))
    return {f"{PREFIX}DRILL_AT": DRILL_AT} if reaches and not said else {}


@contextmanager
def everything(
    chosen: Settings, *, port: int, durable: bool = True, more: Mapping[str, str] | None = None
) -> Iterator[Machine]:
    """Start everything for these settings, and end it at the end of the block, also when SIGTERM comes meanwhile.

    more   for the environment of every part
    """
    require_free(port)
    signal.signal(signal.SIGTERM, _interrupted)
    prepare(chosen, durable=durable)
    machine = Machine(
        base_url=chosen.base_url,
        port=port,
        home=chosen.home,
        keys=chosen.keys,
        commands=commands(port) | (_INTAKE if chosen.bounce_domain else {}),
        environment=dict(os.environ) | dict(more or {}),
    )
    machine.start()
    try:
        yield machine
    finally:
        machine.stop()
        if reveal(chosen.database_url) is None:
            embedded.stop(chosen.home)


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def prepare(chosen: Settings, *, durable: bool = True) -> None:
    """Start the embedded servers where none are set, migrate, and make keys for a new database."""
    if reveal(chosen.database_url) is None:
        embedded.start(chosen.home, durable=durable)
    owner = reveal(chosen.migrate_url) or assembly.urls(chosen).owner
    if owner:
        migrations.upgrade(owner)
        assembly.make_keys(chosen, owner)


def commands(port: int, *, children: int = 2) -> dict[str, list[str]]:
    """Return the command of every part by its name. Workers and beat are one of them: they share the memory of what they load."""
    python = sys.executable
    lanes = ["--lane", "urgent", "--lane", "transactional", "--lane", "bulk"]
    return {
        "workers": [python, "-m", "workers", *(f"worker {one} --without-mingle" for one in workers(children)), "beat"],
        "lifeboat": [python, "-m", "newsletter", "deliver", *lanes],
        "web": [
            *(python, "-m", "uvicorn", "--factory", "newsletter.web:create", "--no-server-header"),
            *("--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", "--no-access-log"),
        ],
    }


def workers(children: int) -> list[str]:
    """Return the workers of one machine. Whatever must not wait has a process of its own, without a child (`solo`).

    A turn of a lane takes up to 30 s, a press composes what senders never load, and what waits for others only waits, several at
    once in threads.
    """
    return [
        "-Q urgent -P solo -n urgent@%h",
        "-Q presses -P solo -n presses@%h",
        "-Q transactional,events -P solo -n prompt@%h",
        "-Q outside -P threads -c 4 -n outside@%h",
        f"-Q bulk,compose,upkeep -c {children} -n bulk@%h",
    ]
