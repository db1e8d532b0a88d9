"""Excerpts, and the line that says where a text first appeared: pure."""

import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from newsletter import languages

EXCERPT_LENGTH = 420
CUT = " […]"
_LOOSE = frozenset(" ,;:–—-")
# WordPress dates a draft "Mon, 30 Nov -0001", which parsers take for the year 2000.
_BEFORE_CHRIST = re.compile(r"\s-\d+\s")
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATELINE = re.compile(
    rf"(?P<source>[^\W\d_][^\n,.;:!?]{{1,60}}), (?P<date>\d{{1,2}} (?:{_MONTHS}) \d{{4}})\s*[.:–—-]?\s*"
)


def excerpt(text: str, limit: int = EXCERPT_LENGTH) -> str:
    """Return text of at most `limit` characters: whole words, whole graphemes, ending in […] when something was left out.

    limit   at least 10

    A text that says itself that it was cut ("[…]", "[...]") ends in one […].
    """
    text = " ".join(text.split())
    bare = re.sub(r"\s*(\[…\]|\[\.\.\.\]|\[&hellip;\])\s*$", "", text)
    if bare == text and len(text) <= limit:
        return text
    if len(bare) + len(CUT) <= limit:
        return bare + CUT
    return (_cut(bare, limit - len(CUT)) + CUT).lstrip()


def _cut(text: str, room: int) -> str:
    """Return the longest beginning of whole words within `room`; whole graphemes where one word is longer than that."""
    import regex  # here: it is slow to load, and most commands cut nothing

    kept: list[str] = []
    for found in regex.finditer(r"\X", text):
        if found.end() > room:
            kept = kept if found[0].startswith(" ") else _whole_words(kept)
            break
        kept.append(found[0])
    # A blank may carry a mark of the word after it: they are one grapheme.
    while kept and (kept[-1] in _LOOSE or kept[-1].startswith(" ")):
        kept.pop()
    return "".join(kept)


def _whole_words(graphemes: list[str]) -> list[str]:
    """Drop the word that was cut. Scripts without blanks (Thai, Chinese) are cut between graphemes."""
    tail = next((length for length, one in enumerate(reversed(graphemes)) if one.startswith(" ")), len(graphemes))
    return graphemes[: len(graphemes) - tail] if tail < len(graphemes) / 2 else graphemes


def first_appeared(line: str) -> tuple[str, str]:
    """Return (source, dateline) of a line that says nothing else, like "Arutz Sheva, 19 June 2014", else two empty strings.

    The whole line: "On Tuesday, 18 February 2014 the army …" is a sentence and no dateline.
    """
    found = _DATELINE.fullmatch(line.strip())
    return (found["source"], found["date"]) if found else ("", "")


def language(tag: str | None) -> str | None:
    """Return a language tag as BCP 47 writes it, or None when it is none."""
    return languages.tag(tag or "")


def moment(text: str) -> datetime | None:
    """Return the moment a feed writes, RFC 3339 or RFC 5322, aware; None when it cannot be understood."""
    text = text.strip()
    if _BEFORE_CHRIST.search(text):
        return None
    for read in (_iso, parsedate_to_datetime):
        try:
            found = read(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        if 1970 <= found.year <= 9000:
            return found if found.tzinfo else found.replace(tzinfo=timezone.utc)  # noqa: UP017
    return None


def _iso(text: str) -> datetime:
    return datetime.fromisoformat(text)
