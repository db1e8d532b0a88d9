"""What of a mailing is on the wire: announced, and not yet written what became of it. Whoever it is for may have it.

A shard that is given back has every answer written; that of a lost worker is settled by whoever takes it next.
"""

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
