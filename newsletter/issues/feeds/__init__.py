"""Bytes become articles: JSON Feed 1.1, RSS 2.0, Atom 1.0 and WordPress exports (WXR), streamed.

`read` looks at the first bytes and hands on to `jsonfeed` or `xmlfeed`; `cleaning` makes HTML safe, `wording` makes excerpts and
finds source and dateline; `article` is what comes out.
"""

from collections.abc import Iterator
from typing import BinaryIO

from newsletter.issues.feeds import jsonfeed, xmlfeed
from newsletter.issues.feeds.article import BrokenItem, FeedArticle, NotAFeed, Rejoined
from newsletter.issues.feeds.wording import excerpt

__all__ = ["BrokenItem", "FeedArticle", "NotAFeed", "excerpt", "read"]


def read(stream: BinaryIO, *, name: str = "", base_url: str = "") -> Iterator[FeedArticle | BrokenItem]:
    """Yield the articles of a feed in its order, and a BrokenItem for each that cannot be read.

    name      file or address, for messages
    base_url  what relative links are relative to, where the feed names nothing better

    A file that breaks in the middle yields what stood before, then one BrokenItem. Raises NotAFeed when it is none of the four.
    """
    first = stream.read(4096)
    start = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    whole = Rejoined(first, stream)
    if start.startswith(b"{"):
        yield from jsonfeed.read(whole, name=name, base_url=base_url)
    elif start.startswith((b"<", b"\xff\xfe", b"\xfe\xff")):
        yield from xmlfeed.read(whole, name=name, base_url=base_url)
    else:
        raise NotAFeed(name)
