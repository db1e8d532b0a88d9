"""What was sent to a reader, on the page behind a fresh link and behind no other."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter import database
from newsletter.journeys import joining, privacy, publish
from newsletter.subscribers.signup import Wish
from newsletter.web import create
from tests import house

ANN, BEN = "ann@example.org", "ben@example.org"


def ask(made, sql, **facts):
    with made.parts.database.transaction() as session:
        return session.execute(text(sql), facts).all()


@pytest.fixture
def worker(tmp_path, database_urls, sink):
    """Ann was asked and welcomed, and Ben and she had an issue."""
    made = house.build(tmp_path, database_urls, sink.url)
    joining.ask(made.parts, Wish(ANN, "en", {"weekly": "weekly"}))
    joining.work(made.parts)
    assert joining.confirm_by_reply(made.parts, 1)
    joining.work(made.parts)
    made.deliver("transactional", seconds=5)
    house.add_readers(made, tmp_path, [BEN])
    house.add_articles(made, tmp_path, "The well runs dry")
    publish.send(made.parts, publish.compose(made.parts, "weekly").issue)
    made.deliver("bulk", seconds=5)
    yield made
    made.close()


@pytest.fixture
def pages(worker, tmp_path, database_urls):
    """As where keys are split: these pages cannot open an address."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True)
    with TestClient(create(made), raise_server_exceptions=False) as client:
        yield client
    made.close()


@pytest.fixture
def links(worker):
    """Each link of Ann's by its purpose."""
    with worker.parts.database.transaction() as session:
        now = database.now(session)
    tokens = worker.parts.tokens
    return {
        "fresh": house.fresh_link(worker, 1),
        "old": tokens.fresh(1, now=now - timedelta(days=3)),
        "preferences": tokens.preferences(1, now=now),
        "leave": tokens.leave(1, 1, 1),
        "preview": tokens.harmless(),
    }


def told(page):
    """Return what a page lists, as people read it."""
    items = re.findall(r"<li><bdi>(.*?)</bdi><br><span class=\"soft\">(.*?)</span>", page)
    return [(subject, [re.sub("</?bdi>", "", part) for part in rest.split(" · ")]) for subject, rest in items]


def test_a_fresh_link_shows_what_was_sent_the_latest_first(worker, pages, links) -> None:
    """The mail with the link promises it: whoever signed must be able to see what came of it, without a file to open."""
    shown = told(pages.get(f"/p/{links['fresh']}").text)
    subjects = [subject for subject, _ in shown]
    assert len(shown) == 3, "the issue, the welcome, the question"
    assert "The well runs dry" in subjects[0]
    assert shown[0][1][1:] == ["The Weekly", "handed over to your mail provider"]
    assert re.fullmatch(r"\d{1,2} \w+ \d{4}", shown[0][1][0])
    assert subjects[2] == "Please confirm: The Weekly", "the subject it had, and no word of our books"
    assert pages.get(f"/p/{links['fresh']}/sent").status_code == 200


def test_no_other_link_shows_it(worker, pages, links) -> None:
    """Mails are forwarded: whoever holds one must not learn what its reader was sent (decision 7)."""
    for purpose in ("preferences", "leave", "preview", "old"):
        for path in (f"/p/{links[purpose]}", f"/p/{links[purpose]}/sent", f"/p/{links[purpose]}/sent?page=2"):
            answer = pages.get(path)
            assert "The well runs dry" not in answer.text, (purpose, path)
            assert told(answer.text) == [], (purpose, path)
            assert answer.status_code != 200 or not path.endswith("/sent"), (purpose, path)


def test_it_is_nobody_else_s(worker, pages, links) -> None:
    """Ben's page must not tell him that Ann was asked and welcomed."""
    ben = house.fresh_link(worker, 2)
    assert len(told(pages.get(f"/p/{ben}").text)) == 1


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        ("state = 'uncertain', uncertain_at = now()", "may have arrived"),
        ("state = 'rejected'", "refused by your mail provider"),
        ("state = 'deferred', due_at = now(), tries = 1", "not yet taken by your mail provider; we try again"),
        ("state = 'expired', tries = 3", "not delivered in time, so not sent any more"),
    ],
)
def test_what_became_of_it_is_said_in_plain_words(worker, pages, links, database_urls, fact, said) -> None:
    """ "accepted" and "expired" are words of our books; a reader wants to know whether to look for it."""
    house.by_owner(
        database_urls,
        f"UPDATE delivery SET {fact} WHERE subscriber_id = 1 AND mailing_id IN (SELECT id FROM mailing WHERE kind = 'digest')",
    )
    assert said in [rest[-1] for _, rest in told(pages.get(f"/p/{links['fresh']}").text)]


