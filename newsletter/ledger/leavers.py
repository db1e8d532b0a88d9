"""Mail on its way to those who leave while somebody is at their rows: cancelled for many at once, and nobody is waited for."""

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.orm import Session

from newsletter.ledger.deliveries import NEWSLETTER, UNASKED
from newsletter.ledger.shards import CANCELLED


def cancel(session: Session, gone: Collection[tuple[int, int | None]], *, reason: str) -> int:
    """Cancel as `deliveries.cancel` does, for many mailboxes; return how many rows.

    gone   (mailbox, digest or None for all of them)

    A row that somebody writes at this moment is left as it is. Most often that is its outcome; where it is to go again, the next
    lease asks anew who may be written to.
    """
    facts = {"boxes": [box for box, _ in gone], "digests": [one for _, one in gone]}
    done = session.execute(_CANCEL, facts | {"reason": reason, "kinds": sorted(NEWSLETTER)})
    return int(done.rowcount)  # type: ignore[attr-defined]


_CANCEL = text(f"""
    WITH free AS (
        SELECT d.month, d.id FROM unnest(CAST(:boxes AS bigint[]), CAST(:digests AS bigint[])) AS gone (box, digest)
        JOIN delivery d ON d.mailbox_id = gone.box AND d.state IN ('planned', 'deferred')
        JOIN mailing m ON m.id = d.mailing_id AND m.state IN ('sending', 'paused')
            AND (m.kind = ANY (CAST(:kinds AS text[])) AND (gone.digest IS NULL OR m.digest_id = gone.digest)
                 OR gone.digest IS NULL AND {UNASKED})
        FOR UPDATE OF d SKIP LOCKED
    )
    UPDATE delivery d SET state = {CANCELLED}, reason = :reason, due_at = NULL, outcome_at = clock_timestamp()
    FROM free WHERE d.month = free.month AND d.id = free.id
""")  # noqa: S608
