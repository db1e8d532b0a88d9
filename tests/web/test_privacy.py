"""A reader's own data on their own page: by a link just mailed to them, and by nothing else."""

import json
import quopri
import re
import threading
import time
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter import database
from newsletter.database import Database
from newsletter.journeys import privacy, proving, rekeying
from newsletter.subscribers import fresh, parcels
from newsletter.tokens import COUNTERSIGN
from newsletter.web import create
from newsletter.web.privacy import EXPORTS
from newsletter.web.turns import Turns, UnderWay
from tests import house
from tests.web import scanning

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


def link(worker, number):
    """Return what stands in the link that was mailed to a reader."""
    return house.fresh_link(worker, number)


def forged(made, number, sign):
    """Return a fresh link as whoever has the pages' keys makes it, with a countersign that they think of."""
    with made.parts.database.transaction() as session:
        return made.parts.tokens.fresh(number, now=database.now(session)) + sign


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


@pytest.fixture
def thief(worker, tmp_path, database_urls):
    """What whoever takes the pages over has: their role, and their part of the keys."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True)
    yield made
    made.close()


def mailed(worker, thief, number):
    """Let the thief ask for a link, which goes to its reader; return the thief's own."""
    proving.ask(thief.parts, forged(thief, number, ""))
    assert proving.work(worker.parts) == 1
    return forged(thief, number, "A" * COUNTERSIGN)


def test_whoever_has_the_pages_erases_and_exports_nobody(pages, worker, thief, number, working):
    """Who takes the pages over can ask for a link, and can make one; but what the mail alone says they cannot make."""
    theirs = mailed(worker, thief, number)
    refused = pages.post(f"/p/{theirs}/export")
    assert refused.status_code == 409
    assert "not the link that was mailed" in refused.text
    pages.post(f"/p/{theirs}/erase")
    privacy.work(worker.parts)
    assert len(ask(worker, "SELECT 1 FROM subscriber")) == 1


def test_no_key_of_the_pages_countersigns(worker, thief):
    """What they hold must not be enough, whichever way they put it together."""
    assert thief.parts.database.vault.countersigner is None
    ours, theirs = worker.parts.database.vault, thief.parts.database.vault
    assert [theirs.countersign(key_id, "x") for key_id in range(256)] == [""] * 256
    assert len(ours.countersign(ours.countersigner, "x")) == COUNTERSIGN


@pytest.mark.parametrize("left", [0, 1, COUNTERSIGN - 1])
def test_a_link_without_what_the_mail_says_is_refused_at_once(pages, worker, number, left):
    """One from before, or cut off by a mail program: nobody may be told "you are being erased" where no worker will."""
    short = forged(worker, number, "x" * left)
    assert pages.get(f"/p/{short}").status_code == 200
    for act in ("export", "erase"):
        refused = pages.post(f"/p/{short}/{act}")
        assert refused.status_code == 409
        assert "ask for a fresh one" in refused.text
    assert ask(worker, "SELECT 1 FROM privacy_wish") == []


@pytest.mark.parametrize(
    "changed",
    [
        "asking = 'erase'",
        "may_come_back = true",
        "reader_key = sha256('another')",
        "subscriber_id = subscriber_id + 1",
        "proof = NULL",
        "proof = ''",
    ],
)
def test_what_proves_one_wish_proves_no_other(pages, worker, thief, database_urls, tmp_path, number, changed):
    """Whoever reads the database while a reader is served must not send what they find there once more with other words."""
    house.add_readers(worker, tmp_path, ["ben@example.org"])
    token = link(worker, number)
    with pytest.raises(privacy.NotYet):
        privacy.take_out(thief.parts, token, seconds=0)
    assert token[-COUNTERSIGN:].encode() not in b"".join(
        bytes(one) for one in ask(worker, "SELECT proof, reader_key FROM privacy_wish")[0]
    )
    house.by_owner(database_urls, f"UPDATE privacy_wish SET {changed}")
    privacy.work(worker.parts)
    assert ask(worker, "SELECT refused, parcel FROM privacy_wish") == [("privacy.no-link", None)]
    assert len(ask(worker, "SELECT 1 FROM subscriber")) == 2


def test_a_link_of_one_reader_is_no_other_s(pages, worker, tmp_path, number, working):
    """Its token names a reader and its countersign another: who reads their own mail must not erase their neighbour."""
    house.add_readers(worker, tmp_path, ["ben@example.org"])
    mine, _ = link(worker, number), link(worker, number + 1)
    assert pages.post(f"/p/{forged(worker, number + 1, mine[-COUNTERSIGN:])}/export").status_code == 409
    assert pages.post(f"/p/{mine}/export").status_code == 200


def test_who_wished_to_be_erased_in_vain_is_mailed_a_link(worker, thief, number, sink, database_urls):
    """Their page said that it is being done: what waited from before links had a countersign must not be lost in silence."""
    privacy.ask_erasure(worker.parts, link(worker, number), may_come_back=False)
    house.by_owner(database_urls, "UPDATE privacy_wish SET proof = NULL")
    privacy.work(worker.parts)
    assert ask(worker, "SELECT refused FROM privacy_wish") == [("privacy.no-link",)]
    assert proving.work(worker.parts) == 1


