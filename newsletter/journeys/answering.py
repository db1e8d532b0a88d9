"""What readers wrote, as the operator deals with it."""

from dataclasses import dataclass, replace
from datetime import datetime

from newsletter import database
from newsletter.addresses import BadAddress, EmailAddress
from newsletter.bounces import replies
from newsletter.bounces.replies import ReplyView
from newsletter.journeys import acting, unmasking
from newsletter.journeys.parts import Parts
from newsletter.operators import audit
from newsletter.reports import parse


@dataclass(frozen=True, slots=True)
class Listed:
    """A letter in a list: its subject, and no address. wish: "leave" for who seems to want that, "left" where it was done."""

    reply: int
    came_at: datetime
    subject: str
    done_at: datetime | None
    wish: str = ""


def listed(parts: Parts, *, limit: int, done: bool) -> list[Listed]:
    """Return the letters that wait, the oldest first, or those dealt with."""
    with parts.database.transaction() as session:
        found = replies.listed(session, limit=limit, done=done)
    return [Listed(one.id, one.came_at, one.letter.subject, one.done_at, one.wish) for one in found]


@dataclass(frozen=True, slots=True)
class Opened:
    """A letter as it may be read. masked: without the address it came from, since its reader was shown many lately."""

    reply: ReplyView
    masked: bool


def shown(parts: Parts, reply_id: int, *, by: int | None = None) -> Opened:
    """Return a letter, with the address it came from. One audit row. Raises UnknownReply and what `acting.officer` raises.

    Its words are shown however many were read: somebody waits for an answer.
    """
    with parts.database.transaction() as session:
        who = acting.officer(session, by)
        found = replies.get(session, reply_id)
        masked = not unmasking.of_letter(session, parts, who, reply_id)
        facts = {"letter": reply_id} | ({"masked": True} if masked else {})
        audit.append(session, unmasking.READ, by=who, now=database.now(session), **facts)
    if masked:
        found = replace(found, letter=replace(found.letter, sender=_masked(found.letter.sender)))
    return Opened(found, masked)


def _masked(sender: str) -> str:
    try:
        return EmailAddress.parse(parse.address(sender)).masked
    except BadAddress:
        return "…"


def done(parts: Parts, reply_id: int) -> None:
    """Say that a letter was dealt with; it is deleted a week later. Raises replies.UnknownReply."""
    with parts.database.transaction() as session:
        replies.done(session, reply_id, now=database.now(session))


def waiting(parts: Parts) -> int:
    """Return how many letters nobody has dealt with."""
    with parts.database.transaction() as session:
        return replies.waiting(session)
