"""What happened before a story begins, told once for a file: each of its tests has a copy of the database, keys and browsers."""

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from starlette.testclient import TestClient

from newsletter import database
from newsletter.web import create
from tests import house
from tests.fakes import desk, smtp
from tests.operators.crew import Crew
from tests.web.visiting import BASE, Browser


@dataclass(frozen=True)
class Evening:
    """Where a story stands. mould: the database to copy; enrolled: of how many; left: what the story returned."""

    mould: str
    keys: Path
    enrolled: int
    left: object


@dataclass(frozen=True)
class Stage:
    """What a story is told with: as the fixtures of the same names."""

    worker: object
    crew: Crew
    browse: object
    now: object
    folder: Path

    def readers(self, count):
        """Add so many readers."""
        house.add_readers(self.worker, self.folder, house.addresses(count))


@contextmanager
def browsing(app, *, patient):
    """Yield what makes browsers."""
    with start_blocking_portal() as portal:

        def one(**more):
            client = TestClient(app, base_url=BASE, raise_server_exceptions=False, **more)
            client.portal = portal  # else each page begins a thread and an event loop of its own
            return Browser(client, patient=patient)

        yield one


def told(servers, folder, story, **rules):
    """Tell a story with a desk at its work; return the evening, of which no more happens."""
    mould, urls = servers.mould()
    with smtp.running(smtp.Sink()) as sink:
        worker = house.build(folder, urls, sink.url, base_url=BASE, **rules)
        made = house.build(folder, urls, sink.url, web=True, base_url=BASE, **rules)
        with browsing(create(made), patient=True) as browse, desk.working(worker):
            with worker.parts.database.transaction() as session:
                now = database.now(session)
            crew = Crew(worker.parts.database, made.parts.database)
            left = story(Stage(worker, crew, browse, now, folder))
            desk.rest(worker)
        made.close()
        worker.close()
    return Evening(mould, folder / "keys", crew.count, left)


@contextmanager
def copied(servers, evening, folder):
    """Yield a copy of an evening's database, its keys in a test's folder."""
    shutil.copytree(evening.keys, folder / "keys")
    with servers.database(evening.mould) as urls:
        yield urls


@pytest.fixture
def database_urls(servers, evening, tmp_path):
    """That of the evening with which all tests of a file begin."""
    with copied(servers, evening, tmp_path) as urls:
        yield urls


@pytest.fixture
def crew(evening, worker, made):
    return Crew(worker.parts.database, made.parts.database, before=evening.enrolled)


def again(browse, browser):
    """Return somebody's browser as they left it, in this test's pages."""
    fresh = browse()
    fresh.client.cookies = browser.client.cookies
    return replace(fresh, page=browser.page, value=browser.value)
