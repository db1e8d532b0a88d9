"""The public page of an alert: for everyone, in every language, fast, and gone within the second in which it is taken back."""

import asyncio
import re
import time
from xml.etree import ElementTree

import pytest
from fastapi.responses import HTMLResponse
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter import database
from newsletter.journeys import alert, drafting, retracting, translating
from newsletter.journeys.narrowing import Part
from newsletter.subscribers import topics
from newsletter.web import create
from newsletter.web.fresh import SECONDS, Fresh
from tests import house

ENGLISH = """---
subject: Lorries at Sarand
action: Write to your MP | https://sarand.example/act
---
Dear {{ name }}, **fourteen** lorries stand at the gate. Read [more](https://sarand.example/more).
"""
PERSIAN = "---\nsubject: کامیون‌ها در سرند\nlanguage: fa\n---\nچهارده کامیون جلوی دروازه ایستاده است.\n"


@pytest.fixture
def worker(tmp_path, database_urls, sink):
    made = house.build(tmp_path, database_urls, sink.url)
    house.add_readers(made, tmp_path, house.addresses(2))
    yield made
    made.close()


@pytest.fixture
def made(worker, tmp_path, database_urls, sink):
    made = house.build(tmp_path, database_urls, sink.url, web=True)
    yield made
    made.close()


