"""newsletter privacy blast-radius: what a theft would reveal, counted in the database that is there."""

from dataclasses import asdict
from typing import Any

import typer
from rich.table import Table

from newsletter import languages
from newsletter.cli.door import AsJson, newsletter, page, show
from newsletter.journeys import exposure
from newsletter.journeys.exposure import Loss, Radius

app = typer.Typer(no_args_is_help=True, help="What is held of people, and what its loss would mean.")
_SPLIT = {True: "exposure.split.yes", False: "exposure.split.no", None: "exposure.split.none"}


@app.callback()
def _group() -> None:
    """Keep the group one, however few its commands."""


@app.command("blast-radius")
def blast_radius(as_json: AsJson = False) -> None:
    """Say what a stolen copy, a stolen key, or both reveal, and who hides badly among the others."""
    with newsletter() as made:
        found = exposure.radius(made.parts)
    show(_document(found), as_json=as_json, words=lambda: _print(found))


def _document(found: Radius) -> dict[str, Any]:
    stolen = [{"what": loss.what, "if": _title(loss), "then": _sentences(loss)} for loss in found.losses]
    clear = {name: languages.say(f"exposure.clear.{name}") for name in found.clear}
    return {
        **asdict(found.crowd),
        "sealed": asdict(found.held),
        "pages_split": found.split,
        "clear": clear,
        "stolen": stolen,
    }


def _title(loss: Loss) -> str:
    return languages.say(f"exposure.title.{loss.what}")


def _sentences(loss: Loss) -> list[str]:
    return [languages.say(sentence, **facts) for sentence, facts in loss.says]


def _print(found: Radius) -> None:
    page.print(languages.say(_SPLIT[found.split]), soft_wrap=True)
    for loss in found.losses:
        page.print(f"\n[bold]{_title(loss)}[/]", soft_wrap=True)
        for sentence in _sentences(loss):
            page.print(sentence, soft_wrap=True)
    page.print("\n[bold]What stands in clear[/]")
    table = Table(box=None, show_header=False, pad_edge=False)
    for name in found.clear:
        table.add_row(name, languages.say(f"exposure.clear.{name}"))
    page.print(table)
    if found.crowd.rarest:
        page.print("\n[bold]The rarest groups[/]")
    for group in found.crowd.rarest:
        page.print(f"{group.area or 'no area'} · {group.language} · {group.zone}: {group.people}", markup=False)
