"""newsletter lanes …"""

from typing import Annotated

import typer

from newsletter.cli.door import AsJson, DryRun, Operator, listing, newsletter, refuse, show
from newsletter.errors import Invalid
from newsletter.journeys import halting as journey
from newsletter.ledger.mailings import Lane

app = typer.Typer(no_args_is_help=True, help="Whole lanes: urgent, transactional, bulk.")

Lanes = Annotated[list[Lane] | None, typer.Argument(metavar="[LANE]…", help="One or several.")]
All = Annotated[bool, typer.Option("--all", help="Every lane.")]


class NoLane(Invalid):
    """Neither a lane nor --all was given."""

    def __init__(self) -> None:
        super().__init__("lanes.none-chosen")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Say which lanes go and which are paused."""
    with newsletter() as made:
        found = journey.listed(made.parts)
    rows = [{"lane": one.lane, "paused_since": one.paused_since} for one in found]
    show(rows, as_json=as_json, words=lambda: listing(list(rows), empty=""))


@app.command()
def pause(lane: Lanes = None, all_: All = False, operator: Operator = None, as_json: AsJson = False) -> None:
    """Hand nothing over until resumed."""
    chosen = _chosen(lane, all_)
    with newsletter() as made:
        journey.pause(made.parts, chosen, by=operator)
    show({"paused": chosen}, as_json=as_json)


@app.command()
def resume(
    lane: Lanes = None, all_: All = False, operator: Operator = None, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Let lanes go on where they stood."""
    chosen = _chosen(lane, all_)
    with newsletter() as made:
        if not dry_run:
            journey.resume(made.parts, chosen, by=operator)
    show({"resumed": chosen, "dry_run": dry_run}, as_json=as_json)


@app.command()
def stop(
    lane: Lanes = None, all_: All = False, operator: Operator = None, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """End for good every mailing under way in these lanes, and pause the lanes for what is scheduled."""
    chosen = _chosen(lane, all_)
    with newsletter() as made:
        stopped = journey.would_stop(made.parts, chosen) if dry_run else journey.stop(made.parts, chosen, by=operator)
    show({"stopped": sorted(stopped), "cancelled": sum(stopped.values()), "dry_run": dry_run}, as_json=as_json)


def _chosen(lanes: list[Lane] | None, all_: bool) -> list[Lane]:
    if not lanes and not all_:
        refuse(NoLane())
    return list(Lane) if all_ else list(lanes or ())
