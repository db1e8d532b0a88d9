"""The whole text of an article for a mail: as clean HTML with the classes of our style sheet, and as plain text.

It was cleaned as it came in (issues.feeds) and is cleaned again here (standards §25): what lies in a database is not trusted with
everyone's inbox. No picture is taken along: one from elsewhere would tell that server who reads.
"""

import re
from html.parser import HTMLParser

import markupsafe
import nh3

from newsletter.composer import plaintext, prose

_TAGS = {
    *("p", "br", "a", "em", "strong", "b", "i", "u", "s", "blockquote", "ul", "ol", "li", "hr", "pre", "code", "q"),
    *("cite", "h2", "h3", "h4", "h5", "h6", "figcaption", "sub", "sup", "table", "tr", "th", "td", "dl", "dt", "dd"),
}
_CLASSES = {
    "p": "p",
    "a": "link",
    "ul": "list",
    "ol": "list",
    "li": "item",
    "blockquote": "quote",
    "hr": "rule",
    "figcaption": "p",
    "dt": "p",
    "dd": "p",
} | dict.fromkeys(("h2", "h3", "h4", "h5", "h6"), "h")
# What mail programs slant, which nobody does with joined letters: in an article that has some, all of it is upright.
_UPRIGHT = dict.fromkeys(("em", "i", "cite"), "upright")
_SCHEMES = {"https", "http", "mailto"}
# Above them stands the article's own title, a heading of the second level.
_HEADING = re.compile(r"<(/?)h[2-6]\b")


def html(body: str) -> markupsafe.Markup:
    """Return a body as it may stand in a mail."""
    classes = _CLASSES | (_UPRIGHT if prose.joined(body) else {})
    cleaned = nh3.clean(
        body,
        tags=_TAGS,
        attributes={"a": {"href"}, "ol": {"start"}, "*": {"dir", "lang"}},
        url_schemes=_SCHEMES,
        link_rel=None,
        set_tag_attribute_values={tag: {"class": name} for tag, name in classes.items()},
    )
    return markupsafe.Markup(_HEADING.sub(r"<\1h3", cleaned))  # noqa: S704 (nh3 has cleaned it)


def text(body: str) -> str:
    """Return a body as paragraphs of plain text, each link followed by its address."""
    reader = _Reader()
    reader.feed(str(html(body)))
    reader.close()
    return reader.text


class _Reader(HTMLParser):
    """Collects the blocks of clean HTML."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._blocks: list[str] = []
        self._words, self._first, self._depth = "", "", 0
        self._href, self._at = "", 0
        self._kept = False
        self._numbers: list[int | None] = []

    @property
    def text(self) -> str:
        """What was read."""
        self._end()
        return "\n\n".join(self._blocks)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a block, or a link."""
        facts = dict(attrs)
        match tag:
            case "a":
                self._href, self._at = facts.get("href") or "", len(self._words)
            case "br":
                self._words += "\n"
            case "td" | "th":
                self._words += "  "
            case "em" | "strong" | "b" | "i" | "u" | "s" | "code" | "q" | "cite" | "sub" | "sup":
                pass
            case _:
                self._begin(tag, facts)

    def _begin(self, tag: str, facts: dict[str, str | None]) -> None:
        self._end()
        if tag == "blockquote":
            self._depth += 1
        elif tag in ("ul", "ol"):
            start = facts.get("start") or "1"
            self._numbers.append((int(start) if start.isdigit() else 1) if tag == "ol" else None)
        elif tag == "li":
            self._first = self._bullet()
        elif tag == "hr":
            self._blocks.append("* * *")
        self._kept = tag == "pre"

    def _bullet(self) -> str:
        number = self._numbers[-1] if self._numbers else None
        if number is None:
            return "- "
        self._numbers[-1] = number + 1
        return f"{number}. "

    def handle_endtag(self, tag: str) -> None:
        """End a block, or a link."""
        if tag == "a":
            shown = self._words[self._at :].strip()
            self._words += f" ({self._href})" if self._href and shown != self._href else ""
            self._href = ""
        elif tag in _CLASSES or tag in ("pre", "tr", "table", "dl"):
            self._end()
            self._depth -= tag == "blockquote" and self._depth > 0
            if tag in ("ul", "ol") and self._numbers:
                self._numbers.pop()
            self._kept = False

    def handle_data(self, data: str) -> None:
        """Take words."""
        self._words += data if self._kept else re.sub(r"\s+", " ", data)

    def _end(self) -> None:
        words, self._words, first, self._first = self._words, "", self._first, ""
        if not words.strip():
            self._first = first
            return
        margin = "> " * self._depth
        hanging = margin + " " * len(first)
        if self._kept:
            self._blocks.append("\n".join(f"{margin}    {line}".rstrip() for line in words.strip("\n").split("\n")))
            return
        lines = [line for line in words.split("\n") if line.strip()]
        wrapped = [
            plaintext.wrapped(line, indent=hanging, first=margin + first if place == 0 else None)
            for place, line in enumerate(lines)
        ]
        self._blocks.append("\n".join(wrapped))
