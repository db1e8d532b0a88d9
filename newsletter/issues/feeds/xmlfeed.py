"""RSS 2.0, Atom 1.0 (RFC 4287) and WordPress exports (WXR 1.0–1.2), one item in memory at a time.

No entity is expanded, no DTD is loaded, nothing is fetched. Elements are known by namespace and name: a prefix means nothing.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

from lxml import etree

from newsletter.issues.feeds import cleaning, making, wording
from newsletter.issues.feeds.article import BrokenItem, FeedArticle, NotAFeed, Rejoined

ATOM = "{http://www.w3.org/2005/Atom}"
CONTENT = "{http://purl.org/rss/1.0/modules/content/}"
CREATOR = "{http://purl.org/dc/elements/1.1/}"
MEDIA = "{http://search.yahoo.com/mrss/}"
XML = "{http://www.w3.org/XML/1998/namespace}"
# Written with http and, by some hosts, with https; the version is part of it.
_WXR = ("{http://wordpress.org/export/", "{https://wordpress.org/export/")

Element = etree._Element


def read(stream: Rejoined, *, name: str, base_url: str) -> Iterator[FeedArticle | BrokenItem]:
    """Yield the items of an XML feed; of a WordPress export its published posts only."""
    events = etree.iterparse(
        stream, events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    reader = _Reader(name, base_url)
    try:
        for event, element in events:
            if event == "start":
                reader.open(element)
            elif reader.is_item(element):
                yield from reader.item(element)
                _release(element)
            else:
                reader.close(element)
                if reader.between_items:
                    _release(element)
    except etree.XMLSyntaxError as error:
        if reader.root is None:
            raise NotAFeed(name) from None
        # The error's own log also holds what other files were blamed for earlier in this process; the parser's does not.
        log = _log(events)
        if reader.ended and all(one.domain_name == "NAMESPACE" for one in log):
            return  # A prefix declared wrongly means nothing to us, and the whole file was read.
        yield BrokenItem(
            f"line {_line(error, log)}",
            "the file is damaged or breaks off here; what stood before it was taken",
            last=True,
        )


def _log(events: Any) -> list[Any]:
    return list(events.error_log)  # the stubs forget that it is there and can be walked


def _line(error: etree.XMLSyntaxError, log: list[Any]) -> int:
    """lxml leaves the number out for a file that ends too early; its log has it."""
    return int(error.lineno or max((one.line for one in log), default=0))


def _release(element: Element) -> None:
    """Drop an item that was read, and what stood before it: the tree stays small however long the feed is."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


