"""newsletter subscribers …"""

from datetime import datetime
from typing import Annotated

import typer

from newsletter.addresses import EmailAddress
from newsletter.cli.door import (
    AsJson,
    DryRun,
    Limit,
    Reference,
    ask_address,
    listing,
    newsletter,
    progress,
    screen,
    show,
)
from newsletter.issues import digests
from newsletter.journeys import moving_in
from newsletter.subscribers import people
from newsletter.subscribers.consent import Basis, Came, SoftOptIn
from newsletter.subscribers.subscriptions import Rhythm

app = typer.Typer(no_args_is_help=True, help="The people who read.")


@app.command("import")
def import_(
    file: Annotated[
        str, typer.Argument(metavar="FILE.csv", help="Columns email, name, language, time_zone, postcode.")
    ],
    digest: Annotated[str, typer.Option(help="Key of the digest they take.")],
    basis: Annotated[Basis, typer.Option(help="Why you may write to them.")],
    evidence: Annotated[
        str, typer.Option(help="Where the permission can be shown: it is kept, sealed, with every person.")
    ],
    rhythm: Annotated[Rhythm | None, typer.Option(help="Without it, the digest's own.")] = None,
    came: Annotated[
        Came | None, typer.Option(help="Of a soft opt-in: in the course of what they gave the address.")
    ] = None,
    collected: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Of a soft opt-in: the first day.")
    ] = None,
    refusal: Annotated[str, typer.Option(help="Of a soft opt-in: the words by which they could refuse there.")] = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Import people. Importing again changes nothing; who has left or is on the do-not-mail list stays away."""
    soft = SoftOptIn(came, collected.date(), refusal) if came and collected else None
    with newsletter() as made, progress("rows read") as advance:
        done = moving_in.import_subscribers(
            made.parts,
            file,
            digest_key=digest,
            permission=moving_in.Permission(basis, evidence, soft),
            rhythm=rhythm,
            dry_run=dry_run,
            progress=advance,
        )
    if done.ignored:
        screen.print(
            f"Columns that say nothing to us were left out: {', '.join(done.ignored)}.", markup=False, soft_wrap=True
        )
    if done.rejects:
        rows = "1 row was" if done.rejected == 1 else f"{done.rejected} rows were"
        screen.print(f"{rows} not taken; see {done.rejects} (kept for 24 hours).", soft_wrap=True)
    counts = {name: getattr(done, name) for name in ("read", "added", "changed", "unchanged", "rejected")}
    show(counts | {"rejects": str(done.rejects) if done.rejects else None, "dry_run": dry_run}, as_json=as_json)
    if done.read == done.rejected > 0:
        raise typer.Exit(1)


@app.command("show")
def show_(reference: Reference = None, as_json: AsJson = False) -> None:
    """Show what is known of a person."""
    with newsletter() as made, made.parts.database.transaction() as session:
        found = people.find(session, reference) if reference else people.find_by_address(session, _asked())
        show(people.shown(session, found, digests=digests.keys(session)), as_json=as_json)


def _asked() -> EmailAddress:
    return EmailAddress.parse(ask_address())


@app.command("list")
def list_(digest: str | None = None, limit: Limit = 50, as_json: AsJson = False) -> None:
    """List people, newest first; addresses are masked."""
    with newsletter() as made, made.parts.database.transaction() as session:
        digest_id = digests.by_key(session, digest).id if digest else None
        found = people.list_(session, digest_id=digest_id, limit=limit)
        keys = digests.keys(session)
        rows = [people.shown(session, person, digests=keys) for person in found]
    show(rows, as_json=as_json, words=lambda: listing(list(rows), empty="There are no subscribers yet."))
