"""What of a mailing is on the wire: announced, and not yet written what became of it. Whoever it is for may have it.

A shard that is given back has every answer written; that of a lost worker is settled by whoever takes it next.
"""

from collections.abc import Sequence

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from newsletter.ledger import mailings


def busy(session: Session, mailing_id: int) -> bool:
    """Return whether mail of a mailing is on the wire."""
    return _asked(session, _BUSY, mailing_id)


def _asked(session: Session, question: TextClause, mailing_id: int) -> bool:
    return bool(session.execute(question, {"mailing": mailing_id}).scalar_one())


def busy_in_any(session: Session, alert: int) -> bool:
    """Return whether mail of an alert is on the wire, in whatever language."""
    return any(busy(session, one) for one in mailings.in_all_languages(session, alert))


def held_in_any(session: Session, alert: int) -> bool:
    """Return whether mail of an alert is on the wire whose holder is there, in whatever language: its answers are still to come.

    A halted mailing is taken by nobody, so where the holder's machine was lost nothing changes before it goes on.
    """
    return any(_asked(session, _HELD, one) for one in mailings.in_all_languages(session, alert))


def close(session: Session, mailing_id: int) -> bool:
    """Let no window of a mailing that is over be opened any more; return whether none is open.

    A holder who asked for one a moment ago, before the mailing was over, finds another fence; where it was faster, its
    window is seen here.
    """
    if busy(session, mailing_id):
        return False
    session.execute(_FENCE_OFF, {"mailing": mailing_id})
    return not busy(session, mailing_id)


def reaching(session: Session, over: Sequence[int], readers: Sequence[int]) -> set[int]:
    """Return which of these mailboxes mail of mailings that are over may still reach: announced, unanswered, its holder there.

    Asked by what was planned as they ended: they open no further window, and one that is being opened is waited for. That of a
    holder who vanished counts until its lease has run out, or its shard is settled.
    """
    months = {mailings.get(session, one).month for one in over}
    facts = {"over": list(over), "months": sorted(months), "readers": list(readers)}
    return set(session.execute(_REACHING, facts).scalars())


# A row that ended after the lease may have been on the wire by then, as in shards._SETTLE.
_REACHING = text("""
    WITH held AS (
        SELECT id, announced, leased_at FROM shard
        WHERE mailing_id = ANY (CAST(:over AS bigint[])) AND state = 'open' AND lease_until > clock_timestamp()
        ORDER BY id FOR SHARE
    )
    SELECT d.mailbox_id FROM held s JOIN delivery d ON d.shard_id = s.id AND d.position < s.announced
    WHERE d.month = ANY (CAST(:months AS date[])) AND d.mailbox_id = ANY (CAST(:readers AS bigint[]))
      AND (d.state = 'planned' OR d.state = 'deferred' AND d.due_at <= s.leased_at
           OR d.state IN ('cancelled', 'expired', 'uncertain') AND d.outcome_at > s.leased_at)
""")
_FENCE_OFF = text("""
    UPDATE shard SET fence = fence + 1, owner = NULL, lease_until = NULL
    WHERE mailing_id = :mailing AND state = 'open' AND announced = 0
""")
_BUSY = text("SELECT EXISTS (SELECT FROM shard WHERE mailing_id = :mailing AND state = 'open' AND announced > 0)")
_HELD = text("""
    SELECT EXISTS (
        SELECT FROM shard
        WHERE mailing_id = :mailing AND state = 'open' AND announced > 0 AND lease_until > clock_timestamp()
    )
""")
