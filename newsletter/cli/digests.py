"""newsletter digests …"""

from typing import Annotated

import typer

from newsletter.cli.door import AsJson, listing, newsletter, page, screen, show
from newsletter.issues import digests as noun
from newsletter.journeys import consenting, joining
from newsletter.subscribers.subscriptions import Rhythm

app = typer.Typer(no_args_is_help=True, help="The named series people subscribe to.")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the digests."""
    with newsletter() as made, made.parts.database.transaction() as session:
        found = noun.listed(session)
    rows = [{"key": d.key, "name": d.name, "languages": list(d.languages), "rhythm": str(d.rhythm)} for d in found]
    empty = "There is no digest yet. Add one with “newsletter digests add KEY --name NAME”."
    show(rows, as_json=as_json, words=lambda: listing(list(rows), empty=empty))


@app.command()
def add(
    key: str,
    name: Annotated[str, typer.Option(help="What readers see.")],
    language: Annotated[
        list[str] | None, typer.Option(help="May be given several times; the first is the main one.")
    ] = None,
    rhythm: Rhythm = Rhythm.WEEKLY,
    as_json: AsJson = False,
) -> None:
    """Add a digest. KEY stands in addresses and never changes."""
    with newsletter() as made, made.parts.database.transaction() as session:
        found = noun.add(session, key, name=name, languages=tuple(language or ["en"]), rhythm=rhythm)
    row = {"digest": found.key, "name": found.name, "languages": list(found.languages), "rhythm": str(found.rhythm)}
    show(row, as_json=as_json)


@app.command()
def form(
    key: Annotated[list[str], typer.Argument(metavar="KEY …", help="The digests it asks for.")],
    language: Annotated[str, typer.Option(help="In which its words, our page and the mail are.")] = "en",
    name: Annotated[str, typer.Option(help="By which you will know later that somebody came by this form.")] = "site",
    as_json: AsJson = False,
) -> None:
    """Print a form to be put into a page of your own site. It needs no script, sets no cookie and lands on one page of ours."""
    with newsletter() as made:
        found = joining.embedded(made.parts, key, language=language, name=name)
        agreement = consenting.agreement(made.parts, language)

    def words() -> None:
        page.print(found, markup=False, soft_wrap=True, highlight=False)
        screen.print(
            f"Its words are version {agreement.version}, and kept: a form of yours that sends JSON shows the same words and gives"
            f" that version as wording_version. Words: {agreement.words}",
            markup=False,
            soft_wrap=True,
        )

    document = {"form": found, "wording_version": agreement.version, "words": agreement.words}
    show(document, as_json=as_json, words=words)
