"""A product on servers of its own, for measuring: durable, as on a real machine."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from newsletter import assembly, embedded, migrations, settings
from newsletter.assembly import Newsletter
from newsletter.cli import people
from newsletter.issues import digests
from newsletter.journeys import moving_in
from newsletter.settings import reveal
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.vault import Keyring

DIGEST = "weekly"


@contextmanager
def built(folder: Path, relay_url: str = "smtp://127.0.0.1:25") -> Iterator[Newsletter]:
    """Yield a product with an empty database; its servers end with the block."""
    home = folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    keys = folder / "keys.json"
    if not keys.exists():
        Keyring.create(keys)
    migrations.upgrade(embedded.start(home).owner_url)
    made = assembled(home, keys, relay_url=relay_url)
    try:
        with made.parts.database.transaction() as session:
            digests.add(session, DIGEST, name="The Weekly", languages=("en",), rhythm=Rhythm.WEEKLY)
        yield made
    finally:
        made.close()
        embedded.stop(home)


def assembled(home: Path, keys: Path, **more: Any) -> Newsletter:
    """Return a product for these servers, with a domain for bounces, so that each message has a return path of its own."""
    sender, address = "Friends of Sarand <news@sarand.example>", "7 Lantern Yard, London"
    return assembly.assemble(
        settings.read(
            home=home, keys=keys, sender=sender, postal_address=address, bounce_domain="bounce.sarand.example", **more
        )
    )


def settle(made: Newsletter, folder: Path, readers: int, *, digest: str = DIGEST) -> None:
    """Import so many readers of a digest; the same people for each."""
    table = people.write(folder / "readers.csv", readers)
    permission = moving_in.Permission(Basis.IMPORTED, "benchmark")
    moving_in.import_subscribers(made.parts, str(table), digest_key=digest, permission=permission)


@contextmanager
def workers(
    made: Newsletter, log: Path, *options: str, queues: str | None = "bulk", **environment: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Yield a Celery worker with two children for some queues (None: all), with the settings of a product."""
    chosen = made.settings
    secrets = {name: getattr(chosen, name) for name in ("relay_url", "redis_url", "dkim_key")}
    told = {
        "home": str(chosen.home),
        "keys": str(chosen.keys),
        "sender": chosen.sender,
        "postal_address": chosen.postal_address,
        "bounce_domain": chosen.bounce_domain,
        **{name: reveal(secret) for name, secret in secrets.items()},
    }
    ours = {f"NEWSLETTER_{name.upper()}": value for name, value in told.items() if value}
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "workers",
        "-q",
        "worker",
        "-c",
        "2",
        "--without-mingle",
        *(["-Q", queues] if queues else []),
        *options,
    ]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=os.environ | ours | environment, stdout=out, stderr=out)
        try:
            time.sleep(4)
            yield process
        finally:
            process.terminate()
            process.wait(60)
