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
# Brackets are also how an editor marks a word put into a quotation ("[sic]", "[the minister]"): a shortcode is one that
# has a known name, sets something (ids="1"), or is closed again later.
_SHORTCODE = re.compile(r"\[(/?)([a-zA-Z][\w-]*)((?:\s[^\[\]]*)?)/?\]")
_KNOWN = frozenset({"audio", "caption", "embed", "gallery", "more", "playlist", "video", "wp_caption"})
_CAPTION = re.compile(
    r"(?is)\[(wp_)?caption[^\]\[]{0,500}\](?P<picture>\s*(?:<a\b[^>]*>\s*)?<img\b[^>]*>(?:\s*</a>)?)(?P<words>.{0,2000}?)\[/(wp_)?caption\]"
)
_PREFORMATTED = re.compile(r"(?i)(?=<pre\b)")
_END_OF_IT = re.compile(r"(?i)(?<=</pre>)")
_EMPTY = re.compile(r"<p>(?:\s|&nbsp;)*</p>\s*")
_PICTURE = re.compile(r'<img(?:\s+[\w-]+="[^"]*")*\s*/?>')
_FIGCAPTION = re.compile(r"(?s)<figcaption\b.*?</figcaption>")
_COMMENT = re.compile(r"(?s)<!--.*?(?:-->|\Z)")
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


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
    return _EMPTY.sub("", _PICTURE.sub(_shown, kept)).strip()


def _shown(picture: re.Match[str]) -> str:
    """A picture whose address was refused leaves nothing: mail programs would show a broken frame."""
    return picture[0] if ' src="' in picture[0] else ""


def _link(tag: str, name: str, value: str, base_url: str) -> str | None:
    if name not in ("href", "src"):
        return value
    absolute = link(value, base_url=base_url)
    # A picture over http is shown by no mail program and tells the whole wire who reads.
    return None if tag == "img" and not absolute.startswith("https://") else absolute or None


def link(value: str, *, base_url: str) -> str:
    """Return an absolute http, https or mailto address, or "" when there is none."""
    # Some write &amp; twice. Other entities are none here: "&copy=2" and "&region=3" are parts of a query.
    value = _INVISIBLE.sub("", value.replace("&amp;", "&")).strip()
    try:
        absolute = urljoin(base_url, value) if base_url else value
        parts = urlsplit(absolute)
    except ValueError:
        return ""
    good = parts.scheme == "mailto" or (parts.scheme in ("http", "https") and parts.hostname)
    return absolute.replace(" ", "%20") if good else ""


def plain(value: str) -> str:
    """Return text without what cannot be stored or seen: controls, marks that turn writing round, halves of characters."""
    return _INVISIBLE.sub("", value).strip()


def text(markup: str) -> str:
    """Return the words of HTML on one line, blocks parted by a blank."""
    if "<" not in markup and "&" not in markup:
        return " ".join(_INVISIBLE.sub("", markup).split())
    spaced = re.sub(
        r"(?i)<(?:/?(?:p|div|li|h[1-6]|blockquote|tr|td|th|figure|figcaption|dd|dt)|br|hr)\b[^<>]*>", " ", markup
    )
    try:
        words = "".join(str(part) for part in parser.fromstring(f"<div>{spaced}</div>").itertext())
    except (ValueError, parser.etree.ParserError):
        words = re.sub(r"<[^>]*>", " ", spaced)
    return " ".join(_INVISIBLE.sub("", words).split())


def first_picture(markup: str) -> tuple[str | None, str]:
    """Return the address and the alternative text of the first picture of clean HTML, or (None, "")."""
    found = _PICTURE.search(markup)
    if not found:
        return None, ""
    source = re.search(r'\bsrc="([^"]*)"', found[0])
    alt = re.search(r'\balt="([^"]*)"', found[0])
    return (html.unescape(source[1]) if source else None), html.unescape(alt[1]) if alt else ""


def without_captions(markup: str) -> str:
    """Return clean HTML without the words under its pictures, which an excerpt must not begin with."""
    return _FIGCAPTION.sub(" ", markup)


def first_line(markup: str) -> str:
    """Return the words of the first block of clean HTML, up to its first line break."""
    for block in re.split(r"(?i)<br\b[^>]*>|</(?:p|div|h[1-6]|li|blockquote|figcaption|figure)>", markup, maxsplit=20):
        if words := text(block):
            return words
    return ""


def said_direction(markup: str) -> str | None:
    """Return "ltr" or "rtl" when the first element of clean HTML says so."""
    found = re.match(r'<\w+(?:\s+[\w-]+="[^"]*")*?\s+dir="(ltr|rtl)"', markup)
    return found[1] if found else None


def from_wordpress(raw: str) -> str:
    """Return a WordPress text as HTML: block comments and shortcodes removed, blank lines as paragraphs."""
    raw = _COMMENT.sub("", raw.replace("\r\n", "\n"))
    raw = _without_shortcodes(_CAPTION.sub(_figure, raw))
    parts = (part for stretch in _END_OF_IT.split(raw) for part in _PREFORMATTED.split(stretch, maxsplit=1))
    return "\n".join(part if _PREFORMATTED.match(part) else _paragraphs(part) for part in parts if part.strip())


def _figure(caption: re.Match[str]) -> str:
    words = caption["words"].strip()
    under = f"<figcaption>{words}</figcaption>" if words else ""
    return f"\n\n<figure>{caption['picture'].strip()}{under}</figure>\n\n"


def _without_shortcodes(raw: str) -> str:
    closed = {found[2].lower() for found in _SHORTCODE.finditer(raw) if found[1]}

    def kept(found: re.Match[str]) -> str:
        name, rest = found[2].lower(), found[3]
        return "" if name in _KNOWN or name in closed or "=" in rest else found[0]

    return _SHORTCODE.sub(kept, raw)


def _paragraphs(raw: str) -> str:
    parts = [part.strip() for part in re.split(r"\n\s*\n", raw) if part.strip()]
    return "\n".join(part if _BLOCKS.match(part) else "<p>" + part.replace("\n", "<br>\n") + "</p>" for part in parts)
