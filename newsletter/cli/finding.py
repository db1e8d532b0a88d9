"""newsletter subscribers find, newsletter subscribers export …: looking for people, and taking the list out."""

import sys
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer

from newsletter import languages
from newsletter.addresses import EmailAddress
from newsletter.cli.door import LARGEST, AsJson, Limit, Number, ask_address, ask_code, listing, newsletter, screen, show
from newsletter.cli.privacy import Operator
from newsletter.journeys import exporting
from newsletter.journeys import finding as journey
from newsletter.subscribers.finding import Query

exports = typer.Typer(
    no_args_is_help=True, help="The list leaves the house: asked for, agreed to by another where it is long, taken."
)
Officer = Annotated[
    int, typer.Option(min=1, max=LARGEST, help="Number of the data officer; their phone's code is asked for.")
]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day on which they came, in UTC.")]


def find(
    address: Annotated[bool, typer.Option("--address", help="By a whole address, which is asked for.")] = False,
    name: Annotated[bool, typer.Option("--name", help="By words of the name, which is asked for.")] = False,
    reference: Annotated[str, typer.Option(help="By the eight letters of the footer.")] = "",
    digest: Annotated[str | None, typer.Option(help="Who takes this digest.")] = None,
    topic: Annotated[str | None, typer.Option(help="Who chose this topic.")] = None,
    language: Annotated[str, typer.Option(help="Such as fa.")] = "",
    area: Annotated[str, typer.Option(help="As the list had it in its column “area”.")] = "",
    since: Day = None,
    until: Day = None,
    limit: Limit = 50,
    operator: Operator = None,
    as_json: AsJson = False,
) -> None:
    """Find people; addresses are masked, and the search stands in the audit."""
    written = EmailAddress.parse(ask_address()) if address else None
    words = ask_address("Name") if name else ""
    query = Query(
        written,
        reference,
        words,
        language=language,
        area=area,
        since=since.date() if since else None,
        until=until.date() if until else None,
    )
    with newsletter() as made:
        count, rows = journey.find(made.parts, query, digest=digest, topic=topic, by=operator, limit=limit)
    if count > len(rows):
        screen.print(f"{count} were found; these are the newest {len(rows)}.")
    show(
        {"found": count, "people": rows},
        as_json=as_json,
        words=lambda: listing(list(rows), empty="Nobody was found."),
    )


@exports.command("ask")
def ask(
    operator: Officer,
    reason: Annotated[str, typer.Option(help="What the list is needed for, naming no reader. Everybody reads it.")],
    digest: Annotated[str | None, typer.Option(help="The readers of one digest alone.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask for the list. For few its asker takes it alone; for many another data officer agrees first."""
    with newsletter() as made:
        asked = exporting.ask(made.parts, by=operator, reason=reason, digest=digest)
    if not asked.alone and sys.stdout.isatty():
        screen.print(f"Another data officer agrees first: newsletter subscribers export approve {asked.export}")
    if not asked.marked:
        _say_unmarked()
    show(asked, as_json=as_json)


def _say_unmarked() -> None:
    screen.print(languages.say("export.unmarked"), soft_wrap=True)


@exports.command("approve")
def approve(export: Number, operator: Officer, as_json: AsJson = False) -> None:
    """Agree that another takes the list. The code of your phone is asked for."""
    with newsletter() as made:
        found = exporting.approve(made.parts, export, by=operator, code=ask_code())
    show(found, as_json=as_json)


@exports.command("take")
def take(
    export: Number,
    file: Annotated[str, typer.Argument(metavar="FILE.csv", help="A file that is not there yet.")],
    operator: Officer,
    as_json: AsJson = False,
) -> None:
    """Write the list into a new file, readable by you alone. Everybody of the team is mailed."""
    with newsletter() as made:
        taken = exporting.take(made.parts, export, file, by=operator, code=ask_code())
    if not taken.canaries:
        _say_unmarked()
    show(asdict(taken), as_json=as_json)
