"""newsletter drill: try the urgent lane on the team's own mailboxes, and say what is known of it."""

import time
from typing import Annotated, Any

import typer

from newsletter.assembly import Newsletter
from newsletter.campaigns.drills import KEEPS
from newsletter.cli.door import AsJson, DryRun, newsletter, page, progress, screen, show
from newsletter.journeys import drilling

LOOK_SECONDS = 0.1


def drill(
    lamp: Annotated[bool, typer.Option("--lamp", help="Say what the last drill found, and make none.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until all have it or some never will; then the lamp.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Send a drill by the alert's own way to the team, and to nobody else. Exit 1 where the lane is not proved."""
    with newsletter() as made:
        if lamp:
            return _show(made, as_json=as_json)
        if dry_run:
            return show({"dry_run": True, "would_send": drilling.may_drill(made.parts)}, as_json=as_json)
        number = drilling.drill(made.parts)
        if not wait:
            return show({"drill": number, "state": "sending"}, as_json=as_json, words=lambda: _going(number))
        _until_ended(made, number)
        return _show(made, as_json=as_json)


def _going(number: int) -> None:
    screen.print(f"Drill {number} is on its way. See what it finds with “newsletter drill --lamp”.", soft_wrap=True)


def _until_ended(made: Newsletter, number: int) -> None:
    deadline = time.monotonic() + KEEPS.total_seconds()
    with progress("waiting for the team's mailboxes"):
        while not drilling.ended(made.parts, number) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)


def _show(made: Newsletter, *, as_json: bool) -> None:
    lit = drilling.lamp(made.parts)
    said = drilling.sentence(lit, zone=made.parts.zone)
    document: dict[str, Any] = {"ok": lit.ok, "sentence": said, "since": lit.since, "drill": lit.last}
    colour = {True: "green", False: "red", None: "yellow"}[lit.ok]
    show(document, as_json=as_json, words=lambda: page.print(said, style=colour, soft_wrap=True))
    if not lit.ok:
        raise typer.Exit(1)
