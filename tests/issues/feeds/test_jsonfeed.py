"""JSON Feed: the campaign's own five texts, and what strangers write."""

import json

import pytest

from newsletter import languages
from newsletter.errors import NewsletterError
from newsletter.issues.feeds import BrokenItem, FeedArticle, NotAFeed, TooLarge, jsonfeed
from tests.issues.feeds.samples import EXPORTS, SEED, articles, everything, json_feed, only, real


def test_the_campaign_s_texts_come_through() -> None:
    """These five are what the product is for: byline, source, dateline, kind and urgency as the page sets them."""
    found = {one.guid: one for one in articles(real(SEED))}
    told = {
        key: (one.byline, one.source, one.dateline, one.kind, one.featured, one.urgent) for key, one in found.items()
    }
    assert told == {
        "betrayal": ("Amir Basiri", "", "", "article", False, False),
        "chaos": ("", "Arutz Sheva", "19 June 2014", "article", True, False),
        "open-letter": ("The Ashraf Campaign (ASHCAM)", "", "", "open_letter", False, True),
        "bloodiest": ("", "Breitbart News", "18 February 2014", "article", False, False),
        "price": ("", "", "", "article", False, False),
    }
    assert {one.language for one in found.values()} == {"en"}


def test_long_texts_of_the_campaign_end_in_brackets() -> None:
    """The reader sees at once that more stands behind the link; the one short text is whole and says nothing."""
    found = {one.guid: one.excerpt for one in articles(real(SEED))}
    assert all(len(words) <= 420 for words in found.values())
    assert {key for key, words in found.items() if words.endswith(" […]")} == set(found) - {"price"}
    assert [key for key, words in found.items() if "[…] […]" in words] == []


def test_a_text_of_version_one_is_read() -> None:
    """The first version knew one author, and ids that are numbers."""
    second, first = articles(real(EXPORTS / "jsonfeed-full.json"))
    assert (first.byline, first.language, second.guid, second.excerpt) == ("Jane", "en", "2", "A summary")


def test_importing_twice_gives_equal_fingerprints() -> None:
    """An import that finds changes where there are none sends old news as new."""
    once, twice = (articles(real(SEED)) for _ in range(2))
    assert [one.fingerprint() for one in once] == [one.fingerprint() for one in twice]
    assert len({one.fingerprint() for one in once}) == 5
    assert {len(one.fingerprint()) for one in once} == {32}


@pytest.mark.parametrize(
    "change",
    [
        {"title": "U"},
        {"content_html": "<p>b</p>"},
        {"tags": ["x"]},
        {"language": "fa"},
        {"image": "https://sarand.example/i.png"},
        {"date_published": "2026-06-01T08:00:01Z"},
        {"_newsletter": {"urgent": True}},
    ],
    ids=str,
)
def test_every_change_is_a_revision(change: dict[str, object]) -> None:
    """A corrected text must replace the wrong one."""
    assert only(json_feed(change)).fingerprint() != only(json_feed({})).fingerprint()


def test_the_same_moment_in_another_zone_is_no_change() -> None:
    """Some sites write their zone of the season."""
    summer = only(json_feed({"date_published": "2026-06-01T09:00:00+01:00"}))
    assert summer.fingerprint() == only(json_feed({})).fingerprint()


def test_a_feed_that_breaks_off_keeps_what_stood_before() -> None:
    """A dropped connection must not lose the texts that came whole, and the operator wants to know where."""
    raw = real(SEED)
    cut = raw[: raw.index(b'"id": "bloodiest"') + 40]
    *whole, broken = everything(cut)
    assert [one.guid for one in whole if isinstance(one, FeedArticle)] == ["betrayal", "chaos", "open-letter"]
    assert [one.language for one in whole if isinstance(one, FeedArticle)] == ["en"] * 3
    assert isinstance(broken, BrokenItem)
    assert broken.place == f"line {cut.decode().count(chr(10)) + 1}"


def test_a_broken_head_is_read_no_further_than_it_says() -> None:
    """A feed that names no language must not be taken for one in the language “items”."""
    cut = json_feed({"content_html": "<a href='/x'>x</a>"}, {"id": "2"}, language=None, home_page_url=None)[:-20]
    first = everything(cut, base_url="https://sarand.example/")[0]
    assert isinstance(first, FeedArticle)
    assert (first.language, "https://sarand.example/x" in first.body) == (None, True)


@pytest.mark.parametrize(
    "item",
    ["text", 7, None, {"title": "", "content_html": ""}, {"date_published": "soon"}, {"url": ""}, {"url": "/relative"}],
    ids=str,
)
def test_an_item_that_cannot_be_used_is_named(item: object) -> None:
    """One bad item costs itself, and the operator reads which it was and why."""
    first, second = everything(json_feed(item, {"id": "good"}))
    assert isinstance(first, BrokenItem)
    assert (first.place, bool(first.why)) == ("item 1", True)
    assert isinstance(second, FeedArticle)


def test_fields_of_the_wrong_shape_are_left_out() -> None:
    """Strangers write lists where texts belong, and halves of characters no database takes."""
    odd = {"id": "a\x00\ud800b", "tags": "abc", "authors": 7, "language": "xx YY", "title": "t\udc00", "summary": [1]}
    found = only(json_feed(odd))
    assert (found.guid, found.categories, found.byline, found.language, found.title) == ("ab", (), "", None, "t")
    assert len(found.fingerprint()) == 32


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b'{"items": []}',
        b'{"version": "https://jsonfeed.org/version/2", "items": []}',
        b'{"version": "https://jsonfeed.org/version/1.1", "items": ' + b"[" * 100_000,
        b'{"version": "https://jsonfeed.org/version/1.1", "n": ' + b"9" * 5000 + b"}",
        b'{"error": "not found"',
    ],
    ids=["empty", "no-version", "version-2", "deep", "long-number", "half"],
)
def test_json_that_is_no_feed_is_refused(raw: bytes) -> None:
    """Nothing is better than an import of zero articles that calls itself done."""
    with pytest.raises(NotAFeed):
        everything(raw)


def test_a_file_beyond_all_measure_is_refused() -> None:
    """JSON is read whole; a file of gigabytes must not take the machine with it."""
    head = b'{"version": "https://jsonfeed.org/version/1.1", "items": ['
    with pytest.raises(TooLarge):
        everything(head + b" " * jsonfeed.MAX_BYTES)


@pytest.mark.parametrize("error", [NotAFeed("a.json"), TooLarge("a.json", 64)], ids=lambda error: error.message)
def test_each_refusal_has_a_sentence(error: NewsletterError) -> None:
    """The operator reads it; an id without words would be all they get."""
    assert languages.say(error.message, **error.facts).startswith("a.json is ")


def test_plain_text_becomes_paragraphs() -> None:
    """A blank line is a paragraph, and a < is a <."""
    body = only(json_feed({"content_text": "a < b\r\n\r\nc & d\n \ne"})).body
    assert body == "<p>a &lt; b</p><p>c &amp; d</p><p>e</p>"


def test_a_damaged_feed_of_many_items_is_read_in_time() -> None:
    """10,000 items before the damage take a second, not an hour."""
    raw = json_feed(*({"id": str(n), "content_html": "<p>x</p>"} for n in range(10_000)))
    assert len(everything(raw[:-2])) == 10_001
    assert json.loads(raw)
