"""How long what is kept, shown beside the oldest row that is there; and what is over is deleted."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from newsletter import database
from newsletter.bounces import arrivals, replies
from newsletter.bounces import personal as letters
from newsletter.journeys import holding
from newsletter.journeys.parts import Parts
from newsletter.ledger import personal as mails
from newsletter.ledger import questions
from newsletter.operators import personal as team
from newsletter.subscribers import personal as readers
from newsletter.subscribers import tables, unproven, wishes

SLACK = timedelta(days=1)
"""How long after its time a row may still be there: upkeep comes by each minute, unless nothing runs."""


@dataclass(frozen=True, slots=True)
class Category:
    """One kind of data. days None: as long as the person is with us, or for ever where it names nobody. ok: nothing is overdue."""

    category: str
    days: float | None
    oldest: datetime | None
    rows: int
    ok: bool


def table(parts: Parts) -> list[Category]:
    """Return each category with its period and the oldest row that is there now: proof instead of a promise."""
    with parts.database.transaction() as session:
        now = database.now(session)
        held = readers.held(session) | mails.held(session) | letters.held(session) | team.held(session)
    return [_category(name, *kept, now=now) for name, kept in held.items()]


def _category(name: str, period: timedelta | None, oldest: datetime | None, rows: int, *, now: datetime) -> Category:
    over = period is not None and oldest is not None and oldest < now - period - SLACK
    days = None if period is None else period / timedelta(days=1)
    return Category(name, days, oldest, rows, ok=not over)


def tidy(parts: Parts) -> int:
    """Delete what is over; return how many rows, a month of deliveries counting as one."""
    with parts.database.transaction() as session:
        now = database.now(session)
        gone = readers.tidy(session, now=now) + wishes.empty(session, now=now)
        gone += replies.forget(session, now=now) + arrivals.forget(session, now=now)
        gone += mails.empty_team(session, now=now)
    while count := _forget_unproven(parts) + _forget_silent(parts):
        gone += count
    with parts.database.transaction() as session:
        return gone + mails.tidy(session)


def _forget_unproven(parts: Parts) -> int:
    """Let go of who came without evidence; whose question no server took has not been silent, and can be asked again."""
    with parts.database.transaction() as session:
        if not tables.none_comes_in(session):
            return 0
        now = database.now(session)
        found = unproven.over(session, now=now, most=_PORTION)
        reached = questions.handed(session, [(one.mailbox_id, one.asked_at) for one in found if one.asked_at])
        silent = {one for one in found if (one.mailbox_id, one.asked_at) in reached}
        unproven.remember(session, [one.subscriber_id for one in silent], now=now)
        # After it: whoever was silent to one question is asked by no other, whichever of them a server took.
        spared = set(unproven.ask_anew(session, [one for one in found if one.asked_at and one not in silent]))
        holding.forget_boxes(session, unproven.forget(session, [one for one in found if one not in spared]))
    return len(found)


def _forget_silent(parts: Parts) -> int:
    with parts.database.transaction() as session:
        if not tables.none_comes_in(session):
            return 0
        boxes = unproven.tidy(session, now=database.now(session), most=_PORTION)
        holding.forget_boxes(session, boxes)
    return len(boxes)


_PORTION = 1_000
