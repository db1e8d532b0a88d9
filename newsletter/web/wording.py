"""What a page says, as people of its language write it: sentences, their numbers, days and names.

Numbers by which a thing is called (an alert's, an operator's) stay as commands and addresses write them; what is counted and
every time is written in the language's digits.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from newsletter import languages
from newsletter.composer import calendars
from newsletter.delivery.promises import Hour

SPOKEN = languages.spoken()
_OPEN, _CLOSE = (
    "\u2068",
    "\u2069",
)  # UAX 9: FIRST STRONG ISOLATE, POP DIRECTIONAL ISOLATE; what <bdi> is, in attributes too
_CALLED = frozenset({"mailing", "number", "of", "newer", "others", "operator", "token", "mandate", "export", "import"})
"""Facts that call a thing by its number: they stand in commands."""
COUNTED = {
    "night.too-soon": "minutes",
    "alert.extended-less": "hours",
    "errand.too-old": "minutes",
    "mandate.not-tonight": "hours",
    "operator.too-many": "minutes",
    "operator.locked": "minutes",
    "operator.password-short": "shortest",
}
"""Refusals that have plural forms, each with the fact whose number decides which one is said."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(?: UTC|:\d\d(?:\.\d+)?\+00:00)").fullmatch
"""A moment as refusals carry it: an errand keeps their facts as text."""
_WORDS = {"state": "web.alert-state-{}", "act": "web.may-{}"}
"""Facts that are words of the code, and by which sentence people read them."""


@dataclass(frozen=True, slots=True)
class Voice:
    """The words of one language, and the zone whose hours it tells; None: this machine's."""

    language: str
    zone: tzinfo | None = UTC

    def tools(self) -> dict[str, Any]:
        """Return what a template calls it by."""
        return {
            "language": self.language,
            "t": self.t,
            "counted": self.counted,
            "say": self.refusal,
            "number": self.number,
            "day": lambda at: calendars.day(at, self.language),
            "moment": self.moment,
            "moment_of": lambda at: calendars.moment_of(at, self.language),
            "to": lambda path: f"{path}?language={self.language}",
            "clock": self.clock,
            "zone_of": self.zone_of,
            "tongue": self.tongue,
            "tongues": self.tongues,
            "listed": self.listed,
        }

    def t(self, message: str, /, **facts: Any) -> str:
        """Return a sentence of the pages."""
        return languages.say(f"web.{message}", self.language, **self._facts(facts))

    def counted(self, message: str, count: int, /, **facts: Any) -> str:
        """Return a sentence of the pages in the form for a number, its {count}."""
        told = self._facts(facts) | {"count": self.number(count)}
        return languages.counted(f"web.{message}", self.language, count, **told)

    def refusal(self, message: str, language: str = "", /, **facts: Any) -> str:
        """Return any sentence of the catalogue, in the form for the number it tells where it has forms.

        language   another than the page's, for what is named in its own
        """
        if language and language != self.language:
            return Voice(language, self.zone).refusal(message, **facts)
        told = self._facts(facts)
        if message not in COUNTED:
            return languages.say(languages.paged(message), self.language, **told)
        return languages.counted(message, self.language, int(facts[COUNTED[message]]), **told)

    def number(self, count: int) -> str:
        """Return a whole number: "1,204"."""
        return calendars.number(count, self.language)

    def moment(self, at: datetime, *, seconds: bool = False) -> str:
        """Return a day and a time with its zone: "26 November, 02:10 CET"; in other languages than English with the year."""
        return calendars.moment(at, self.language, self.zone, seconds=seconds)

    def clock(self, at: datetime) -> str:
        """Return a time of the day with its zone: "02:10 CET"."""
        return calendars.clock(at, self.language, self.zone)

    def zone_of(self, at: datetime) -> str:
        """Return the name of the zone at a moment: clocks change."""
        return calendars.zone_name(at.astimezone(self.zone))

    def tongue(self, code: str) -> str:
        """Return the name of a language, or its tag where the catalogue has no name for it."""
        return self.t(f"language-{code}") if code in SPOKEN else code

    def tongues(self, codes: Iterable[str]) -> str:
        """Return the names of languages, in a row."""
        return self.listed(self.tongue(code) for code in codes)

    def listed(self, words: Iterable[str]) -> str:
        """Return words in a row, each kept from turning its neighbours round."""
        return languages.comma(self.language).join(self.isolated(str(word)) for word in words)

    def isolated(self, text: str) -> str:
        """Return a text as a sentence may quote it: what has letters of the other direction, between isolating marks."""
        own = ("L",) if languages.direction(self.language) == "ltr" else ("R", "AL")
        sides = {unicodedata.bidirectional(letter) for letter in text} & {"L", "R", "AL"}
        return text if sides <= set(own) else f"{_OPEN}{text}{_CLOSE}"

    def _facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._fact(name, value) for name, value in facts.items()}

    def _fact(self, name: str, value: Any) -> Any:
        if isinstance(value, datetime):
            return self.moment(value)
        if isinstance(value, Hour):
            return self.clock(value.at) if value.today(self.zone) else self.moment(value.at)
        if name in _WORDS and self.language != "en":
            return languages.say(_WORDS[name].format(value), self.language)
        if isinstance(value, int) and not isinstance(value, bool):
            return value if name in _CALLED or self.language == "en" else calendars.digits(str(value), self.language)
        if not isinstance(value, str):
            return value
        if _MOMENT(value):
            return self.moment(datetime.fromisoformat(value.replace(" UTC", "+00:00")))
        if name in _CALLED or any(letter.isalpha() for letter in value):
            return self.isolated(value)
        return calendars.digits(value, self.language)
