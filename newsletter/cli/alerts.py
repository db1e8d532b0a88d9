"""newsletter alerts …"""

from typing import Annotated

import typer

from newsletter.cli import waiting
from newsletter.cli.door import AsJson, DryRun, Wait, newsletter, show
from newsletter.journeys import alert as journey

app = typer.Typer(no_args_is_help=True, help="Urgent alerts: ahead of everything else.")


@app.command()
def send(
    file: Annotated[str, typer.Argument(metavar="FILE.md")],
    to: Annotated[str, typer.Option(help="Key of the digest whose readers get it.")],
    wait: Wait = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Send an alert now, in the urgent lane."""
    with newsletter() as made:
        if dry_run:
            count = journey.rehearse(made.parts, file, digest_key=to)
            return show({"mailing": None, "dry_run": True, "would_send": count}, as_json=as_json)
        mailing = journey.send(made.parts, file, digest_key=to)
        waiting.report(made, mailing, wait=wait, as_json=as_json)
    return None
