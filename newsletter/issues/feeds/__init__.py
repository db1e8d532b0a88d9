"""Bytes become articles: JSON Feed 1.1, RSS 2.0, Atom 1.0 and WordPress exports (WXR), streamed.

`read` looks at the first bytes and hands on to `jsonfeed` or `xmlfeed`; `cleaning` makes HTML safe, `wording` makes excerpts and
finds source and dateline; `article` is what comes out.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from newsletter.issues.feeds import jsonfeed, xmlfeed
from newsletter.issues.feeds.article import BrokenItem, FeedArticle, NotAFeed, Rejoined, TooLarge
from newsletter.issues.feeds.wording import excerpt

__all__ = ["BrokenItem", "FeedArticle", "NotAFeed", "TooLarge", "excerpt", "read"]


def read(stream: BinaryIO, *, name: str = "", base_url: str = "") -> Iterator[FeedArticle | BrokenItem]:
    """Yield the articles of a feed in its order, and a BrokenItem for each that cannot be read.

    name      file or address, for messages
    base_url  what relative links are relative to, where the feed names nothing better

    A file that breaks in the middle yields what stood before, then one BrokenItem. Raises NotAFeed when it is none of the four,
    TooLarge for a JSON Feed beyond 64 MB (the others are streamed).
    """
    first = stream.read(4096)
    start = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    # A blank line before "<?xml" is a frequent slip of plugins, and no reason to refuse the rest.
    whole = Rejoined(start if start.startswith(b"<") else first, stream)
    if start.startswith(b"{"):
        yield from _told_apart(jsonfeed.read(whole, name=name, base_url=base_url))
    elif start.startswith((b"<", b"\xff\xfe", b"\xfe\xff")):
        yield from _told_apart(xmlfeed.read(whole, name=name, base_url=base_url))
    else:
        raise NotAFeed(name)


def _told_apart(items: Iterator[FeedArticle | BrokenItem]) -> Iterator[FeedArticle | BrokenItem]:
    """Give each article an id of its own: a copied post keeps the id of the first and is then known by its address."""
    seen: set[bytes] = set()
    for item in items:
        if isinstance(item, FeedArticle):
            if _digest(item.guid) in seen:
                item = replace(item, guid=item.url)
            if _digest(item.guid) in seen:
                yield BrokenItem(item.url, "it stands in the feed twice; the first was taken")
                continue
            seen.update((_digest(item.guid), _digest(item.url)))
        yield item


def _digest(text: str) -> bytes:
    # 16 bytes for each of a site's hundred thousand texts, not its whole address.
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
