"""Measure everything, or the parts that are named: `python -m benchmarks [compose] [import] [road] [--people N] [--rounds N]`."""

import argparse
import os
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import composing, importing, road


def main() -> None:
    """Run the parts and print one table of figures."""
    reader = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    reader.add_argument("parts", nargs="*", default=["compose", "import", "road"], help="compose, import, road")
    reader.add_argument("--people", type=int, default=100_000, help="rows of the largest import")
    reader.add_argument("--readers", type=int, default=20_000, help="readers of the road")
    reader.add_argument("--rounds", type=int, default=3, help="rounds of the road, alternating with smtp-source")
    chosen = reader.parse_args()
    print(
        f"{datetime.now(UTC).date().isoformat()} · {platform.machine()}, {_cores()} cores, Python {platform.python_version()}\n"
    )
    with tempfile.TemporaryDirectory(prefix="newsletter-bench-") as folder:
        if "compose" in chosen.parts:
            composing.run()
        if "import" in chosen.parts:
            importing.run(Path(folder), sizes=sorted({10_000, chosen.people}))
        if "road" in chosen.parts:
            road.run(Path(folder), readers=chosen.readers, rounds=chosen.rounds)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
