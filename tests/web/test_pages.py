"""The pages: GET changes nothing, POST acts at once, and nothing of a reader leaks."""

import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter.journeys import joining, leaving, publish
from newsletter.subscribers.signup import Wish
from newsletter.tokens import COUNTERSIGN, LENGTH
from newsletter.web import create
from tests import house

# Of a partitioned table the whole: its months may be read through it alone.
TABLES = """
    SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
    ORDER BY 1
"""


@pytest.fixture
def worker(tmp_path, database_urls):
    """The product as the worker sees it: it prepares what the pages show."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9")
    composed = house.issue(made, tmp_path, addresses=["ann@example.org", "ben@example.org"])
    publish.send(made.parts, composed.issue)
    yield made
    made.close()


@pytest.fixture
def made(worker, tmp_path, database_urls):
    """The product as the web's role."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True)
    yield made
    made.close()


@pytest.fixture
def pages(made):
    with TestClient(create(made), raise_server_exceptions=False) as client:
        yield client


def everything(worker):
    """Return every row of every table: what a page that changes nothing leaves alike."""
    with worker.parts.database.transaction() as session:
        names = session.execute(text(TABLES)).scalars().all()
        return {name: sorted(map(str, session.execute(text(f'SELECT * FROM "{name}"')))) for name in names}


def ask(worker, sql):
    with worker.parts.database.transaction() as session:
        return session.execute(text(sql)).all()


def link(worker, place=0):
    [row] = ask(
        worker, f"SELECT subscriber_id, digest_id FROM subscription ORDER BY subscriber_id OFFSET {place} LIMIT 1"
    )
    return worker.parts.tokens.leave(row.subscriber_id, row.digest_id, 1)


def paths(worker):
    leave, preferences = link(worker), worker.parts.tokens.preferences(1, now=datetime.now(UTC))
    return [
        "/",
        f"/u/{leave}",
        f"/p/{preferences}",
        "/archive/weekly",
        "/archive/weekly/1/1",
        "/privacy",
        "/help",
        "/style.css",
        "/healthz",
        "/readyz",
    ]


def test_looking_changes_nothing(pages, worker):
    """Mail scanners follow every link, and some press HEAD and OPTIONS as well."""
    before = everything(worker)
    for path in paths(worker):
        assert pages.get(path).status_code == 200, path
        assert pages.head(path).status_code == 200, path
        pages.options(path)
    assert everything(worker) == before


@pytest.mark.parametrize(
    "form",
    [
        {"data": {"List-Unsubscribe": "One-Click"}},
        {"files": {"List-Unsubscribe": (None, "One-Click")}},
        {"content": b""},
        {"content": b"\xff\xfe garbage", "headers": {"content-type": "text/nonsense"}},
    ],
    ids=["urlencoded", "multipart", "empty", "garbage"],
)
def test_one_post_leaves_at_once_whatever_it_says(pages, worker, form):
    """RFC 8058 needs no page, no cookie and no confirmation; whoever posts to this link wants to leave."""
    for _ in range(2):
        answer = pages.post(f"/u/{link(worker)}", follow_redirects=False, **form)
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
    states = [row.state for row in ask(worker, "SELECT state FROM delivery ORDER BY subscriber_id")]
    assert states == ["cancelled", "planned"]
    assert len(ask(worker, "SELECT 1 FROM subscription WHERE ended_at IS NULL")) == 1
    assert len(ask(worker, "SELECT 1 FROM consent_event WHERE kind = 'withdrawn'")) == 1


def test_a_forged_or_damaged_link_does_nothing(pages, worker):
    """Anyone can type an address; only a link we made may act."""
    before = everything(worker)
    good = link(worker)
    for bad in (
        "x" * 32,
        good[:-1],
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        worker.parts.tokens.preferences(1, now=datetime.now(UTC)),
        "%00",
    ):
        assert pages.post(f"/u/{bad}").status_code in (404, 405)
    assert everything(worker) == before


def test_a_preview_s_link_shows_the_page_and_does_nothing(pages, worker):
    """The archive is read by everyone: its links must not unsubscribe anybody."""
    before = everything(worker)
    harmless = worker.parts.tokens.harmless()
    assert pages.get(f"/u/{harmless}").status_code == 200
    assert pages.post(f"/u/{harmless}").status_code == 200
    shown = pages.get("/archive/weekly/1/1").text
    assert set(re.findall(r"/u/([A-Za-z0-9_-]{20,})", shown)) == {harmless}
    assert everything(worker) == before


