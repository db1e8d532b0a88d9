"""On what a permission rests: on each word of a reader's own and each list that shows it, as long as that stands.

What a further list shows is an event of its own beside the one on which the subscription stands. So when a list or a sign-up is
taken back, or a topic goes, there is one rule: what was taken back stands no more (`stands`), what rested on it goes over to what
still does (`hand_over`), and where nothing does it ends. A list that comes in every night would fill the tables: beside so many
lists, no further one is kept.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from newsletter import mailboxes
from newsletter.database import Session
from newsletter.models.consent import Basis, Consent
from newsletter.subscribers.consent import EVERYTHING

MOST = 3
"""On how many lists a permission is kept to rest, beside the reader's own words: a sign-up can be taken back too."""


def stands(event: str) -> str:
    """Return SQL for whether an event is a permission that holds: neither it nor its list was undone, nobody withdrew it since.

    A reader's own no ends all that was given before it, a list's end what that list gave.
    """
    return f"""({event}.kind = 'granted'
        AND (SELECT count(*) FROM import_run r WHERE r.id = {event}.import_id AND r.undone_at IS NOT NULL) = 0
        AND (SELECT count(*) FROM consent_event w WHERE w.subscriber_id = {event}.subscriber_id AND w.kind = 'withdrawn'
            AND w.id > {event}.id AND CASE WHEN w.undoes IS NOT NULL THEN w.undoes = {event}.id
                WHEN w.import_id IS NOT NULL THEN w.import_id = {event}.import_id AND w.purpose = {event}.purpose
                ELSE w.purpose = {event}.purpose OR w.purpose = '{EVERYTHING}' AND {event}.purpose LIKE 'digest:%' END) = 0)"""  # noqa: S608


def lists(person: str, purpose: str) -> str:
    """Return SQL for on how many lists a permission rests."""
    return f"""(SELECT count(*) FROM consent_event g
        WHERE g.subscriber_id = {person} AND g.purpose = {purpose} AND g.import_id IS NOT NULL AND {stands("g")})"""  # noqa: S608


def numbers(session: Session, table: str, count: int) -> list[int]:
    """Return numbers for new rows: a seal is bound to its row, so the number comes first."""
    drawn = text("SELECT array_agg(nextval((SELECT pg_get_serial_sequence(:table, 'id')))) FROM generate_series(1, :n)")
    found: list[int] = session.execute(drawn, {"table": table, "n": count}).scalar_one()
    return found


def grant(
    session: Session, readers: Sequence[int], *, basis: Basis, purpose: str, import_id: int, now: Any
) -> list[int]:
    """Copy in what a list shows: a permission of each; return the events, in their order."""
    facts = (str(Consent.GRANTED), str(basis), purpose, import_id, now)
    events = numbers(session, "consent_event", len(readers))
    mailboxes.copy_rows(
        session,
        "consent_event (id, subscriber_id, kind, basis, purpose, import_id, at)",
        ("int8", "int8", "text", "text", "text", "int8", "timestamptz"),
        ((event, reader, *facts) for event, reader in zip(events, readers, strict=True)),
    )
    return events


def thin(session: Session, readers: Iterable[int], *, purpose: str) -> set[int]:
    """Return those of some readers whose permission may rest on a further list besides."""
    return set(session.execute(_THIN, {"ids": list(readers), "purpose": purpose}).scalars())


_THIN = text(f"""
    SELECT known.number FROM unnest(CAST(:ids AS bigint[])) AS known (number)
    WHERE {lists("known.number", "CAST(:purpose AS text)")} < {MOST}
""")  # noqa: S608


def undo(session: Session, events: Iterable[int], *, now: datetime) -> None:
    """Write down that an operator takes back some permissions. Safe to repeat."""
    session.execute(_UNDO, {"events": list(events), "now": now})


_UNDO = text("""
    INSERT INTO consent_event (subscriber_id, kind, purpose, undoes, at)
    SELECT subscriber_id, 'withdrawn', purpose, id, :now FROM consent_event
    WHERE id = ANY (CAST(:events AS bigint[])) AND kind = 'granted' ORDER BY id
    ON CONFLICT (undoes) WHERE undoes IS NOT NULL DO NOTHING
""")


def hand_over(session: Session, readers: Iterable[int]) -> int:
    """Let what some readers have on a permission that stands no more rest on one that does: their own word, else the oldest list.

    Return how many subscriptions. What is left rests on nothing, and is the caller's to end.
    """
    facts = {"readers": list(readers)}
    handed, _ = (len(session.execute(one, facts).all()) for one in _HAND_OVER)
    return handed


_HAND_OVER = tuple(
    text(f"""
        UPDATE {table} l SET granted_by = heir.event FROM (
            SELECT m.id, (array_agg(g.id ORDER BY g.import_id NULLS FIRST, g.id DESC))[1] AS event
            FROM {table} m JOIN consent_event e ON e.id = m.granted_by
            JOIN consent_event g ON g.subscriber_id = m.subscriber_id AND g.purpose = {purpose}
            WHERE m.subscriber_id = ANY (CAST(:readers AS bigint[])) AND m.ended_at IS NULL
                AND NOT {stands("e")} AND {stands("g")} GROUP BY m.id
        ) heir WHERE heir.id = l.id RETURNING l.id
    """)  # noqa: S608
    for table, purpose in (("subscription", "'digest:' || m.digest_id"), ("interest", "'topic:' || m.topic_id"))
)