@pytest.fixture
def pages(made):
    with TestClient(create(made), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def texts(tmp_path):
    found = [tmp_path / "en.md", tmp_path / "fa.md"]
    for path, words in zip(found, (ENGLISH, PERSIAN), strict=True):
        path.write_text(words)
    return [str(path) for path in found]


def a_moment_later(pages):
    """Let the half second pass for which answers are kept, at the doorstep too."""
    pages.app.state.fresh._kept.clear()


def test_anyone_may_read_it_act_on_it_and_pass_it_on(pages, worker, texts):
    """No token, no name, no cookie, nothing from elsewhere; a card where it is shared."""
    number = alert.send(worker.parts, texts, digest_key=house.DIGEST)
    answer = pages.get(f"/alerts/{number}")
    page = answer.text
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert "Dear friend, <strong>fourteen</strong> lorries" in page
    assert 'href="https://sarand.example/act"' in page
    assert '<meta property="og:title" content="Lorries at Sarand">' in page
    assert "wa.me/?text=Lorries%20at%20Sarand%20http%3A%2F%2F127.0.0.1%3A8080%2Falerts%2F1%2Fen" in page
    assert re.findall(r"<(?:script|img|iframe)[^>]*", page) == ['<script src="/exit.js" defer']
    assert re.findall(r'<link rel="stylesheet" href="([^"]+)"', page) == ["/style.css"]
    persian = pages.get(f"/alerts/{number}/fa").text
    assert 'lang="fa" dir="rtl"' in persian
    assert "چهارده کامیون" in persian
    assert f'hreflang="en" href="/alerts/{number}/en"' in persian


def test_what_was_not_sent_is_nobody_s_business(pages, worker, texts):
    """A draft, another kind of mailing, and no mailing at all look the same."""
    draft = drafting.draft(worker.parts, texts, digest_key=house.DIGEST)
    for number in (draft, draft + 1, 4711):
        assert pages.get(f"/alerts/{number}").status_code == 404
    assert pages.get("/alerts/99999999999999999999").status_code == 422


def test_a_thousand_readers_ask_the_database_twice_a_second(pages, worker, texts, made, database_urls):
    """Kept for half a second, and no longer: what is taken back must go."""
    number = alert.send(worker.parts, texts, digest_key=house.DIGEST)
    first = pages.get(f"/alerts/{number}").content
    house.by_owner(database_urls, "UPDATE mailing SET state = 'retracted' WHERE id = %s", number)
    assert pages.get(f"/alerts/{number}").content == first
    a_moment_later(pages)
    page = pages.get(f"/alerts/{number}").text
    assert "We take our alert back" in page
    assert "fourteen" not in page
    assert "Pass it on" not in page


def test_what_is_kept_is_kept_for_half_a_second():
    """By the clock, and for so many pages."""
    clock = [0.0]
    fresh = Fresh(lambda: clock[0])
    fresh.put("a", HTMLResponse("A", headers={"set-cookie": "never"}))
    assert fresh.get("a").body == b"A"
    assert "set-cookie" not in fresh.get("a").headers
    clock[0] = SECONDS - 0.01
    assert fresh.get("a") is not None
    clock[0] = SECONDS
    assert fresh.get("a") is None
    for number in range(300):
        fresh.put(number, HTMLResponse("x"))
    assert len(fresh._kept) == 256


def test_a_page_that_all_open_at_once_is_made_once():
    """Where its half second is over a thousand would ask the database in the same moment, each for the same page."""
    made, fresh = [], Fresh()

    def make():
        time.sleep(0.05)
        made.append(1)
        return HTMLResponse("A", headers={"content-language": "fa"})

    async def crowd():
        return await asyncio.gather(*(fresh.answer("a", make) for _ in range(50)))

    found = asyncio.run(crowd())
    assert {bytes(one.body) for one in found} == {b"A"}
    assert {one.headers["content-language"] for one in found} == {"fa"}
    assert len({id(one) for one in found}) == 50, "the guard dresses each"
    assert len(made) == 1


def test_nobody_waits_for_a_page_of_before():
    """One that is being made for longer than pages are kept may still show what was taken back since."""
    clock, made, fresh = [0.0], [], Fresh(lambda: clock[0])

    def make():
        made.append(1)
        time.sleep(0.2)
        return HTMLResponse(f"{len(made)}")

    async def visit():
        first = asyncio.create_task(fresh.answer("a", make))
        await asyncio.sleep(0.05)
        clock[0] = SECONDS
        second = asyncio.create_task(fresh.answer("a", make))
        return await asyncio.gather(first, second)

    asyncio.run(visit())
    assert len(made) == 2


def test_a_page_that_is_none_is_none_to_each_who_waits():
    """And the next who asks has it looked for again."""
    fresh, asked = Fresh(), []

    def make():
        asked.append(1)
        raise KeyError

    async def crowd():
        return await asyncio.gather(*(fresh.answer("a", make) for _ in range(5)), return_exceptions=True)

    for _ in range(2):
        assert [type(one) for one in asyncio.run(crowd())] == [KeyError] * 5
    assert len(asked) == 2


def test_a_language_that_comes_later_stands_on_the_same_page_as_soon_as_it_goes(pages, worker, texts):
    """Who was sent the link in English finds the Persian there at once; the late mail's number leads to the same page."""
    speak(worker, "{en,fa}")
    number = alert.send(worker.parts, texts[:1], digest_key=house.DIGEST, later=["fa"])
    assert "کامیون‌ها" not in pages.get(f"/alerts/{number}/fa").text
    drafted = translating.draft(worker.parts, texts[1:], of=number)
    alert.lock(worker.parts, drafted)
    a_moment_later(pages)
    assert pages.get(f"/alerts/{drafted}").status_code == 404
    assert "کامیون‌ها" not in pages.get(f"/alerts/{number}/fa").text
    alert.release(worker.parts, drafted)
    a_moment_later(pages)
    for path in (f"/alerts/{number}/fa", f"/alerts/{drafted}", f"/alerts/{drafted}/fa"):
        page = pages.get(path).text
        assert 'lang="fa" dir="rtl"' in page
        assert "چهارده کامیون" in page
        assert f'<link rel="canonical" href="http://127.0.0.1:8080/alerts/{number}/fa">' in page
        assert f'hreflang="en" href="/alerts/{number}/en"' in page
    assert "چهارده کامیون" in pages.get(f"/archive/weekly/{drafted}/1").text
    said = pages.get(f"/alerts/{drafted}/cap.xml").text
    assert said == pages.get(f"/alerts/{number}/cap.xml").text
    assert said.count("<info>") == 2


def test_one_language_is_taken_back_and_the_others_stand(pages, worker, texts):
    """A wrong translation is taken back in that language; an alert that was wrong in every one."""
    speak(worker, "{en,fa}")
    number = alert.send(worker.parts, texts[:1], digest_key=house.DIGEST)
    later = translating.draft(worker.parts, texts[1:], of=number, also_had=True)
    alert.send_draft(worker.parts, later)
    worker.deliver("urgent")
    retracting.retract(worker.parts, later)
    a_moment_later(pages)
    assert "چهارده کامیون" not in pages.get(f"/alerts/{number}/fa").text
    assert "<strong>fourteen</strong>" in pages.get(f"/alerts/{number}").text
    assert pages.get(f"/alerts/{number}/cap.xml").text.count("<info>") == 1
    retracting.retract(worker.parts, number)
    a_moment_later(pages)
    assert "<strong>fourteen</strong>" not in pages.get(f"/alerts/{number}").text


def test_what_was_taken_back_is_gone_from_every_address_within_the_second(pages, worker, texts):
    """A link of it stands in a chat, in the archive, and in what others pass on; each was looked at a moment before."""
    number = alert.send(worker.parts, texts, digest_key=house.DIGEST)
    worker.deliver("urgent")
    places = ("", "/en", "/fa", "/cap.xml")
    addresses = [f"/alerts/{number}{place}" for place in places]
    addresses += [f"/archive/{house.DIGEST}/{number}/1", "/alerts/feed.xml", "/alerts/feed.xml?language=fa", "/"]
    before = [pages.get(address).text for address in addresses]
    assert [len(re.findall("lorries|کامیون", shown)) > 0 for shown in before] == [True] * 7 + [False]
    retracting.retract(worker.parts, number)
    time.sleep(SECONDS)
    for address in addresses:
        shown = pages.get(address)
        assert shown.status_code == 200, address
        assert not re.search("lorries stand at the gate|چهارده", shown.text), address
    [entry] = entries(pages.get("/alerts/feed.xml"))
    assert entry["title"] == "We take our alert back"
    assert "<msgType>Cancel</msgType>" in pages.get(f"/alerts/{number}/cap.xml").text


def entries(answer):
    """Return the entries of a feed, each as its elements' texts by their names, as any XML parser reads them."""
    root = ElementTree.fromstring(answer.content)
    space = "{http://www.w3.org/2005/Atom}"
    assert root.tag == f"{space}feed"
    assert {f"{space}{name}" for name in ("id", "title", "updated", "author", "link")} <= {one.tag for one in root}
    found = [{one.tag.removeprefix(space): one.text for one in entry} for entry in root.iter(f"{space}entry")]
    assert all({"id", "title", "updated", "summary", "link"} <= set(one) for one in found)
    return found


def test_a_feed_reader_has_the_newest_alert_and_hears_that_it_was_taken_back(pages, worker, texts):
    """Whoever passes alerts on by machine polls one address: the same entry, newer, says that it was wrong."""
    assert entries(pages.get("/alerts/feed.xml")) == []
    speak(worker, "{en,fa}")
    number = alert.send(worker.parts, texts, digest_key=house.DIGEST)
    drafting.draft(worker.parts, texts, digest_key=house.DIGEST)
    worker.deliver("urgent")
    a_moment_later(pages)
    answer = pages.get("/alerts/feed.xml?language=fa")
    assert answer.headers["content-type"].startswith("application/atom+xml")
    assert answer.headers["content-language"] == "fa"
    [persian] = entries(answer)
    [english] = entries(pages.get("/alerts/feed.xml", headers={"accept-language": "en"}))
    assert (english["title"], persian["title"]) == ("Lorries at Sarand", "کامیون‌ها در سرند")
    assert english["id"] == persian["id"] == f"http://127.0.0.1:8080/alerts/{number}"
    place = '<link rel="alternate" type="application/atom+xml"'
    assert place in pages.get(f"/alerts/{number}/fa").text
    assert place in pages.get("/").text
    time.sleep(1)  # moments of Atom are whole seconds
    retracting.retract(worker.parts, number)
    a_moment_later(pages)
    [back] = entries(pages.get("/alerts/feed.xml?language=en"))
    assert back["id"] == english["id"]
    assert back["updated"] > english["updated"]
    assert "lorries" not in back["summary"]


def test_an_alert_to_a_part_is_announced_to_nobody_else(pages, worker, texts):
    """Who is at the river asked for it; that it was sent is not put up on the wall for all."""
    with worker.parts.database.transaction() as session:
        topics.add(session, "water", name="Water")
        topics.choose(session, 1, ["water"], now=database.now(session))
    wish = drafting.Wish(drafting.read_files(texts), house.DIGEST, part=Part(("water",)))
    number = drafting.draft_words(worker.parts, wish, by=None)
    alert.send_draft(worker.parts, number)
    worker.deliver("urgent")
    assert pages.get(f"/alerts/{number}").status_code == 200
    assert entries(pages.get("/alerts/feed.xml")) == []


def speak(made, languages):
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE digest SET languages = CAST(:them AS text[])"), {"them": languages})
