"""A feed of alerts in Atom (RFC 4287), for whoever reads or passes them on by machine. Pure: the same facts, the same bytes."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from lxml import etree

NAMESPACE = "http://www.w3.org/2005/Atom"
MEDIA_TYPE = "application/atom+xml"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """One alert, or that it was taken back: by its id and a newer moment whoever has it replaces what they show.

    id      for ever the same; url: of its page; bulletin: the same as a message of CAP
    """

    id: str
    url: str
    bulletin: str
    language: str
    title: str
    summary: str
    published: datetime
    updated: datetime


@dataclass(frozen=True, slots=True)
class Feed:
    """The newest alerts, newest first. url: of the feed itself; page: what people read."""

    url: str
    page: str
    language: str
    title: str
    author: str
    entries: Sequence[Entry]


def write(feed: Feed) -> bytes:
    """Return a feed as XML in UTF-8; letters that XML does not know are dropped."""
    # The stubs know no default namespace.
    root = etree.Element(f"{{{NAMESPACE}}}feed", nsmap=cast(Any, {None: NAMESPACE}))
    root.set(_LANG, feed.language)
    updated = max((one.updated for one in feed.entries), default=_EPOCH)
    _texts(root, [("id", feed.url), ("title", feed.title), ("updated", _moment(updated))])
    _texts(_element(root, "author"), [("name", feed.author)])
    _element(root, "link", rel="self", type=MEDIA_TYPE, href=feed.url)
    _element(root, "link", rel="alternate", type="text/html", href=feed.page)
    for one in feed.entries:
        _entry(root, one)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _entry(root: etree._Element, one: Entry) -> None:
    found = _element(root, "entry")
    found.set(_LANG, one.language)
    moments = ("published", _moment(one.published)), ("updated", _moment(one.updated))
    _texts(found, [("id", one.id), ("title", one.title), *moments, ("summary", one.summary)])
    _element(found, "link", rel="alternate", type="text/html", hreflang=one.language, href=one.url)
    _element(found, "link", rel="related", type="application/cap+xml", href=one.bulletin)


def _texts(parent: etree._Element, texts: Iterable[tuple[str, str]]) -> None:
    for name, text in texts:
        _element(parent, name).text = _NOT_XML.sub("", text)


def _element(parent: etree._Element, name: str, **attributes: str) -> etree._Element:
    return etree.SubElement(
        parent, f"{{{NAMESPACE}}}{name}", {key: _NOT_XML.sub("", one) for key, one in attributes.items()}
    )


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
