"""newsletter keys …: the keys change, and the pages get a part of them.

These commands need the file with every key, and the database as its owner: what is sealed is written anew, consents among it, which
no part that runs may.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from newsletter import assembly, languages, settings
from newsletter.cli.door import AsJson, DryRun, listing, progress, screen, show
from newsletter.database import Database
from newsletter.journeys import rekeying
from newsletter.settings import Settings, reveal
from newsletter.vault import Keyring, Vault

app = typer.Typer(
    no_args_is_help=True, help="The keys that seal and find: listed, changed, and the pages' part of them."
)


class Purpose(StrEnum):
    """What a key is for."""

    SEAL = "seal"
    TEAM = "team"
    BOX = "box"
    INDEX = "index"
    TOKEN = "token"  # noqa: S105


@app.command()
def make(as_json: AsJson = False) -> None:
    """Write new keys where no file lies yet. “up” and “db upgrade” do it by themselves."""
    path = settings.read().keys
    Keyring.create(path)
    show({"keys": str(path)}, as_json=as_json)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the keys by name, and how much rests on each; a token key's links are not counted."""
    chosen = settings.read()
    rows: list[Mapping[str, Any]] = [_row(one) for one in rekeying.listed(chosen.keys, _owner(chosen))]
    show(rows, as_json=as_json, words=lambda: listing(rows, empty=""))


def _row(key: rekeying.KeyView) -> dict[str, object]:
    return {"key": key.key, "live": key.live, "newest": key.newest, "sealed": key.sealed}


@app.command()
def rotate(purpose: Purpose, as_json: AsJson = False) -> None:
    """Add a key and make it live, once every process that runs knows it: then run this again."""
    chosen = settings.read()
    done = rekeying.rotate(chosen.keys, _owner(chosen), purpose)
    screen.print(
        languages.say("keys.rotated" if done.live else "keys.waits", key=f"{purpose}:{done.key}"), soft_wrap=True
    )
    show(done, as_json=as_json)


@app.command()
def reseal(dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Seal everything anew that is under an old key, beside whatever else goes on."""
    with _opened() as database:
        if dry_run:
            return show({"left": rekeying.to_reseal(database), "dry_run": True}, as_json=as_json)
        with progress("Sealing anew") as told:
            done = rekeying.reseal(database, told=told)
    return show(done, as_json=as_json)


@app.command()
def reindex(dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Index every address under the newest key as well, beside whatever else goes on."""
    with _opened() as database:
        if dry_run:
            return show({"left": rekeying.to_reindex(database), "dry_run": True}, as_json=as_json)
        with progress("Indexing anew") as told:
            done = rekeying.reindex(database, told=told)
    return show(done, as_json=as_json)


@app.command()
def split(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the pages' own key file goes.")],
    as_json: AsJson = False,
) -> None:
    """Write the pages' part of the keys: they take people in with it, and open nothing of theirs. Again after each change."""
    path = rekeying.split(settings.read().keys, folder)
    show(
        {"keys": str(path)},
        as_json=as_json,
        words=lambda: screen.print(languages.say("keys.split", path=path), soft_wrap=True),
    )


@app.command()
def drop(
    key: Annotated[str, typer.Argument(metavar="KEY", help="As “keys list” names it: seal:1.")], as_json: AsJson = False
) -> None:
    """Take a key out of the file where nothing rests on it, and keep it aside for old backups."""
    chosen = settings.read()
    aside = rekeying.drop(chosen.keys, _owner(chosen), key)
    words = languages.say("keys.dropped", key=key, path=aside)
    show({"dropped": key, "kept": str(aside)}, as_json=as_json, words=lambda: screen.print(words, soft_wrap=True))


def _owner(chosen: Settings) -> str:
    url = reveal(chosen.migrate_url) or assembly.urls(chosen).owner
    if url is None:
        raise assembly.NoServers(str(chosen.home))
    return url


@contextmanager
def _opened() -> Iterator[Database]:
    chosen = settings.read()
    database = Database(_owner(chosen), Vault(Keyring.load(chosen.keys)))
    try:
        yield database
    finally:
        database.close()
