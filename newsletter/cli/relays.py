"""newsletter relays …"""

import typer

from newsletter.cli.door import AsJson, DryRun, listing, newsletter, show
from newsletter.journeys import halting as journey

app = typer.Typer(no_args_is_help=True, help="Where mail is handed over.")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Say which relays answer, what refusals taught of them, and what today's budget leaves to each lane."""
    with newsletter() as made:
        rows = journey.relays(made.parts)
    show(rows, as_json=as_json, words=lambda: listing(list(rows), empty=""))


@app.command()
def warm(relay: str, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Call a relay (host:port, or host:port#account) warm: it sent our mail before, so it need not begin with 500 a day."""
    with newsletter() as made:
        if not dry_run:
            journey.warm(made.parts, relay)
    show({"relay": relay, "warm": True, "dry_run": dry_run}, as_json=as_json)
