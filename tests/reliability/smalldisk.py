"""A PostgreSQL and a Valkey on a small disk of their own, which can be filled: run in a mount namespace of its own.

    unshare --user --map-root-user --mount -- python -m tests.reliability.smalldisk FOLDER MEGABYTES

Prints where the servers are as a line of JSON, then obeys: "fill", "free", "start". The end of its input ends it.
"""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from newsletter import embedded
from newsletter.errors import NewsletterError


def fill(path: Path) -> None:
    """Write until nothing more fits, to the last byte."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        for size in (2**20, 2**10, 1):
            with suppress(OSError):
                while file.write(b"\0" * size):
                    pass


def main(folder: Path, megabytes: int) -> None:
    """Serve until the input ends."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    found = embedded.start(folder / "servers")
    print(json.dumps({"admin": found.admin_url, "redis": found.redis_url}), flush=True)
    for line in sys.stdin:
        match line.strip():
            case "fill":
                fill(folder / "filling")
            case "free":
                (folder / "filling").unlink(missing_ok=True)
            case "start":
                with suppress(NewsletterError):
                    embedded.start(folder / "servers")
        print("done", flush=True)
    embedded.stop(folder / "servers")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
