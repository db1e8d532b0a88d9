"""Tags of another system become topics of ours: those that are topics already, all of them, or none."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import text

from newsletter.composer import headers
from newsletter.database import Session
from newsletter.subscribers import grounds, topics
from newsletter.subscribers.consent import Basis


class Tags(StrEnum):
    """Which tags become topics: those that readers may choose here already, all, or none."""

    KNOWN = "known"
    ALL = "all"
    NONE = "none"


class Tagging:
    """Gives the readers of one import their topics."""

    def __init__(self, session: Session, tags: Tags, *, import_id: int, basis: Basis, now: datetime) -> None:
        self._session, self._tags = session, tags
        self._facts: dict[str, Any] = {"import": import_id, "basis": basis, "now": now}
        self._topics: dict[str, int] = {}
        for topic in topics.listed(session) if tags is not Tags.NONE else ():
            self._topics |= {topic.key: topic.id, topic.name.casefold(): topic.id}

    def give(self, tagged: Mapping[int, Iterable[str]]) -> tuple[set[int], int, Counter[str]]:
        """Return (who has a topic they had not, how many those are, tags that are no topic).

        What somebody ended themselves does not come back.
        """
        pairs, strange = list[tuple[int, int]](), Counter[str]()
        for reader, tags in tagged.items():
            for tag in tags:
                if topic := self._topic(tag):
                    pairs.append((reader, topic))
                else:
                    strange[tag] += 1
        if not pairs:
            return set(), 0, strange
        facts = self._facts | {"readers": [one for one, _ in pairs], "topics": [topic for _, topic in pairs]}
        self._session.execute(_STAND_BY, facts)
        given = list(self._session.execute(_GIVE, facts).scalars())
        return set(given), len(given), strange

    def _topic(self, tag: str) -> int | None:
        name = tag.casefold()
        if self._tags is Tags.ALL and name not in self._topics and (key := _key(tag)):
            made = self._topics.get(key) or topics.add(self._session, key, name=tag, import_id=self._facts["import"]).id
            self._topics |= {name: made, key: made}
        return self._topics.get(name)


def _key(tag: str) -> str | None:
    """Return the key of a topic that is called like a tag, or None where a tag can be the name of none."""
    if len(tag) > 100 or headers.FORBIDDEN.search(tag):
        return None
    plain = unicodedata.normalize("NFKD", tag).encode("ascii", "ignore").decode().lower()
    found = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    return found or f"topic-{hashlib.sha256(tag.encode()).hexdigest()[:12]}"


# One event for each: a topic can be taken back by itself.
_GIVE = text("""
    WITH wanted AS (
        SELECT DISTINCT reader, topic FROM unnest(CAST(:readers AS bigint[]), CAST(:topics AS bigint[])) AS w (reader, topic)
        WHERE (SELECT count(*) FROM interest i WHERE i.subscriber_id = w.reader AND i.topic_id = w.topic
            AND (i.end_reason IN ('import undone', 'sign-up undone', 'topic removed')) IS NOT TRUE) = 0
    ), numbered AS MATERIALIZED (
        SELECT reader, topic, nextval(pg_get_serial_sequence('consent_event', 'id')) AS event FROM wanted
    ), granted AS (
        INSERT INTO consent_event (id, subscriber_id, kind, basis, purpose, import_id, at) OVERRIDING SYSTEM VALUE
        SELECT event, reader, 'granted', :basis, 'topic:' || topic, :import, :now FROM numbered
    )
    INSERT INTO interest (subscriber_id, topic_id, granted_by, started_at)
    SELECT reader, topic, event, :now FROM numbered
    -- Whoever ticks it in that moment has it by their own word; what the list shows is kept beside that.
    ON CONFLICT (subscriber_id, topic_id) WHERE ended_at IS NULL DO NOTHING RETURNING subscriber_id
""")
# Who has it by another list: it is not to end with that one.
_STAND_BY = text(f"""
    INSERT INTO consent_event (subscriber_id, kind, basis, purpose, import_id, at)
    SELECT DISTINCT reader, 'granted', :basis, 'topic:' || topic, CAST(:import AS bigint), CAST(:now AS timestamptz)
    FROM unnest(CAST(:readers AS bigint[]), CAST(:topics AS bigint[])) AS w (reader, topic)
    WHERE (SELECT count(*) FROM interest i WHERE i.subscriber_id = w.reader AND i.topic_id = w.topic AND i.ended_at IS NULL) > 0
        AND {grounds.lists("w.reader", "'topic:' || w.topic")} < {grounds.MOST}
""")  # noqa: S608
