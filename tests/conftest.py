"""What every test may ask for: a database of its own, a broker of its own, keys that live in memory."""

import gc
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog
from sqlalchemy.dialects import registry

from newsletter.assembly import Newsletter
from newsletter.database import Database, Session
from newsletter.vault import Keyring, Vault
from tests import house
from tests import servers as running
from tests.fakes import smtp
from tests.moulds import Moulds
from tests.servers import Servers, Urls

_RUN = pytest.StashKey[Path]()

# A machine that has other things to do makes no example wrong: what must be quick is measured where it matters.
hypothesis.settings.register_profile("patient", parent=hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("patient")

registry.register("postgresql.psycopg", "tests.fakes.dialect", "OneForAll")
# As the program logs a failure: without all that its frames hold, which of an engine is some hundred thousand lines, and minutes.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


def pytest_configure(config: pytest.Config) -> None:
    """Open the run in the one process that outlives the others."""
    if not hasattr(config, "workerinput"):
        config.stash[_RUN] = running.open_run()


def pytest_collection_finish() -> None:
    """Keep the collector from walking through eight thousand collected tests, time and again."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the servers with the run."""
    if home := config.stash.get(_RUN, None):
        running.close_run(home)


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Servers:
    """The run's PostgreSQL and Valkey."""
    worker = getattr(request.config, "workerinput", {"workerid": "main"})
    return running.of_this_run(worker["workerid"])


@pytest.fixture(scope="session")
def moulds(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Moulds:
    """What this process has made once and copies for each test."""
    return Moulds(servers, tmp_path_factory.mktemp("moulds"))


@pytest.fixture
def database_urls(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Urls]:
    """A fresh migrated database, or the copy of a mould where a test asks for what has `begun`: its URLs by role."""
    if "begun" in request.fixturenames:
        yield request.getfixturevalue("begun").urls
        return
    with servers.database() as urls:
        yield urls


@pytest.fixture
def empty_database_urls(servers: Servers) -> Iterator[Urls]:
    """A fresh database without tables: its URLs by role."""
    with servers.empty_database() as urls:
        yield urls


@pytest.fixture
def keyring() -> Keyring:
    """Fresh keys that are never written down."""
    return Keyring.make()


@pytest.fixture
def database(database_urls: Urls, keyring: Keyring) -> Iterator[Database]:
    """The database as a worker opens it."""
    opened = Database(database_urls.worker, Vault(keyring))
    yield opened
    opened.close()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """An open transaction on the database; committed at the end, which shows deferred constraints too."""
    with database.transaction() as opened:
        yield opened


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """A numbered database of the broker, empty, that no other process of the run uses."""
    return servers.redis_url()


@pytest.fixture
def sink() -> Iterator[smtp.Sink]:
    """A relay that takes everything and remembers it."""
    with smtp.running(smtp.Sink()) as serving:
        yield serving


@pytest.fixture
def newsletter(tmp_path: Path, database_urls: Urls, sink: smtp.Sink) -> Iterator[Newsletter]:
    """A whole product that sends to the sink."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=4")
    yield made
    made.close()
