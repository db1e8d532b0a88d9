"""Somebody of the team looks for people: each search leaves one row that says who looked, by what, and how many were found."""

from collections.abc import Iterable
from typing import Any

from newsletter import database
from newsletter.addresses import EmailAddress
from newsletter.database import Session
from newsletter.issues import digests
from newsletter.journeys import acting
from newsletter.journeys.parts import Parts
from newsletter.operators import audit
from newsletter.subscribers import finding, people, topics
from newsletter.subscribers.finding import Query
from newsletter.subscribers.people import PersonView


def find(
    parts: Parts, query: Query, *, digest: str | None, topic: str | None, by: int | None, limit: int
) -> tuple[int, list[dict[str, Any]]]:
    """Return how many fit and the newest of them, addresses masked. Raises NothingAsked, UnknownDigest, UnknownTopic."""
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
        _searched(session, who, wanted.by, found.count)
    return found.count, rows


def show(parts: Parts, *, reference: str | None, address: EmailAddress | None, by: int | None) -> dict[str, Any]:
    """Return what an operator sees of one person. Who asks for nobody has asked as well. Raises UnknownPerson, NotAllowed."""
    wanted = Query(address, reference or "")
    with parts.database.transaction() as session:
        who = acting.officer(session, by)
        found = finding.find(session, wanted, limit=1).people
        rows = _rows(session, found)
        _searched(session, who, wanted.by, len(found))
    if not rows:
        raise people.UnknownPerson
    return rows[0]


def newest(parts: Parts, *, digest: str | None, by: int | None, limit: int) -> list[dict[str, Any]]:
    """Return who came last, of one digest or of all, addresses masked. Raises UnknownDigest, NotAllowed."""
    with parts.database.transaction() as session:
        who = acting.officer(session, by)
        digest_id = digests.by_key(session, digest).id if digest else None
        found = people.list_(session, digest_id=digest_id, limit=limit)
        _searched(session, who, ["newest", *(["digest_id"] if digest else [])], len(found))
        return _rows(session, found)


def _rows(session: Session, found: Iterable[PersonView]) -> list[dict[str, Any]]:
    keys = digests.keys(session)
    return [people.shown(session, one, digests=keys) for one in found]


def _searched(session: Session, who: int | str, by_what: list[str], found: int) -> None:
    audit.append(session, "people.searched", by=who, now=database.now(session), by_what=by_what, found=found)
