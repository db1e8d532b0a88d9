"""Templates and premailer, once for each block: the slow half of composing, remembered.

A block template is rendered with placeholders of letters and digits where a reader's values will stand (they survive
autoescape, lxml and premailer's handling of URLs), its style sheet is inlined, and the result is cut at the placeholders.
The frame is one document with a mark in its middle; inlined whole, it is cut there into an opening and a closing block.
"""

import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any

# Read by premailer when it is imported: its default cache forgets nothing and is not an LRU.
os.environ.setdefault("PREMAILER_CACHE", "LRU")
os.environ.setdefault("PREMAILER_CACHE_MAXSIZE", "10000")

import cssutils
import markupsafe
import premailer

from newsletter import languages
from newsletter.composer import bodies, calendars, plaintext, prose
from newsletter.composer.content import ArticleContent
from newsletter.composer.message import Block, Gap, Kind, Piece, Slot
from newsletter.errors import Forbidden
from newsletter.templating import Templates, templates_of

KEPT = 1024


class NoFetching(Forbidden):
    """A style sheet asked for something from the network."""

    def __init__(self, url: str) -> None:
        super().__init__("mail.no-fetching", url=url)


def _refuse(url: str) -> tuple[str, bytes]:
    raise NoFetching(url)


# premailer follows @import even with allow_network=False; the fetcher below it refuses.
cssutils.util._defaultFetcher = _refuse
cssutils.log.enabled = False


_Sheets = dict[tuple[str, int], Any]


class _Inliner(premailer.Premailer):  # type: ignore[misc]  # it has no types
    """premailer that reads a style sheet once for all documents: nine tenths of its work, and templates have few sheets."""

    def __init__(self, html: str, sheets: _Sheets, **how: Any) -> None:
        super().__init__(html, **how)
        self._sheets = sheets

    def _parse_style_rules(self, css_body: str, ruleset_index: int) -> Any:
        sheet = css_body, ruleset_index
        if sheet not in self._sheets:
            self._sheets[sheet] = super()._parse_style_rules(css_body, ruleset_index)
        return self._sheets[sheet]


