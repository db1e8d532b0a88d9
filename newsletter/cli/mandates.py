"""newsletter alerts mandate …"""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from newsletter import database
from newsletter.cli.door import LARGEST, AsJson, Number, ask_code, listing, newsletter, show
from newsletter.journeys import mandates as journey
from newsletter.journeys.mandates import Held, Wish
from newsletter.ledger.manifest import short

app = typer.Typer(no_args_is_help=True, help="In the evening two sign that one may send at night.")

Who = Annotated[
    int, typer.Option("--operator", min=1, max=LARGEST, help="Number of the operator, as “operators list” shows it.")
]


@app.command()
def add(
    operator: Who,
    until: Annotated[
        str,
        typer.Option(
            help="“08:00”, the next one in the zone of this machine, or an ISO date and time; at most 24 hours."
        ),
    ],
    digest: Annotated[str, typer.Option(help="Key of the digest whose readers an alert may go to.")],
    cause: Annotated[str, typer.Option(help="What it is for, in a few words, for those who sign.")],
    frame: Annotated[list[str], typer.Option(help="Name of a frame, templates/frames/NAME.md; several times.")],
    most_readers: Annotated[int, typer.Option(min=1, max=LARGEST, help="How many readers one alert may go to.")],
    most_alerts: Annotated[int, typer.Option(min=1, max=10, help="How many alerts it may let go.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Write a mandate down; it holds once two others have signed it."""
    with newsletter() as made:
        with made.parts.database.transaction() as session:
            now = database.now(session).astimezone()
        ends = journey.until(until, now=now)
        wish = Wish(operator, digest, cause, ends, tuple(frame), most_alerts, most_readers)
        found = journey.look(made.parts, journey.add(made.parts, wish).id)
    _show(found, as_json=as_json)


@app.command()
def sign(mandate: Number, operator: Who, as_json: AsJson = False) -> None:
    """Sign a mandate by the code of the phone, which is asked for or read from stdin."""
    code = ask_code()
    with newsletter() as made:
        journey.sign_by_code(made.parts, mandate, by=operator, code=code)
        found = journey.look(made.parts, mandate)
    _show(found, as_json=as_json)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the newest mandates, and which hold now; of one that does not by whose fault: “lost” may no longer give their word."""
    with newsletter() as made:
        rows = [_document(one) for one in journey.listed(made.parts)]
    show(
        rows, as_json=as_json, words=lambda: listing([_row(one) for one in rows], empty="No mandate has been written.")
    )


@app.command()
def end(
    mandate: Number,
    operator: Annotated[
        int | None, typer.Option(min=1, max=LARGEST, help="Number of the operator who ends it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """End a mandate before its time: one person, no code. What it let go already is stopped with “alerts stop”."""
    with newsletter() as made:
        journey.end(made.parts, mandate, by=operator)
        found = journey.look(made.parts, mandate)
    _show(found, as_json=as_json)


def _show(found: Held, *, as_json: bool) -> None:
    """Print a mandate; for people with its end by the clock of this machine and by that of the pages."""
    document = _document(found)
    show(document if as_json else document | {"until": _clock(found.mandate.terms.until)}, as_json=as_json)


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():%d %b %H:%M (UTC%z)}, {moment.astimezone(UTC):%H:%M} UTC"


def _row(found: dict[str, Any]) -> dict[str, Any]:
    """What fits on a line; all of it is in the document."""
    kept = {name: found[name] for name in ("mandate", "operator", "holds", "cause")}
    used = f"{found['used']} of {found['most_alerts']}"
    return kept | {
        "until": f"{found['until']:%d %b %H:%M} UTC",
        "used": used,
        "signed": found["signed_by"],
        "lost": found["lost"],
    }


def _document(held: Held) -> dict[str, Any]:
    found, terms = held.mandate, held.mandate.terms
    return {
        "mandate": found.id,
        "operator": terms.holder,
        "until": terms.until.astimezone(UTC),
        "digest": terms.digest,
        "cause": terms.cause,
        "frames": [frame.partition("@")[0] for frame in terms.frames],
        "most_alerts": terms.most_alerts,
        "most_readers": terms.most_readers,
        "used": found.used,
        "signed_by": found.signers,
        "holds": held.holds,
        "lost": held.lost,
        "code": short(found.fingerprint),
    }
