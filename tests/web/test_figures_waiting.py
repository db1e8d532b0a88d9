"""What waits behind a form: tries that no worker judges, sign-ups that cannot be kept. Nobody who leaves waits for them."""

import threading
import time

import httpx
import pytest
from sqlalchemy import text

from newsletter.journeys import joining
from newsletter.subscribers.signup import Wish
from newsletter.web import create
from newsletter.web.joining import JUDGED, WAIT_SECONDS
from tests import house
from tests.web import scanning

TRIES = 100


@pytest.fixture
def worker(tmp_path, database_urls):
    """A product that was asked by as many people as try figures, and whose workers then stand still."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9")
    house.add_readers(made, tmp_path, ["ann@example.org"])
    yield made
    made.close()


def test_figures_that_nobody_judges_wait_for_seconds_and_keep_nobody_from_leaving(worker, tmp_path, database_urls):
    """A hundred who try figures while no worker runs must not make a page wait longer than it says, nor a press to leave."""
    forms = [
        joining.ask(worker.parts, Wish(f"new{one}@example.org", "en", {"weekly": "weekly"})) for one in range(TRIES)
    ]
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True)
    leave, took = worker.parts.tokens.leave(1, 1, 1), []
    limits = httpx.Limits(max_connections=None)
    with scanning.served(create(made)) as base, httpx.Client(base_url=base, timeout=60, limits=limits) as client:

        def press(form):
            began = time.monotonic()
            answer = client.post("/join/code", data={"pending": form, "code": "123456"})
            took.append((time.monotonic() - began, answer.status_code))

        client.post("/u/nothing")
        pressing = [threading.Thread(target=press, args=(form,)) for form in forms]
        for one in pressing:
            one.start()
        while len(took) < TRIES - JUDGED:
            time.sleep(0.05)
        began = time.monotonic()
        assert client.post(f"/u/{leave}").status_code == 200
        left, waiting = time.monotonic() - began, TRIES - len(took)
        for one in pressing:
            one.join()
    with worker.parts.database.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM signup_answer WHERE believed IS NULL")).scalar_one() == TRIES
    made.close()
    assert waiting == JUDGED, "the few who came first still wait"
    assert left < 1.0
    assert max(seconds for seconds, _ in took) < WAIT_SECONDS + 3
    assert {status for _, status in took} == {503}


def test_sign_ups_that_all_wait_keep_nobody_from_leaving(worker, tmp_path, database_urls):
    """More people than the pages have threads fill in the form while none can be kept: whoever leaves goes past them."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True)
    leave, kept = worker.parts.tokens.leave(1, 1, 1), []
    limits = httpx.Limits(max_connections=None)
    with scanning.served(create(made)) as base, httpx.Client(base_url=base, timeout=60, limits=limits) as client:

        def press(one):
            kept.append(client.post("/join", data={"email": f"new{one}@example.org", "digest": "weekly"}).status_code)

        pressing = [threading.Thread(target=press, args=(one,)) for one in range(TRIES)]
        with worker.parts.database.transaction() as session:
            session.execute(text("LOCK TABLE signup IN ACCESS EXCLUSIVE MODE"))
            for one in pressing:
                one.start()
            time.sleep(1)
            began = time.monotonic()
            assert client.post(f"/u/{leave}").status_code == 200
            left, before = time.monotonic() - began, len(kept)
        for one in pressing:
            one.join()
    made.close()
    assert left < 1.0
    assert (before, kept) == (0, [200] * TRIES)
