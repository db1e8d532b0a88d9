"""newsletter mailings …"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from newsletter.cli import checking, waiting
from newsletter.cli.door import AsJson, DryRun, Number, Operator, Wait, ask_address, listing, newsletter, show, warn
from newsletter.journeys import mailing as journey
from newsletter.journeys import publish
from newsletter.ledger.mailings import State
from newsletter.operators.roles import May

app = typer.Typer(no_args_is_help=True, help="Ordinary mailings, and where every mailing stands.")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the newest mailings."""
    with newsletter() as made:
        found = journey.listed(made.parts)
    rows = [
        {
            "mailing": s.mailing,
            "kind": s.kind,
            "state": s.state,
            "subject": s.subject,
            "planned": s.planned,
            "accepted": s.accepted,
        }
        for s in found
    ]
    show(rows, as_json=as_json, words=lambda: listing(list(rows), empty="There is no mailing yet."))


@app.command()
def draft(
    file: Annotated[str, typer.Argument(metavar="FILE.md")],
    to: Annotated[str, typer.Option(help="Key of the digest whose readers get it.")],
    segment: Annotated[str | None, typer.Option(help="Key of a segment: only those of them who are in it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compose a mailing from a text file."""
    with newsletter() as made:
        drafted = journey.draft(made.parts, file, digest_key=to, segment_key=segment)
    warn(drafted.warnings)
    show({"mailing": drafted.mailing, "state": "draft", "warnings": drafted.warnings}, as_json=as_json)


@app.command()
def test(
    mailing: Number,
    to: Annotated[str | None, typer.Option(help="Your own address; asked for when not given.")] = None,
    wait: Wait = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Send a mailing to one address, with links that do nothing."""
    address = to or ask_address()
    with newsletter() as made:
        if dry_run:
            journey.may_test(made.parts, mailing, address)
            return show({"mailing": mailing, "dry_run": True, "would_send": 1}, as_json=as_json)
        waiting.report(made, journey.test(made.parts, mailing, address), wait=wait, as_json=as_json)
    return None


@app.command()
def schedule(
    mailing: Number,
    at: Annotated[datetime, typer.Option(help="When to begin (ISO 8601; UTC unless it says otherwise).")],
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Release a mailing for later."""
    start = at if at.tzinfo else at.replace(tzinfo=UTC)
    with newsletter() as made:
        count = publish.audience_of(made.parts, mailing, start_at=start)
        checking.warn(made.settings)
        if not dry_run:
            publish.release(made.parts, mailing, start_at=start)
        show({"mailing": mailing, "start_at": start, "dry_run": dry_run, "would_send": count}, as_json=as_json)


@app.command()
def send(mailing: Number, wait: Wait = False, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Send a mailing now."""
    with newsletter() as made:
        checking.warn(made.settings)
        if dry_run:
            would = {"mailing": mailing, "dry_run": True, "would_send": publish.audience_of(made.parts, mailing)}
            return show(would | waiting.plan(made, mailing), as_json=as_json)
        publish.release(made.parts, mailing)
        waiting.report(made, mailing, wait=wait, as_json=as_json)
    return None


@app.command()
def status(mailing: Number, as_json: AsJson = False) -> None:
    """Say where a mailing stands."""
    with newsletter() as made:
        waiting.show_status(made, mailing, as_json=as_json)


@app.command()
def pause(mailing: Number, operator: Operator = None, as_json: AsJson = False) -> None:
    """Halt a mailing; it can go on."""
    with newsletter() as made:
        journey.pause(made.parts, mailing, by=journey.asks(made.parts, operator, May.STOP))
        show(journey.status(made.parts, mailing), as_json=as_json)


@app.command()
def resume(mailing: Number, operator: Operator = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Let a paused mailing go on."""
    with newsletter() as made:
        if dry_run:
            journey.may(made.parts, mailing, State.SENDING)
        else:
            journey.resume(made.parts, mailing, by=journey.asks(made.parts, operator, May.SEND))
        show({**asdict(journey.status(made.parts, mailing)), "dry_run": dry_run}, as_json=as_json)


@app.command()
def stop(mailing: Number, operator: Operator = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """End a mailing for good; what is left is cancelled."""
    with newsletter() as made:
        if dry_run:
            journey.may(made.parts, mailing, State.STOPPED)
        else:
            journey.stop(made.parts, mailing, by=journey.asks(made.parts, operator, May.STOP))
        show({**asdict(journey.status(made.parts, mailing)), "dry_run": dry_run}, as_json=as_json)


@app.command()
def cancel(mailing: Number, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Give up a mailing that has not begun."""
    with newsletter() as made:
        if dry_run:
            journey.may(made.parts, mailing, State.CANCELLED)
        else:
            journey.cancel(made.parts, mailing)
        show({**asdict(journey.status(made.parts, mailing)), "dry_run": dry_run}, as_json=as_json)


@app.command()
def uncertain(mailing: Number, as_json: AsJson = False) -> None:
    """List the readers of whom nobody can say whether the mail arrived, and what followed."""
    with newsletter() as made:
        found = journey.in_doubt(made.parts, mailing)
    empty = "No delivery of this mailing was ever in doubt."
    show(found, as_json=as_json, words=lambda: listing([asdict(one) for one in found], empty=empty))
