"""Real Celery workers for stories: processes of their own, ended by their pid."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from newsletter.assembly import Newsletter
from newsletter.settings import reveal

ROOT = Path(__file__).parents[2]


def environment(made: Newsletter) -> dict[str, str]:
    """Return the settings of a product as a process reads them."""
    chosen = made.settings
    return {name: value for name, value in os.environ.items() if not name.startswith("NEWSLETTER_")} | {
        "NEWSLETTER_HOME": str(chosen.home),
        "NEWSLETTER_KEYS": str(chosen.keys),
        "NEWSLETTER_DATABASE_URL": reveal(chosen.database_url) or "",
        "NEWSLETTER_REDIS_URL": reveal(chosen.redis_url) or "",
        "NEWSLETTER_RELAY_URL": reveal(chosen.relay_url) or "",
        "NEWSLETTER_BASE_URL": chosen.base_url,
        "NEWSLETTER_SENDER": chosen.sender,
        "NEWSLETTER_POSTAL_ADDRESS": chosen.postal_address,
        "NEWSLETTER_BOUNCE_DOMAIN": chosen.bounce_domain or "",
        "NEWSLETTER_RELAY_LOG": str(chosen.relay_log or ""),
        "NEWSLETTER_ONE_PERSON_UP_TO": str(chosen.one_person_up_to),
        "NEWSLETTER_ALONE_AFTER": str(chosen.alone_after),
        "NEWSLETTER_CODES_UP_TO": str(chosen.codes_up_to),
    }


@contextmanager
def working(
    made: Newsletter, queues: str | None, *, children: int = 1, log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a Celery worker on some queues, or on all, until the block ends."""
    command = [sys.executable, "-m", "celery", "-A", "workers", "-q", "worker", "-c", str(children)]
    command += ["-Q", queues] if queues else []
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--without-mingle", "--without-gossip"], cwd=ROOT, env=environment(made), stdout=out, stderr=out
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
