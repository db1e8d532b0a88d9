"""Watching a mailing go out."""

import sys
import time
from dataclasses import asdict
from typing import Any

from newsletter.assembly import Newsletter
from newsletter.cli.door import progress, screen, show
from newsletter.journeys import mailing as journey
from newsletter.ledger.books import Status

LOOK_SECONDS = 0.5


def show_status(made: Newsletter, mailing: int, *, as_json: bool) -> None:
    """Print where a mailing stands, and when it will be over where its relays have limits."""
    status = journey.status(made.parts, mailing)
    show({**asdict(status), **({} if status.over else plan(made, mailing))}, as_json=as_json)


def plan(made: Newsletter, mailing: int) -> dict[str, Any]:
    """Return when a mailing will have gone, day by day, and which limit holds it; nothing where there is no limit."""
    promise = journey.promise(made.parts, mailing)
    if promise is None:
        return {}
    return {"ends_at": promise.ends_at, "by_day": promise.by_day, "held_by": promise.held_by}


def report(made: Newsletter, mailing: int, *, wait: bool, as_json: bool) -> None:
    """Print where a mailing stands, after it is over if so wished; exit 1 when it ended otherwise than done."""
    status = journey.status(made.parts, mailing)
    if wait:
        status = until_over(made, mailing)
    elif status.due and sys.stdout.isatty():
        screen.print(f"Mailing {mailing} is on its way. See it with “newsletter mailings status {mailing}”.")
    show(status, as_json=as_json)
    if wait and status.state != "done":
        sys.exit(1)


def until_over(made: Newsletter, mailing: int) -> Status:
    """Return the status of a mailing once it is over, or once nothing is left but what waits for another attempt."""
    status = journey.status(made.parts, mailing)
    with progress("handed over", total=status.planned) as advance:
        while not status.over and not _only_retries(status):
            time.sleep(LOOK_SECONDS)
            status = journey.status(made.parts, mailing)
            advance(status.planned - status.due)
    return status


def _only_retries(status: Status) -> bool:
    return status.state == "sending" and status.planned > 0 and status.due == status.deferred > 0
