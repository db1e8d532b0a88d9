"""A reader's own data on their own page: by a link just mailed to them, and by nothing else."""

import json
import threading

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter import database
from newsletter.journeys import privacy
from newsletter.subscribers import fresh, parcels
from newsletter.web import create
from tests import house

ANN = "ann@example.org"


@pytest.fixture
def worker(tmp_path, database_urls):
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9")
    house.add_readers(made, tmp_path, [ANN], name="Ann")
    yield made
    made.close()


@pytest.fixture
def pages(worker, tmp_path, database_urls):
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True)
    with TestClient(create(made), raise_server_exceptions=False) as client:
        yield client
    made.close()


@pytest.fixture
def number(worker):
    [(found,)] = ask(worker, "SELECT id FROM subscriber")
    return found


def ask(made, sql):
    with made.parts.database.transaction() as session:
        return session.execute(text(sql)).all()


def link(worker, number, *, mailed=True):
    """Return the token of a fresh link, mailed or forged by whoever has the pages' keys."""
    with worker.parts.database.transaction() as session:
        now = database.now(session)
        if mailed:
            fresh.ask(session, number)
            fresh.take(session, now=database.now(session))
        return worker.parts.tokens.fresh(number, now=now)


@pytest.fixture
def working(worker):
    """A worker that does what pages ask for, as long as a test takes."""
    ended = threading.Event()

    def loop():
        while not ended.wait(0.05):
            privacy.work(worker.parts)

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join(10)


def test_a_reader_takes_their_data_out(pages, worker, number, working):
    """One button, one file: all of it, for whoever reads the mailbox on file."""
    answer = pages.post(f"/p/{link(worker, number)}/export")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["cache-control"] == "no-store"
    document = json.loads(answer.content)
    assert (document["address"], document["name"]) == (ANN, "Ann 0")
    # What lies in the database is sealed to a key that was never written down.
    [(parcel,)] = ask(worker, "SELECT parcel FROM privacy_wish")
    assert ANN.encode() not in bytes(parcel)
    with pytest.raises(parcels.Damaged):
        parcels.Reader().open(bytes(parcel))


def test_looking_at_the_button_erases_nobody(pages, worker, number, working):
    """Scanners follow links in mail before their readers do."""
    path = f"/p/{link(worker, number)}/erase"
    for _ in range(3):
        shown = pages.get(path)
        assert shown.status_code == 200
        assert pages.head(path).status_code == 200
    assert "Erase it now" in shown.text
    assert ANN not in shown.text
    privacy.work(worker.parts)
    assert len(ask(worker, "SELECT 1 FROM subscriber")) == 1


@pytest.mark.parametrize(("form", "left"), [({"fingerprint": "yes"}, 1), ({}, 0)])
def test_a_reader_is_erased_by_their_own_button(pages, worker, number, form, left):
    """At once, and with or without a fingerprint, as they wish."""
    token = link(worker, number)
    assert "You are being erased" in pages.post(f"/p/{token}/erase", data=form).text
    assert privacy.any_due(worker.parts)
    privacy.work(worker.parts)
    assert ask(worker, "SELECT 1 FROM subscriber") == []
    assert ask(worker, "SELECT 1 FROM mailbox WHERE address_sealed IS NOT NULL") == []
    assert len(ask(worker, "SELECT 1 FROM address_index")) == left
    assert not privacy.any_due(worker.parts)
    assert '"by":"link"' in ask(worker, "SELECT content FROM audit")[-1][0]
    # The same link a second time names nobody any more.
    assert pages.get(f"/p/{token}/erase").status_code == 404
    assert pages.post(f"/p/{token}/erase").status_code == 404


def test_a_link_from_a_newsletter_does_neither(pages, worker, number):
    """Newsletters are forwarded: whoever holds one may leave in its owner's name, and no more."""
    with worker.parts.database.transaction() as session:
        now = database.now(session)
        [digest] = session.execute(text("SELECT id FROM digest")).scalars()
    tokens = worker.parts.tokens
    for token in (tokens.preferences(number, now=now), tokens.leave(number, digest, 1), tokens.harmless(), "x" * 32):
        assert pages.post(f"/p/{token}/export").status_code == 404
        assert pages.get(f"/p/{token}/erase").status_code == 404
        assert pages.post(f"/p/{token}/erase").status_code == 404
    assert ask(worker, "SELECT 1 FROM privacy_wish") == []


def test_whoever_has_the_pages_erases_and_exports_nobody(pages, worker, number, working):
    """Who takes the pages over can make a link; but none went to its reader, and the worker believes the mailbox alone."""
    forged = link(worker, number, mailed=False)
    refused = pages.post(f"/p/{forged}/export")
    assert refused.status_code == 409
    assert "no link was mailed" in refused.text
    pages.post(f"/p/{forged}/erase")
    privacy.work(worker.parts)
    assert len(ask(worker, "SELECT 1 FROM subscriber")) == 1


def test_nobody_is_exported_by_the_hundred(pages, worker, number, working):
    """A link that was stolen within its day must not be a tap."""
    token = link(worker, number)
    codes = [pages.post(f"/p/{token}/export").status_code for _ in range(6)]
    assert codes == [200] * 5 + [409]


def test_without_a_worker_a_page_says_so(worker, tmp_path, database_urls, number):
    """A page that waits for ever is closed, and its reader thinks that we refused."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True)
    with pytest.raises(privacy.NotYet):
        privacy.take_out(made.parts, link(worker, number), seconds=0.2)
    made.close()
    # What no page waits for is not made afterwards.
    house.by_owner(database_urls, "UPDATE privacy_wish SET asked_at = now() - interval '3 minutes'")
    privacy.work(worker.parts)
    assert ask(worker, "SELECT refused, parcel FROM privacy_wish") == [("privacy.not-yet", None)]


def test_one_to_be_erased_waits_for_a_worker_however_long(worker, number, database_urls):
    """Three days without a worker must not cost anybody their erasure."""
    token = link(worker, number)
    privacy.ask_erasure(worker.parts, token, may_come_back=False)
    for table in ("privacy_wish", "fresh_link"):
        house.by_owner(database_urls, f"UPDATE {table} SET asked_at = asked_at - interval '3 days'")
    house.by_owner(database_urls, "UPDATE fresh_link SET done_at = done_at - interval '3 days'")
    privacy.work(worker.parts)
    assert ask(worker, "SELECT 1 FROM subscriber") == []


@pytest.mark.parametrize(("language", "words"), [("fa", "پاک"), ("ar", "المحو|امحو")])
def test_it_is_said_in_the_reader_s_language(pages, worker, number, database_urls, language, words):
    """Nobody presses what they cannot read."""
    house.by_owner(database_urls, "UPDATE subscriber SET language = %s", language)
    shown = pages.get(f"/p/{link(worker, number)}/erase").text
    assert 'dir="rtl"' in shown
    assert any(word in shown for word in words.split("|"))
