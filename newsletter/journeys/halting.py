"""Whole lanes paused, resumed and stopped: for the night on which nothing may leave the house."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from newsletter import database
from newsletter.jobs import DELIVER
from newsletter.journeys.parts import Parts
from newsletter.ledger import deliveries, lanes, mailings
from newsletter.ledger.mailings import Lane


@dataclass(frozen=True, slots=True)
class LaneView:
    """One lane. paused_since None: it goes."""

    lane: Lane
    paused_since: datetime | None


def listed(parts: Parts) -> list[LaneView]:
    """Return every lane, the most urgent first."""
    with parts.database.transaction() as session:
        paused = lanes.paused(session)
    return [LaneView(lane, paused.get(lane)) for lane in Lane]


def pause(parts: Parts, chosen: Iterable[Lane]) -> None:
    """Hand nothing over in these lanes until they are resumed; an open window lasts half a second more."""
    with parts.database.transaction() as session:
        lanes.pause(session, chosen, now=database.now(session))


def resume(parts: Parts, chosen: Iterable[Lane]) -> None:
    """Let these lanes go on where they stood."""
    chosen = list(chosen)
    with parts.database.transaction() as session:
        lanes.resume(session, chosen)
    for lane in chosen:
        parts.nudger.nudge(DELIVER[lane])


def stop(parts: Parts, chosen: Iterable[Lane]) -> dict[int, int]:
    """End every mailing under way in these lanes for good, and pause the lanes; return how many deliveries of each end."""
    with parts.database.transaction() as session:
        stopped = lanes.stop(session, chosen, now=database.now(session))
    # One more transaction each: the stop itself must not wait for a million rows.
    cancelled = {}
    for mailing_id in stopped:
        with parts.database.transaction() as session:
            cancelled[mailing_id] = deliveries.cancel_all(session, mailings.get(session, mailing_id), reason="stopped")
    return cancelled
