"""On which lists a permission rests. What several lists show of somebody is kept of each, so that undoing one of them leaves it.

What a further list shows is an event of its own beside the one on which the subscription stands; undoing the list of that one lets
it stand on another. A list that comes in every night would fill the tables: beside so many lists, no further one is kept.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import text

from newsletter import mailboxes
from newsletter.database import Session
from newsletter.models.consent import Basis, Consent

MOST = 3
"""On how many lists that were not undone a permission is kept to rest."""


def count(person: str, purpose: str) -> str:
    """Return SQL for on how many lists a permission rests: MOST or more where they said yes themselves, which no list undoes."""
    return f"""(SELECT count(*) FILTER (WHERE g.import_id IS NOT NULL) + {MOST} * count(*) FILTER (WHERE g.import_id IS NULL)
        FROM consent_event g LEFT JOIN import_run r ON r.id = g.import_id
        WHERE g.subscriber_id = {person} AND g.purpose = {purpose} AND g.kind = 'granted' AND r.undone_at IS NULL)"""  # noqa: S608


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
    """Return those of some readers whose permission may rest on another list besides."""
    return set(session.execute(_THIN, {"ids": list(readers), "purpose": purpose}).scalars())


_THIN = text(f"""
    SELECT known.number FROM unnest(CAST(:ids AS bigint[])) AS known (number)
    WHERE {count("known.number", "CAST(:purpose AS text)")} < {MOST}
""")  # noqa: S608


def hand_over(session: Session, import_id: int) -> int:
    """Let what rests on a list stand on what else shows it: their own word, else the oldest list; return how many subscriptions."""
    handed, _ = (len(session.execute(one, {"import": import_id}).all()) for one in _HAND_OVER)
    return handed


_HAND_OVER = tuple(
    text(f"""
        UPDATE {table} l SET granted_by = heir.event FROM (
            SELECT m.id, (array_agg(g.id ORDER BY g.import_id NULLS FIRST, g.id DESC))[1] AS event
            FROM consent_event e JOIN {table} m ON m.granted_by = e.id AND m.ended_at IS NULL
            JOIN consent_event g ON g.subscriber_id = m.subscriber_id AND g.purpose = e.purpose AND g.kind = 'granted'
            LEFT JOIN import_run r ON r.id = g.import_id
            WHERE e.import_id = :import AND g.import_id IS DISTINCT FROM :import AND r.undone_at IS NULL GROUP BY m.id
        ) heir WHERE heir.id = l.id RETURNING l.id
    """)  # noqa: S608
    for table in ("subscription", "interest")
)
