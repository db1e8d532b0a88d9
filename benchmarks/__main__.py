"""Measure what is named: `python -m benchmarks [compose] [import] [wire] [far] [tls] [dkim] [growth] [alert] [segments] [pages] …`.

`sending` stands for wire, far, tls, dkim and growth. Where alerts or segments are slower than asked it says which, and ends with 1.
"""

import argparse
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import alerting, composing, growth, importing, limits, pages, segments, sending

PARTS = ("compose", "import", *sending.PARTS, "growth", "alert", "segments", "pages")


def main() -> int:
    """Run the parts and print their figures; return 1 where one is not as asked."""
    chosen = _arguments()
    parts = [*sending.PARTS, "growth"] if "sending" in chosen.parts else chosen.parts
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"
    print(f"{datetime.now(UTC).date().isoformat()} · {machine} · load {os.getloadavg()[0]:.1f}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="newsletter-bench-") as folder:
        if "compose" in parts:
            composing.run()
        if "import" in parts:
            importing.run(Path(folder), sizes=sorted({10_000, chosen.people}))
        if wanted := [part for part in sending.PARTS if part in parts]:
            sending.run(Path(folder), wanted, readers=chosen.readers, rounds=chosen.rounds)
        if "growth" in parts:
            growth.run(Path(folder), readers=chosen.grown)
        missed: list[str] = []
        if "segments" in parts:
            missed += segments.run(Path(folder), readers=chosen.grown)
        if "pages" in parts:
            pages.run(Path(folder), readers=chosen.grown)
        if "alert" in parts:
            missed += alerting.run(Path(folder), readers=chosen.grown, told=chosen.told)
    return limits.verdict(missed)


def _arguments() -> argparse.Namespace:
    reader = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    reader.add_argument("parts", nargs="*", default=["compose", "import", "wire"], metavar="PART")
    reader.add_argument("--people", type=int, default=100_000, help="rows of the largest import")
    reader.add_argument("--readers", type=int, default=20_000, help="readers of the mailings that are timed")
    reader.add_argument("--rounds", type=int, default=9, help="alternating rounds of each table")
    reader.add_argument(
        "--grown",
        type=int,
        default=100_000,
        help="readers of the largest list of growth, of segments and of the digest beside alerts and pages, 1000000 by hand",
    )
    reader.add_argument("--told", type=int, default=40_000, help="readers of the alerts that are timed")
    return reader.parse_args()


if __name__ == "__main__":
    sys.exit(main())
