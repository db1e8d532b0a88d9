"""Questions whether somebody wishes to join: which of them reached whom, and cancelling those that did not yet."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import text

from newsletter.database import Session
from newsletter.ledger.shards import CANCELLED


def handed(session: Session, asked: Iterable[tuple[int, datetime]]) -> set[tuple[int, datetime]]:
    """Return those of some mailboxes to which a question was handed since a moment, or may have been, each with that moment.

    Who was handed none cannot have left it unanswered.
    """
    boxes, moments = [list(one) for one in zip(*asked, strict=True)] or ([], [])
    return {(row.box, row.since) for row in session.execute(_HANDED, {"boxes": boxes, "since": moments})}


_HANDED = text("""
    SELECT DISTINCT a.box, a.since
    FROM unnest(CAST(:boxes AS bigint[]), CAST(:since AS timestamptz[])) AS a (box, since)
    JOIN delivery d ON d.mailbox_id = a.box JOIN mailing m ON m.id = d.mailing_id
    WHERE m.kind = 'notice' AND d.occasion LIKE 'join:%' AND m.created_at >= a.since
      AND (d.state IN ('accepted', 'uncertain') OR d.uncertain_at IS NOT NULL)
""")


def cancel(session: Session, asked: Mapping[int, int]) -> set[int]:
    """Cancel the questions of some sign-ups, each with its mailbox, that were not yet handed over; return the sign-ups."""
    facts = {"boxes": list(asked.values()), "occasions": [f"join:{number}" for number in asked]}
    return {int(one) for one in session.execute(_CANCEL, facts).scalars()}


_CANCEL = text(f"""
    UPDATE delivery d SET state = {CANCELLED}, reason = 'undone', due_at = NULL, outcome_at = clock_timestamp()
    WHERE mailbox_id = ANY (CAST(:boxes AS bigint[])) AND occasion = ANY (CAST(:occasions AS text[]))
      AND state IN ('planned', 'deferred')
    RETURNING substr(occasion, 6)
""")  # noqa: S608