def test_leaving_works_while_the_database_takes_no_change(pages, worker, database_urls):
    """After a failover it may be read-only, or its tables may be being changed: the wish is kept all the same."""
    token = link(worker)
    house.by_owner(database_urls, "ALTER TABLE subscription RENAME TO gone")
    assert pages.post(f"/u/{token}").status_code == 200
    house.by_owner(database_urls, "ALTER TABLE gone RENAME TO subscription")
    assert leaving.drain(worker.parts) == 1
    assert [one.reason for one in ask(worker, "SELECT reason FROM delivery WHERE state = 'cancelled'")] == [
        "unsubscribed"
    ]


def test_leaving_works_while_the_database_is_away(worker, tmp_path, database_urls):
    """The promise was made in every mail we sent, and holds when our server does not."""
    token = link(worker)
    from newsletter import assembly, settings

    chosen = settings.read(
        home=tmp_path / "home",
        keys=tmp_path / "keys" / "keys.json",
        database_url="postgresql+psycopg://nobody:x@127.0.0.1:9/none",
        redis_url=None,
        sender="Friends of Sarand <news@sarand.example>",
        postal_address="7 Lantern Yard, London",
    )
    away = assembly.assemble(chosen, role="web")
    with TestClient(create(away), raise_server_exceptions=False) as client:
        assert client.post(f"/u/{token}", data={"List-Unsubscribe": "One-Click"}).status_code == 200
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
    [spool] = (tmp_path / "home" / "spool").iterdir()
    assert spool.stat().st_mode & 0o777 == 0o600
    assert "ann" not in spool.read_text()
    assert leaving.drain(worker.parts) == 1
    assert leaving.drain(worker.parts) == 0
    assert [row.state for row in ask(worker, "SELECT state FROM delivery ORDER BY subscriber_id")] == [
        "cancelled",
        "planned",
    ]


def test_a_reader_changes_the_rhythm_and_leaves_everything(pages, worker):
    """Less often keeps a reader who would otherwise leave."""
    token = worker.parts.tokens.preferences(1, now=datetime.now(UTC))
    answer = pages.post(f"/p/{token}/more", data={"rhythm-weekly": "monthly", "language": "en", "zone": "UTC"})
    assert answer.status_code == 200
    live = "SELECT rhythm FROM subscription WHERE subscriber_id = 1 AND ended_at IS NULL"
    assert [row.rhythm for row in ask(worker, live)] == ["monthly"]
    assert pages.post(f"/p/{token}", data={"action": "leave"}).status_code == 200
    assert ask(worker, live) == []


def test_a_page_shows_neither_name_nor_address(pages, worker):
    """Mails are forwarded, and the link with them."""
    for path in paths(worker):
        shown = pages.get(path).text
        assert "ann@example" not in shown
        assert "Reader 0" not in shown


def test_what_every_answer_carries(pages, worker):
    """No script but ours, no frame, no third party, and no token in a Referer; where the team works, none unless it is needed."""
    for path in [*paths(worker), "/nowhere"]:
        headers = pages.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert ("script-src 'self'" in policy) is not path.startswith("/archive/weekly/1/")
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        if path.startswith(("/u/", "/p/")):
            assert headers["cache-control"] == "no-store"
    assert "script" not in pages.get("/console/login").headers["content-security-policy"]
    refused = pages.get("/console/nowhere")
    assert "script" not in refused.headers["content-security-policy"] + refused.text
    assert "sandbox" in pages.get("/archive/weekly/1/1").headers["content-security-policy"]


def test_no_page_asks_a_third_party(pages, worker):
    """Whoever counts requests at a font server knows who reads about a camp."""
    for path in paths(worker):
        for url in re.findall(r'(?:src|href|action)="(https?://[^"]+)"', pages.get(path).text):
            # A story's own address is a link to press, as is the way out; nothing is loaded from anywhere.
            assert url.startswith(
                ("http://127.0.0.1:8080/", "https://sarand.example/", "https://www.wikipedia.org/")
            ), url


