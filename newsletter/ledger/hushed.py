"""Alerts that somebody stopped for good: whoever has one keeps it, and nobody else is told of it any more."""

from sqlalchemy import CTE, ColumnElement, Select, bindparam, func, or_, select
from sqlalchemy.orm import Session, aliased

from newsletter.ledger import books, deliveries, mailings, wire
from newsletter.models.delivery import DeliveryState
from newsletter.models.mailing import Kind, Mailing, State
from newsletter.once import once


@once
def numbers() -> Select[int]:
    """Return the query for their numbers, those of their later languages among them: made once, it takes longer than to ask it.

    What an update ended is none of these: it went as far as it did, and the update names it.
    """
    of, later, thread = aliased(Mailing), aliased(Mailing), _threads()
    mine = thread.c.first == func.coalesce(of.translates, of.id)
    # An update ends it when it has been planned itself; whoever stops one by hand came before, or nothing followed.
    updated = select(later.id).join(thread, thread.c.id == later.id).where(mine, later.planned_at <= of.finished_at)
    stopped = select(of.id).where(of.kind == Kind.ALERT, of.state == State.STOPPED, ~updated.exists())
    return select(Mailing.id).where(Mailing.kind == Kind.ALERT, _standing(), _among(stopped))


def _threads() -> CTE:
    """Return each alert that updates another with every one it follows: of a thread the middle may never have gone."""
    threads = select(Mailing.updates.label("first"), Mailing.id).where(Mailing.updates.is_not(None)).cte(recursive=True)
    further = select(threads.c.first, Mailing.id).join(Mailing, Mailing.updates == threads.c.id)
    return threads.union(further)


def _standing() -> ColumnElement[bool]:
    return Mailing.state.in_((State.SENDING, State.PAUSED, State.DONE, State.STOPPED))


def _among(stopped: Select[int]) -> ColumnElement[bool]:
    return or_(Mailing.id.in_(stopped), Mailing.translates.in_(stopped))


def listed(session: Session) -> list[int]:
    """Return them, oldest first."""
    return list(session.execute(numbers().order_by(Mailing.id)).scalars())


def is_one(session: Session, mailing_id: int) -> bool:
    """Return whether somebody stopped this one, or the alert of which it is a language."""
    return session.execute(_this_one(), {"asked": mailing_id}).first() is not None


@once
def _this_one() -> Select[int]:
    return numbers().where(Mailing.id == bindparam("asked"))


def had(session: Session, mailing_id: int) -> bool:
    """Return whether anybody has it, or may have it: also whoever it is on the wire for, or is to go to again."""
    return _written(session, mailing_id) > 0 or wire.busy(session, mailing_id) or _again(session, mailing_id) > 0


def reached(session: Session, alert: int) -> bool:
    """Return whether anybody has an alert, or may have it, in whatever language: so there is something to take back."""
    return any(had(session, one) for one in mailings.in_all_languages(session, alert))


def have(session: Session, mailing_id: int) -> int:
    """Return how many have it or may have it, as far as it is written: those in doubt to whom it is to go again among them."""
    return _written(session, mailing_id) + _again(session, mailing_id)


def _written(session: Session, mailing_id: int) -> int:
    status = books.status(session, mailing_id)
    return status.accepted + status.uncertain


def _again(session: Session, mailing_id: int) -> int:
    doubts = deliveries.in_doubt(session, mailings.get(session, mailing_id))
    return sum(one.state in (DeliveryState.PLANNED, DeliveryState.DEFERRED) for one in doubts)
