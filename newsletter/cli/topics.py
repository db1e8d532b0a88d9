"""newsletter topics …"""

from typing import Annotated

import typer

from newsletter.cli.door import AsJson, listing, newsletter, show
from newsletter.cli.privacy import Operator
from newsletter.journeys import dropping
from newsletter.subscribers import topics as noun

app = typer.Typer(no_args_is_help=True, help="What readers may choose to read of.")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the topics."""
    with newsletter() as made, made.parts.database.transaction() as session:
        rows = [{"key": one.key, "name": one.name} for one in noun.listed(session)]
    empty = "There is no topic yet. Add one with “newsletter topics add KEY --name NAME”."
    show(rows, as_json=as_json, words=lambda: listing(list(rows), empty=empty))


@app.command()
def add(key: str, name: Annotated[str, typer.Option(help="What readers see.")], as_json: AsJson = False) -> None:
    """Add a topic. KEY stands in addresses and never changes."""
    with newsletter() as made, made.parts.database.transaction() as session:
        found = noun.add(session, key, name=name)
    show({"topic": found.key, "name": found.name}, as_json=as_json)


@app.command()
def remove(
    key: str,
    yes: Annotated[bool, typer.Option("--yes", help="Also where readers chose it or segments name it.")] = False,
    operator: Operator = None,
    as_json: AsJson = False,
) -> None:
    """Take a topic off every page. Who chose it has it no more; adding it again brings none of them back."""
    with newsletter() as made:
        found = dropping.remove(made.parts, key, chosen_too=yes, by=operator)
    show({"topic": key, "readers": found.readers, "segments": found.segments}, as_json=as_json)
