"""JSON Feed 1.0 and 1.1 (jsonfeed.org/version/1.1), with our extension `_newsletter`: kind, featured, urgent, source, dateline."""

import json
import re
from collections.abc import Iterator
from typing import Any

from newsletter.issues.feeds import making, wording
from newsletter.issues.feeds.article import BrokenItem, FeedArticle, NotAFeed, Rejoined, TooLarge

MAX_BYTES = 64 * 2**20
_ITEMS = json.JSONDecoder()
_VERSION = re.compile(r"https?://(?:www\.)?jsonfeed\.org/version/1")
_BETWEEN = re.compile(r"[\s,]*")


def read(stream: Rejoined, *, name: str, base_url: str) -> Iterator[FeedArticle | BrokenItem]:
    """Yield the items of a JSON Feed. A file that breaks off yields its whole items first, then names the line."""
    # JSON is read whole, so it is bounded; 64 MB hold ten thousand long articles.
    raw = stream.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise TooLarge(name, MAX_BYTES // 2**20)
    text = raw.decode("utf-8-sig", errors="replace")
    try:
        feed = json.loads(text)
    except json.JSONDecodeError as error:
        yield from _broken(text, error, name=name, base_url=base_url)
        return
    except (ValueError, RecursionError):  # a number of 5,000 digits; brackets in brackets in brackets
        raise NotAFeed(name) from None
    if not isinstance(feed, dict) or not _VERSION.match(_text(feed.get("version"))):
        raise NotAFeed(name)
    for number, item in enumerate(_list(feed.get("items")), start=1):
        yield _item(item, feed, place=f"item {number}", base_url=base_url)


def _broken(text: str, error: json.JSONDecodeError, *, name: str, base_url: str) -> Iterator[FeedArticle | BrokenItem]:
    """Yield the items that stand whole before the fault."""
    items = re.search(r'"items"\s*:\s*\[', text)
    if items is None or not _VERSION.search(text, 0, items.start()):
        raise NotAFeed(name)
    feed = {field: _said(text[: items.start()], field) for field in ("language", "home_page_url")}
    number, at = 0, items.end()
    while True:
        between = _BETWEEN.match(text, at)
        assert between is not None  # it matches nothing, too
        try:
            item, at = _ITEMS.raw_decode(text, between.end())
        except (ValueError, RecursionError):
            break
        number += 1
        yield _item(item, feed, place=f"item {number}", base_url=base_url)
    yield BrokenItem(
        f"line {error.lineno}", "the file is damaged or breaks off here; what stood before it was taken", last=True
    )


def _said(head: str, field: str) -> str:
    """Return what the head of a damaged feed says of itself, "" when it says nothing."""
    found = re.search(rf'"{field}"\s*:\s*("(?:[^"\\\n]|\\.)*")', head)
    try:
        return _text(json.loads(found[1])) if found else ""
    except ValueError:
        return ""


def _item(item: Any, feed: dict[str, Any], *, place: str, base_url: str) -> FeedArticle | BrokenItem:
    if not isinstance(item, dict):
        return BrokenItem(place, "it is not an item of a JSON Feed")
    ours: dict[str, Any] = item["_newsletter"] if isinstance(item.get("_newsletter"), dict) else {}
    authors = _list(item.get("authors")) or [item.get("author")]  # "author" is version 1.0
    found = making.Found(
        guid=_text(item.get("id")),
        title=_text(item.get("title")),
        url=_text(item.get("url")) or _text(item.get("external_url")),
        posted_on=wording.moment(_text(item.get("date_published")) or _text(item.get("date_modified"))),
        body=_text(item.get("content_html")) or _paragraphs(_text(item.get("content_text"))),
        summary=_text(item.get("summary")),
        authors=tuple(_text(one.get("name")) for one in authors if isinstance(one, dict)),
        categories=tuple(_text(tag) for tag in _list(item.get("tags")) if isinstance(tag, str)),
        language=_text(item.get("language")) or _text(feed.get("language")) or None,
        image_url=_text(item.get("image")) or _text(item.get("banner_image")),
        kind=_text(ours.get("kind")) or "article",
        featured=ours.get("featured") is True,
        urgent=ours.get("urgent") is True,
        source=_text(ours.get("source")),
        dateline=_text(ours.get("dateline")),
    )
    return making.article(found, place=place, base_url=_text(feed.get("home_page_url")) or base_url)


def _text(value: Any) -> str:
    """Return text; numbers as ids occur in the wild."""
    return value if isinstance(value, str) else str(value) if isinstance(value, int | float) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _paragraphs(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"<p>{part.strip()}</p>" for part in re.split(r"\n\s*\n", escaped) if part.strip())
