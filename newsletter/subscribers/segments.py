"""Parts of the readership as data: a set of conditions that all hold, one query each, counted exactly.

A condition is a word, a value and whether it is meant or its opposite. A new word is one entry in `_WORDS`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select, text, true

from newsletter.database import Session
from newsletter.errors import Conflict, Invalid, NotFound
from newsletter.ledger import personal, reading
from newsletter.models.segment import Segment as Row
from newsletter.models.subscriber import Subscriber, Subscription
from newsletter.models.suppression import Suppression
from newsletter.models.topic import Interest, Topic

_KEY = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?").fullmatch
_LANGUAGE = re.compile(r"[a-z]{2,3}").fullmatch
_DEEPEST = 10


class UnknownSegment(NotFound):
    """No segment has this key."""

    def __init__(self, key: str) -> None:
        super().__init__("segment.unknown", segment=key)


class SegmentExists(Conflict):
    """A segment with this key is there already, with other conditions."""

    def __init__(self, key: str) -> None:
        super().__init__("segment.exists", segment=key)


class SegmentNamed(Conflict):
    """Other segments name this one: they would mean nothing without it."""

    def __init__(self, key: str, others: list[str]) -> None:
        super().__init__("segment.named", segment=key, others=", ".join(others))


class BadSegment(Invalid):
    """A segment that cannot be meant."""

    def __init__(self, problem: str, **facts: object) -> None:
        super().__init__(f"segment.{problem}", **facts)


class Word(StrEnum):
    """What a condition is about.

    DIGEST    the key of a digest they take
    TOPIC     the key of a topic they chose
    LANGUAGE  the language they read: "en" is also "en-GB"
    JOINED    {"from": day, "before": day}: when they joined, in UTC; either may be missing
    HAD       the number of a mailing (an issue's, as `issues list` prints it) that was handed over to them; as long as its
              rows are kept
    IN        another segment: its key, or where it is kept with a mailing, its conditions
    """

    DIGEST = "digest"
    TOPIC = "topic"
    LANGUAGE = "language"
    JOINED = "joined"
    HAD = "had"
    IN = "in"


@dataclass(frozen=True, slots=True)
class Joined:
    """A span of days."""

    since: date | None = None
    before: date | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that holds of everybody in a segment; with `no`, its opposite."""

    word: Word
    value: "str | int | Joined | Segment"
    no: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """Who meets all of some conditions. Without any: everybody who takes anything."""

    conditions: tuple[Condition, ...] = ()


# Data

Data = list[dict[str, Any]]


def as_data(segment: Segment) -> Data:
    """Return a segment as JSON: [{"digest": "weekly"}, {"not": {"had": 12}}]."""
    plain = [{str(one.word): _as_plain(one.value)} for one in segment.conditions]
    return [{"not": said} if one.no else said for one, said in zip(segment.conditions, plain, strict=True)]


def _as_plain(value: Any) -> Any:
    if isinstance(value, Segment):
        return as_data(value)
    if isinstance(value, Joined):
        days = {"from": value.since, "before": value.before}
        return {name: day.isoformat() for name, day in days.items() if day}
    return value


def lines(data: Data) -> list[str]:
    """Return conditions as people read them in any language: "topic: rights", "not had: 12", "joined: 2026-01-01 –"."""
    return [_line(one) for one in data]


def _line(said: Mapping[str, Any]) -> str:
    ((word, value),) = said.items()
    if word == "not":
        return f"not {_line(value)}"
    if isinstance(value, list):
        return f"{word}: ({'; '.join(lines(value))})"
    if isinstance(value, dict):
        return f"{word}: {value.get('from', '')} – {value.get('before', '')}".rstrip()
    return f"{word}: {value}"


def from_data(data: Any, *, deep: int = 0) -> Segment:
    """Return the segment that JSON describes. Raises BadSegment."""
    if not isinstance(data, list) or deep > _DEEPEST:
        raise BadSegment("form")
    return Segment(tuple(_condition(one, deep) for one in data))


def _condition(data: Any, deep: int) -> Condition:
    if not isinstance(data, dict) or len(data) != 1:
        raise BadSegment("form")
    ((name, value),) = data.items()
    if name == "not":
        if isinstance(value, dict) and "not" in value:
            raise BadSegment("form")
        return replace(_condition(value, deep + 1), no=True)
    try:
        return Condition(Word(name), _value(Word(name), value, deep))
    except (ValueError, TypeError, AttributeError):
        raise BadSegment("condition", condition=json.dumps(data, ensure_ascii=False)[:200]) from None


def _value(word: Word, value: Any, deep: int) -> "str | int | Joined | Segment":
    if word is Word.IN and isinstance(value, list):
        return from_data(value, deep=deep + 1)
    if word is Word.JOINED:
        if not value.keys() <= {"from", "before"} or not value:
            raise ValueError
        days = {name: date.fromisoformat(day) for name, day in value.items()}
        return Joined(days.get("from"), days.get("before"))
    if word is Word.HAD:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**63:
            raise ValueError
        return value
    if not (_LANGUAGE if word is Word.LANGUAGE else _KEY)(value):
        raise ValueError
    return str(value)


# Keeping


def add(session: Session, key: str, segment: Segment) -> None:
    """Keep a segment under a key; the same one again changes nothing.

    Raises BadSegment, SegmentExists; UnknownSegment where it names one that is not there: so none can hold itself.
    """
    if not _KEY(key):
        raise BadSegment("bad-key", segment=key)
    data = as_data(segment)
    # A mailing keeps it spelled out, and reads it again: what is too deep for that is not kept at all.
    if _depth(spelled(session, segment)) > _DEEPEST:
        raise BadSegment("too-deep", segment=key, most=_DEEPEST)
    found = session.execute(select(Row).where(Row.key == key)).scalar_one_or_none()
    if found is None:
        session.add(Row(key=key, conditions={"all": data}))
        session.flush()
    elif found.conditions != {"all": data}:
        raise SegmentExists(key)


def remove(session: Session, key: str) -> None:
    """Keep a segment no longer; its key is free. Raises UnknownSegment, SegmentNamed.

    A mailing that was composed for it goes on: it keeps the conditions.
    """
    by_key(session, key)
    named = (Word.IN, key)
    others = [
        other for other, one in listed(session).items() if named in ((leaf.word, leaf.value) for leaf in _leaves(one))
    ]
    if others:
        raise SegmentNamed(key, others)
    session.execute(delete(Row).where(Row.key == key))


def by_key(session: Session, key: str) -> Segment:
    """Return the segment of a key. Raises UnknownSegment."""
    found = session.execute(select(Row.conditions).where(Row.key == key)).scalar_one_or_none()
    if found is None:
        raise UnknownSegment(key)
    return from_data(found["all"])


def listed(session: Session) -> dict[str, Segment]:
    """Return all segments in the order of their keys."""
    rows = session.execute(select(Row.key, Row.conditions).order_by(Row.key))
    return {key: from_data(conditions["all"]) for key, conditions in rows}


def _depth(segment: Segment) -> int:
    """Return how deep `from_data` goes to read it: a level for each segment within another, and one more for its opposite."""
    within = (one.no + 1 + _depth(one.value) for one in segment.conditions if isinstance(one.value, Segment))
    return max(within, default=0)


def spelled(session: Session, segment: Segment) -> Segment:
    """Return a segment in which others stand with their conditions instead of their keys: it means the same for ever."""
    conditions = (
        replace(one, value=spelled(session, by_key(session, one.value) if isinstance(one.value, str) else one.value))
        if one.word is Word.IN and isinstance(one.value, str | Segment)
        else one
        for one in segment.conditions
    )
    return Segment(tuple(conditions))


# Asking


def count(session: Session, segment: Segment, *, digests: Mapping[str, int]) -> int:
    """Return exactly how many are in a segment and may be mailed: who takes something, on a basis, and is not suppressed."""
    # Half a million readers hashed in less spill to disk, which takes longer than all else.
    session.execute(text("SET LOCAL work_mem = '96MB'"))
    people = members(session, segment, digests=digests).subquery()
    return int(session.execute(select(func.count()).select_from(people)).scalar_one())


def members(session: Session, segment: Segment, *, digests: Mapping[str, int]) -> Select[Any]:
    """Return the query for the subscribers of a segment, each once.

    digests   the number of each digest by its key

    Raises BadSegment for a digest that is not there and for a mailing whose rows ended as counts, UnknownTopic, UnknownMailing.
    """
    people = _Ask(session, digests).people(spelled(session, segment))
    return people.where(~_suppressed(people.selected_columns[0]))


def holds(session: Session, segment: Segment, reader: Any, *, digests: Mapping[str, int]) -> ColumnElement[bool]:
    """Return the condition that a reader, found in any way, is in a segment; raises as `members`.

    reader   the column of their number

    Of a large audience the first few are found by it in half the time that it takes to ask who is in the segment.
    """
    ask = _Ask(session, digests)
    conditions = spelled(session, segment).conditions
    return and_(*(ask.holds(one, reader) for one in conditions), ~_suppressed(reader))


def measure(session: Session, segment: Segment, *, digests: Mapping[str, int]) -> tuple[int, ...]:
    """Return what a count depends on, a figure a condition, each counted in a moment.

    Who is in a segment changes only with one of them: by as many as they did, or fewer.
    """
    ask = _Ask(session, digests)
    return tuple(ask.figure(one) for one in _leaves(spelled(session, segment)))


def _leaves(segment: Segment) -> Iterator[Condition]:
    for one in segment.conditions:
        if isinstance(one.value, Segment):
            yield from _leaves(one.value)
        else:
            yield one


def _suppressed(reader: Any) -> ColumnElement[bool]:
    # NOT IN is taken to leave out every second reader, and what follows is planned for half of them.
    barred = Subscriber.__table__.alias()
    held = and_(Suppression.mailbox_id == barred.c.mailbox_id, Suppression.lifted_at.is_(None))
    return exists(select(barred.c.id).join(Suppression, held).where(barred.c.id == reader))


def _base(ask: "_Ask", whole: tuple[Condition, ...]) -> tuple[Select[Any], Any, list[Condition]]:
    """Return the query of readers with which the smallest table is begun, and what else must hold of them.

    Who takes a digest and who chose a topic is there once: those tables are the readers. Else it is begun with people's records
    where something is asked of these, or with whoever takes anything, in the order of an index.
    """
    live = Subscription.ended_at.is_(None)
    meant = {one.word: one for one in reversed(whole) if not one.no}
    begun: Condition | None = None
    if begun := meant.get(Word.TOPIC):
        chosen = (Interest.topic_id == ask.topic(begun.value), Interest.ended_at.is_(None))
        query, reader = select(Interest.subscriber_id).where(*chosen), Interest.subscriber_id
        if Word.DIGEST not in meant:
            query = query.where(exists().where(Subscription.subscriber_id == Interest.subscriber_id, live))
    elif begun := meant.get(Word.DIGEST):
        taken = (Subscription.digest_id == ask.digest(begun.value), live)
        query, reader = select(Subscription.subscriber_id).where(*taken), Subscription.subscriber_id
    elif meant.keys() & {Word.LANGUAGE, Word.JOINED}:
        takes = exists().where(Subscription.subscriber_id == Subscriber.id, live)
        query, reader = select(Subscriber.id.label("subscriber_id")).where(takes), Subscriber.id
    else:
        takers = select(Subscription.subscriber_id).where(live).distinct().subquery()
        return select(takers.c.subscriber_id), takers.c.subscriber_id, list(whole)
    return query, reader, [one for one in whole if one is not begun]


class _Ask:
    """Turns conditions into SQL about a reader."""

    def __init__(self, session: Session, digests: Mapping[str, int]) -> None:
        self.session, self.digests = session, digests

    def figure(self, condition: Condition) -> int:
        """Return how many one condition, taken alone, holds for; of a digest, a topic or a mailing, all that stand there."""
        value = condition.value
        some: tuple[ColumnElement[bool], ...]
        match condition.word:
            case Word.HAD:
                return reading.handed_count(self.session, int(str(value)))
            case Word.DIGEST:
                some = (Subscription.digest_id == self.digest(value), Subscription.ended_at.is_(None))
            case Word.TOPIC:
                some = (Interest.topic_id == self.topic(value), Interest.ended_at.is_(None))
            case _:
                some = (_WORDS[condition.word](self, value, Subscriber.id),)
        return int(self.session.execute(select(func.count()).where(*some)).scalar_one())

    def people(self, segment: Segment) -> Select[Any]:
        """Return the query of a segment's readers, suppressed or not, each once."""
        query, reader, rest = _base(self, segment.conditions)
        return query.where(*(self.holds(one, reader) for one in rest))

    def holds(self, condition: Condition, reader: Any) -> ColumnElement[bool]:
        if condition.word is Word.IN and not condition.no:
            assert isinstance(condition.value, Segment), "spelled out"
            return and_(true(), *(self.holds(one, reader) for one in condition.value.conditions))
        found = _WORDS[condition.word](self, condition.value, reader)
        return ~found if condition.no else found

    def digest(self, key: Any) -> int:
        try:
            return self.digests[key]
        except KeyError:
            raise BadSegment("no-digest", digest=key) from None

    def takes(self, key: Any, reader: Any) -> ColumnElement[bool]:
        mine = Subscription.__table__.alias()
        live = mine.c.ended_at.is_(None)
        return exists(
            select(mine.c.id).where(mine.c.subscriber_id == reader, mine.c.digest_id == self.digest(key), live)
        )

    def topic(self, key: Any) -> int:
        found = self.session.execute(
            select(Topic.id).where(Topic.key == key, Topic.removed_at.is_(None))
        ).scalar_one_or_none()
        if found is None:
            raise BadSegment("no-topic", topic=key)
        return found

    def chose(self, key: Any, reader: Any) -> ColumnElement[bool]:
        mine = Interest.__table__.alias()
        live = mine.c.ended_at.is_(None)
        return exists(select(mine.c.id).where(mine.c.subscriber_id == reader, mine.c.topic_id == self.topic(key), live))

    def speaks(self, language: Any, reader: Any) -> ColumnElement[bool]:
        person, its = self._record(reader)
        return its(or_(person.c.language == language, person.c.language.like(f"{language}-%")))

    def joined(self, span: Any, reader: Any) -> ColumnElement[bool]:
        person, its = self._record(reader)
        when = [person.c.created_at >= _midnight(span.since)] if span.since else []
        when += [person.c.created_at < _midnight(span.before)] if span.before else []
        return its(and_(*when))

    def _record(self, reader: Any) -> tuple[Any, Callable[[ColumnElement[bool]], ColumnElement[bool]]]:
        """Return the table of a reader's record, and what makes of a condition on it one on the reader."""
        if reader is Subscriber.id:
            return Subscriber.__table__, lambda condition: condition
        person = Subscriber.__table__.alias()
        return person, lambda condition: exists(select(person.c.id).where(person.c.id == reader, condition))

    def had(self, mailing: Any, reader: Any) -> ColumnElement[bool]:
        # Else nobody would have had it, and "not had" would be everybody.
        if personal.counts(self.session, mailing):
            raise BadSegment("rows-gone", mailing=mailing, days=personal.KEPT.days)
        return reading.handed_over(self.session, mailing, reader)

    def inside(self, other: Any, reader: Any) -> ColumnElement[bool]:
        people = self.people(other).subquery()
        return exists(select(people.c.subscriber_id).where(people.c.subscriber_id == reader))


_WORDS: dict[Word, Callable[[_Ask, Any, Any], ColumnElement[bool]]] = {
    Word.DIGEST: _Ask.takes,
    Word.TOPIC: _Ask.chose,
    Word.LANGUAGE: _Ask.speaks,
    Word.JOINED: _Ask.joined,
    Word.HAD: _Ask.had,
    Word.IN: _Ask.inside,
}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), UTC)