class Layout:
    """The templates of e-mail, with what was made of them: one for a process, shared by its threads.

    inlined     how often premailer has run
    sheets      what it read of the style sheets
    templates   where they come from
    """

    def __init__(self, templates: Templates) -> None:
        self.templates = templates
        self._style = templates.source("email/style.css")
        self._blocks: OrderedDict[Hashable, tuple[Block, ...]] = OrderedDict()
        # Nobody can guess the placeholders, so no article can smuggle one in.
        self._nonce = secrets.token_hex(6)
        self._content = f"c{self._nonce}c"
        self._making = RLock()
        self._gaps: list[Gap] = []
        self._placeholder = re.compile(rf"s{self._nonce}n(\d+)s")
        self.inlined = 0
        self.sheets: _Sheets = {}

    def slot(self, slot: str, kind: str = "html", fallback: str = "") -> markupsafe.Markup:
        """Return the placeholder of a reader's value, for templates: `slot("name")`, `slot("leave", "token")`."""
        gap = Gap(Slot(slot), Kind(kind), fallback)
        with self._making:
            if gap not in self._gaps:
                self._gaps.append(gap)
        return markupsafe.Markup(f"s{self._nonce}n{self._gaps.index(gap)}s")  # noqa: S704 (letters and digits only)

    def in_link(self, url: str) -> str:
        """Return a link with its placeholders changed for those of percent-quoted values."""
        return "".join(
            piece if isinstance(piece, str) else str(self.slot(piece.slot, "url", piece.fallback))
            for piece in self.cut(url)
        )

    def block(self, template: str, /, *, language: str, **facts: Any) -> Block:
        """Return a compiled block of email/TEMPLATE.html and email/TEMPLATE.txt. Facts must be hashable: equal ones share it."""
        return self._remembered(
            (template, language, *sorted(facts.items())), lambda: (self._block(template, language, facts),)
        )[0]

    def frame(self, template: str, /, *, language: str, **facts: Any) -> tuple[Block, Block]:
        """Return the opening and closing block of a frame: what stands before and after the content."""
        opened, closed = self._remembered(
            (template, language, *sorted(facts.items())), lambda: self._frame(template, language, facts)
        )
        return opened, closed

    def line(self, template: str, /, *, language: str, **facts: Any) -> tuple[Piece, ...]:
        """Return a one-line template (a subject) cut at its placeholders."""
        return self.cut(" ".join(self._render(f"{template}.txt", language, facts).split()))

    def cut(self, text: str) -> tuple[Piece, ...]:
        """Return text cut at the placeholders."""
        parts = self._placeholder.split(text)
        pieces = [self._gaps[int(part)] if place % 2 else part for place, part in enumerate(parts)]
        return tuple(piece for piece in pieces if piece != "")

    def _remembered(self, key: Hashable, make: Callable[[], tuple[Block, ...]]) -> tuple[Block, ...]:
        with self._making:
            if key not in self._blocks:
                self._blocks[key] = make()
                if len(self._blocks) > KEPT:
                    self._blocks.popitem(last=False)
            self._blocks.move_to_end(key)
            return self._blocks[key]

    def _block(self, template: str, language: str, facts: dict[str, Any]) -> Block:
        body = self.inline(
            f"<!doctype html><html><head></head><body>{self._render(f'{template}.html', language, facts)}</body></html>"
        )
        inside = body[body.index("<body>") + 6 : body.rindex("</body>")]
        return Block(
            html=self.cut(_crlf(inside)), text=self.cut(_crlf(self._render(f"{template}.txt", language, facts)))
        )

    def _frame(self, template: str, language: str, facts: dict[str, Any]) -> tuple[Block, Block]:
        html = self.inline(self._render(f"{template}.html", language, facts | {"content": self._content}))
        text = self._render(f"{template}.txt", language, facts | {"content": self._content})
        before, _, after = _crlf(html).partition(self._content)
        above, _, below = _crlf(text.rstrip() + "\n").partition(self._content)
        return Block(html=self.cut(before), text=self.cut(above)), Block(html=self.cut(after), text=self.cut(below))

    def _render(self, name: str, language: str, facts: dict[str, Any]) -> str:
        return self.templates.render(f"email/{name}", slot=self.slot, **_words(language), **facts)

    def inline(self, html: str) -> str:
        """Return a document with the style sheet inlined by premailer."""
        self.inlined += 1
        inliner = _Inliner(
            html,
            self.sheets,
            css_text=self._style,
            allow_network=False,
            strip_important=False,  # dark mode lives of !important
            keep_style_tags=False,
            disable_basic_attributes=["width", "height"],
            align_floating_images=False,
            disable_validation=True,
            cssutils_logging_handler=None,
        )
        return str(inliner.transform(pretty_print=False))


def layout_of(own: Path | None) -> Layout:
    """Return the layout of an organisation's templates, or of the bundled ones: those do not change while a process lives."""
    return Layout(templates_of(own)) if own else _bundled()


@cache
def _bundled() -> Layout:
    return Layout(templates_of(None))


def _words(language: str) -> dict[str, Any]:
    """Return what every template of e-mail may say in a language."""

    def say(message: str, **facts: Any) -> str:
        return languages.say(f"mail.{message}", language, **facts)

    def posted(article: ArticleContent) -> str:
        """Return source and dateline as a newspaper sets them: "Arutz Sheva, 19 June 2014"."""
        dateline = article.dateline or calendars.day(article.posted_on, language)
        return say("source-and-date", source=article.source, date=dateline) if article.source else dateline

    def why(sentence: str, name: str) -> str:
        return say(sentence.removeprefix("mail."), list=name) if sentence.startswith("mail.why-") else sentence

    def counted(message: str, count: int, **facts: Any) -> str:
        return languages.counted(f"mail.{message}", language, count, count=calendars.number(count, language), **facts)

    return {
        "language": language,
        "rtl": languages.direction(language) == "rtl",
        "t": say,
        "counted": counted,
        "posted": posted,
        "why": why,
        "day": lambda moment: calendars.day(moment, language),
        "moment": lambda at: calendars.moment_of(at, language),
        "number": lambda count: calendars.number(count, language),
        "listed": languages.comma(language).join,
        "wrapped": plaintext.wrapped,
        "underlined": plaintext.underlined,
        "whole": bodies.html,
        "whole_text": bodies.text,
        "flow": _flow,
        "joined": prose.joined,
    }


def _flow(text: str) -> str:
    """Return "rtl" or "ltr" by the first letter that has a direction (UAX 9 P2): Gmail and Outlook drop <bdi> and dir=auto."""
    return languages.leaning(text) or "ltr"


def _crlf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")
