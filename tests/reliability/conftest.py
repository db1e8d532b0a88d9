"""The seed, the mail server, the servers that may be broken, and the table of figures at the end."""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from newsletter import embedded
from newsletter.assembly import Newsletter
from tests import house
from tests.reliability.machine import Machine, Relay
from tests.servers import HOME, Servers, Urls, on_disk

SEED = int(os.environ.get("SEED") or 20261125)


@pytest.fixture
def seed() -> int:
    """What all dice are drawn from: SEED=, or the same as ever."""
    return SEED


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Notes the figures of a scenario: one line of JSON, and a row of the table."""

    def note(scenario: str, claim: str, **found: object) -> None:
        record_property("figures", json.dumps({"scenario": scenario, "claim": claim, "seed": SEED, **found}))

    return note


@pytest.fixture
def relay(request: pytest.FixtureRequest, tmp_path: Path, seed: int) -> Iterator[Relay]:
    """The mail server; it offers PIPELINING unless a scenario asks for one that does not."""
    serving = Relay(tmp_path / "relay", wire=getattr(request, "param", "pipelining"))
    serving.be(pipelining=serving.wire == "pipelining", seed=seed)
    yield serving
    serving.stop()


class Estate:
    """What a scenario builds: a product, its machines, and servers of its own where they are to be broken."""

    def __init__(self, folder: Path, urls: Urls, redis_url: str, relay: Relay, stack: ExitStack) -> None:
        self.folder, self.relay = folder, relay
        self.urls, self.redis_url = urls, redis_url
        self._stack = stack
        self._made: Newsletter | None = None

    def product(self, *, connections: int = 4, **more: Any) -> Newsletter:
        """Return the product, made once."""
        if self._made is None:
            url = more.pop("relay_url", f"{self.relay.url}?connections={connections}")
            more = {"bounce_domain": "bounce.sarand.example"} | more
            self._made = house.build(self.folder, self.urls, url, redis_url=self.redis_url, **more)
            self._stack.callback(self._made.close)
        return self._made

    def machine(self, name: str = "machine", **environment: str) -> Machine:
        """Return a machine without any process yet; all of its processes end with the test."""
        made = Machine(self.product(), self.folder / name, **environment)
        self._stack.callback(made.stop)
        return made


@pytest.fixture
def estate(tmp_path: Path, database_urls: Urls, redis_url: str, relay: Relay) -> Iterator[Estate]:
    """A scenario's ground, on the servers of the run."""
    with ExitStack() as stack:
        yield Estate(tmp_path, database_urls, redis_url, relay, stack)


@pytest.fixture(scope="session")
def _own_home() -> Iterator[Path]:
    ground = on_disk(Path(os.environ[HOME]))
    ground.mkdir(mode=0o700, exist_ok=True)
    home = ground / f"own{secrets.token_hex(3)}"
    yield home
    embedded.stop(home)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def own_servers(_own_home: Path) -> Path:
    """The home of a PostgreSQL (with fsync) and a Valkey that scenarios may break; both run again for the next."""
    embedded.start(_own_home)
    return _own_home


@pytest.fixture
def breakable(own_servers: Path, tmp_path: Path, relay: Relay) -> Iterator[Estate]:
    """A scenario's ground, on servers of its own."""
    servers = Servers(own_servers, "own")
    with servers.database() as urls, ExitStack() as stack:
        yield Estate(tmp_path, urls, servers.redis_url(), relay, stack)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the figures: each scenario as a line of JSON, then all as a table."""
    found = [
        json.loads(value)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == "figures"
    ]
    if not found:
        return
    terminalreporter.section("figures")
    for one in found:
        terminalreporter.write_line(json.dumps(one))
    terminalreporter.section("what was claimed, and what was found")
    for one in sorted(found, key=lambda one: str(one["scenario"])):
        rest = {name: value for name, value in one.items() if name not in ("scenario", "claim", "seed")}
        shown = " · ".join(f"{name.replace('_', ' ')} {value}" for name, value in rest.items())
        terminalreporter.write_line(f"{one['scenario']:<13} {one['claim']}\n              {shown}")
