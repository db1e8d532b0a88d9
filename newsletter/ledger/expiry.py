"""Until when a mailing goes, and whether the team was asked what is to become of it before then, or told afterwards."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, literal_column, or_, select, update
from sqlalchemy.orm import Session

from newsletter.ledger import mailings, translating
from newsletter.ledger.mailings import Kind, MailingView, State
from newsletter.models.mailing import Mailing

ASK_BEFORE = timedelta(hours=2)
"""How long before it expires the team is asked at the latest, but about what is short."""


def asks_before(began: datetime | None, ends: datetime) -> timedelta:
    """Return how long before its end the team is asked about an alert: two hours, of a short one half of its time.

    began   when its time began: as it was locked or, of one that goes, as it was let go; None: nobody knows
    """
    return min(ASK_BEFORE, (ends - began) / 2) if began else ASK_BEFORE


_ASKS_FROM: ColumnElement[datetime] = literal_column(
    # The same of one that goes. Where nobody knows when its time began, least() leaves that out.
    "mailing.expires_at - least(interval '2 hours', (mailing.expires_at - mailing.planned_at) / 2)"
)


def _unasked() -> ColumnElement[bool]:
    """Whether nobody was asked, or only long before the end, when what was short may have come right since."""
    return or_(Mailing.asked_at.is_(None), Mailing.asked_at < _ASKS_FROM)


def expire(session: Session, mailing_id: int, moment: datetime) -> None:
    """Say when a mailing expires."""
    _set(session, mailing_id, expires_at=moment)


def expiring(session: Session) -> list[MailingView]:
    """Return the alerts under way of which the team has not been asked what to do before they expire, or only long before."""
    state = Mailing.state.in_((State.SENDING, State.PAUSED))
    ends = Mailing.kind == Kind.ALERT, Mailing.expires_at.is_not(None)
    found = select(Mailing.id).where(state, *ends, _unasked()).order_by(Mailing.id)
    return [mailings.get(session, one) for one in session.execute(found).scalars()]


def unreleased(session: Session, *, since: datetime, before: datetime) -> list[MailingView]:
    """Return the alerts that are locked or approved, do not go by themselves, and expire or expired in that time."""
    fixed = Mailing.state.in_((State.LOCKED, State.APPROVED)), Mailing.start_at.is_(None)
    soon = Mailing.expires_at > since, Mailing.expires_at <= before
    found = select(Mailing.id).where(*fixed, Mailing.kind == Kind.ALERT, *soon).order_by(Mailing.id)
    return [mailings.get(session, one) for one in session.execute(found).scalars()]


def lapsed(session: Session, *, since: datetime, now: datetime) -> list[MailingView]:
    """Return the alerts that went and ended in that time with nobody asked shortly before: some may not have reached all."""
    gone = Mailing.kind == Kind.ALERT, Mailing.state.in_((State.SENDING, State.PAUSED, State.DONE))
    over = _unasked(), Mailing.expires_at > since, Mailing.expires_at <= now
    found = select(Mailing.id).where(*gone, *over).order_by(Mailing.id)
    return [mailings.get(session, one) for one in session.execute(found).scalars()]


def unwritten(session: Session, *, before: datetime, now: datetime) -> list[tuple[MailingView, list[str]]]:
    """Return the alerts that expire until `before`, are not over, and have languages of which nothing has gone, with these.

    Their readers have no rows: such an alert is done as soon as all others have it. One that was followed takes none any more.
    """
    soon = Mailing.expires_at > now, Mailing.expires_at <= before, Mailing.growing.is_(False)
    state = Mailing.state.in_((State.SENDING, State.PAUSED, State.DONE))
    later = Mailing.translates.is_(None), Mailing.content.has_key("later")
    query = select(Mailing.id).where(state, Mailing.kind == Kind.ALERT, *soon, *later).order_by(Mailing.id)
    found = [(mailings.get(session, one), _unwritten(session, one)) for one in session.execute(query).scalars()]
    return [(one, missing) for one, missing in found if missing and mailings.follower(session, one.id) is None]


def _unwritten(session: Session, mailing_id: int) -> list[str]:
    gone = [one for one in mailings.translations(session, mailing_id) if one.planned_at]
    written = {language for one in gone for language in translating.terms(one)["languages"]}
    later = translating.terms(mailings.get(session, mailing_id)).get("later", [])
    return [one for one in later if one not in written]


def ask_once(session: Session, mailing_id: int, *, now: datetime) -> bool:
    """Note that the team is asked about a mailing, or that it need not be any more; return whether nobody did so before.

    Who asks long before the end is no reason for nobody to ask shortly before it.
    """
    late = and_(now >= _ASKS_FROM, Mailing.asked_at < _ASKS_FROM)
    return _set(session, mailing_id, or_(Mailing.asked_at.is_(None), late), asked_at=now)


def ask_again(session: Session, mailing_id: int) -> None:
    """Let the team be asked once more: a mailing has longer than when they were."""
    _set(session, mailing_id, asked_at=None)


def _set(session: Session, mailing_id: int, *only: Any, **facts: Any) -> bool:
    statement = update(Mailing).where(Mailing.id == mailing_id, *only).values(**facts)
    changed = session.execute(statement.execution_options(synchronize_session=False)).rowcount  # type: ignore[attr-defined]
    session.expire_all()
    return bool(changed)
