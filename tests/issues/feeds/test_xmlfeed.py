"""RSS and Atom: what sites write, what breaks, and what attackers try."""

from datetime import UTC, datetime

import pytest

from newsletter.issues.feeds import BrokenItem, FeedArticle, NotAFeed
from tests.issues.feeds.samples import DATE, EXPORTS, articles, everything, item, only, real, rss

ATOM = """<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="fa"><title>S</title>{}</feed>"""
ENTRY = "<title>T</title><link href='https://sarand.example/1'/><updated>2026-06-01T08:00:00Z</updated>"


def atom(*entries: str) -> bytes:
    """Return an Atom feed of entries given as their XML."""
    return ATOM.format("".join(f"<entry><id>urn:{n}</id>{entry}</entry>" for n, entry in enumerate(entries))).encode()


@pytest.mark.parametrize(
    ("head", "base_url", "expected"),
    [
        ("", "https://sarand.example/news/feed", "https://sarand.example/news/1"),
        ("<link rel='self' href='https://sarand.example/feed'/>", "", "https://sarand.example/1"),
        ("<link href='https://sarand.example/'/>", "", "https://sarand.example/1"),
        ("<id>urn:feed</id>", "", None),
    ],
)
def test_relative_links_of_atom(head: str, base_url: str, expected: str | None) -> None:
    """RFC 4287 lets a feed write its links relative to where it lies; without them no article would have an address."""
    feed = atom("<title>T</title><link href='1'/><updated>2026-06-01T08:00:00Z</updated>")
    [found] = everything(feed.replace(b"<title>S</title>", f"<title>S</title>{head}".encode()), base_url=base_url)
    assert (found.url if isinstance(found, FeedArticle) else None) == expected


def test_the_base_that_atom_names() -> None:
    """The nearest xml:base counts; one below is relative to the one above."""
    entry = ENTRY.replace("https://sarand.example/1", "1").replace("<link", "<link title='x'")
    feed = (
        atom(entry, entry)
        .replace(b"xml:lang='fa'", b"")
        .replace(b'xml:lang="fa"', b'xml:base="https://sarand.example/a/"')
    )
    feed = feed.replace(b"<entry><id>urn:1", b"<entry xml:base='b/'><id>urn:1")
    assert [one.url for one in articles(feed)] == [
        "https://sarand.example/a/1",
        "https://sarand.example/a/b/1",
    ]


def test_an_item_of_rss() -> None:
    """The whole text from content:encoded, the author's summary as excerpt."""
    more = (
        "<guid isPermaLink='false'>g1</guid><description>Short &amp;amp; good</description>"
        "<content:encoded><![CDATA[<p>Arutz Sheva, 19 June 2014</p><p>Long <a href='/x'>x</a></p>]]></content:encoded>"
        "<dc:creator>Ada</dc:creator><dc:creator>Ben</dc:creator><category domain='topics'>News</category>"
        "<category>Featured</category><enclosure type='image/png' url='https://sarand.example/i.png' length='1'/>"
    )
    found = only(rss(item("A &amp;amp; B", more=more), head="<language>en-gb</language>"))
    assert found == FeedArticle(
        guid="g1",
        title="A & B",
        byline="Ada, Ben",
        source="Arutz Sheva",
        dateline="19 June 2014",
        excerpt="Short & good",
        body='<p>Arutz Sheva, 19 June 2014</p><p>Long <a href="https://sarand.example/x" rel="noopener noreferrer">x</a></p>',
        categories=("News", "Featured"),
        featured=True,
        urgent=False,
        kind="article",
        language="en-gb",
        direction="ltr",
        image_url="https://sarand.example/i.png",
        image_alt="",
        url="https://sarand.example/1",
        posted_on=datetime(2026, 6, 1, 8, tzinfo=UTC),
    )


def test_the_line_of_the_newspaper_is_not_said_twice() -> None:
    """It stands beside the title already; an excerpt begins with the text."""
    body = "<description>&lt;p&gt;Breitbart News, 18 February 2014&lt;/p&gt;&lt;p&gt;If the commander&lt;/p&gt;</description>"
    assert only(rss(item(more=body))).excerpt == "If the commander"


def test_an_address_of_mail_is_no_byline() -> None:
    """RSS 2.0 writes “address (Name)”; an author's address is not for thousands of readers."""
    named, bare = articles(
        rss(
            item(more="<author>ada@example.org (Ada)</author>"),
            item(more="<author>ada@example.org</author>", path="2"),
        )
    )
    assert (named.byline, bare.byline) == ("Ada", "")


def test_a_guid_stands_in_for_a_missing_link() -> None:
    """RSS 2.0 calls it a permanent link unless it says otherwise."""
    assert (
        only(rss(f"<title>T</title><guid>https://s.example/9</guid><pubDate>{DATE}</pubDate>")).url
        == "https://s.example/9"
    )


def test_items_without_an_address_are_named_and_not_sent_to_the_front_page() -> None:
    """Two of them would otherwise be one text at the site's own address, each import revising the other."""
    bare = f"<title>T</title><pubDate>{DATE}</pubDate>"
    found = everything(rss(bare, bare), base_url="https://sarand.example/")
    assert [type(one) for one in found] == [BrokenItem, BrokenItem]


