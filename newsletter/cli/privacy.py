"""newsletter privacy …: one person's data, and how long what is kept."""

import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from newsletter import languages
from newsletter.addresses import EmailAddress
from newsletter.cli.door import LARGEST, AsJson, DryRun, Reference, ask_address, listing, newsletter, page, screen, show
from newsletter.journeys import erasing, exporting, privacy, retention
from newsletter.operators.audit import SHELL

app = typer.Typer(
    no_args_is_help=True, help="What is held of a person: reported, handed out, erased; and how long what is kept."
)

Operator = Annotated[
    int | None,
    typer.Option(min=1, max=LARGEST, help="Number of the data officer who asks; needed once there are operators."),
]


def _meant(reference: str | None) -> dict[str, Any]:
    return {"reference": reference, "address": None if reference else EmailAddress.parse(ask_address())}


@app.command()
def report(reference: Reference = None, operator: Operator = None, as_json: AsJson = False) -> None:
    """Answer a regulator: everything of one person's permissions, in order, with its proof."""
    with newsletter() as made:
        found = privacy.report(made.parts, **_meant(reference), by=operator)
    show(found, as_json=as_json, words=lambda: _print(found))


def _print(found: privacy.Report) -> None:
    page.print(
        f"Person {found.reference or '–'} · {found.address or 'no address is held'}", markup=False, soft_wrap=True
    )
    for entry in found.entries:
        page.print(f"\n{entry['at']:%Y-%m-%d %H:%M:%S} UTC  {entry['what']}", markup=False)
        for name, value in entry.items():
            if name not in ("at", "what"):
                page.print(_harmless(f"    {name.replace('_', ' ')}: {value}"), markup=False, soft_wrap=True)


def _harmless(text: str) -> str:
    """What somebody wrote on a form must not command the terminal it is read on."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


@app.command()
def export(reference: Reference = None, operator: Operator = None) -> None:
    """Print all that is held of a person, as JSON: for them, into their own hands."""
    with newsletter() as made:
        document = privacy.exported(made.parts, **_meant(reference), by=operator)
    print(json.dumps(document, ensure_ascii=False, indent=1, default=str))


@app.command()
def erase(
    reference: Reference = None,
    may_come_back: Annotated[
        bool,
        typer.Option(
            "--may-come-back",
            help="Keep not even a fingerprint, unless they left or complained: a later list may name them again.",
        ),
    ] = False,
    operator: Operator = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Erase a person for good. A restored backup does not bring them back."""
    with newsletter() as made:
        meant, by = privacy.meant(made.parts, **_meant(reference), by=operator)
        back = may_come_back and not erasing.must_stay_out(made.parts, meant)
        if may_come_back and not back:
            screen.print(languages.say("privacy.must-stay-out"), soft_wrap=True)
        document: dict[str, Any] = {"reference": meant.reference, "may_come_back": back, "dry_run": dry_run}
        if not dry_run:
            if sys.stdin.isatty() and reference and not typer.confirm("Erase this person for good?", err=True):
                raise typer.Exit(1)
            document |= asdict(erasing.erase(made.parts, meant, by=by, may_come_back=may_come_back))
    show(document, as_json=as_json)


@app.command()
def reapply(as_json: AsJson = False) -> None:
    """Erase again all who were erased before a backup was restored. Workers do it by themselves when they start."""
    with newsletter() as made:
        people = erasing.reapply(made.parts, by=SHELL, every=True)
        document = {"erased_again": people, "journal": str(made.parts.journal)}
    show(document, as_json=as_json)


@app.command("retention")
def retention_(as_json: AsJson = False) -> None:
    """Say how long what is kept, with the oldest row that is there now; ends with 1 where something is overdue."""
    with newsletter() as made:
        rows = [asdict(one) for one in retention.table(made.parts)]
    show(rows, as_json=as_json, words=lambda: listing(list(rows), empty=""))
    if not all(row["ok"] for row in rows):
        raise typer.Exit(1)


@app.command()
def whose(operator: Operator = None, as_json: AsJson = False) -> None:
    """Say of which export of the list an address of ours is that turned up elsewhere. The address is asked for."""
    address = ask_address()
    with newsletter() as made:
        found = exporting.whose(made.parts, address, by=operator)
    one = found.export
    document = {
        "export": one.id if one else None,
        "asked_by": one.asked_by if one else None,
        "approved_by": one.approved_by if one else None,
        "reason": one.reason if one else None,
        "taken_at": one.taken_at if one else None,
        "in_the_list_itself": found.listed,
    }
    show(document, as_json=as_json)
    if one is None:
        known = "It stands in the list itself and in no export." if found.listed else "It is of no export."
        screen.print(known, soft_wrap=True)
