"""Which questions reached somebody: who was handed none cannot have left it unanswered."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from newsletter.database import Session


def handed(session: Session, asked: Mapping[int, datetime]) -> set[int]:
    """Return those of some mailboxes to which a question whether they wish to join was handed since a moment, or may have been."""
    facts = {"boxes": list(asked), "since": list(asked.values())}
    return set(session.execute(_HANDED, facts).scalars())


_HANDED = text("""
    SELECT DISTINCT d.mailbox_id
    FROM unnest(CAST(:boxes AS bigint[]), CAST(:since AS timestamptz[])) AS a (box, since)
    JOIN delivery d ON d.mailbox_id = a.box JOIN mailing m ON m.id = d.mailing_id
    WHERE m.kind = 'notice' AND d.occasion LIKE 'join:%' AND m.created_at >= a.since
      AND (d.state IN ('accepted', 'uncertain') OR d.uncertain_at IS NOT NULL)
""")