def test_an_entry_of_atom() -> None:
    """RFC 4287: text, html and xhtml are three ways to write the same."""
    plain, marked, nested = articles(
        atom(
            ENTRY + "<content>a &lt; b</content>",
            ENTRY + "<content type='html'>&lt;p&gt;a&lt;/p&gt;</content><summary>s</summary>",
            ENTRY
            + "<published>2026-05-31T08:00:00Z</published><author><name>Ada</name></author><category term='n' label='News'/>"
            "<content type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'><p>a</p></div></content>",
        )
    )
    assert (plain.body, marked.body, marked.excerpt, nested.body) == (
        "a &lt; b",
        "<p>a</p>",
        "s",
        "<div><p>a</p></div>",
    )
    assert (nested.byline, nested.categories, nested.posted_on.day) == ("Ada", ("News",), 31)
    assert (plain.language, plain.direction, plain.guid) == ("fa", "rtl", "urn:0")


def test_a_text_says_its_own_direction() -> None:
    """An Arabic text in a feed that names no language still reads from right to left."""
    body = "<description>&lt;div dir='rtl'&gt;سلام&lt;/div&gt;</description>"
    assert only(rss(item(more=body))).direction == "rtl"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_are_told_from_the_first_bytes(encoding: str) -> None:
    """Windows programs write marks before the first tag."""
    assert only(rss(item("Sarānd")).decode().encode(encoding)).title == "Sarānd"


def test_texts_that_share_an_id_are_told_apart_by_their_addresses() -> None:
    """Copied posts keep the id of the first; without this they would revise each other at every import."""
    same = "<guid>urn:same</guid>"
    found = articles(rss(item("A", more=same, path="a"), item("B", more=same, path="b")))
    assert [one.guid for one in found] == ["urn:same", "https://sarand.example/b"]


def test_a_text_that_stands_twice_in_a_feed_is_taken_once() -> None:
    """Two versions of one text in one file would change places at every import."""
    first, second = everything(rss(item("A"), item("A, again")))
    assert isinstance(first, FeedArticle)
    assert second == BrokenItem("https://sarand.example/1", "it stands in the feed twice; the first was taken")


def test_a_blank_line_before_the_feed_is_forgiven() -> None:
    """A frequent slip of plugins, and no reason to refuse every text."""
    assert len(articles(b"\n\r\n " + rss(item()))) == 1


def test_a_feed_cut_off_in_the_middle_keeps_what_stood_before() -> None:
    """A dropped connection, on a real export: the texts that came whole are kept, and the line is named."""
    raw = real(EXPORTS / "wxr-theme-test-data.xml")
    whole = everything(raw)
    cut = raw[: len(raw) // 2]
    *kept, broken = everything(cut)
    assert kept == whole[: len(kept)]
    assert 5 < len(kept) < 55
    assert isinstance(broken, BrokenItem)
    assert broken.place == f"line {cut.count(10) + 1}"


def test_a_wrong_tag_ends_the_feed_at_its_line() -> None:
    """The operator who wrote it by hand wants the line, not a traceback."""
    first, broken = everything(rss(item(), item("<b>", path="2"), item(path="3")))
    assert isinstance(first, FeedArticle)
    assert isinstance(broken, BrokenItem)
    assert broken.place == "line 4"


def laughs(levels: int = 9) -> str:
    """Return a document type in which a billion laughs are hidden."""
    names = "abcdefghij"
    nested = "".join(f'<!ENTITY {names[n + 1]} "{f"&{names[n]};" * 10}">' for n in range(levels))
    return f'<!DOCTYPE rss [<!ENTITY a "ha">{nested}]>'


@pytest.mark.parametrize(
    "raw",
    [
        rss(item("&j;"), before=laughs()),
        f'<?xml version="1.0"?>{laughs()}<rss version="&j;"><channel/></rss>'.encode(),
        rss(item("&x;"), before='<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
        rss(item("&x;"), before='<!DOCTYPE rss [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>'),
    ],
    ids=["laughs", "laughs-in-an-attribute", "file", "parameter"],
)
def test_entities_are_refused(raw: bytes) -> None:
    """A billion laughs fill the memory; an outer entity reads this machine's files into a newsletter."""
    with pytest.raises(NotAFeed):
        everything(raw)


def test_a_document_type_is_not_fetched() -> None:
    """Old feeds name one; it is neither needed nor asked for."""
    assert only(rss(item(), before='<!DOCTYPE rss SYSTEM "http://127.0.0.1:9/rss.dtd">')).title == "T"


@pytest.mark.parametrize(
    "name", ["cap-update.xml", "cap-wainfleet.xml", "cap-wainfleet_cancel.xml", "cap-windemere.xml"]
)
def test_other_xml_is_refused(name: str) -> None:
    """An alert of the authorities is no feed of articles."""
    with pytest.raises(NotAFeed):
        everything(real(EXPORTS / name))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"   ",
        b"PK\x03\x04",
        b"<!doctype html><html><body>Not found</body></html>",
        b"<",
        b"\xff\xfe\x00",
        b"a,b\n1,2",
    ],
)
def test_what_is_no_feed_is_refused(raw: bytes) -> None:
    """A page that says “not found” must not count as an import of nothing."""
    with pytest.raises(NotAFeed) as refused:
        everything(raw)
    assert refused.value.facts == {"name": "feed"}


def test_deep_nesting_ends_the_feed() -> None:
    """The parser has a limit, and reaching it is damage and not a crash."""
    (broken,) = everything(rss("<a>" * 5000))
    assert isinstance(broken, BrokenItem)
