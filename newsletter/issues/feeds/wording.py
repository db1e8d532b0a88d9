"""Excerpts, and the line that says where a text first appeared: pure."""

import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import regex

EXCERPT_LENGTH = 420
CUT = " […]"
_GRAPHEMES = regex.compile(r"\X")
_BLANK = re.compile(r"\s")
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATELINE = re.compile(
    rf"(?P<source>[A-Z][^\n,.;:!?]{{1,60}}), (?P<date>\d{{1,2}} (?:{_MONTHS}) \d{{4}})(?=\s|$|[.:–—-])"
)


def excerpt(text: str, limit: int = EXCERPT_LENGTH) -> str:
    """Return text of at most `limit` characters: whole words, whole graphemes, ending in […] when something was left out.

    A text that says itself that it was cut ("[…]", "[...]", "…") ends in one […].
    """
    text = " ".join(text.split())
    bare = re.sub(r"\s*(\[…\]|\[\.\.\.\]|\[&hellip;\])\s*$", "", text)
    if bare == text and len(text) <= limit:
        return text
    if len(bare) + len(CUT) <= limit:
        return bare + CUT
    return _cut(bare, limit - len(CUT)).rstrip(" ,;:–—-") + CUT


def _cut(text: str, room: int) -> str:
    """Return the longest beginning of whole words within `room`; whole graphemes where one word is longer than that."""
    end = 0
    for found in _GRAPHEMES.finditer(text):
        if found.end() > room:
            break
        end = found.end()
    head = text[:end]
    if end < len(text) and not _BLANK.match(text[end]):
        words = head.rsplit(" ", 1)
        # Scripts without blanks (Thai, Chinese) are cut between graphemes.
        head = words[0] if len(words) > 1 and len(words[1]) < room / 2 else head
    return head


def first_appeared(text: str) -> tuple[str, str]:
    """Return (source, dateline) when a text begins with a line like "Arutz Sheva, 19 June 2014", else two empty strings."""
    found = _DATELINE.match(text.lstrip())
    return (found["source"], found["date"]) if found else ("", "")


def moment(text: str) -> datetime | None:
    """Return the moment a feed writes, RFC 3339 or RFC 5322, aware; None when it cannot be understood."""
    text = text.strip()
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
