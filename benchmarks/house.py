"""A product on servers of its own, for measuring: durable, as on a real machine."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from newsletter import assembly, embedded, migrations, settings
from newsletter.assembly import Newsletter
from newsletter.issues import digests
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
    sender, address = "Friends of Sarand <news@sarand.example>", "7 Lantern Yard, London"
    made = assembly.assemble(
        settings.read(home=home, keys=keys, relay_url=relay_url, sender=sender, postal_address=address)
    )
    try:
        with made.parts.database.transaction() as session:
            digests.add(session, DIGEST, name="The Weekly", languages=("en",), rhythm=Rhythm.WEEKLY)
        yield made
    finally:
        made.close()
        embedded.stop(home)
