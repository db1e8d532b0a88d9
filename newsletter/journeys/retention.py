"""How long what is kept, shown beside the oldest row that is there; and what is over is deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from newsletter import database
from newsletter.bounces import arrivals, replies
from newsletter.bounces import personal as letters
from newsletter.database import Session
from newsletter.journeys import holding
from newsletter.journeys.parts import Parts
from newsletter.ledger import personal as mails
from newsletter.ledger import questions
from newsletter.operators import personal as team
from newsletter.subscribers import personal as readers
from newsletter.subscribers import tables, unproven, wishes
from newsletter.subscribers.unproven import Over

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
    with parts.database.transaction() as session:
        if not tables.none_comes_in(session):
            return 0
        now = database.now(session)
        found = unproven.over(session, now=now, most=_PORTION)
        spared = unproven.ask_anew(session, _in_vain(session, found))
        boxes = unproven.forget(session, [one for one in found if one.subscriber_id not in spared], now=now)
        holding.forget_boxes(session, boxes)
    return len(found)


def _in_vain(session: Session, found: Sequence[Over]) -> list[Over]:
    """Return those who were asked by a mail that no server took: they have not been silent."""
    asked = {one.mailbox_id: one.asked_at for one in found if one.asked_at}
    reached = questions.handed(session, asked)
    return [one for one in found if one.asked_at and one.mailbox_id not in reached]


def _forget_silent(parts: Parts) -> int:
    with parts.database.transaction() as session:
        if not tables.none_comes_in(session):
            return 0
        boxes = unproven.tidy(session, now=database.now(session), most=_PORTION)
        holding.forget_boxes(session, boxes)
    return len(boxes)


_PORTION = 1_000
