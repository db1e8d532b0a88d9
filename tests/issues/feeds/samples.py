"""Feeds to read: real ones from the shared data, and small ones made on the spot."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from newsletter.issues import feeds
from newsletter.issues.feeds import BrokenItem, FeedArticle

DATA = Path(__file__).parents[3] / "../shared/data"
SEED = DATA / "articles/seed-news.json"
EXPORTS = DATA / "feeds"
DATE = "Mon, 01 Jun 2026 08:00:00 +0000"


def real(path: Path) -> bytes:
    """Return a file of the shared data; skip the test where there is none."""
    if not path.exists():
        pytest.skip(f"the shared data is not here: {path.name}")
    return path.read_bytes()


def everything(raw: bytes, *, base_url: str = "") -> list[FeedArticle | BrokenItem]:
    """Return all that a feed yields."""
    return list(feeds.read(io.BytesIO(raw), name="feed", base_url=base_url))


def articles(raw: bytes, *, base_url: str = "") -> list[FeedArticle]:
    """Return the articles of a feed in which nothing is broken."""
    found = everything(raw, base_url=base_url)
    assert [one for one in found if isinstance(one, BrokenItem)] == []
    return [one for one in found if isinstance(one, FeedArticle)]


def only(raw: bytes, *, base_url: str = "") -> FeedArticle:
    """Return the one article of a feed."""
    (found,) = articles(raw, base_url=base_url)
    return found


def json_feed(*items: Any, **head: Any) -> bytes:
    """Return a JSON Feed; an item is completed with an id, an address, a title and a date."""
    common = {"id": "1", "url": "https://sarand.example/1", "title": "T", "date_published": "2026-06-01T08:00:00Z"}
    whole = [common | item if isinstance(item, dict) else item for item in items]
    return json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "S", **head, "items": whole}).encode()


def rss(*items: str, head: str = "", before: str = "") -> bytes:
    """Return an RSS feed of items given as their XML; WordPress' names are bound to wp, content and excerpt."""
    names = (
        'xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:media="http://search.yahoo.com/mrss/" xmlns:wp="http://wordpress.org/export/1.2/" '
        'xmlns:excerpt="http://wordpress.org/export/1.2/excerpt/"'
    )
    lines = "\n".join(f"<item>{item}</item>" for item in items)
    return (
        f'<?xml version="1.0"?>{before}\n<rss version="2.0" {names}><channel>{head}\n{lines}\n</channel></rss>'.encode()
    )


def item(title: str = "T", *, more: str = "", path: str = "1") -> str:
    """Return what an item of RSS needs."""
    return f"<title>{title}</title><link>https://sarand.example/{path}</link><pubDate>{DATE}</pubDate>{more}"


def post(title: str = "T", *, text: str = "", more: str = "", path: str = "1", status: str = "publish") -> str:
    """Return an item of a WordPress export."""
    ours = f"<wp:post_type>post</wp:post_type><wp:status>{status}</wp:status>{more}"
    return item(title, more=f"<content:encoded><![CDATA[{text}]]></content:encoded>{ours}", path=path)
