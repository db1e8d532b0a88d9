"""What we hold of one person as a member of the team. It stays when they are erased as a reader: it proves who did what."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import select, text

from newsletter.database import Session
from newsletter.mailboxes import Whose
from newsletter.models.operator import Operator
from newsletter.operators import people, sessions

CLAIMS = frozenset({"operator.name_sealed", "operator.totp_sealed", "operator_session.device_sealed"})
"""What `export` answers for, of all that is marked as personal; `newsletter operators disable` ends it."""
ROWS: Mapping[str, str] = MappingProxyType({"operator": "team"})
"""Under which name `export` hands out the rows of each table that points to a person."""
Held = tuple[timedelta | None, datetime | None, int]


def export(session: Session, whose: Whose) -> dict[str, Any]:
    """Return what we hold of an operator; nothing where they are none. The secret of their app is theirs and not shown."""
    found = session.execute(select(Operator.id).where(Operator.mailbox_id == whose.mailbox_id)).scalar_one_or_none()
    if found is None:
        return {}
    one = people.by_id(session, found)
    now = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    devices = [session_.device for session_ in sessions.listed(session, one.id, now=now)]
    return {
        "team": {
            "name": one.name,
            "roles": list(one.roles),
            "enrolled_at": one.enrolled_at,
            "disabled_at": one.disabled_at,
            "code_app": one.enrolled_at is not None,
            "devices": devices,
        }
    }


def held(session: Session) -> dict[str, Held]:
    """Return how long each category of ours is kept, the oldest row that is there, and how many rows."""
    kept: dict[str, tuple[timedelta | None, str, str]] = {
        "sessions of the team": (sessions.LIFE * 7, "operator_session", "began_at"),
        "audit": (None, "audit", "NULL::timestamptz"),
    }
    found: dict[str, Held] = {}
    for category, (period, table, at) in kept.items():
        row = session.execute(text(f"SELECT min({at}), count(*) FROM {table}")).one()  # noqa: S608
        found[category] = (period, row[0], int(row[1]))
    return found
