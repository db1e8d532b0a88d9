"""newsletter subscribers …"""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer

from newsletter.addresses import EmailAddress
from newsletter.cli import moving
from newsletter.cli.door import (
    AsJson,
    DryRun,
    Limit,
    Reference,
    ask_address,
    listing,
    newsletter,
    page,
    progress,
    show,
)
from newsletter.cli.privacy import Operator
from newsletter.journeys import finding, moving_in
from newsletter.subscribers.consent import Basis, Came, SoftOptIn
from newsletter.subscribers.formats import Format, parse_mapping
from newsletter.subscribers.luggage import Chosen
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.subscribers.tagging import Tags

app = typer.Typer(no_args_is_help=True, help="The people who read.")
Mapped = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="HEADING=COLUMN, several times: =permission where yes wants mail, =left_time where yes wants none,"
        " =- where it says nothing of that.",
    ),
]


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A Mailchimp zip, an export, a CSV or XLSX file.")],
    digest: Annotated[str, typer.Option(help="Key of the digest they take.")],
    basis: Annotated[Basis, typer.Option(help="Why you may write to them.")] = Basis.IMPORTED,
    evidence: Annotated[
        str,
        typer.Option(
            help="Where the permission of all can be shown; without it only who has a time of opting in is mailed."
        ),
    ] = "",
    kind: Annotated[Format | None, typer.Option("--from", help="Whose export it is; guessed without it.")] = None,
    mapped: Mapped = None,
    encoding: Annotated[
        str | None, typer.Option(help="utf-8, utf-16, windows-1252 or windows-1256; guessed without it.")
    ] = None,
    moved: Annotated[
        str, typer.Option("--list", metavar="NAME", help="Of listmonk's JSON: the list that moves; without it, all.")
    ] = "",
    tags: Annotated[Tags, typer.Option(help="Which tags become topics; readers see topics.")] = Tags.KNOWN,
    rhythm: Annotated[Rhythm | None, typer.Option(help="Without it, the digest's own.")] = None,
    came: Annotated[
        Came | None, typer.Option(help="Of a soft opt-in: in the course of what they gave the address.")
    ] = None,
    collected: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Of a soft opt-in: the first day.")
    ] = None,
    refusal: Annotated[str, typer.Option(help="Of a soft opt-in: the words by which they could refuse there.")] = "",
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Write over name, postcode, language and zone of readers who are known."),
    ] = False,
    operator: Operator = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Import people. Importing again changes nothing; who has left, here or there, or is on the do-not-mail list stays away."""
    soft = SoftOptIn(came, collected.date(), refusal) if came and collected else None
    chosen = Chosen(kind, encoding, parse_mapping(mapped or ()), moved.strip())
    brought = moving_in.look(file, chosen)
    moving.say_what(brought, in_full=dry_run)
    with newsletter() as made, progress("rows read") as advance:
        done = moving_in.import_subscribers(
            made.parts,
            file,
            digest_key=digest,
            permission=moving_in.Permission(basis, evidence, soft),
            chosen=chosen,
            tags=tags,
            rhythm=rhythm,
            overwrite=overwrite,
            dry_run=dry_run,
            progress=advance,
            by=operator,
        )
        moving.say_rest(done)
        document = moving.summary(made, done, brought, digest=digest, dry_run=dry_run)
        show(document if as_json else document | {"reach": moving.reached(document["reach"])}, as_json=as_json)
    if done.read == done.rejected > 0:
        raise typer.Exit(1)


@app.command()
def imports(limit: Limit = 20, as_json: AsJson = False) -> None:
    """List the imports, newest first, each with who might be mailed when it was through."""
    with newsletter() as made:
        rows = moving_in.listed(made.parts, limit=limit)
    lines = [line for row in rows for line in moving.told(row)] or ["Nothing was imported yet."]
    show(rows, as_json=as_json, words=lambda: page.print("\n".join(lines), markup=False, soft_wrap=True))


@app.command()
def undo(
    number: Annotated[
        int, typer.Argument(metavar="IMPORT", min=1, max=2**63 - 1, help="Its number, as it was printed.")
    ],
    suppressions_too: Annotated[
        bool, typer.Option("--suppressions-too", help="Also take back whom it put on the do-not-mail list.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    operator: Operator = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Take a whole import back: what it granted ends, and whom it alone brought is forgotten."""
    with newsletter() as made:
        would = moving_in.undo(made.parts, number, suppressions_too=suppressions_too, dry_run=True, by=operator)
        if not dry_run:
            if not yes:
                moving.ask_undo(would)
            would = moving_in.undo(made.parts, number, suppressions_too=suppressions_too, by=operator)
    if dry_run or yes:
        moving.say_altered(would)
    show(asdict(would) | {"dry_run": dry_run}, as_json=as_json)


@app.command()
def ask(
    number: Annotated[
        int, typer.Argument(metavar="IMPORT", min=1, max=2**63 - 1, help="Its number, as it was printed.")
    ],
    operator: Operator = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Ask those of an import who came without evidence whether they want it, each once."""
    with newsletter() as made:
        asked = moving_in.ask(made.parts, number, dry_run=dry_run, by=operator)
    show({"import": number, "asked": asked, "dry_run": dry_run}, as_json=as_json)


@app.command("show")
def show_(reference: Reference = None, operator: Operator = None, as_json: AsJson = False) -> None:
    """Show what is known of a person; the look stands in the audit."""
    address = None if reference else EmailAddress.parse(ask_address())
    with newsletter() as made:
        found = finding.show(made.parts, reference=reference, address=address, by=operator)
    show(found, as_json=as_json)


@app.command("list")
def list_(digest: str | None = None, limit: Limit = 50, operator: Operator = None, as_json: AsJson = False) -> None:
    """List people, newest first, a hundred at most; addresses are masked, and the look stands in the audit."""
    with newsletter() as made:
        rows = finding.newest(made.parts, digest=digest, by=operator, limit=limit)
    show(rows, as_json=as_json, words=lambda: listing(list(rows), empty="There are no subscribers yet."))