def test_what_came_back_is_said_to_have_come_back(worker, pages, links, database_urls) -> None:
    """Their provider took it and sent it back: it did not arrive, whatever our books say first."""
    house.by_owner(
        database_urls,
        "INSERT INTO returned (mailing_id, mailbox_id, fate) SELECT mailing_id, mailbox_id, 'failed' FROM delivery"
        " WHERE subscriber_id = 1 AND mailing_id IN (SELECT id FROM mailing WHERE kind = 'digest')",
    )
    assert told(pages.get(f"/p/{links['fresh']}").text)[0][1][-1] == "sent back by your mail provider"


def test_what_was_never_tried_is_not_shown_as_sent(worker, pages, links, database_urls) -> None:
    """What was stopped before it went was not sent, and may have been stopped because it was wrong."""
    house.by_owner(
        database_urls,
        "UPDATE delivery SET state = 'cancelled', reason = 'stopped', tries = 0, outcome_at = now() WHERE subscriber_id = 1"
        " AND mailing_id IN (SELECT id FROM mailing WHERE kind = 'digest')",
    )
    assert len(told(pages.get(f"/p/{links['fresh']}").text)) == 2


def test_it_comes_in_portions(worker, pages, links, database_urls) -> None:
    """Fourteen months of a daily digest must be neither one page nor lost."""
    house.by_owner(
        database_urls,
        "INSERT INTO delivery (month, mailing_id, variant_id, mailbox_id, subscriber_id, occasion, position, state, tries,"
        " outcome_at) SELECT d.month, d.mailing_id, d.variant_id, d.mailbox_id, 1, 'x' || n, n, 'accepted', 1,"
        " now() - n * interval '1 day' FROM delivery d JOIN mailing m ON m.id = d.mailing_id, generate_series(1, 45) AS n"
        " WHERE m.kind = 'digest' AND d.subscriber_id = 1",
    )
    page, seen, path = pages.get(f"/p/{links['fresh']}").text, [], ""
    while path is not None:
        assert len(told(page)) <= privacy.SHOWN
        seen += told(page)
        further = re.search(r'<a href="(/p/[^"]+/sent\?language=en&amp;page=\d)">Earlier mails', page)
        path = further[1].replace("&amp;", "&") if further else None
        page = pages.get(path).text if path else ""
    assert len(seen) == 48
    for wrong in ("0", "51", "x", "99999999999999999999"):
        assert pages.get(f"/p/{links['fresh']}/sent?page={wrong}").status_code == 422


@pytest.mark.parametrize(("language", "title"), [("fa", "آنچه برایتان فرستاده‌ایم"), ("ar", "ما أرسلناه إليك")])
def test_it_is_told_in_the_reader_s_language(worker, pages, links, database_urls, language, title) -> None:
    """The promise stands in the mail in their language, so the page keeps it there."""
    house.by_owner(database_urls, "UPDATE subscriber SET language = %s WHERE id = 1", language)
    page = pages.get(f"/p/{links['fresh']}").text
    assert title in page
    assert "handed over" not in page
    assert len(told(page)) == 3


def test_a_name_in_a_subject_is_no_part_of_it(worker, pages, links, database_urls) -> None:
    """Pages that hold no key to names must show the rest of such a subject."""
    house.by_owner(
        database_urls,
        """UPDATE variant SET head = convert_to(replace(convert_from(head, 'UTF8'), '"subject":[',
            '"subject":[["name","header",""]," — "'||','), 'UTF8')""",
    )
    assert told(pages.get(f"/p/{links['fresh']}").text)[0][0].startswith("… — ")
