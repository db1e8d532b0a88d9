"""newsletter suppressions …"""

from typing import Annotated

import typer

from newsletter.addresses import EmailAddress
from newsletter.cli.door import AsJson, DryRun, Limit, Reference, ask_address, listing, newsletter, show
from newsletter.journeys import suppressing

app = typer.Typer(no_args_is_help=True, help="Addresses that must not be written to, each with its reason.")


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE.csv", help="Column email.")],
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Add addresses to the do-not-mail list, whether they are known or not."""
    with newsletter() as made:
        show(suppressing.import_csv(made.parts, file, dry_run=dry_run), as_json=as_json)


@app.command("list")
def list_(limit: Limit = 50, as_json: AsJson = False) -> None:
    """List the do-not-mail list; addresses are masked."""
    with newsletter() as made:
        rows = suppressing.listed(made.parts, limit=limit)
    show(rows, as_json=as_json, words=lambda: listing(list(rows), empty="The do-not-mail list is empty."))


@app.command()
def lift(
    reference: Reference = None,
    why: Annotated[str, typer.Option(help="Kept beside the entry.")] = "lifted by the operator",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Take a person off the do-not-mail list."""
    address = None if reference else EmailAddress.parse(ask_address())
    with newsletter() as made:
        lifted = suppressing.lift(made.parts, reference=reference, address=address, why=why, dry_run=dry_run)
    show({"lifted": lifted, "dry_run": dry_run}, as_json=as_json)
