"""Until when a mailing goes, and whether the team was asked what is to become of it before then, or told afterwards."""

from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from newsletter.ledger import mailings, translating
from newsletter.ledger.mailings import Kind, MailingView, State
from newsletter.models.mailing import Mailing


def expire(session: Session, mailing_id: int, moment: datetime) -> None:
    """Say when a mailing expires."""
    _set(session, mailing_id, expires_at=moment)


def expiring(session: Session) -> list[MailingView]:
    """Return the alerts under way of which the team has not been asked what to do before they expire."""
    state = Mailing.state.in_((State.SENDING, State.PAUSED))
    unasked = Mailing.asked_at.is_(None), Mailing.expires_at.is_not(None)
    found = select(Mailing.id).where(state, Mailing.kind == Kind.ALERT, *unasked).order_by(Mailing.id)
    return [mailings.get(session, one) for one in session.execute(found).scalars()]


def unreleased(session: Session, *, since: datetime, before: datetime) -> list[MailingView]:
    """Return the alerts that are locked or approved, do not go by themselves, and expire or expired in that time."""
    fixed = Mailing.state.in_((State.LOCKED, State.APPROVED)), Mailing.start_at.is_(None)
    soon = Mailing.expires_at > since, Mailing.expires_at <= before
    found = select(Mailing.id).where(*fixed, Mailing.kind == Kind.ALERT, *soon).order_by(Mailing.id)
    return [mailings.get(session, one) for one in session.execute(found).scalars()]


def lapsed(session: Session, *, since: datetime, now: datetime) -> list[MailingView]:
    """Return the alerts that went and ended in that time with nobody asked before: some may not have reached all."""
    gone = Mailing.kind == Kind.ALERT, Mailing.state.in_((State.SENDING, State.PAUSED, State.DONE))
    over = Mailing.asked_at.is_(None), Mailing.expires_at > since, Mailing.expires_at <= now
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
    """Note that the team is asked about a mailing, or that it need not be any more; return whether nobody did so before."""
    return _set(session, mailing_id, Mailing.asked_at.is_(None), asked_at=now)


def ask_again(session: Session, mailing_id: int) -> None:
    """Let the team be asked once more: a mailing has longer than when they were."""
    _set(session, mailing_id, asked_at=None)


def _set(session: Session, mailing_id: int, *only: Any, **facts: Any) -> bool:
    statement = update(Mailing).where(Mailing.id == mailing_id, *only).values(**facts)
    changed = session.execute(statement.execution_options(synchronize_session=False)).rowcount  # type: ignore[attr-defined]
    session.expire_all()
    return bool(changed)
