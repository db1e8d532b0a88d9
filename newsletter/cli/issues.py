"""newsletter issues …"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from newsletter.cli import checking, seldom, waiting
from newsletter.cli.door import AsJson, DryRun, Number, Wait, listing, newsletter, page, show, warn
from newsletter.issues import cutting, digests
from newsletter.journeys import publish
from newsletter.subscribers.subscriptions import Rhythm

app = typer.Typer(no_args_is_help=True, help="The numbers of a digest.")


@app.command()
def compose(
    digest: str,
    now: Annotated[datetime | None, typer.Option(help="Compose as of this moment (ISO 8601, UTC).")] = None,
    rhythm: Annotated[Rhythm | None, typer.Option(help="Without it, the digest's own.")] = None,
    as_json: AsJson = False,
) -> None:
    """Cut the next issue of a digest and compose every version of it."""
    with newsletter() as made:
        done = publish.compose(made.parts, digest, rhythm=rhythm, now=_aware(now))
    warn(done.warnings)
    seldom.say(digest, done.waiting)
    show(done, as_json=as_json)


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


@app.command("list")
def list_(digest: str, as_json: AsJson = False) -> None:
    """List the issues of a digest."""
    with newsletter() as made, made.parts.database.transaction() as session:
        digests.by_key(session, digest)
        found = cutting.in_archive(session, digest)
    rows = [
        {
            "issue": i.id,
            "number": i.number,
            "rhythm": i.rhythm,
            "articles": i.articles,
            "mailing": i.mailing_id,
            "cut_at": i.cut_at,
        }
        for i in found
    ]
    show(rows, as_json=as_json, words=lambda: listing(list(rows), empty="This digest has no issue yet."))


@app.command()
def preview(
    issue: Number,
    out: Annotated[Path, typer.Option("-o", help="Folder for the .eml, .html and .txt files.")],
    as_: Annotated[str | None, typer.Option("--as", help="Reference of a reader: what they would get.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write what readers would get, with links that do nothing."""
    with newsletter() as made:
        files = publish.preview(made.parts, issue, out, reference=as_)
    shown = {"issue": issue, "files": [str(path) for path in files]}
    show(shown, as_json=as_json, words=lambda: page.print("\n".join(shown["files"]), soft_wrap=True, markup=False))  # type: ignore[arg-type]


@app.command()
def send(issue: Number, wait: Wait = False, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Send an issue to its readers now."""
    with newsletter() as made:
        checking.warn(made.settings)
        if dry_run:
            with made.parts.database.transaction() as session:
                mailing = cutting.get(session, issue).mailing_id
            would = {"mailing": mailing, "dry_run": True, "would_send": publish.audience_of(made.parts, mailing)}
            return show(would | waiting.plan(made, mailing), as_json=as_json)
        mailing = publish.send(made.parts, issue)
        waiting.report(made, mailing, wait=wait, as_json=as_json)
    return None
