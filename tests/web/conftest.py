"""The product as the pages' role over https, and as many browsers as a story needs."""

import pytest

from newsletter import database
from newsletter.web import create
from tests import house
from tests.operators.crew import Crew
from tests.web.evenings import browsing
from tests.web.visiting import BASE


@pytest.fixture
def worker(tmp_path, database_urls):
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", base_url=BASE)
    yield made
    made.close()


@pytest.fixture
def made(worker, tmp_path, database_urls):
    """The product as the web's role."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True, base_url=BASE)
    yield made
    made.close()


@pytest.fixture
def app(made):
    return create(made)


@pytest.fixture
def browse(app, request):
    """Make as many browsers as a story needs: patient ones where somebody sits at the desk."""
    patient = "desk" in request.fixturenames
    with browsing(app, patient=patient) as one:
        yield one


@pytest.fixture
def crew(worker, made):
    return Crew(worker.parts.database, made.parts.database)


@pytest.fixture
def now(worker):
    with worker.parts.database.transaction() as session:
        return database.now(session)
