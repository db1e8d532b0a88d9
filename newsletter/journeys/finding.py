"""Somebody of the team looks for people: each search leaves one row that says who looked, by what, and how many were found.

More than a few is the list itself, which is taken out otherwise: by a code, for a reason, with a mail to everybody. So a look shows
a hundred people, and a day no more than somebody may take out alone, a hundred at least; who is refused has looked too.
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
    few(limit)
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
        # One person is looked up on any day: the first of many is no one person.
        rows = _rows(session, found.people)
        may = found.count == 1 or _within(session, parts, who, len(rows))
        _searched(session, who, wanted.by, found.count, shown=len(rows) if may else 0)
    return found.count, _shown(parts, rows, may)


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
    few(limit)
    with parts.database.transaction() as session:
        who = acting.officer(session, by)
        digest_id = digests.by_key(session, digest).id if digest else None
        found = people.list_(session, digest_id=digest_id, limit=limit)
        may, rows = _within(session, parts, who, len(found)), _rows(session, found)
        by_what = ["newest", *(["digest_id"] if digest else [])]
        _searched(session, who, by_what, len(found), shown=len(found) if may else 0)
    return _shown(parts, rows, may)


def few(limit: int) -> None:
    """Raise TooMany where a look would show more people than one may."""
    if limit > MOST:
        raise TooMany(MOST)


def _within(session: Session, parts: Parts, who: int | str, more: int) -> bool:
    """Return whether somebody may see so many more: with what they saw lately no more than a day allows."""
    lately = audit.since(session, _ACT, by=who, at=database.now(session) - COUNTED)
    # Before this was kept a row said how many were found, and not how many of them were shown.
    seen = sum(int(one.facts.get("shown", min(one.facts.get("found", 0), MOST))) for one in lately)
    return not more or seen + more <= _most(parts)


def _most(parts: Parts) -> int:
    return max(parts.export_alone, MOST)


def _shown(parts: Parts, rows: list[dict[str, Any]], may: bool) -> list[dict[str, Any]]:
    """Return what may be seen. Raises SeenEnough; that somebody looked is committed by then."""
    if not may:
        raise SeenEnough(_most(parts))
    return rows


def _rows(session: Session, found: Iterable[PersonView]) -> list[dict[str, Any]]:
    keys = digests.keys(session)
    return [people.shown(session, one, digests=keys) for one in found]


def _searched(session: Session, who: int | str, by_what: list[str], found: int, *, shown: int) -> None:
    audit.append(session, _ACT, by=who, now=database.now(session), by_what=by_what, found=found, shown=shown)
