"""What one group of readers is shown: pure."""

from datetime import UTC, date, datetime, timedelta

from newsletter.issues import selection
from newsletter.issues.articles import ArticleView
from newsletter.issues.selection import Masthead

DAY = datetime(2026, 6, 1, tzinfo=UTC)


def article(number, **more):
    known = {
        "id": number,
        "revision": 1,
        "title": f"Story {number}",
        "byline": "",
        "source": "",
        "dateline": "",
        "excerpt": "…",
        "body": "",
        "categories": (),
        "featured": False,
        "kind": "article",
        "language": "en",
        "direction": "ltr",
        "image_url": None,
        "image_alt": "",
        "url": f"https://sarand.example/{number}",
        "posted_on": DAY + timedelta(days=number),
        "ready_seq": number,
        "feed": "sarand",
    }
    return ArticleView(**known | more)


def chosen(articles, *, language="en", had_to=0, had_alerts=(), alerts=None):
    found = selection.chosen(articles, language=language, had_to=had_to, had_alerts=had_alerts, alerts=alerts or {})
    return [one.id for one in found]


def test_featured_comes_first_then_the_newest():
    """As on a front page."""
    assert chosen([article(1), article(2, featured=True), article(3)]) == [2, 3, 1]


def test_nobody_is_shown_what_they_have_had():
    """had_to is where a reader stands."""
    assert chosen([article(1), article(2), article(3)], had_to=2) == [3]


def test_an_alert_is_left_out_for_those_who_had_it_and_for_nobody_else():
    """Memory is by what was handed over, not by what was sent."""
    assert chosen([article(1), article(2)], had_alerts=(77,), alerts={2: 77}) == [1]
    assert chosen([article(1), article(2)], had_alerts=(), alerts={2: 77}) == [2, 1]


def test_an_edition_shows_its_language_and_what_has_none():
    """A Persian edition of English texts would be for nobody."""
    articles = [article(1, language="fa"), article(2, language="en-GB"), article(3, language=None)]
    assert chosen(articles, language="en") == [3, 2]
    assert chosen(articles, language="fa") == [3, 1]


def test_three_at_length_twenty_in_short_and_the_rest_counted():
    """A digest of forty articles is read by nobody, and clipped by mail programs."""
    content = selection.content([article(n) for n in range(1, 31)], Masthead("Weekly", 1, "weekly", date(2026, 6, 1)))
    assert (len(content.lead), len(content.others), content.more) == (3, 20, 7)
