"""What a list says otherwise of readers who are known. It is written over their record where the operator asks for that alone:
readers set name, postcode, language and zone themselves, and what they removed must not come back by an old list.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from newsletter.database import Session
from newsletter.subscribers.entries import Person


def difference(session: Session, person: Person, row: Any) -> tuple[Any, ...] | None:
    """Return what the file says otherwise than the record (as `apply` takes it); None when it says nothing new."""
    vault, number = session.vault, row.subscriber_id
    known = {
        name: vault.unseal("subscriber", name, number, sealed) if sealed else ""
        for name, sealed in (("name", row.name_sealed), ("postcode", row.postcode_sealed))
    }
    known |= {"language": row.language, "time_zone": row.time_zone}
    said = {name: getattr(person, name) for name in known}
    if row.nameless:
        said["name"] = ""
    if all(not value or value == known[name] for name, value in said.items()):
        return None
    merged = {name: value or known[name] for name, value in said.items()}
    name, postcode = (
        vault.seal("subscriber", column, number, merged[column]) if merged[column] else None
        for column in ("name", "postcode")
    )
    return number, name, postcode, merged["language"], merged["time_zone"]


def apply(session: Session, differences: Sequence[tuple[Any, ...]]) -> set[int]:
    """Write over the records of some readers; return their numbers."""
    if not differences:
        return set()
    columns = [list(column) for column in zip(*differences, strict=True)]
    session.execute(_UPDATE, dict(zip(_UPDATED, columns, strict=True)))
    return set(columns[0])


_UPDATED = ("ids", "names", "postcodes", "languages", "zones")
_UPDATE = text("""
    UPDATE subscriber s
    SET name_sealed = u.name, postcode_sealed = u.postcode, language = u.language, time_zone = u.zone
    FROM unnest(CAST(:ids AS bigint[]), CAST(:names AS bytea[]), CAST(:postcodes AS bytea[]),
        CAST(:languages AS text[]), CAST(:zones AS text[])) AS u (id, name, postcode, language, zone)
    WHERE s.id = u.id
""")
