"""What operators write: markdown with a fixed set of merge tags, never free Jinja (standards §25)."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, cast

import markupsafe
import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

from newsletter.composer import plaintext
from newsletter.errors import Invalid

if TYPE_CHECKING:
    from newsletter.composer.inlining import Layout

TAGS = ("name", "reference")
_TAG = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}|\{[%#]")
_UNFINISHED = re.compile(r"\{\{[^}]*\}?$")
_MARKDOWN = MarkdownIt("commonmark", {"html": False})
_CLASSES = {
    "paragraph_open": "p",
    "heading_open": "h",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "list_item_open": "item",
    "blockquote_open": "quote",
    "link_open": "link",
    "hr": "rule",
}
_ATTRIBUTES = {"a": {"href", "class"}, "ol": {"start", "class"}} | {
    tag: {"class"} for tag in ("p", "h2", "h3", "ul", "li", "blockquote", "hr", "em", "strong", "code", "pre", "br")
}
_SCHEMES = {"https", "http", "mailto", "tel"}
_ABSOLUTE = re.compile(r"https?://[^\s/]+|mailto:[^\s]+|tel:[+0-9]")
_PREHEADER = 140
# Arabic and its presentation forms; and, between them, other scripts that are joined and written from the right.
_JOINED = re.compile("[\u0600-\u08ff\ufb50-\ufdff\ufe70-\ufefe]")


class UnknownTag(Invalid):
    """The text asks for something that is not known of a reader."""

    def __init__(self, tag: str) -> None:
        super().__init__("mail.unknown-tag", tag=tag, known=", ".join(f"{{{{ {tag} }}}}" for tag in TAGS))


class BadLink(Invalid):
    """A link leads nowhere from inside a mail: it is relative, or of a kind that mail clients refuse."""

    def __init__(self, url: str) -> None:
        super().__init__("mail.bad-link", url=url)


def linked(url: str) -> str:
    """Return a link as it is. Raises BadLink unless it is https, http, mailto or tel, and absolute."""
    if not _ABSOLUTE.match(url):
        raise BadLink(url)
    return url


def merged(text: str, layout: "Layout", *, kind: str, fallback: str) -> str:
    """Return the text with placeholders for its merge tags. Raises UnknownTag.

    kind   "html" for what becomes HTML, "text" for the text part, "header" for a subject
    """

    def placeholder(found: re.Match[str]) -> str:
        tag = found.group(1)
        if tag not in TAGS:
            raise UnknownTag(tag or found.group())
        return str(layout.slot(tag, kind, fallback if tag == "name" else ""))

    return _TAG.sub(placeholder, text)


def titled(text: str, layout: "Layout", *, fallback: str) -> markupsafe.Markup:
    """Return one line of plain text as HTML, with placeholders for its merge tags."""
    return markupsafe.Markup(merged(str(markupsafe.escape(text)), layout, kind="html", fallback=fallback))  # noqa: S704


def page(markdown: str, layout: "Layout", *, fallback: str) -> markupsafe.Markup:
    """Return markdown as clean HTML with the classes of our style sheet; a first-level heading becomes a second.

    Raises UnknownTag, BadLink.
    """
    tokens = _MARKDOWN.parse(merged(markdown, layout, kind="html", fallback=fallback))
    _prepare(tokens, layout)
    rendered = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    cleaned = nh3.clean(rendered, tags=set(_ATTRIBUTES), attributes=_ATTRIBUTES, url_schemes=_SCHEMES, link_rel=None)
    return markupsafe.Markup(cleaned)  # noqa: S704 (nh3 has cleaned it)


class _Everyone:
    """Stands in for a layout where nobody in particular reads: a merge tag becomes its fallback, a link stays as it is."""

    def slot(self, _tag: str, _kind: str, fallback: str) -> str:
        return fallback

    def in_link(self, url: str) -> str:
        return url


def public(markdown: str, *, fallback: str) -> markupsafe.Markup:
    """Return markdown as clean HTML for a page that anyone may read: no reader's value stands in it.

    Raises UnknownTag, BadLink.
    """
    return page(markdown, cast("Layout", _Everyone()), fallback=fallback)


def plain(markdown: str, layout: "Layout", *, fallback: str) -> str:
    """Return markdown as the text part prints it, with the same links. Raises UnknownTag."""
    return plaintext.from_markdown(merged(markdown, layout, kind="text", fallback=fallback), address=layout.in_link)


def preheader(markdown: str, layout: "Layout", *, fallback: str) -> markupsafe.Markup:
    """Return the first words of a text, for the line an inbox shows beside the subject."""
    words = plaintext.bare(markdown)
    if len(words) > _PREHEADER:
        words = _UNFINISHED.sub("", words[:_PREHEADER].rsplit(" ", 1)[0]) + " …"
    return titled(words, layout, fallback=fallback)


def joined(text: str) -> bool:
    """Return whether a text holds letters that are joined, as Arabic's: those are neither spaced nor slanted."""
    return _JOINED.search(text) is not None


def _prepare(tokens: Iterable[Token], layout: "Layout") -> None:
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = "h2" if token.tag in ("h1", "h2") else "h3"
        if name := _CLASSES.get(token.type):
            token.attrSet("class", name)
        if token.type == "link_open":
            token.attrSet("href", layout.in_link(linked(str(token.attrGet("href")))))
        if token.type == "image":
            # A picture from elsewhere would tell that server who reads: what it shows is printed in words.
            token.type, token.tag = "text", ""
        _upright(token.children or [])
        _prepare(token.children or [], layout)


def _upright(tokens: Sequence[Token]) -> None:
    """Set emphasis upright where it holds Arabic letters: slanted they lean against the way in which they are read."""
    for place, token in enumerate(tokens):
        if token.type == "em_open" and any(joined(one.content) for one in _within(tokens[place:])):
            token.attrSet("class", "upright")


def _within(tokens: Sequence[Token]) -> Iterator[Token]:
    """Yield what the first of these opens, up to where it is closed."""
    level = tokens[0].level
    return takewhile(lambda one: one.type != "em_close" or one.level != level, tokens[1:])
