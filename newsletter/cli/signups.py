"""newsletter signups …"""

from dataclasses import asdict, replace
from typing import Annotated, Any

import typer

from newsletter.assembly import Newsletter
from newsletter.cli.door import AsJson, DryRun, listing, newsletter, page, screen, show
from newsletter.journeys import holding
from newsletter.journeys.holding import MONTH, Asked, Seen
from newsletter.subscribers.waves import Why

app = typer.Typer(
    no_args_is_help=True, help="Sign-ups of the last month: what is held, and what to do with many at once."
)

Since = Annotated[int | None, typer.Option(min=1, max=MONTH, help="Those that came in the last so many minutes.")]
Net = Annotated[str, typer.Option(help="A network or an address in it, or the code that `held` shows.")]
Provider = Annotated[str, typer.Option(help="Whose mailboxes: google, microsoft, yahoo … other.")]
Form = Annotated[str, typer.Option(help="The form they came by: page, api, or the name of one of yours.")]
Digest = Annotated[str, typer.Option(help="The key of a digest they ask for.")]
Reason = Annotated[Why | None, typer.Option("--why", help="What they are held for.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Count the sign-ups of the last month by where they stand."""
    with newsletter() as made:
        show(holding.standing(made.parts), as_json=as_json)


@app.command()
def held(
    since: Since = None,
    net: Net = "",
    provider: Provider = "",
    form: Form = "",
    digest: Digest = "",
    why: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Show what is held, by what it has in common. Addresses are not shown."""
    with newsletter() as made:
        seen = holding.look(made.parts, Asked(since, net, provider, form, digest, why))
    show(_document(seen), as_json=as_json, words=lambda: _words(seen))


@app.command()
def release(
    since: Since = None,
    net: Net = "",
    provider: Provider = "",
    form: Form = "",
    digest: Digest = "",
    why: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Let held sign-ups through: their owners are asked by mail, each mailbox as often as ever at most."""
    asked = Asked(since, net, provider, form, digest, why)
    with newsletter() as made:
        count, these = _counted(made, asked, "let through", yes=yes or dry_run)
        if not dry_run:
            count = holding.release(made.parts, these)
    show({"released": count, "dry_run": dry_run}, as_json=as_json)


@app.command()
def undo(
    since: Since = None,
    net: Net = "",
    provider: Provider = "",
    form: Form = "",
    digest: Digest = "",
    why: Reason = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that were let through, with what came of them.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Take sign-ups back: what they began ends, who came by them is forgotten; whoever was known before keeps all they have."""
    asked = Asked(since, net, provider, form, digest, why, held=not everything)
    with newsletter() as made:
        count, these = _counted(made, asked, "take back", yes=yes or dry_run)
        if not dry_run:
            count = holding.undo(made.parts, these)
            holding.tend(made.parts)
    show({"undone": count, "dry_run": dry_run}, as_json=as_json)


def _counted(made: Newsletter, asked: Asked, act: str, *, yes: bool) -> tuple[int, Asked]:
    """Say for how many it is, and ask; return the count, and the conditions for these and none that come meanwhile."""
    counted = holding.look(made.parts, asked).counted
    states = ", ".join(f"{number} {state}" for state, number in counted.states.items())
    screen.print(f"{counted.count} sign-ups{f' ({states})' if states else ''}.")
    if counted.count and not yes:
        typer.confirm(f"{act.capitalize()} {counted.count} sign-ups?", abort=True, err=True)
    return counted.count, replace(asked, upto=counted.upto)


def _document(seen: Seen) -> dict[str, Any]:
    return {
        "held": seen.counted.count,
        "wave_since": seen.wave.began_at if seen.wave else None,
        "alert": seen.alert,
        "groups": [asdict(one) for one in seen.groups],
    }


def _words(seen: Seen) -> None:
    if seen.wave:
        page.print(f"A wave since {seen.wave.began_at:%d %B, %H:%M} UTC.")
    if seen.alert:
        page.print("An alert brings people now: there is more room than usual.")
    page.print(f"{seen.counted.count} sign-ups are held.")
    listing([asdict(one) for one in seen.groups], empty="None is held.")
