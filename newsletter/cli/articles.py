"""newsletter articles …"""

from typing import Annotated, Any

import typer

from newsletter import languages
from newsletter.cli.door import AsJson, Limit, listing, newsletter, screen, show
from newsletter.issues import articles as noun
from newsletter.journeys import heeding, picturing, publish

NAMED = 5
"""How many old items are named; of the archive of a whole site no screen holds all."""

app = typer.Typer(no_args_is_help=True, help="The texts that digests are made of.")


@app.command("import")
def import_(
    source: Annotated[str, typer.Argument(metavar="FILE_OR_URL", help="JSON Feed, RSS, Atom or a WordPress export.")],
    feed: Annotated[str | None, typer.Option(help="Name of the feed; without it the site or file gives it.")] = None,
    as_news: Annotated[
        bool, typer.Option("--as-news", help="Take items older than 14 days into the next issue too.")
    ] = False,
    alerts_to: Annotated[
        str | None,
        typer.Option(help="Key of the digest for whose readers urgent items and open letters become drafts of alerts."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take articles in. Importing again changes nothing; an edited item becomes a revision.

    Items that are urgent or open letters, new or by a revision, become drafts of alerts as well, once; those that are older than 14
    days as they come in do not, without --as-news. Nobody is sent a draft.
    """
    with newsletter() as made:
        heeding.require(made.parts, alerts_to)
        done = publish.import_articles(made.parts, source, feed=feed, as_news=as_news)
        heeded = heeding.heed(made.parts, done.pressing, digest_key=alerts_to)
    drafts = list(heeded.drafts)
    counts: dict[str, Any] = {
        name: getattr(done, name) for name in ("read", "added", "changed", "unchanged", "rejected")
    }
    if drafts:
        screen.print(languages.say("articles.drafted", alerts=", ".join(map(str, drafts))), soft_wrap=True)
    if left := heeded.told or (() if drafts else done.pressing):
        screen.print(languages.say("articles.pressing", articles=", ".join(map(str, left))), soft_wrap=True)
    counts |= {"alerts": drafts} if as_json else {}
    if done.aged:
        first = ", ".join(map(str, done.aged[:NAMED])) + (" …" if len(done.aged) > NAMED else "")
        screen.print(languages.say("articles.aged", old=len(done.aged), articles=first), soft_wrap=True)
    for fault in done.faults:
        screen.print(f"Not taken: {fault}", markup=False, soft_wrap=True)
    show({**counts, "faults": list(done.faults)} if as_json else counts, as_json=as_json)
    if done.damaged or done.read == done.rejected > 0:
        raise typer.Exit(1)


@app.command()
def pictures(as_json: AsJson = False) -> None:
    """Fetch the pictures of new articles now; otherwise the desk does it within seconds."""
    fetched = dropped = 0
    with newsletter() as made:
        while (done := picturing.fetch_due(made.parts)) != picturing.Pictured(0, 0):
            fetched, dropped = fetched + done.fetched, dropped + done.dropped
    show({"fetched": fetched, "dropped": dropped}, as_json=as_json)


@app.command("list")
def list_(limit: Limit = 50, as_json: AsJson = False) -> None:
    """List the newest articles."""
    with newsletter() as made, made.parts.database.transaction() as session:
        found = noun.listed(session, limit=limit)
    rows = [
        {
            "article": a.id,
            "posted_on": a.posted_on.date().isoformat(),
            "title": a.title,
            "kind": a.kind,
            "feed": a.feed,
            "language": a.language,
            "revision": a.revision,
            "ready": a.ready_seq is not None,
        }
        for a in found
    ]
    empty = "There are no articles yet. Bring some in with “newsletter articles import FILE_OR_URL”."
    show(rows, as_json=as_json, words=lambda: listing(list(rows), empty=empty))
