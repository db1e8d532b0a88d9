"""Every sealed value anew, under the key that is live: a few rows at a time, beside whatever else goes on.

Which columns are sealed is asked of the database: all whose names end in `_sealed`, whichever noun owns them. A value moves from
key to key and keeps its text and its place, so nothing but the seal is known here.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import text

from newsletter.database import Session
from newsletter.vault import TEAM, CannotUnseal

BATCH = 500
_ENDING = "_sealed"


@dataclass(frozen=True, slots=True)
class Column:
    """A sealed column, and the number that a seal is bound to."""

    table: str
    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Turn:
    """A few rows that were looked at. last: the last of them, 0 at the end; damaged: could not be opened, and stay."""

    last: int
    changed: int
    damaged: int


def columns(session: Session) -> list[Column]:
    """Return every sealed column of the database."""
    return [Column(*row) for row in session.execute(_COLUMNS)]


# The names go into statements below: they are the catalogue's own, quoted by it.
_COLUMNS = text("""
    SELECT quote_ident(c.relname), quote_ident(a.attname), quote_ident(k.attname)
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
    JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary AND i.indnkeyatts = 1
    JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = i.indkey[0]
    WHERE a.attname LIKE '%\\_sealed' AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid = 'bytea'::regtype
    ORDER BY 1, 2
""")


def turn(session: Session, column: Column, *, after: int, team: Iterable[int]) -> Turn:
    """Seal the next rows of a column anew that are not under a live key. Rows that somebody else is at are left for later.

    team   mailboxes whose addresses the team's pages open
    """
    people, members = session.vault.live_ids
    facts = {"after": after, "people": people, "members": members, "theirs": list(team), "most": BATCH}
    found = session.execute(text(_FIND.format(column=column, mine=_mine(column))), facts).all()
    changed = [one for row in found if (one := _anew(session, column, row.id, bytes(row.sealed), row.mine))]
    if changed:
        session.execute(text(_CHANGE.format(column=column)), [{"id": row_id, "sealed": new} for row_id, new in changed])
    return Turn(found[-1].id if found else 0, len(changed), len(found) - len(changed))


# FOR NO KEY UPDATE: whoever points to the row does not wait; whoever changes it does, for as long as 500 rows take.
_FIND = """
    SELECT {column.key} AS id, {column.name} AS sealed, {mine} AS mine FROM {column.table}
    WHERE {column.key} > :after AND {column.name} <> '' AND NOT substr({column.name}, 1, 1) = ANY (
        CASE WHEN {mine} THEN CAST(:members AS bytea[]) ELSE CAST(:people AS bytea[]) END)
    ORDER BY {column.key} LIMIT :most FOR NO KEY UPDATE SKIP LOCKED
"""
_CHANGE = "UPDATE {column.table} SET {column.name} = :sealed WHERE {column.key} = :id"


def _mine(column: Column) -> str:
    """Return the condition for what the team's pages open as well."""
    if column.table in TEAM:
        return "true"
    return f"{column.key} = ANY (CAST(:theirs AS bigint[]))" if column.table == "mailbox" else "false"


def _anew(session: Session, column: Column, row_id: int, sealed: bytes, mine: bool) -> tuple[int, bytes] | None:
    place = (column.table, column.name.removesuffix(_ENDING), row_id)
    try:
        plain = session.vault.unseal(*place, sealed)
    except CannotUnseal:
        return None
    return row_id, (session.vault.seal_for_team if mine else session.vault.seal)(*place, plain)


def left(session: Session, column: Column, *, team: Iterable[int]) -> int:
    """Return how many values of a column are not under a live key."""
    people, members = session.vault.live_ids
    facts = {"people": people, "members": members, "theirs": list(team)}
    return int(session.execute(text(_LEFT.format(column=column, mine=_mine(column))), facts).scalar_one())


_LEFT = """
    SELECT count(*) FROM {column.table} WHERE {column.name} <> '' AND NOT substr({column.name}, 1, 1) = ANY (
        CASE WHEN {mine} THEN CAST(:members AS bytea[]) ELSE CAST(:people AS bytea[]) END)
"""
_USING = "SELECT count(*) FROM {column.table} WHERE substr({column.name}, 1, 1) = :key"


def using(session: Session, key_id: int) -> dict[str, int]:
    """Return how many values of each column are sealed under a key; columns without any are left out."""
    found = {}
    for column in columns(session):
        query = text(_USING.format(column=column))
        if count := int(session.execute(query, {"key": bytes((key_id,))}).scalar_one()):
            found[f"{column.table}.{column.name.removesuffix(_ENDING)}"] = count
    return found
