"""The product as the pages' role over https, and as many browsers as a story needs."""

import pytest

from newsletter import database
from newsletter.operators.roles import Role
from newsletter.web import create
from tests import house
from tests.operators.crew import Crew
from tests.web import evenings
from tests.web.evenings import browsing
from tests.web.visiting import BASE, inside


def awaiting(stage):
    """Tell how an alert to four readers is locked; leave its author's browser, a trustee and theirs, and its number."""
    from tests.web.test_alerts import written

    stage.readers(4)
    _, author = inside(stage.browse, stage.crew, stage.now, Role.SENDER)
    trustee = inside(stage.browse, stage.crew, stage.now, Role.APPROVER)
    number = written(author)
    author.post(f"/console/alerts/{number}/lock")
    assert author.problem == ""
    return author, trustee, number


@pytest.fixture(scope="module")
def evening_of_a_lock(servers, tmp_path_factory):
    """Of this file: a session is idle after half an hour, and a run may take longer."""
    folder = tmp_path_factory.mktemp("lock")
    return evenings.told(servers, folder, awaiting, one_person_up_to=2, codes_up_to=5)


@pytest.fixture
def database_urls(request, servers, tmp_path):
    """A database of its own: of the evening before where a story asks for what is `awaited`, else an empty one."""
    if "awaited" in request.fixturenames:
        with evenings.copied(servers, request.getfixturevalue("evening_of_a_lock"), tmp_path) as urls:
            yield urls
    else:
        with servers.database() as urls:
            yield urls


@pytest.fixture
def awaited(evening_of_a_lock, browse, desk):
    """An alert to four readers that waits for another's word: author's browser, (trustee, browser), its number."""
    author, (member, phone), number = evening_of_a_lock.left
    return evenings.again(browse, author), (member, evenings.again(browse, phone)), number


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
def crew(request, worker, made):
    before = request.getfixturevalue("evening_of_a_lock").enrolled if "awaited" in request.fixturenames else 0
    return Crew(worker.parts.database, made.parts.database, before=before)


@pytest.fixture
def now(worker):
    with worker.parts.database.transaction() as session:
        return database.now(session)
