"""newsletter segments …"""

from datetime import datetime
from typing import Annotated

import typer

from newsletter.cli.door import LARGEST, AsJson, listing, newsletter, show
from newsletter.journeys import segmenting as journey
from newsletter.subscribers import segments as noun

app = typer.Typer(no_args_is_help=True, help="Parts of the readership, by conditions that all hold.")
Keys = list[str] | None
Numbers = list[int] | None
_DAY = ["%Y-%m-%d"]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the segments with their conditions."""
    with newsletter() as made:
        rows = journey.listed(made.parts)
    words = [{"key": row["key"], "conditions": "; ".join(noun.lines(row["conditions"])) or "none"} for row in rows]
    show(rows, as_json=as_json, words=lambda: listing(list(words), empty="There is no segment yet."))


@app.command()
def add(
    key: str,
    digest: Annotated[Keys, typer.Option(help="They take this digest.")] = None,
    not_digest: Annotated[Keys, typer.Option(help="They do not.")] = None,
    topic: Annotated[Keys, typer.Option(help="They chose this topic.")] = None,
    not_topic: Annotated[Keys, typer.Option(help="They did not.")] = None,
    language: Annotated[Keys, typer.Option(help="They read this language: en is also en-GB.")] = None,
    not_language: Annotated[Keys, typer.Option(help="They do not.")] = None,
    joined_from: Annotated[
        datetime | None, typer.Option(formats=_DAY, help="They joined on this day or later.")
    ] = None,
    joined_before: Annotated[datetime | None, typer.Option(formats=_DAY, help="They joined before this day.")] = None,
    had: Annotated[Numbers, typer.Option(min=1, max=LARGEST, help="They had this mailing.")] = None,
    not_had: Annotated[Numbers, typer.Option(min=1, max=LARGEST, help="They had not.")] = None,
    had_issue: Annotated[Numbers, typer.Option(min=1, max=LARGEST, help="They had this issue.")] = None,
    not_had_issue: Annotated[Numbers, typer.Option(min=1, max=LARGEST, help="They had not.")] = None,
    in_: Annotated[Keys, typer.Option("--in", help="They are in this other segment.")] = None,
    not_in: Annotated[Keys, typer.Option(help="They are not.")] = None,
    as_json: AsJson = False,
) -> None:
    """Keep a segment: all its conditions hold; each may be given several times. KEY never changes what it means."""
    with newsletter() as made:
        issues = [journey.mailing_of_issue(made.parts, one) for one in had_issue or ()]
        not_issues = [journey.mailing_of_issue(made.parts, one) for one in not_had_issue or ()]
        segment = journey.said(
            digest=digest,
            not_digest=not_digest,
            topic=topic,
            not_topic=not_topic,
            language=language,
            not_language=not_language,
            since=joined_from,
            before=joined_before,
            had=[*(had or ()), *issues],
            not_had=[*(not_had or ()), *not_issues],
            not_in=not_in,
            **{"in": in_},
        )
        show({"segment": key, "readers": journey.add(made.parts, key, segment)}, as_json=as_json)


@app.command()
def count(key: str, as_json: AsJson = False) -> None:
    """Count exactly who is in a segment and may be mailed now."""
    with newsletter() as made:
        show({"segment": key, "readers": journey.count(made.parts, key)}, as_json=as_json)


@app.command()
def remove(key: str, as_json: AsJson = False) -> None:
    """Keep a segment no longer, where no other names it and no alert waits for it. Mailings keep their conditions."""
    with newsletter() as made:
        journey.remove(made.parts, key)
    show({"segment": key, "removed": True}, as_json=as_json)
