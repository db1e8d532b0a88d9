"""What operators write: markdown with a fixed set of merge tags, never free Jinja (standards §25)."""

import re

import markupsafe
import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

from newsletter.composer.inlining import Layout
from newsletter.errors import Invalid

_TAG = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}|\{%")
TAGS = ("name", "reference")
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
_SCHEMES = {"https", "http", "mailto"}


class UnknownTag(Invalid):
    """The text asks for something that is not known of a reader."""

    def __init__(self, tag: str) -> None:
        super().__init__("mail.unknown-tag", tag=tag, known=", ".join(f"{{{{ {tag} }}}}" for tag in TAGS))


def merged(text: str, layout: Layout, *, kind: str, fallback: str) -> str:
    """Return the text with placeholders for its merge tags. Raises UnknownTag."""

    def placeholder(found: re.Match[str]) -> str:
        tag = found.group(1)
        if tag not in TAGS:
            raise UnknownTag(tag or found.group())
        return str(layout.slot(tag, kind, fallback if tag == "name" else ""))

    return _TAG.sub(placeholder, text)


def html(markdown: str) -> markupsafe.Markup:
    """Return markdown as clean HTML with the classes of our style sheet; a first-level heading becomes a second."""
    tokens = _MARKDOWN.parse(markdown)
    for token in tokens:
        _classify(token)
        for child in token.children or []:
            _classify(child)
    rendered = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    cleaned = nh3.clean(rendered, tags=set(_ATTRIBUTES), attributes=_ATTRIBUTES, url_schemes=_SCHEMES, link_rel=None)
    return markupsafe.Markup(cleaned)  # noqa: S704 (nh3 has cleaned it)


def _classify(token: Token) -> None:
    if token.type in ("heading_open", "heading_close"):
        token.tag = "h2" if token.tag in ("h1", "h2") else "h3"
    if name := _CLASSES.get(token.type):
        token.attrSet("class", name)
