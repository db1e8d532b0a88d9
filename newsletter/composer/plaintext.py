"""Markdown as a person would type it, and text wrapped at 72 columns: the text part is written, not left over."""

import textwrap
import unicodedata
from collections.abc import Callable, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

WIDTH = 72
_MARKDOWN = MarkdownIt("commonmark", {"html": False})
_BREAKS = ("softbreak", "hardbreak")


def wrapped(text: str, *, indent: str = "", first: str | None = None) -> str:
    """Return text in lines of at most 72 columns; a long word or link is never broken."""
    lead = indent if first is None else first
    lines = textwrap.wrap(
        " ".join(text.split()),
        WIDTH,
        initial_indent=lead,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


def underlined(text: str, *, mark: str = "-") -> str:
    """Return a heading with a line of marks under it, as wide as it is shown."""
    text = " ".join(text.split())
    return f"{text}\n{mark * min(WIDTH, columns(text))}"


def columns(text: str) -> int:
    """Return how many columns a fixed-width font gives a line (UAX 11, combining marks none)."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def bare(markdown: str) -> str:
    """Return the words of markdown in one line, without marks and addresses."""
    inlines = [token.children or [] for token in _MARKDOWN.parse(markdown) if token.type == "inline"]
    words = ["".join(child.content or " " * (child.type in _BREAKS) for child in inline) for inline in inlines]
    return " ".join(" ".join(words).split())


def from_markdown(markdown: str, *, address: Callable[[str], str] = str) -> str:
    """Return markdown as plain text: headings underlined, lists with hyphens, each link followed by its address.

    address   changes an address before it is printed
    """
    out = first = indent = ""
    tight = was_tight = False
    ordinal: list[int | None] = []
    for token in _MARKDOWN.parse(markdown):
        match token.type:
            case "heading_open":
                first, tight = "#", False
            case "blockquote_open":
                indent += "> "
            case "blockquote_close":
                indent = indent[:-2]
            case "bullet_list_open":
                ordinal.append(None)
            case "ordered_list_open":
                ordinal.append(int(token.attrGet("start") or 1))
            case "bullet_list_close" | "ordered_list_close":
                ordinal.pop()
                was_tight = was_tight and bool(ordinal)
            case "paragraph_open":
                tight = token.hidden
            case "list_item_open":
                first = _bullet(ordinal)
            case "inline":
                text = _paragraph(_inline(token.children or [], address), indent, first, depth=len(ordinal))
                # The items of a list that was typed without blank lines stand without blank lines.
                out += ("\n" if tight and was_tight else "\n\n") + text
                first, was_tight = "", tight
            case "fence" | "code_block":
                out += "\n\n" + textwrap.indent(token.content.rstrip(), indent + "    ")
            case "hr":
                out += "\n\n* * *"
    return out.lstrip("\n")


def _bullet(ordinal: list[int | None]) -> str:
    number = ordinal[-1]
    if number is None:
        return "- "
    ordinal[-1] = number + 1
    return f"{number}. "


def _paragraph(text: str, indent: str, first: str, *, depth: int) -> str:
    if first == "#":
        return underlined(text)
    margin = indent + "  " * max(0, depth - 1)
    hanging = margin + " " * len(first) if first else margin + ("  " if depth else "")
    return "\n".join(
        wrapped(line, indent=hanging, first=margin + first if place == 0 else None)
        for place, line in enumerate(text.split("\n"))
    )


def _inline(tokens: Sequence[Token], address: Callable[[str], str]) -> str:
    text, links = "", []
    for token in tokens:
        match token.type:
            case "text" | "code_inline":
                text += token.content
            case "softbreak":
                text += " "
            case "hardbreak":
                text += "\n"
            case "link_open":
                links.append((str(token.attrGet("href") or ""), len(text)))
            case "link_close":
                href, start = links.pop()
                text += "" if text[start:] == href else f" ({address(href)})"
            case "image":
                text += token.content
            case "em_open" | "em_close":
                text += "_"
            case "strong_open" | "strong_close":
                text += "*"
    return text
