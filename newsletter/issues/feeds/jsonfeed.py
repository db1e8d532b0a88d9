"""JSON Feed 1.0 and 1.1 (jsonfeed.org/version/1.1), with our extension `_newsletter`: kind, featured, urgent, source, dateline."""

import json
from collections.abc import Iterator
from typing import Any

from newsletter.issues.feeds import making, wording
from newsletter.issues.feeds.article import BrokenItem, FeedArticle, NotAFeed, Rejoined

_ITEMS = json.JSONDecoder()


def read(stream: Rejoined, *, name: str, base_url: str) -> Iterator[FeedArticle | BrokenItem]:
    """Yield the items of a JSON Feed. A file that breaks off yields its whole items first, then names the line."""
    text = stream.read().decode("utf-8-sig", errors="replace")
    try:
        feed = json.loads(text)
    except json.JSONDecodeError as error:
        yield from _broken(text, error, name=name, base_url=base_url)
        return
    if not isinstance(feed, dict) or not isinstance(feed.get("items"), list):
        raise NotAFeed(name)
    for number, item in enumerate(feed["items"], start=1):
        yield _item(item, feed, place=f"item {number}", base_url=base_url)


def _broken(text: str, error: json.JSONDecodeError, *, name: str, base_url: str) -> Iterator[FeedArticle | BrokenItem]:
    """Yield the items that stand whole before the fault."""
    start = text.find("[", text.find('"items"'))
    if '"items"' not in text or start < 0:
        raise NotAFeed(name)
    feed: dict[str, Any] = {}
    for field in ("language", "home_page_url"):
        if (at := text.find(f'"{field}"', 0, start)) >= 0:
            feed[field] = text[at:start].split('"')[3]
    number, at = 0, start + 1
    while True:
        at += len(text[at:]) - len(text[at:].lstrip(" \t\r\n,"))
        try:
            item, at = _ITEMS.raw_decode(text, at)
        except json.JSONDecodeError:
            break
        number += 1
        yield _item(item, feed, place=f"item {number}", base_url=base_url)
    yield BrokenItem(f"line {error.lineno}", "the file is damaged or breaks off here; what stood before it was taken")


def _item(item: Any, feed: dict[str, Any], *, place: str, base_url: str) -> FeedArticle | BrokenItem:
    if not isinstance(item, dict):
        return BrokenItem(place, "it is not an item of a JSON Feed")
    ours: dict[str, Any] = item["_newsletter"] if isinstance(item.get("_newsletter"), dict) else {}
    authors = item.get("authors") or [item.get("author")]  # "author" is version 1.0
    found = making.Found(
        guid=_text(item.get("id")),
        title=_text(item.get("title")),
        url=_text(item.get("url")) or _text(item.get("external_url")),
        posted_on=wording.moment(_text(item.get("date_published")) or _text(item.get("date_modified"))),
        body=_text(item.get("content_html")) or _paragraphs(_text(item.get("content_text"))),
        summary=_text(item.get("summary")),
        authors=tuple(_text(one.get("name")) for one in authors if isinstance(one, dict)),
        categories=tuple(_text(tag) for tag in item.get("tags") or [] if isinstance(tag, str)),
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


def _paragraphs(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"<p>{part}</p>" for part in escaped.split("\n\n") if part.strip())
