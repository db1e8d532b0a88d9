"""A topic goes: off every page, and from whoever chose it; with a row of the audit."""

from newsletter import database
from newsletter.journeys import acting
from newsletter.journeys.parts import Parts
from newsletter.operators import audit
from newsletter.subscribers import topics
from newsletter.subscribers.topics import Uses


def remove(parts: Parts, key: str, *, chosen_too: bool, by: int | None = None) -> Uses:
    """Remove a topic; return who had to do with it. Raises what `topics.remove` and `acting.officer` raise."""
    with parts.database.transaction() as session:
        who, now = acting.officer(session, by), database.now(session)
        found = topics.remove(session, key, chosen_too=chosen_too, now=now)
        audit.append(session, "topic.removed", by=who, now=now, topic=key, readers=found.readers)
    return found
