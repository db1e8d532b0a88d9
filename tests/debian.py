"""Runs a command with the tests' servers replaced by Debian's PostgreSQL 15 and redis-server 7.

    python -m tests.debian python -m pytest tests/ledger

Nothing newer than these may be required (architecture, embedded servers). They run as throw-away servers of our own, beside
whatever the machine runs, and end with the command.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from newsletter import embedded
from newsletter.embedded import programs, state
from tests.servers import ADMIN_URL, REDIS_URL, root

WANTED = {"postgresql": Path("/usr/lib/postgresql/15/bin/postgres"), "redis": Path("/usr/bin/redis-server")}


def main(command: list[str]) -> int:
    """Start the servers, run the command with their addresses in its environment, and return its exit code."""
    with tempfile.TemporaryDirectory(prefix="newsletter-debian-", dir=root()) as folder:
        home = Path(folder)
        pin(home)
        found = embedded.start(home, durable=False)
        print(f"PostgreSQL {found.versions['postgresql']}, Redis {found.versions['redis']}", flush=True)
        try:
            return subprocess.run(
                command, env=os.environ | {ADMIN_URL: found.admin_url, REDIS_URL: found.redis_url}, check=False
            ).returncode
        finally:
            embedded.stop(home)


def pin(home: Path) -> None:
    """Write a state that names Debian's programs, which then go before the wheels'."""
    chosen = {name: program for name, path in WANTED.items() if (program := programs.program(path))}
    if missing := WANTED.keys() - chosen.keys():
        sys.exit(f"Not installed: {', '.join(str(WANTED[name]) for name in sorted(missing))}")
    kept = state.fresh(home)
    state.write(home, state.State(kept.passwords, chosen, {}))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
