"""What an alert means for the ones before it: an update replaces them, a retraction waits until they are off the wire."""

from datetime import datetime

from newsletter.database import Session
from newsletter.errors import Conflict
from newsletter.ledger import mailings, shards
from newsletter.ledger.mailings import Kind, MailingView, State


class Retracted(Conflict):
    """The alert was taken back: nothing follows it. What is to be said now is an alert of its own."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.was-retracted", mailing=mailing_id)


class NotRetracted(Conflict):
    """Nobody took the alert back, so what would take it back does not go."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.not-retracted", mailing=mailing_id)


class OnTheWire(Conflict):
    """Windows of the alert are still open: who has it is not known yet."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.on-the-wire", mailing=mailing_id)


class Followed(Conflict):
    """Another alert has followed this one already, so that one is followed: two beside each other would both stand."""

    def __init__(self, mailing_id: int, newer: int | None) -> None:
        super().__init__("alert.followed-already", mailing=mailing_id, newer=newer)


def require(session: Session, mailing_id: int, *, by: int | None = None) -> None:
    """Raise Retracted or Followed where an alert cannot be followed by another. Raises UnknownMailing.

    by   the one that follows; None: one that is yet to be written
    """
    if mailings.get(session, mailing_id).state is State.RETRACTED:
        raise Retracted(mailing_id)
    if (newer := mailings.follower(session, mailing_id)) not in (None, by):
        raise Followed(mailing_id, newer)


def supersede(session: Session, update: MailingView, *, now: datetime) -> list[int]:
    """End what an update follows, as far as it has not gone; return which alerts that ended. Raises Retracted.

    Nothing more of them goes from the commit on. Their rows are cancelled afterwards, by whoever released it or by the sweep:
    the update does not wait for a million of them.
    """
    ended = []
    for place, before in enumerate(mailings.followed(session, update.id)):
        if place == 0:
            require(session, before, by=update.id)
        if _end(session, mailings.take(session, before), now=now):
            ended.append(before)
    return ended


def _end(session: Session, alert: MailingView, *, now: datetime) -> bool:
    match alert.state:
        case State.SENDING | State.PAUSED:
            mailings.move(session, alert.id, State.STOPPED, finished_at=now)
        case State.DRAFT | State.LOCKED | State.APPROVED:
            mailings.move(session, alert.id, State.CANCELLED)
        case _:
            return False
    return True


def taken_back(session: Session, retraction: MailingView) -> MailingView:
    """Return the alert that a retraction takes back, once all that have it are known. Raises NotRetracted, OnTheWire."""
    alert = mailings.get(session, retraction.retracts or 0)
    if alert.kind is not Kind.ALERT or alert.state is not State.RETRACTED:
        raise NotRetracted(alert.id)
    if not shards.close_windows(session, alert.id):
        raise OnTheWire(alert.id)
    return alert
