"""Watching a mailing go out."""

import sys
import time
from dataclasses import asdict
from datetime import datetime
from typing import Any

from newsletter import languages
from newsletter.assembly import Newsletter
from newsletter.cli.door import progress, screen, show
from newsletter.journeys import mailing as journey
from newsletter.ledger.books import Status

LOOK_SECONDS = 0.5
PATIENCE_SECONDS = 10.0
WORKERS_SECONDS = 60.0
"""How long one who waits waits for a relay that does not answer; the mailing itself waits on."""


def show_status(made: Newsletter, mailing: int, *, as_json: bool) -> None:
    """Print where a mailing stands, and when it will be over where its relays have limits."""
    status = journey.status(made.parts, mailing)
    away: tuple[str, ...] = () if status.over else journey.relays_away(made.parts, mailing)
    _say_away(away)
    _say_halted(status)
    paused = _say_paused(made, status)
    # The same names whatever the state: a program that reads them must find them.
    ahead = {"ends_at": None, "by_day": None, "held_by": None} | ({} if status.over else plan(made, mailing))
    document = {**asdict(status), **ahead, "relays_away": away, "lane_paused_since": paused}
    said = document if as_json else {name: value for name, value in document.items() if value not in (None, ())}
    show(said, as_json=as_json)


def _say_away(relays: tuple[str, ...]) -> None:
    if relays:
        screen.print(languages.say("relays.away", relays=", ".join(relays)), soft_wrap=True)


def _say_halted(status: Status) -> None:
    if status.halted:
        screen.print(languages.say(f"halted.{status.halted}"), soft_wrap=True)


def _say_paused(made: Newsletter, status: Status) -> datetime | None:
    """Say and return since when the lane of a mailing stands still."""
    paused = journey.paused_lane(made.parts, status.mailing)
    if paused is None:
        return None
    lane, since = paused
    screen.print(languages.say("lanes.paused-since", lane=lane, since=f"{since:%Y-%m-%d %H:%M} UTC"), soft_wrap=True)
    return since


def plan(made: Newsletter, mailing: int) -> dict[str, Any]:
    """Return when a mailing will have gone, day by day, and which limit holds it; nothing where there is no limit.

    Nor where its lane stands still: nobody knows until when.
    """
    promise = journey.promise(made.parts, mailing)
    if promise is None or journey.paused_lane(made.parts, mailing) is not None:
        return {}
    return {"ends_at": promise.ends_at, "by_day": promise.by_day, "held_by": promise.held_by}


def report(made: Newsletter, mailing: int, *, wait: bool, as_json: bool) -> None:
    """Print where a mailing stands, after it is over if so wished; exit 1 when it ended otherwise than done."""
    status = journey.status(made.parts, mailing)
    if wait:
        status = until_over(made, mailing)
        if not status.over:
            _say_away(journey.relays_away(made.parts, mailing))
            _say_halted(status)
            _say_paused(made, status)
    elif _say_paused(made, status) is None and status.due and sys.stdout.isatty():
        screen.print(f"Mailing {mailing} is on its way. See it with “newsletter mailings status {mailing}”.")
    show(status, as_json=as_json)
    if wait and status.state != "done":
        sys.exit(1)


def until_over(made: Newsletter, mailing: int) -> Status:
    """Return the status of a mailing once it is over, or once it only waits: for a person, another attempt, a relay or a worker."""
    status = journey.status(made.parts, mailing)
    stuck = untouched = 0.0
    with progress("handed over", total=status.planned) as advance:
        while not _waits(status) and stuck < PATIENCE_SECONDS and untouched < WORKERS_SECONDS:
            time.sleep(LOOK_SECONDS)
            stuck = stuck + LOOK_SECONDS if journey.relays_away(made.parts, mailing) else 0.0
            status = journey.status(made.parts, mailing)
            untouched = untouched + LOOK_SECONDS if status.started_at is None else 0.0
            advance(status.planned - status.due)
    if untouched >= WORKERS_SECONDS:
        screen.print(languages.say("mailing.untouched", mailing=mailing), soft_wrap=True)
    return status


def _waits(status: Status) -> bool:
    return status.over or status.state == "paused" or _only_retries(status)


def _only_retries(status: Status) -> bool:
    return status.state == "sending" and not status.growing and status.planned > 0 and status.due == status.deferred > 0