def test_a_draft_and_another_digest_s_mail_are_nobody_s_business(pages, worker, tmp_path):
    """What is not released is not public, whoever guesses its number."""
    house.add_articles(worker, tmp_path, "A second story")
    draft = publish.compose(worker.parts, house.DIGEST)
    assert pages.get(f"/archive/weekly/{draft.mailing}/1").status_code == 404
    assert pages.get("/archive/other/1/1").status_code == 404
    assert pages.get("/archive/weekly/4711/1").status_code == 404


def test_a_huge_form_is_turned_away(pages, worker):
    """A page that reads a gigabyte is a page that is down."""
    assert pages.post(f"/u/{link(worker)}", content=b"x" * 100_000).status_code == 413


def test_a_failure_of_ours_is_a_page_like_any_other(made):
    """A reader who wants to leave must read that it failed, and the page of a failure must not be less safe."""
    app = create(made)

    @app.get("/u/surprise/of/ours")
    def surprise():
        raise ZeroDivisionError

    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/u/surprise/of/ours")
    assert (answer.status_code, answer.headers["cache-control"]) == (500, "no-store")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<h1>" in answer.text


def test_a_form_without_end_is_turned_away(pages, worker):
    """A body sent in chunks names no length; it must not be gathered in memory until it ends."""
    read = 0

    def chunks():
        nonlocal read
        for _ in range(1000):
            read += 1
            yield b"rhythm=" + b"x" * 10_000

    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = pages.post(
        f"/p/{worker.parts.tokens.preferences(1, now=datetime.now(UTC))}", content=chunks(), headers=form
    )
    assert answer.status_code == 413
    assert pages.post(f"/u/{link(worker)}", content=chunks()).status_code in (200, 413)


def test_a_path_that_cannot_be_is_no_page(pages):
    """Scanners try everything; whatever they try is a page that does not exist, never a failure in our log."""
    for path in (
        "/archive/%00",
        "/archive/%ff/1/1",
        "/archive/weekly/99999999999999999999/1",
        "/archive/weekly/1/99999999999999999999",
        "/archive/weekly/-1/1",
        "/archive/weekly%00/1/1",
        "/u/%00",
        "/p/%ff%fe",
        "/pictures/%00.jpg",
        "/pictures/..%2f..%2fkeys.jpg",
        "/u/" + "A" * 5000,
    ):
        answer = pages.get(path)
        assert answer.status_code in (404, 422), path
        assert "default-src 'none'" in answer.headers["content-security-policy"], path


def test_a_persian_reader_gets_a_persian_page(pages, worker):
    """Right to left, and in words they read."""
    with worker.parts.database.transaction() as session:
        session.execute(text("UPDATE subscriber SET language = 'fa'"))
    shown = pages.get(f"/u/{link(worker)}").text
    assert '<html lang="fa" dir="rtl">' in shown
    assert "لغو اشتراک" in shown


def test_pages_that_act_say_for_whom(worker, tmp_path, database_urls):
    """A forwarded mail carries its owner's link: whoever it was sent on to must see that it is not theirs."""
    keys = tmp_path / "keys" / "keys.json"
    whole = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True, keys=keys)
    with TestClient(create(whole), raise_server_exceptions=False) as pages:
        says_for_whom(pages, worker)
    whole.close()


def test_pages_without_the_key_of_readers_say_nothing_of_them(pages, worker):
    """With keys of their own they cannot open an address; the button must work all the same."""
    path = f"/u/{link(worker)}"
    assert "You act as" not in pages.get(path).text
    assert pages.post(path).status_code == 200
    assert ask(worker, "SELECT count(*) FROM subscription WHERE ended_at IS NULL") == [(1,)]


@pytest.fixture
def asked(worker):
    """Return the number of a sign-up whose owner has the question before them."""
    joining.ask(worker.parts, Wish("sarah@gate.com", "en", {"weekly": "weekly"}))
    joining.work(worker.parts)
    [(number,)] = ask(worker, "SELECT id FROM signup WHERE state = 'asked'")
    return number


def test_so_does_the_page_by_which_somebody_joins(worker, asked, tmp_path, database_urls):
    """It gives consent in somebody's name. A link of before, one whose wish is forgotten and a preview's say nothing."""
    whole = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True, keys=tmp_path / "keys" / "keys.json")
    now, made = datetime.now(UTC), worker.parts.tokens
    with TestClient(create(whole), raise_server_exceptions=False) as pages:
        path = f"/c/{house.yes_link(worker, asked)}"
        shown = pages.get(path).text
        assert "You act as s…@g….com. Not you?" in shown
        assert "gate" not in shown
        for silent in (made.confirm(asked, now=now), made.confirm(asked + 1, 1, now=now), made.harmless()):
            assert "You act as" not in pages.get(f"/c/{silent}").text
        house.by_owner(database_urls, "UPDATE signup SET undone_at = now()")
        assert "You act as" not in pages.get(path).text
    whole.close()