class _Reader:
    """What has been learnt of a feed before its items."""

    def __init__(self, name: str, base_url: str) -> None:
        self.root: str | None = None
        self._name, self._base, self._number = name, base_url, 0
        self._language: str | None = None
        self._depth = 0
        self._names: dict[str, str] = {}

    @property
    def ended(self) -> bool:
        """Whether the root element was closed."""
        return self.root is not None and self._depth == 0

    @property
    def between_items(self) -> bool:
        """Whether the last element closed stood beside the items: it has been learnt from and may go."""
        return self._depth == (2 if self.root == "rss" else 1)

    def open(self, element: Element) -> None:
        self._depth += 1
        if self.root is not None:
            return
        tag = str(element.tag)
        if tag not in ("rss", f"{ATOM}feed"):
            raise NotAFeed(self._name)
        docinfo = element.getroottree().docinfo
        if docinfo.internalDTD is not None and docinfo.internalDTD.entities():  # type: ignore[attr-defined]
            # Nobody needs entities of their own in a feed but those who attack its readers.
            raise NotAFeed(self._name)
        self.root = tag
        self._language = element.get(f"{XML}lang")

    def close(self, element: Element) -> None:
        self._depth -= 1
        if self._depth == 2 and element.tag == "language":
            self._language = _words(element) or self._language
        if self._depth == 2 and element.tag == "link" and _words(element).startswith("http"):
            self._base = _words(element)
        if self._depth == 1 and element.tag == f"{ATOM}link" and not self._base:
            # Without an address of its own (a file), a feed says itself where it lies or whose it is.
            href = str(element.get("href", ""))
            self._base = href if href.startswith("http") else ""
        if self._depth == 2 and str(element.tag).startswith(_WXR) and str(element.tag).endswith("}author"):
            author = _wordpress(element)
            self._names[author.get("author_login", "")] = author.get("author_display_name", "")

    def is_item(self, element: Element) -> bool:
        wanted = "item" if self.root == "rss" else f"{ATOM}entry"
        return element.tag == wanted and self._depth == (3 if self.root == "rss" else 2)

    def item(self, element: Element) -> Iterator[FeedArticle | BrokenItem]:
        self._depth -= 1
        self._number += 1
        place = f"item {self._number}, line {element.sourceline}"
        found = self._atom(element) if self.root != "rss" else self._rss(element)
        if found is not None:
            yield making.article(found, place=place, base_url=self._base_of(element))

    def _base_of(self, element: Element) -> str:
        """RFC 4287 §2: what is relative is so to the nearest xml:base, and that to the feed's own address."""
        return urljoin(self._base, element.base or "")

    def _rss(self, item: Element) -> making.Found | None:
        wordpress = _wordpress(item)
        if wordpress and not _published(wordpress):
            return None
        body = _child(item, f"{CONTENT}encoded")
        summary = _child(item, "description")
        if wordpress:
            body = cleaning.from_wordpress(body)
            summary = _excerpt(item)
        image = item.find("enclosure")
        media = item.find(f"{MEDIA}content")
        url = ""
        if image is not None and str(image.get("type", "")).startswith("image/"):
            url = str(image.get("url", ""))
        elif media is not None and media.get("medium", "image") == "image":
            url = str(media.get("url", ""))
        guid, date = _child(item, "guid"), _child(item, "pubDate")
        permalink = guid if guid.startswith("http") else ""
        return making.Found(
            guid=guid,
            title=_child(item, "title"),
            url=_child(item, "link") or permalink,
            posted_on=wording.moment(date)
            or wording.moment(wordpress.get("post_date_gmt", "") or wordpress.get("post_date", "")),
            body=body or summary,
            summary=summary if body or wordpress else "",
            authors=tuple(self._named(_words(one)) for one in item.findall(f"{CREATOR}creator"))
            or _author(_child(item, "author")),
            # WordPress writes tags and formats as categories of other domains; elsewhere a domain is a scheme of subjects.
            categories=tuple(
                _words(one)
                for one in item.findall("category")
                if not wordpress or one.get("domain") in (None, "category")
            ),
            language=item.get(f"{XML}lang") or self._language,
            image_url=url,
            source=_child(item, "source"),
            featured=wordpress.get("is_sticky") == "1",
        )

    def _named(self, author: str) -> str:
        """WordPress writes the login; the export's head says whose it is."""
        return self._names.get(author) or author

    def _atom(self, entry: Element) -> making.Found:
        links = {
            str(one.get("rel", "alternate")): str(one.get("href", "")) for one in reversed(entry.findall(f"{ATOM}link"))
        }
        names = [_child(one, f"{ATOM}name") for one in entry.findall(f"{ATOM}author")]
        source = entry.find(f"{ATOM}source")
        return making.Found(
            guid=_child(entry, f"{ATOM}id"),
            title=_marked(entry.find(f"{ATOM}title")),
            url=links.get("alternate", ""),
            posted_on=wording.moment(_child(entry, f"{ATOM}published") or _child(entry, f"{ATOM}updated")),
            body=_marked(entry.find(f"{ATOM}content")) or _marked(entry.find(f"{ATOM}summary")),
            summary=_marked(entry.find(f"{ATOM}summary")),
            authors=tuple(names),
            categories=tuple(
                str(one.get("label") or one.get("term") or "") for one in entry.findall(f"{ATOM}category")
            ),
            language=entry.get(f"{XML}lang") or self._language,
            image_url=links.get("enclosure", ""),
            source=_child(source, f"{ATOM}title") if source is not None else "",
        )


def _words(element: Element | None) -> str:
    """Return an element's text with that of its children: unescaped HTML inside is kept as text of its tags' content."""
    return "" if element is None else "".join(str(part) for part in element.itertext()).strip()


def _child(parent: Element, tag: str) -> str:
    return _words(parent.find(tag))


def _marked(element: Element | None) -> str:
    """Return an Atom text as HTML (RFC 4287 §3.1): text is escaped, html is as it is, xhtml is serialised."""
    if element is None:
        return ""
    kind = element.get("type", "text")
    if kind == "xhtml":
        return "".join(etree.tostring(child, encoding="unicode", method="html", with_tail=True) for child in element)
    words = _words(element)
    return words if kind != "text" else words.replace("&", "&amp;").replace("<", "&lt;")


def _author(text: str) -> tuple[str, ...]:
    """RSS 2.0 writes "address (Name)": the name alone is anybody's business."""
    if "(" in text:
        return (text[text.index("(") + 1 :].rstrip(") "),)
    return () if "@" in text or not text else (text,)


def _wordpress(item: Element) -> dict[str, str]:
    """Return the WordPress fields of an item by their names, whatever version their namespace is of."""
    found = {}
    for child in item:
        tag = child.tag
        if isinstance(tag, str) and tag.startswith(_WXR) and "/excerpt/" not in tag:
            found[tag.rpartition("}")[2]] = _words(child)
    return found


def _published(fields: dict[str, str]) -> bool:
    """A post that everyone may read now: no page, no draft, no scheduled one, none behind a password."""
    return (
        fields.get("post_type") == "post" and fields.get("status") == "publish" and not fields.get("post_password", "")
    )


def _excerpt(item: Element) -> str:
    for child in item:
        if isinstance(child.tag, str) and child.tag.startswith(_WXR) and child.tag.endswith("/excerpt/}encoded"):
            return cleaning.from_wordpress(_words(child))
    return ""
