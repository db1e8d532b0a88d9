"""What readers may choose to read of, and what they chose, each on a permission of its own."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select, text, true, update

from newsletter.composer import headers
from newsletter.database import Session
from newsletter.errors import Conflict, Invalid, NotFound
from newsletter.models.consent import ImportRun
from newsletter.models.topic import Interest, Topic
from newsletter.subscribers import consent, grounds
from newsletter.subscribers.consent import Basis

_KEY = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?").fullmatch
_LONGEST_NAME = 100


class UnknownTopic(NotFound):
    """No topic has this key."""

    def __init__(self, key: str) -> None:
        super().__init__("topic.unknown", topic=key)


class TopicExists(Conflict):
    """A topic with this key is there already, by another name."""

    def __init__(self, key: str) -> None:
        super().__init__("topic.exists", topic=key)


class TopicChosen(Conflict):
    """Readers chose it, or segments name it: nobody removes it unasked."""

    def __init__(self, key: str, readers: int, segments: int) -> None:
        super().__init__("topic.chosen", topic=key, readers=readers, segments=segments)


class BadTopicKey(Invalid):
    """The key cannot stand in addresses of pages."""

    def __init__(self, key: str) -> None:
        super().__init__("topic.bad-key", topic=key)


class BadTopicName(Invalid):
    """The name cannot stand on a page or in a mail (standards §7)."""

    def __init__(self) -> None:
        super().__init__("topic.bad-name", longest=_LONGEST_NAME)


@dataclass(frozen=True, slots=True)
class TopicView:
    """A topic that readers may choose."""

    id: int
    key: str
    name: str


def of_topic(topic_id: int) -> str:
    """Return the purpose "to be written to about this topic", as a consent event names it."""
    return f"topic:{topic_id}"


@dataclass(frozen=True, slots=True)
class Uses:
    """Who has to do with a topic: readers who chose it, and segments that name it."""

    readers: int
    segments: int


def add(session: Session, key: str, *, name: str, import_id: int | None = None) -> TopicView:
    """Add a topic, also one that was removed; the same one again changes nothing. Raises BadTopicKey, BadTopicName, TopicExists.

    import_id   the list whose tag it is, with which it goes
    """
    if not _KEY(key):
        raise BadTopicKey(key)
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME or headers.FORBIDDEN.search(name):
        raise BadTopicName
    found = session.execute(select(Topic).where(Topic.key == key)).scalar_one_or_none()
    if found is None:
        found = Topic(key=key, name=name, import_id=import_id)
        session.add(found)
        session.flush()
    elif found.removed_at is not None:
        found.name, found.import_id, found.removed_at = name, import_id, None
        session.flush()
    elif found.name != name:
        raise TopicExists(key)
    return _view(found)


def listed(session: Session, *, removed_too: bool = False) -> list[TopicView]:
    """Return all topics in the order of their names."""
    query = select(Topic).where(true() if removed_too else Topic.removed_at.is_(None)).order_by(Topic.name, Topic.id)
    return [_view(one) for one in session.execute(query).scalars()]


def uses(session: Session, key: str) -> Uses:
    """Return who would miss a topic. Raises UnknownTopic."""
    topic = by_key(session, key)
    return Uses(measure(session, topic.id), int(session.execute(_NAMED, {"key": key}).scalar_one()))


def remove(session: Session, key: str, *, chosen_too: bool, now: datetime) -> Uses:
    """Take a topic off every page; who chose it has it no more. What was kept of it stays; `add` brings it back, without readers.

    chosen_too   also where somebody would miss it; False: raises TopicChosen then. Raises UnknownTopic
    """
    topic, found = by_key(session, key), uses(session, key)
    if (found.readers or found.segments) and not chosen_too:
        raise TopicChosen(key, found.readers, found.segments)
    session.execute(_NO_MORE, {"topic": topic.id, "now": now})
    session.execute(update(Topic).where(Topic.id == topic.id).values(removed_at=now))
    return found


def remove_made(session: Session, import_id: int, *, now: datetime) -> int:
    """Remove what the tags of a list made and nobody chooses or names any more; return how many.

    Also what one made that was undone before: another list had kept it in use until now.
    """
    undone = select(ImportRun.id).where(or_(ImportRun.id == import_id, ImportRun.undone_at.is_not(None)))
    made = select(Topic.key).where(Topic.import_id.in_(undone), Topic.removed_at.is_(None)).order_by(Topic.id)
    unused = [key for key in session.execute(made).scalars() if uses(session, key) == Uses(0, 0)]
    for key in unused:
        remove(session, key, chosen_too=False, now=now)
    return len(unused)


_NAMED = text(
    """SELECT count(*) FROM segment WHERE strpos(CAST(conditions AS text), '"topic": "' || :key || '"') > 0"""
)
# On whatever it rests besides: with readers the topic loses all of that, and none of it is a word of theirs.
_NO_MORE = text(f"""
    WITH ended AS (
        UPDATE interest SET ended_at = :now, end_reason = 'topic removed' WHERE topic_id = :topic AND ended_at IS NULL
        RETURNING subscriber_id
    )
    INSERT INTO consent_event (subscriber_id, kind, purpose, undoes, at)
    SELECT g.subscriber_id, 'withdrawn', g.purpose, g.id, :now FROM ended JOIN consent_event g USING (subscriber_id)
    WHERE g.purpose = 'topic:' || CAST(:topic AS bigint) AND {grounds.stands("g")} ORDER BY g.id
