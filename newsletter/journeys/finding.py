"""Somebody of the team looks for people: each search leaves one row that says who looked, by what, and how many were found."""

from typing import Any

from newsletter import database
from newsletter.issues import digests
from newsletter.journeys import acting
from newsletter.journeys.parts import Parts
from newsletter.operators import audit
from newsletter.subscribers import finding, people, topics
from newsletter.subscribers.finding import Query


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
        keys = digests.keys(session)
        rows = [people.shown(session, one, digests=keys) for one in found.people]
        audit.append(
            session, "people.searched", by=who, now=database.now(session), by_what=wanted.by, found=found.count
        )
    return found.count, rows
