"""What a feed holds, in one form whatever the feed's."""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import BinaryIO

from newsletter.errors import Invalid

KINDS = ("article", "open_letter", "alert")


class NotAFeed(Invalid):
    """The file is none of the formats that are read."""

    def __init__(self, name: str) -> None:
        super().__init__("feed.not-a-feed", name=name)


class TooLarge(Invalid):
    """A JSON Feed larger than is ever held in memory."""

    def __init__(self, name: str, limit_mb: int) -> None:
        super().__init__("feed.too-large", name=name, limit=limit_mb)


@dataclass(frozen=True, slots=True)
class FeedArticle:
    """One article as it came in.

    source, dateline   where it first appeared and as its line says ("Arutz Sheva", "19 June 2014"); "" when it says nothing
    excerpt            plain text, ending in […] when cut
    body               clean HTML
    posted_on          aware
    """

    guid: str
    title: str
    byline: str
    source: str
    dateline: str
    excerpt: str
    body: str
    categories: tuple[str, ...]
    featured: bool
    urgent: bool
    kind: str
    language: str | None
    direction: str
    image_url: str | None
    image_alt: str
    url: str
    posted_on: datetime

    def fingerprint(self) -> bytes:
        """Return SHA-256 over everything the article says: it differs exactly when a revision is due."""
        fields = asdict(self) | {"posted_on": self.posted_on.astimezone(UTC).isoformat()}
        return hashlib.sha256(json.dumps(fields, ensure_ascii=False, sort_keys=True).encode()).digest()


@dataclass(frozen=True, slots=True)
class BrokenItem:
    """An item that could not be read. place: "item 3" or "line 812"; why: for the person who reads it.

    last   the file is damaged here, and nothing after it could be read
    """

    place: str
    why: str
    last: bool = False


class Rejoined:
    """A stream of which the beginning was read to see what it is."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first, self._rest = first, rest

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, or all that is left."""
        if size < 0:
            taken, self._first = self._first, b""
            return taken + self._rest.read()
        taken, self._first = self._first[:size], self._first[size:]
        return taken + self._rest.read(size - len(taken))
