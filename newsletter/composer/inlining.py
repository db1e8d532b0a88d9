"""Templates and premailer, once for each block: the slow half of composing, remembered.

A block template is rendered with placeholders of letters and digits where a reader's values will stand (they survive
autoescape, lxml and premailer's handling of URLs), its style sheet is inlined, and the result is cut at the placeholders.
The frame is one document with a mark in its middle; inlined whole, it is cut there into an opening and a closing block.
"""

import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Hashable
from datetime import date, datetime
from typing import Any

# Read by premailer when it is imported: its default cache forgets nothing and is not an LRU.
os.environ.setdefault("PREMAILER_CACHE", "LRU")
os.environ.setdefault("PREMAILER_CACHE_MAXSIZE", "10000")

import babel.dates
import cssutils
import markupsafe
import premailer

from newsletter import languages
from newsletter.composer import plaintext
from newsletter.composer.message import Block, Gap, Kind, Piece, Slot
from newsletter.errors import Forbidden
from newsletter.templating import Templates

KEPT = 1024
_CONTENT = "contentmark"


class NoFetching(Forbidden):
    """A style sheet asked for something from the network."""

    def __init__(self, url: str) -> None:
        super().__init__("mail.no-fetching", url=url)


def _refuse(url: str) -> tuple[str, bytes]:
    raise NoFetching(url)


# premailer follows @import even with allow_network=False; the fetcher below it refuses.
cssutils.util._defaultFetcher = _refuse
cssutils.log.enabled = False


class Layout:
    """The templates of e-mail, with what was made of them. Not for use by two threads at once."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self._style = templates.source("email/style.css")
        self._blocks: OrderedDict[Hashable, tuple[Block, ...]] = OrderedDict()
        # Nobody can guess the placeholders, so no article can smuggle one in.
        self._nonce = secrets.token_hex(6)
        self._gaps: list[Gap] = []
        self._placeholder = re.compile(rf"s{self._nonce}n(\d+)s")
        self.inlined = 0

    def slot(self, slot: str, kind: str = "html", fallback: str = "") -> markupsafe.Markup:
        """Return the placeholder of a reader's value, for templates: `slot("name")`, `slot("leave", "token")`."""
        gap = Gap(Slot(slot), Kind(kind), fallback)
        if gap not in self._gaps:
            self._gaps.append(gap)
        return markupsafe.Markup(f"s{self._nonce}n{self._gaps.index(gap)}s")  # noqa: S704 (letters and digits only)

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

    def _remembered(self, key: Hashable, make: Any) -> tuple[Block, ...]:
        if key not in self._blocks:
            self._blocks[key] = make()
            if len(self._blocks) > KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(key)
        return self._blocks[key]

    def _block(self, template: str, language: str, facts: dict[str, Any]) -> Block:
        body = self._inline(
            f"<!doctype html><html><head></head><body>{self._render(f'{template}.html', language, facts)}</body></html>"
        )
        inside = body[body.index("<body>") + 6 : body.rindex("</body>")]
        return Block(
            html=self.cut(_crlf(inside)), text=self.cut(_crlf(self._render(f"{template}.txt", language, facts)))
        )

    def _frame(self, template: str, language: str, facts: dict[str, Any]) -> tuple[Block, Block]:
        html = self._inline(self._render(f"{template}.html", language, facts | {"content": _CONTENT}))
        text = self._render(f"{template}.txt", language, facts | {"content": _CONTENT})
        page, plain = _halves(html), _halves(text)
        return (
            Block(html=self.cut(_crlf(page[0])), text=self.cut(_crlf(plain[0]))),
            Block(html=self.cut(_crlf(page[1])), text=self.cut(_crlf(plain[1]))),
        )

    def _render(self, name: str, language: str, facts: dict[str, Any]) -> str:
        return self._templates.render(
            f"email/{name}",
            language=language,
            rtl=languages.direction(language) == "rtl",
            slot=self.slot,
            day=lambda moment: day(moment, language),
            moment=lambda at: moment_of(at, language),
            wrapped=plaintext.wrapped,
            underlined=plaintext.underlined,
            t=lambda message, **words: languages.say(f"mail.{message}", language, **words),
            **facts,
        )

    def _inline(self, html: str) -> str:
        self.inlined += 1
        inliner = premailer.Premailer(
            html,
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


def _halves(text: str) -> tuple[str, str]:
    before, _, after = text.partition(_CONTENT)
    return before, after


def _crlf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def day(moment: date, language: str) -> str:
    """Return a day as people of a language write it: "19 June 2014"."""
    return babel.dates.format_date(
        moment, "d MMMM y" if language.startswith("en") else "long", locale=_locale(language)
    )


def moment_of(at: datetime, language: str) -> str:
    """Return a moment with its time and zone: "19 June 2014, 02:10 UTC"."""
    clock = babel.dates.format_time(at, "HH:mm z", locale=_locale(language))
    return f"{day(at, language)}, {clock}"


def _locale(language: str) -> babel.Locale:
    try:
        return babel.Locale.parse(language, sep="-")
    except (babel.UnknownLocaleError, ValueError):
        return babel.Locale("en")
