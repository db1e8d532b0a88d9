"""Somebody of the team looks for people: each search leaves one row that says who looked, by what, and how many were found.

More than a few is the list itself, which is taken out otherwise: by a code, for a reason, with a mail to everybody. So a look shows
a hundred people, and a day no more than somebody may take out alone, or a hundred where that is fewer.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from newsletter import database
from newsletter.addresses import EmailAddress
from newsletter.database import Session
from newsletter.errors import Forbidden, Invalid
from newsletter.issues import digests
from newsletter.journeys import acting
from newsletter.journeys.parts import Parts
from newsletter.operators import audit
from newsletter.subscribers import finding, people, topics
from newsletter.subscribers.finding import Query
from newsletter.subscribers.people import PersonView

MOST, COUNTED = 100, timedelta(days=1)
"""How many people one look shows; and for how long what somebody saw counts against what they may still see."""
_ACT = "people.searched"


class TooMany(Invalid):
    """More people than one look shows."""

    def __init__(self, most: int) -> None:
        super().__init__("people.too-many", most=most)


class SeenEnough(Forbidden):
    """Somebody would have been shown more people than a day allows."""

    def __init__(self, most: int) -> None:
        super().__init__("people.seen-enough", most=most)


def find(
    parts: Parts, query: Query, *, digest: str | None, topic: str | None, by: int | None, limit: int
) -> tuple[int, list[dict[str, Any]]]:
    """Return how many fit and the newest of them, addresses masked.

    Raises NothingAsked, UnknownDigest, UnknownTopic, NotAllowed, TooMany, SeenEnough.
    """
    _few(limit)
    with parts.database.transaction() as session:
        who = acting.officer(session, by)
        digest_id = digests.by_key(session, digest).id if digest else None
        topic_id = topics.by_key(session, topic).id if topic else None
        wanted = Query(
            query.address,
            query.reference,
            query.name,
            digest_id,
            topic_id,
            query.language,
            query.area,
            query.since,
            query.until,
        )
        found = finding.find(session, wanted, limit=limit)
        rows = _rows(session, found.people)
        _within(session, parts, who, len(rows))
        _searched(session, who, wanted.by, found.count, shown=len(rows))
    return found.count, rows


def show(parts: Parts, *, reference: str | None, address: EmailAddress | None, by: int | None) -> dict[str, Any]:
    """Return what an operator sees of one person. Who asks for nobody has asked as well. Raises UnknownPerson, NotAllowed."""
    wanted = Query(address, reference or "")
    with parts.database.transaction() as session:
        who = acting.officer(session, by)
        found = finding.find(session, wanted, limit=1).people
        rows = _rows(session, found)
        _searched(session, who, wanted.by, len(found), shown=len(rows))
    if not rows:
        raise people.UnknownPerson
    return rows[0]


def newest(parts: Parts, *, digest: str | None, by: int | None, limit: int) -> list[dict[str, Any]]:
    """Return who came last, of one digest or of all, addresses masked. Raises UnknownDigest, NotAllowed, TooMany, SeenEnough."""
    _few(limit)
    with parts.database.transaction() as session:
        who = acting.officer(session, by)
        digest_id = digests.by_key(session, digest).id if digest else None
        found = people.list_(session, digest_id=digest_id, limit=limit)
        _within(session, parts, who, len(found))
        _searched(session, who, ["newest", *(["digest_id"] if digest else [])], len(found), shown=len(found))
        return _rows(session, found)


def _few(limit: int) -> None:
    if limit > MOST:
        raise TooMany(MOST)


def _within(session: Session, parts: Parts, who: int | str, more: int) -> None:
    """Raise SeenEnough where it would be more than a day's; one person at a time is always looked up."""
    lately = audit.since(session, _ACT, by=who, at=database.now(session) - COUNTED)
    # Before this was kept a row said how many were found, and not how many of them were shown.
    seen = sum(int(one.facts.get("shown", min(one.facts.get("found", 0), MOST))) for one in lately)
    most = max(parts.export_alone, MOST)
    if more > 1 and seen + more > most:
        raise SeenEnough(most)


def _rows(session: Session, found: Iterable[PersonView]) -> list[dict[str, Any]]:
    keys = digests.keys(session)
    return [people.shown(session, one, digests=keys) for one in found]


def _searched(session: Session, who: int | str, by_what: list[str], found: int, *, shown: int) -> None:
    audit.append(session, _ACT, by=who, now=database.now(session), by_what=by_what, found=found, shown=shown)
