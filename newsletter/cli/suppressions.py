"""newsletter suppressions …"""

from dataclasses import asdict
from typing import Annotated

import typer

from newsletter import languages
from newsletter.addresses import EmailAddress
from newsletter.cli.door import AsJson, DryRun, Limit, Reference, ask_address, listing, newsletter, screen, show
from newsletter.cli.privacy import Operator
from newsletter.journeys import suppressing

SHOWN = 50

app = typer.Typer(no_args_is_help=True, help="Addresses that must not be written to, each with its reason.")


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE.csv", help="Column email.")],
    operator: Operator = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Add addresses to the do-not-mail list, whether they are known or not."""
    with newsletter() as made:
        counts, rows = suppressing.import_csv(made.parts, file, dry_run=dry_run, by=operator)
    if rows:
        shown = ", ".join(map(str, rows[:SHOWN])) + (" …" if len(rows) > SHOWN else "")
        screen.print(f"No address stands in these rows, so nobody is kept out by them: {shown}", soft_wrap=True)
    show({**asdict(counts), "rejected_rows": rows, "dry_run": dry_run}, as_json=as_json)
    if counts.read == counts.rejected > 0:
        raise typer.Exit(1)


@app.command("list")
def list_(limit: Limit = 50, operator: Operator = None, as_json: AsJson = False) -> None:
    """List the do-not-mail list; addresses are masked, and the look stands in the audit."""
    with newsletter() as made:
        rows = suppressing.listed(made.parts, limit=limit, by=operator)
    show(rows, as_json=as_json, words=lambda: listing(list(rows), empty="The do-not-mail list is empty."))


@app.command()
def lift(
    why: Annotated[str, typer.Option(help="In words, without an address: kept beside the entry.")],
    reference: Reference = None,
    operator: Operator = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Say that an address works again (dead, quota). What a person said (left, complaint, never again) nobody lifts but they."""
    address = None if reference else EmailAddress.parse(ask_address())
    with newsletter() as made:
        done = suppressing.lift(made.parts, reference=reference, address=address, why=why, dry_run=dry_run, by=operator)
    if done.kept:
        screen.print(languages.say("suppression.not-theirs", kept=", ".join(done.kept)), soft_wrap=True)
    document = {"lifted": len(done.lifted), "reasons": list(map(str, done.lifted)), "kept": list(map(str, done.kept))}
    show(document | {"dry_run": dry_run}, as_json=as_json)
