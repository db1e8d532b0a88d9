"""The pictures of new articles are fetched, made small, and kept to be served by us."""

from dataclasses import dataclass

from newsletter import database, fetching
from newsletter.errors import NewsletterError
from newsletter.issues import pictures
from newsletter.journeys.parts import Parts

TURN = 3
"""Each may take ten seconds, and the desk has other work."""


@dataclass(frozen=True, slots=True)
class Pictured:
    """How many pictures were kept, and how many could not be had."""

    fetched: int
    dropped: int


def fetch_due(parts: Parts, *, limit: int = TURN) -> Pictured:
    """Ask once for each picture that is due. No transaction is open while a stranger's server is waited for."""
    # Decoding belongs to the desk: a process that only sends never loads it.
    from newsletter.issues import shrinking

    with parts.database.transaction() as session:
        due = pictures.due(session, limit=limit)
    fetched = 0
    mine = []
    for url in due:
        with parts.database.transaction() as session:
            if pictures.claim(session, url, now=database.now(session)):
                mine.append(url)
    for url in mine:
        try:
            shrunk = shrinking.shrink(fetching.fetch(url, allow=parts.fetch_allow).body)
        except NewsletterError as refusal:
            with parts.database.transaction() as session:
                pictures.drop(session, url, refusal.message, now=database.now(session))
            continue
        with parts.database.transaction() as session:
            now = database.now(session)
            pictures.keep(session, url, shrunk.body, width=shrunk.width, height=shrunk.height, now=now)
        fetched += 1
    return Pictured(fetched, len(mine) - fetched)


def any_due(parts: Parts) -> bool:
    """Return whether a picture waits to be fetched."""
    with parts.database.transaction() as session:
        return bool(pictures.due(session, limit=1))


def shown(parts: Parts, name: str) -> bytes | None:
    """Return the picture of a name, or None."""
    with parts.database.transaction() as session:
        return pictures.body(session, name)
