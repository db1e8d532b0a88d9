"""make night: an emergency night on this machine, and one page about it.

Ends with 1 where mail server and books disagree, or something came late.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from newsletter import logs
from tests import servers
from tests.night import ground, page, story
from tests.servers import Servers


def main() -> int:
    """Run a night, print its page, and return the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, help="write the page to this file as well")
    options.add_argument("--short", action="store_true", help="a night of few readers")
    chosen = options.parse_args()
    seed = int(os.environ.get("SEED") or 20261125)
    size = ground.SHORT if chosen.short else ground.FULL
    print("The night begins; it takes two to four minutes here …", file=sys.stderr)
    # Asked to end, it ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    logs.configure("ERROR")
    home = servers.open_run()
    try:
        run, folder = Servers(home, "main"), home / "night"
        with run.database() as urls, ground.open_(folder, urls, run.redis_url(), size, seed=seed) as made:
            written = page.write(story.tell(made), made.relay.record())
    finally:
        servers.close_run(home)
    print(written.text)
    if chosen.out:
        chosen.out.write_text(written.text + "\n", encoding="utf-8")
    return 1 if written.convicts else 0


if __name__ == "__main__":
    sys.exit(main())