def test_a_link_that_no_worker_mailed_does_not_say_whose_a_mailbox_is(worker, asked, tmp_path, database_urls):
    """The token key and a sign-up of one's own would read out everybody's hint, also of whoever wants no mail, number by number."""
    whole = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True, keys=tmp_path / "keys" / "keys.json")
    mailed, now = house.yes_link(worker, asked), datetime.now(UTC)
    with TestClient(create(whole), raise_server_exceptions=False) as pages:
        assert "You act as" in pages.get(f"/c/{mailed}").text
        [(own,)] = ask(worker, "SELECT mailbox_id FROM signup WHERE state = 'asked'")
        others = [box for (box,) in ask(worker, "SELECT id FROM mailbox") if box != own]
        assert len(others) == 2
        forged = [(box, sign) for box in (own, *others) for sign in ("", "A" * COUNTERSIGN)]
        for box, sign in [*forged, *((box, mailed[LENGTH:]) for box in others)]:
            shown = pages.get(f"/c/{worker.parts.tokens.confirm(asked, box, now=now)}{sign}")
            assert (shown.status_code, "You act as" in shown.text) == (200, False)
    whole.close()


def test_pages_without_that_key_ask_for_a_yes_all_the_same(pages, worker, asked):
    """Whoever has the pages' keys and a mailed link learns no address by it; its owner presses as ever."""
    path = f"/c/{house.yes_link(worker, asked)}"
    shown = pages.get(path)
    assert (shown.status_code, "You act as" in shown.text) == (200, False)
    assert f'action="{path}' in shown.text


def says_for_whom(pages, worker):
    for path in (f"/u/{link(worker)}", f"/p/{worker.parts.tokens.preferences(1, now=datetime.now(UTC))}"):
        page = pages.get(path).text
        assert re.search(r"You act as [ab]…@e….org. Not you\?", page)
        assert "@example" not in page
    harmless = pages.get(f"/u/{worker.parts.tokens.harmless()}").text
    assert "You act as" not in harmless


def test_every_page_for_people_has_a_way_out(pages, worker):
    """Somebody comes into the room: one press, the first on the page, and it shows something that anyone may look at."""
    for path in (
        f"/u/{link(worker)}",
        f"/p/{worker.parts.tokens.preferences(1, now=datetime.now(UTC))}",
        "/",
        "/archive/weekly",
        "/privacy",
        "/u/forged",
    ):
        answer = pages.get(path)
        first = re.search(r"<body>.*?<a ([^>]*)>([^<]*)</a>", answer.text, re.DOTALL)
        assert 'href="https://www.wikipedia.org/"' in first[1], path
        assert "noreferrer" in first[1], "the site it leads to must not learn where it was pressed"
        assert first[2] == "Leave this page now"
        if path[:3] in ("/u/", "/p/"):
            assert answer.headers["cache-control"] == "no-store", "whoever goes back must not find it kept"
    left = pages.post(f"/u/{link(worker)}").text
    assert "https://www.wikipedia.org/" in left


def test_the_way_out_is_said_in_the_reader_s_language(pages, worker):
    """Nobody looks for a button in a language they do not read."""
    for language, words in (("fa", "خروج فوری"), ("ar", "غادر هذه")):
        with worker.parts.database.transaction() as session:
            session.execute(text("UPDATE subscriber SET language = :language"), {"language": language})
        assert words in pages.get(f"/p/{worker.parts.tokens.preferences(1, now=datetime.now(UTC))}").text, language


def test_the_way_out_leads_where_an_operator_says(worker, tmp_path, database_urls):
    """Where an encyclopaedia is blocked, the weather is not."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True, exit_url="https://weather.example/")
    with TestClient(create(made)) as client:
        assert 'href="https://weather.example/"' in client.get("/").text
        assert "weather.example" not in client.get("/console/login").text, "the team's pages have a way to log out"
    made.close()
