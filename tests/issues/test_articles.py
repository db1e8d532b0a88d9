"""Texts that came in: stored once, revised when they change, numbered in the order of their commits."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from newsletter.issues import articles
from newsletter.issues.feeds import BrokenItem, FeedArticle

NOW = datetime(2026, 6, 20, tzinfo=UTC)


def story(guid="a", **more):
    plain = FeedArticle(
        guid=guid,
        title="The well runs dry",
        byline="Nika Vardan",
        source="",
        dateline="",
        excerpt="No water.",
        body="<p>No water.</p>",
        categories=("News",),
        featured=False,
        urgent=False,
        kind="article",
        language="en",
        direction="ltr",
        image_url=None,
        image_alt="",
        url=f"https://sarand.example/{guid}",
        posted_on=NOW - timedelta(days=1),
    )
    return replace(plain, **more)


def store(session, *items, as_news=False):
    return articles.store(session, articles.ensure_feed(session, "sarand"), items, as_news=as_news, now=NOW)


def test_importing_twice_changes_nothing(session):
    """A feed is read every quarter of an hour; its articles must not come out every time."""
    assert store(session, story()).added == 1
    again = store(session, story())
    assert (again.read, again.added, again.changed, again.unchanged) == (1, 0, 0, 1)
    assert articles.last_ready(session) == 1


def test_an_edited_item_becomes_a_revision_and_the_old_text_is_kept(session):
    """A correction is made in public: what was said before can still be shown."""
    store(session, story())
    assert store(session, story(title="The last well runs dry")).changed == 1
    [found] = articles.listed(session)
    assert (found.title, found.revision, found.ready_seq) == ("The last well runs dry", 2, 1)
    kept = session.execute(text("SELECT content ->> 'title' FROM article_revision")).scalar_one()
    assert kept == "The well runs dry"


def test_old_items_are_archive_unless_told_otherwise(session):
    """The first import of a site of ten years must not send ten years of news."""
    old = story("old", posted_on=NOW - timedelta(days=15))
    store(session, old, story("new"))
    assert {a.guid_url: a.ready_seq for a in map(_named, articles.listed(session))} == {"old": None, "new": 1}
    store(session, story("older", posted_on=NOW - timedelta(days=400)), as_news=True)
    assert articles.last_ready(session) == 2


class _named:
    def __init__(self, article):
        self.guid_url = article.url.rpartition("/")[2]
        self.ready_seq = article.ready_seq


def test_a_broken_item_is_counted_and_named_and_the_others_are_kept(session):
    """One bad entry must not cost the other forty."""
    done = store(session, story("a"), BrokenItem("item 2, line 40", "it has no date"), story("b"))
    assert (done.read, done.added, done.rejected) == (3, 2, 1)
    assert done.faults == ("item 2, line 40: it has no date",)


def test_what_presses_is_named_once(session):
    """An open letter or an urgent text becomes a draft when it is new or becomes that; not again, and no ten years of letters."""
    letter = story("letter", kind="open_letter")
    archive = story("old", kind="open_letter", posted_on=NOW - timedelta(days=400))
    done = store(session, story("plain"), letter, story("now", urgent=True), archive)
    found = articles.among(session, done.pressing)
    assert [one.url.rpartition("/")[2] for one in found] == ["letter", "now"]
    assert articles.heed(session, done.pressing, now=NOW) == list(done.pressing)
    assert articles.heed(session, done.pressing, now=NOW) == []
    changed = store(session, story("plain", urgent=True), replace(letter, title="The letter, corrected"), archive)
    found = articles.among(session, changed.pressing)
    assert (changed.changed, [one.url.rpartition("/")[2] for one in found]) == (2, ["plain"])


def test_whoever_commits_later_has_the_higher_number(database):
    """Numbers of a sequence become visible out of order, and an article behind a cut already made is lost for ever."""
    holding, release = threading.Event(), threading.Event()

    def slow():
        with database.transaction() as session:
            store(session, story("slow"))
            holding.set()
            release.wait(10)

    def quick():
        with database.transaction() as session:
            store(session, story("quick"))

    first = threading.Thread(target=slow)
    first.start()
    assert holding.wait(10)
    second = threading.Thread(target=quick)
    second.start()
    second.join(0.3)
    assert second.is_alive(), "the second did not wait for the first's commit"
    with database.transaction() as session:
        assert articles.last_ready(session) == 0, "a cut made now must find neither"
    release.set()
    first.join(10)
    second.join(10)
    with database.transaction() as session:
        found = {a.url.rpartition("/")[2]: a.ready_seq for a in articles.ready(session, after=0, upto=9)}
    assert found == {"slow": 1, "quick": 2}
