"""What we hold of one reader in what came in: their letters. A notice that waits is emptied within seconds, whoever it is about."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import or_, select, text

from newsletter.addresses import BadAddress, EmailAddress
from newsletter.bounces import arrivals, replies
from newsletter.bounces.replies import ReplyView
from newsletter.database import Session
from newsletter.mailboxes import Whose
from newsletter.models.inbound import Reply
from newsletter.reports import parse
from newsletter.vault import CannotUnseal

CLAIMS = frozenset({"reply.letter_sealed", "arrival.body_sealed"})
"""What `export` and `forget` answer for, of all that is marked as personal."""
ROWS: Mapping[str, str] = MappingProxyType({"reply": "letters"})
"""Under which name `export` hands out the rows of each table that points to a person."""
Held = tuple[timedelta | None, datetime | None, int]


def export(session: Session, whose: Whose) -> dict[str, Any]:
    """Return the letters somebody wrote to us that are still here."""
    return {
        "letters": [
            {"at": one.came_at, "subject": one.letter.subject, "text": one.letter.text, "dealt_with_at": one.done_at}
            for one in _letters(session, whose)
        ]
    }


def forget(session: Session, whose: Whose) -> int:
    """Delete the letters somebody wrote to us; return how many."""
    ids = [one.id for one in _letters(session, whose)]
    session.execute(text("DELETE FROM reply WHERE id = ANY (CAST(:ids AS bigint[]))"), {"ids": ids})
    # One that cannot be opened is theirs by its number alone.
    session.execute(text("DELETE FROM reply WHERE mailbox_id = :mailbox"), {"mailbox": whose.mailbox_id})
    return len(ids)


def _letters(session: Session, whose: Whose) -> Iterator[ReplyView]:
    """Theirs by the mail they answer, or by the address they come from."""
    theirs = or_(Reply.mailbox_id == whose.mailbox_id, Reply.mailbox_id.is_(None))
    for (number,) in session.execute(select(Reply.id).where(theirs).order_by(Reply.id)).all():
        try:
            found = replies.get(session, number)
        except CannotUnseal:
            continue
        if found.mailbox_id or (whose.address and _normal(found.letter.sender) == whose.address.normal):
            yield found


def _normal(sender: str) -> str:
    try:
        return EmailAddress.parse(parse.address(sender)).normal
    except BadAddress:
        return ""


def held(session: Session) -> dict[str, Held]:
    """Return how long each category of ours is kept, the oldest row that is there, and how many rows."""
    kept = {
        "letters that wait": (replies.KEPT_AT_MOST, "reply WHERE done_at IS NULL", "came_at"),
        "letters dealt with": (replies.KEPT_DONE, "reply WHERE done_at IS NOT NULL", "done_at"),
        "notices of what came back": (arrivals.REMEMBERED, "arrival", "came_at"),
    }
    found: dict[str, Held] = {}
    for category, (period, table, at) in kept.items():
        row = session.execute(text(f"SELECT min({at}), count(*) FROM {table}")).one()  # noqa: S608
        found[category] = (period, row[0], int(row[1]))
    return found
