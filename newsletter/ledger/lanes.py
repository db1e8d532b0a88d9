"""Whole lanes: paused and resumed. A paused lane hands over nothing; a window that is open lasts half a second more."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from newsletter.ledger.mailings import Kind, Lane, State
from newsletter.models.delivery import PausedLane
from newsletter.models.mailing import Mailing


def pause(session: Session, lanes: Iterable[Lane], *, now: datetime) -> list[Lane]:
    """Hand nothing over in these lanes until they are resumed; return those that went until now."""
    rows = [{"lane": lane, "paused_at": now} for lane in lanes]
    paused = postgresql.insert(PausedLane).values(rows).on_conflict_do_nothing().returning(PausedLane.lane)
    return _in_turn(session.execute(paused).scalars())


def resume(session: Session, lanes: Iterable[Lane]) -> list[Lane]:
    """Let these lanes go on where they stood; return those that were paused."""
    resumed = delete(PausedLane).where(PausedLane.lane.in_(list(lanes))).returning(PausedLane.lane)
    return _in_turn(session.execute(resumed).scalars())


def _in_turn(found: Iterable[str]) -> list[Lane]:
    """Return lanes, the most urgent first."""
    return sorted(map(Lane, found), key=list(Lane).index)


def paused(session: Session) -> dict[Lane, datetime]:
    """Return since when each paused lane is."""
    found = session.execute(select(PausedLane.lane, PausedLane.paused_at))
    return {Lane(lane): since for lane, since in found}


def under_way(session: Session, lanes: Iterable[Lane]) -> list[int]:
    """Return the mailings that are being sent in these lanes, or paused."""
    mine = Mailing.lane.in_(list(lanes)), Mailing.state.in_((State.SENDING, State.PAUSED))
    return sorted(session.execute(select(Mailing.id).where(*mine)).scalars())


def alert_since(session: Session, moment: datetime) -> bool:
    """Return whether an alert has begun since then, or goes on now."""
    goes = Mailing.state.in_((State.SENDING, State.PAUSED))
    begun = Mailing.state.in_((State.SENDING, State.PAUSED, State.DONE)) & (Mailing.started_at > moment)
    query = select(Mailing.id).where(Mailing.kind == Kind.ALERT, or_(goes, begun)).limit(1)
    return session.execute(query).first() is not None
