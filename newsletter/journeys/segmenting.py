"""Segments, as operators use them: kept, listed, counted, removed."""

from datetime import date
from typing import Any

from newsletter.database import Session
from newsletter.errors import Conflict
from newsletter.issues import cutting, digests
from newsletter.journeys.parts import Parts
from newsletter.ledger import translating
from newsletter.subscribers import segments
from newsletter.subscribers.segments import Condition, Joined, Segment, Word


class SegmentInUse(Conflict):
    """An alert that is not gone yet is limited to it: in the form that writes it anew it would be for everybody."""

    def __init__(self, key: str, alerts: list[int]) -> None:
        super().__init__("segment.in-use", segment=key, alerts=", ".join(map(str, alerts)))


def said(**words: Any) -> Segment:
    """Return the segment of what was asked for: lists by word, "not_" before those that must not hold; since and before: days."""
    conditions = [
        Condition(word, value, no)
        for word in (Word.DIGEST, Word.TOPIC, Word.LANGUAGE, Word.HAD, Word.IN)
        for no, name in ((False, str(word)), (True, f"not_{word}"))
        for value in words.get(name) or ()
    ]
    since, before = words.get("since"), words.get("before")
    if since or before:
        conditions.append(Condition(Word.JOINED, Joined(_day(since), _day(before))))
    return segments.from_data(segments.as_data(Segment(tuple(conditions))))


def _day(moment: Any) -> date | None:
    return moment.date() if moment else None


def add(parts: Parts, key: str, segment: Segment) -> int:
    """Keep a segment and return how many are in it. Raises what `segments.add` and `segments.count` raise."""
    with parts.database.transaction() as session:
        segments.add(session, key, segment)
        return segments.count(session, segment, digests=numbers(session))


def remove(parts: Parts, key: str) -> None:
    """Keep a segment no longer. Raises SegmentInUse and what `segments.remove` raises."""
    with parts.database.transaction() as session:
        segments.remove(session, key)
        if alerts := translating.not_gone(session, segment=key):
            raise SegmentInUse(key, alerts)


def count(parts: Parts, key: str) -> int:
    """Return how many are in a segment and may be mailed now. Raises UnknownSegment."""
    with parts.database.transaction() as session:
        return segments.count(session, segments.by_key(session, key), digests=numbers(session))


def listed(parts: Parts) -> list[dict[str, Any]]:
    """Return all segments with their conditions."""
    with parts.database.transaction() as session:
        found = segments.listed(session)
    return [{"key": key, "conditions": segments.as_data(one)} for key, one in found.items()]


def numbers(session: Session) -> dict[str, int]:
    """Return the number of each digest by its key."""
    return {one.key: one.id for one in digests.listed(session)}


def mailing_of_issue(parts: Parts, issue_id: int) -> int:
    """Return the mailing of an issue. Raises cutting.UnknownIssue."""
    with parts.database.transaction() as session:
        return cutting.get(session, issue_id).mailing_id