def test_the_mailed_link_itself_does_it(worker, pages, number, sink, tmp_path, database_urls, working):
    """What the worker mails, what the page passes on through its forms and what the worker believes are one thing."""
    mailer = house.build(tmp_path, database_urls, sink.url)
    with worker.parts.database.transaction() as session:
        fresh.ask(session, number)
    proving.work(worker.parts)
    mailer.deliver("transactional", seconds=5)
    mailer.close()
    [mail] = sink.messages
    path = re.search(rb"http://127\.0\.0\.1:8080(/p/[\w-]+)", quopri.decodestring(mail.content))[1]
    page = pages.get(path.decode()).text
    way = re.search(r'action="(/p/[^"]+/export)[?"]', page)[1]
    assert json.loads(pages.post(way).content)["address"] == ANN


def test_a_link_outlives_a_change_of_keys(worker, pages, number, tmp_path, database_urls):
    """A key is changed on any day, and whoever holds a link of that morning must not be turned away; nor is its key dropped."""
    token, path = link(worker, number), tmp_path / "keys" / "keys.json"
    worker.parts.database.close()
    assert rekeying.rotate(path, database_urls.owner, "seal").live
    again = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9")
    assert again.parts.database.vault.countersigner == 2
    opened = Database(database_urls.owner, again.parts.database.vault)
    assert rekeying.reseal(opened).left == 0
    opened.close()
    with pytest.raises(rekeying.StillMailed):
        rekeying.drop(path, database_urls.owner, "seal:1")
    privacy.ask_erasure(again.parts, token, may_come_back=True)
    privacy.work(again.parts)
    assert ask(again, "SELECT 1 FROM subscriber") == []
    again.close()


def test_nobody_is_exported_by_the_hundred(pages, worker, number, working):
    """A link that was stolen within its day must not be a tap."""
    token = link(worker, number)
    codes = [pages.post(f"/p/{token}/export").status_code for _ in range(6)]
    assert codes == [200] * 5 + [409]


def test_nobody_waits_behind_those_who_take_their_data_out(worker, tmp_path, database_urls):
    """One reader's link, pressed by forty hands while no worker is there, must not keep anybody from leaving."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True)
    house.add_readers(worker, tmp_path, [f"reader{number}@example.org" for number in range(8)])
    numbers = [one for (one,) in ask(worker, "SELECT id FROM subscriber ORDER BY id")]
    links, leave = [link(worker, one) for one in numbers], worker.parts.tokens.leave(numbers[0], 1, 1)
    codes = []
    with scanning.served(create(made)) as base, httpx.Client(base_url=base, timeout=60) as client:

        def press(place):
            codes.append(client.post(f"/p/{links[place % len(links)]}/export").status_code)

        client.post("/u/nothing")
        pressing = [threading.Thread(target=press, args=(place,)) for place in range(45)]
        for one in pressing:
            one.start()
        while len(codes) < 45 - EXPORTS:
            time.sleep(0.05)
        began = time.monotonic()
        assert client.post(f"/u/{leave}").status_code == 200
        took = time.monotonic() - began
        waiting = EXPORTS - (len(codes) - (45 - EXPORTS))
        privacy.work(worker.parts)
        for one in pressing:
            one.join()
    made.close()
    assert waiting == EXPORTS, "the few who came first still wait"
    assert took < 1.0
    assert sorted(codes) == [200] * EXPORTS + [503] * (45 - EXPORTS)


def test_each_reader_is_served_once_at_a_time_and_a_few_altogether():
    """Whoever is refused must come in as soon as another has gone, also where that one failed."""
    turns = Turns(2)
    with turns.taken(1):
        with pytest.raises(UnderWay), turns.taken(1):
            pass
        with turns.taken(2), pytest.raises(privacy.NotYet), turns.taken(3):
            pass
        with pytest.raises(ZeroDivisionError), turns.taken(3):
            raise ZeroDivisionError
        with turns.taken(3):
            pass


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
    token = house.fresh_link(worker, number, ago=timedelta(days=3))
    privacy.ask_erasure(worker.parts, token, may_come_back=False)
    house.by_owner(database_urls, "UPDATE privacy_wish SET asked_at = asked_at - interval '3 days'")
    privacy.work(worker.parts)
    assert ask(worker, "SELECT 1 FROM subscriber") == []


@pytest.mark.parametrize(("language", "words"), [("fa", "پاک"), ("ar", "المحو|امحو")])
def test_it_is_said_in_the_reader_s_language(pages, worker, number, database_urls, language, words):
    """Nobody presses what they cannot read."""
    house.by_owner(database_urls, "UPDATE subscriber SET language = %s", language)
    shown = pages.get(f"/p/{link(worker, number)}/erase").text
    assert 'dir="rtl"' in shown
    assert any(word in shown for word in words.split("|"))
