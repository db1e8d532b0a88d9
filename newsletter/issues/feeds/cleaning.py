"""HTML from elsewhere is made safe: the tags of an article, https links, no styles, no scripts (standards §25)."""

import html
import re
from urllib.parse import urljoin, urlsplit

import nh3
from lxml import html as parser

TAGS = {
    *(
        "p",
        "br",
        "a",
        "em",
        "strong",
        "b",
        "i",
        "u",
        "s",
        "blockquote",
        "ul",
        "ol",
        "li",
        "hr",
        "pre",
        "code",
        "q",
        "cite",
    ),
    *("h2", "h3", "h4", "h5", "h6", "figure", "figcaption", "img", "sub", "sup", "span", "div", "abbr", "small"),
    *("table", "thead", "tbody", "tr", "th", "td", "caption", "dl", "dt", "dd"),
}
_ATTRIBUTES = {
    "*": {"dir", "lang"},
    "a": {"href", "title"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "ol": {"start"},
}
_SCHEMES = {"https", "http", "mailto"}
_BLOCKS = re.compile(r"(?i)<(?:p|div|h[1-6]|ul|ol|blockquote|table|figure|pre|hr)\b")
_SHORTCODE = re.compile(r"\[/?[a-z][a-z0-9_-]*(?:\s[^\[\]]*)?/?\]")
_CAPTION = re.compile(r"(?is)\[caption[^\]]*\].*?\[/caption\]")
_COMMENT = re.compile(r"(?s)<!--.*?-->")
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]")


def clean(raw: str, *, base_url: str) -> str:
    """Return HTML that is safe to show: links absolute, everything unknown removed, its text kept."""
    kept = nh3.clean(
        _INVISIBLE.sub("", raw),
        tags=TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        clean_content_tags={"script", "style", "iframe", "object", "noscript", "template", "form", "svg", "math"},
        link_rel="noopener noreferrer",
        attribute_filter=lambda tag, name, value: _link(tag, name, value, base_url),
    )
    return kept.strip()


def _link(tag: str, name: str, value: str, base_url: str) -> str | None:
    if name not in ("href", "src"):
        return value
    absolute = link(value, base_url=base_url)
    # A picture over http is shown by no mail program and tells the whole wire who reads.
    return None if tag == "img" and not absolute.startswith("https://") else absolute or None


def link(value: str, *, base_url: str) -> str:
    """Return an absolute http, https or mailto address, or "" when there is none."""
    value = _INVISIBLE.sub("", html.unescape(value)).strip()
    try:
        absolute = urljoin(base_url, value) if base_url else value
        parts = urlsplit(absolute)
    except ValueError:
        return ""
    good = parts.scheme == "mailto" or (parts.scheme in ("http", "https") and parts.hostname)
    return absolute.replace(" ", "%20") if good else ""


def text(markup: str) -> str:
    """Return the words of HTML on one line, blocks parted by a blank."""
    if "<" not in markup and "&" not in markup:
        return " ".join(_INVISIBLE.sub("", markup).split())
    spaced = re.sub(
        r"(?i)<(?:/?(?:p|div|li|h[1-6]|blockquote|tr|td|th|figure|figcaption|dd|dt)|br|hr)\b[^>]*>", " ", markup
    )
    try:
        words = "".join(str(part) for part in parser.fromstring(f"<div>{spaced}</div>").itertext())
    except (ValueError, parser.etree.ParserError):
        words = re.sub(r"<[^>]*>", " ", spaced)
    return " ".join(_INVISIBLE.sub("", words).split())


def first_picture(markup: str) -> tuple[str | None, str]:
    """Return the address and the alternative text of the first picture of clean HTML, or (None, "")."""
    found = re.search(r"<img\b[^>]*>", markup)
    if not found:
        return None, ""
    source = re.search(r'\bsrc="([^"]*)"', found[0])
    alt = re.search(r'\balt="([^"]*)"', found[0])
    return (html.unescape(source[1]) if source else None), html.unescape(alt[1]) if alt else ""


def from_wordpress(raw: str) -> str:
    """Return a WordPress text as HTML: block comments and shortcodes removed, blank lines as paragraphs."""
    raw = _SHORTCODE.sub("", _CAPTION.sub("", _COMMENT.sub("", raw)))
    parts = [part.strip() for part in re.split(r"\n\s*\n", raw.replace("\r\n", "\n")) if part.strip()]
    return "\n".join(part if _BLOCKS.match(part) else "<p>" + part.replace("\n", "<br>\n") + "</p>" for part in parts)
