"""Letters from people, sealed, for the operator: until a week after somebody has dealt with them, never longer than 90 days."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text

from newsletter.bounces import parting
from newsletter.database import Session
from newsletter.errors import NotFound
from newsletter.models.inbound import Reply
from newsletter.reports.parse import Letter

KEPT_DONE, KEPT_AT_MOST = timedelta(days=7), timedelta(days=90)
MOST = 2_000
"""Letters that wait at once: beyond that it is a flood, and what comes is thrown away rather than fill the disk."""


class UnknownReply(NotFound):
    """There is no such letter, or its time was over."""

    def __init__(self, reply_id: int) -> None:
        super().__init__("replies.unknown", reply=reply_id)


@dataclass(frozen=True, slots=True)
class ReplyView:
    """A letter. mailbox_id: the reader whose mail it answers, where its recipient said so; left_at: they left by it."""

    id: int
    mailbox_id: int | None
    came_at: datetime
    done_at: datetime | None
    letter: Letter
    left_at: datetime | None = None

    @property
    def wish(self) -> str:
        """What it wants, as far as a machine can tell: "left" was done, "leave" is not proven, or not plain: a person decides."""
        if self.left_at:
            return "left"
        return "leave" if parting.may_want_to_leave(self.letter) else ""


def keep(
    session: Session,
    content: bytes,
    letter: Letter,
    *,
    mailbox_id: int | None,
    now: datetime,
    left_at: datetime | None = None,
) -> bool:
    """Keep a letter; return False when it is here already or too many wait."""
    if waiting(session) >= MOST:
        return False
    number = session.execute(text("SELECT nextval(pg_get_serial_sequence('reply', 'id'))")).scalar_one()
    plain = json.dumps([letter.sender, letter.subject, letter.text], ensure_ascii=False)
    facts = {
        "id": number,
        # Keyed, so that nobody without the key can test whether a text they know was sent to us.
        "digest": session.vault.index(hashlib.sha256(content).hexdigest())[0][1],
        "mailbox": mailbox_id,
        "sealed": session.vault.seal("reply", "letter", number, _storable(plain)),
        "left": left_at,
        "now": now,
    }
    return session.execute(_KEEP, facts).first() is not None


_KEEP = text("""
    INSERT INTO reply (id, digest, mailbox_id, letter_sealed, left_at, came_at) OVERRIDING SYSTEM VALUE
    VALUES (:id, :digest, (SELECT id FROM mailbox WHERE id = :mailbox), :sealed, :left, :now)
    ON CONFLICT (digest) DO NOTHING RETURNING id
""")


def _storable(plain: str) -> str:
    return plain.encode("utf-8", "replace").decode("utf-8")


def waiting(session: Session) -> int:
    """Return how many letters nobody has dealt with."""
    return session.execute(select(func.count()).select_from(Reply).where(Reply.done_at.is_(None))).scalar_one()


def listed(session: Session, *, limit: int, done: bool) -> list[ReplyView]:
    """Return the oldest letters that wait; with `done` those that were dealt with, the latest first."""
    query = select(Reply).limit(limit)
    if done:
        query = query.where(Reply.done_at.is_not(None)).order_by(Reply.done_at.desc())
    else:
        query = query.where(Reply.done_at.is_(None)).order_by(Reply.id)
    return [_view(session, one) for one in session.execute(query).scalars()]


def get(session: Session, reply_id: int) -> ReplyView:
    """Return a letter. Raises UnknownReply."""
    found = session.get(Reply, reply_id)
    if found is None:
        raise UnknownReply(reply_id)
    return _view(session, found)


def done(session: Session, reply_id: int, *, now: datetime) -> None:
    """Say that somebody has dealt with a letter. Safe to repeat. Raises UnknownReply."""
    facts = {"id": reply_id, "now": now}
    if not session.execute(text("UPDATE reply SET done_at = coalesce(done_at, :now) WHERE id = :id"), facts).rowcount:  # type: ignore[attr-defined]
        raise UnknownReply(reply_id)


def forget(session: Session, *, now: datetime) -> int:
    """Delete the letters whose time is over; return how many."""
    facts = {"done": now - KEPT_DONE, "any": now - KEPT_AT_MOST}
    return int(session.execute(_FORGET, facts).rowcount)  # type: ignore[attr-defined]


_FORGET = text("DELETE FROM reply WHERE done_at < :done OR came_at < :any")


def _view(session: Session, found: Reply) -> ReplyView:
    plain: list[Any] = json.loads(session.vault.unseal("reply", "letter", found.id, found.letter_sealed))
    return ReplyView(found.id, found.mailbox_id, found.came_at, found.done_at, Letter(*plain), found.left_at)
