"""newsletter alerts import|held|cap: what authorities say, in and out, as messages of CAP 1.2."""

import sys
from typing import Annotated, Any

import typer

from newsletter import languages
from newsletter.campaigns.bulletins import Bulletin
from newsletter.cli.door import AsJson, Number, listing, newsletter, screen, show
from newsletter.journeys import bulletins as journey
from newsletter.journeys import heeding, publicity
from newsletter.journeys.bulletins import Taken

To = Annotated[str, typer.Option(help="Key of the digest whose readers would get it.")]


def import_(
    source: Annotated[str, typer.Argument(metavar="FILE_OR_URL", help="A message of CAP 1.2.")],
    to: To,
    as_json: AsJson = False,
) -> None:
    """Take in what an authority says: a draft, a change of one, or its end. What cannot be told is held, and nothing is sent."""
    with newsletter() as made:
        taken = journey.take(made.parts, source, act=heeding.Heeding(made.parts, to))
    show(_document(taken), as_json=as_json)
    if taken.why is not None and not as_json:
        screen.print(languages.say(f"cap.why-{taken.why}"), soft_wrap=True)


def _document(taken: Taken) -> dict[str, Any]:
    return {
        "message": taken.id,
        "identifier": taken.message.identifier,
        "kind": taken.message.kind,
        "state": taken.state,
        "why": taken.why,
        "mailing": taken.mailing,
        "followed": [str(one) for one in taken.followed],
    }


def held(as_json: AsJson = False) -> None:
    """List the messages that wait for another: an update or a cancel whose alert is unknown."""
    with newsletter() as made:
        rows = [_row(one) for one in journey.held(made.parts)]
    show(rows, as_json=as_json, words=lambda: listing(list(rows), empty="No message is held."))


def _row(one: Bulletin) -> dict[str, Any]:
    why = languages.say(f"cap.why-{one.why}") if one.why else ""
    return {
        "message": one.id,
        "sender": one.name.sender,
        "identifier": one.name.identifier,
        "kind": one.kind,
        "why": why,
    }


def article(number: Number, to: To, as_json: AsJson = False) -> None:
    """Make a draft of an alert of an article, which nobody is sent by that."""
    with newsletter() as made:
        heeding.require(made.parts, to)
        drafts = heeding.drafts(made.parts, [number], digest_key=to)
    if not drafts:
        screen.print(languages.say("articles.no-draft", article=number), soft_wrap=True)
        sys.exit(1)
    show({"mailing": drafts[0], "state": "draft"}, as_json=as_json)


def cap(alert: Number, as_json: AsJson = False) -> None:
    """Print a released alert as a message of CAP 1.2; its public page has the same at …/cap.xml."""
    with newsletter() as made:
        found = publicity.bulletin(made.parts, alert)
    if found is None:
        screen.print(f"Alert {alert} has not been released.")
        sys.exit(1)
    if as_json:
        return show({"mailing": alert, "cap": found.decode()}, as_json=True)
    sys.stdout.buffer.write(found)
    return None


def on(app: typer.Typer) -> None:
    """Add the commands to those of alerts."""
    app.command("import")(import_)
    app.command()(held)
    app.command()(article)
    app.command()(cap)
