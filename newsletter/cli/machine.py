"""newsletter up, servers, deliver, db, doctor: the machine itself."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Annotated

import typer

from newsletter import assembly, embedded, languages, migrations, settings
from newsletter.assembly import Newsletter
from newsletter.cli import checking, running
from newsletter.cli.door import AsJson, DryRun, newsletter, page, screen, show
from newsletter.journeys import halting
from newsletter.ledger.mailings import Lane
from newsletter.settings import reveal

servers = typer.Typer(no_args_is_help=True, help="The embedded servers alone.")
db = typer.Typer(no_args_is_help=True, help="The database's structure.")


@servers.command()
def start(as_json: AsJson = False) -> None:
    """Start PostgreSQL and Valkey in NEWSLETTER_HOME, or attach to those that run there."""
    _show(embedded.start(settings.read().home), as_json=as_json)


@servers.command()
def stop(as_json: AsJson = False) -> None:
    """Stop the embedded servers."""
    embedded.stop(settings.read().home)
    show({"running": False}, as_json=as_json)


@servers.command()
def status(as_json: AsJson = False) -> None:
    """Say whether the embedded servers run."""
    found = embedded.status(settings.read().home)
    if found is None:
        show({"running": False, "database_url": None, "migrate_url": None, "redis_url": None}, as_json=as_json)
    else:
        _show(found, as_json=as_json)


def _show(found: embedded.Servers, *, as_json: bool) -> None:
    # Passwords stand in these addresses: they are printed for programs that ask, never for a screen.
    document = {
        "running": True,
        "database_url": found.worker_url,
        "migrate_url": found.owner_url,
        "redis_url": found.redis_url,
    }
    show(document, as_json=as_json, words=lambda: page.print("The servers run. --json prints their addresses."))


@db.command()
def upgrade(as_json: AsJson = False) -> None:
    """Bring the database's structure to this version's; a new database gets its keys."""
    chosen = settings.read()
    url = reveal(chosen.migrate_url) or assembly.urls(chosen).owner
    if url is None:
        raise assembly.NoServers(str(chosen.home))
    ran = migrations.upgrade(url)
    if assembly.make_keys(chosen, url):
        screen.print(f"New keys: {chosen.keys}. Who loses this file loses the list: keep a copy apart.", soft_wrap=True)
    show({"ran": ran, "head": migrations.head()}, as_json=as_json)


def deliver(
    lane: Annotated[list[Lane], typer.Option(help="May be given several times.")],
    once: Annotated[bool, typer.Option("--once", help="End when nothing is due.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Send what is due without any broker: the lifeboat. A plain loop over what the workers do."""
    lanes = [str(one) for one in lane]
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with newsletter() as made:
        assembly.require_sending(made.settings)
        if dry_run:
            return show({"lanes": lanes, "dry_run": True, "would_send": halting.due(made.parts, lane)}, as_json=as_json)
        if once:
            return show({"lanes": lanes, "begun": _once(made, lanes, ended.is_set)}, as_json=as_json)
        # A long-running command prints its document when it is ready, not when it ends.
        show({"lanes": lanes}, as_json=as_json, words=lambda: screen.print(f"Ready to send: {', '.join(lanes)}."))
        made.lifeboat(lanes, until=ended.is_set)
    return None


def _once(made: Newsletter, lanes: list[str], ended: Callable[[], bool]) -> int:
    made.sweep()
    begun = 0
    while sent := sum(made.deliver(one, until=ended) for one in lanes):
        begun += sent
    return begun


def up(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Of the public pages, on this machine.")] = 8080,
    as_json: AsJson = False,
) -> None:
    """Run everything on this machine until Ctrl-C: servers, workers, beat, lifeboat and the public pages."""
    chosen = settings.read()
    running.require_own_pages(chosen, port)
    assembly.require_sending(chosen)
    with running.everything(chosen, port=port, more=running.morning(chosen, os.environ)) as machine:
        machine.ready()
        if not chosen.sender:
            screen.print(languages.say("up.no-sender"), soft_wrap=True)
        machine.heed()  # whoever reads that it is ready may end it in the same moment, and it ended well
        document = {"base_url": machine.base_url, "home": str(machine.home), "keys": str(machine.keys)}
        show(document, as_json=as_json, words=lambda: _welcome(machine))
        machine.wait()


def _welcome(machine: running.Machine) -> None:
    screen.print(f"Running. Public pages: {machine.base_url} · data: {machine.home}", soft_wrap=True)
    screen.print(
        f"Keys: {machine.keys}. Who loses this file loses the list: keep a copy apart from the backups.", soft_wrap=True
    )
    screen.print("Ctrl-C ends everything.")


def doctor(as_json: AsJson = False) -> None:
    """Check everything that mail depends on, and say what to do."""
    findings = checking.examine()
    document = {"healthy": all(f.ok is not False for f in findings), "checks": findings}
    show(document, as_json=as_json, words=lambda: checking.print_(findings))
    if not document["healthy"]:
        raise typer.Exit(1)