""")  # noqa: S608


def by_key(session: Session, key: str) -> TopicView:
    """Return the topic of a key. Raises UnknownTopic."""
    return _by_keys(session, [key])[0]


def of(session: Session, subscriber_id: int) -> list[TopicView]:
    """Return what a reader chose, in the order of the names."""
    mine = (Interest.subscriber_id == subscriber_id, Interest.ended_at.is_(None))
    query = select(Topic).join(Interest, Interest.topic_id == Topic.id).where(*mine).order_by(Topic.name, Topic.id)
    return [_view(one) for one in session.execute(query).scalars()]


def by_keys(session: Session, keys: Iterable[str]) -> list[TopicView]:
    """Return the topics of some keys, each once. Raises UnknownTopic."""
    return _by_keys(session, keys)


def choosers(topic_ids: Iterable[int]) -> Select[Any]:
    """Return the query for the subscribers who chose any of these topics, and still do."""
    return select(Interest.subscriber_id).where(Interest.topic_id.in_(list(topic_ids)), Interest.ended_at.is_(None))


def measure(session: Session, topic_id: int) -> int:
    """Return how many choose a topic, whoever they are: one look through an index."""
    live = (Interest.topic_id == topic_id, Interest.ended_at.is_(None))
    return int(session.execute(select(func.count()).where(*live)).scalar_one())


def choose(
    session: Session,
    subscriber_id: int,
    keys: Iterable[str],
    *,
    now: datetime,
    details: Mapping[str, str] | None = None,
    reason: str = "changed",
) -> bool:
    """Let a reader have these topics and no others; return whether anything changed. Safe to repeat.

    details   how they said so, kept with the permission of each new one
    reason    why the others end

    Each topic that ends is a consent event of its own, of that topic alone: it never means "no more mail".
    Raises UnknownTopic, and then nothing has changed.
    """
    wanted = {topic.id for topic in _by_keys(session, keys)}
    had = {topic.id for topic in of(session, subscriber_id)}
    for topic_id in sorted(had - wanted):
        _end(session, subscriber_id, topic_id, reason=reason, now=now)
    for topic_id in sorted(wanted - had):
        event = consent.granted(
            session, subscriber_id, basis=Basis.CONSENT, purpose=of_topic(topic_id), now=now, details=details
        )
        session.add(Interest(subscriber_id=subscriber_id, topic_id=topic_id, granted_by=event, started_at=now))
    session.flush()
    return wanted != had


def _end(session: Session, subscriber_id: int, topic_id: int, *, reason: str, now: datetime) -> None:
    live = (Interest.subscriber_id == subscriber_id, Interest.topic_id == topic_id, Interest.ended_at.is_(None))
    session.execute(update(Interest).where(*live).values(ended_at=now, end_reason=reason))
    consent.withdrawn(session, subscriber_id, purpose=of_topic(topic_id), now=now)


def _by_keys(session: Session, keys: Iterable[str]) -> list[TopicView]:
    wanted = list(dict.fromkeys(keys))
    # What no key can be is not asked for: a form may hold anything.
    query = select(Topic).where(Topic.key.in_(list(filter(_KEY, wanted))), Topic.removed_at.is_(None))
    found = {one.key: _view(one) for one in session.execute(query).scalars()}
    for key in wanted:
        if key not in found:
            raise UnknownTopic(key)
    return [found[key] for key in wanted]


def _view(topic: Topic) -> TopicView:
    return TopicView(topic.id, topic.key, topic.name)
