"""Importing people: sealed, indexed, with consent and subscription; in a process of its own, so that its memory is its own."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.table import row
from newsletter.cli import people

_CHILD = """
import json, resource, sys, time
from pathlib import Path
from benchmarks import house
from newsletter.journeys import moving_in
from newsletter.subscribers.consent import Basis
with house.built(Path(sys.argv[1])) as made:
    figures = []
    for _ in range(2):
        began = time.monotonic()
        done = moving_in.import_subscribers(
            made.parts, sys.argv[2], digest_key=house.DIGEST, permission=moving_in.Permission(Basis.IMPORTED, "benchmark"))
        figures.append(time.monotonic() - began)
    print(json.dumps({"first": figures[0], "again": figures[1], "added": done.unchanged,
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def run(folder: Path, *, sizes: list[int]) -> None:
    """Print time and memory for each size: memory must not grow with it."""
    for size in sizes:
        table = people.write(folder / f"people-{size}.csv", size)
        found = subprocess.run(
            [sys.executable, "-c", _CHILD, str(folder), str(table)], stdout=subprocess.PIPE, text=True, check=True
        )
        figures = json.loads(found.stdout.splitlines()[-1])
        assert figures["added"] == size
        row(f"import {size:,} people", f"{figures['first']:.1f} s, {figures['mb']:.0f} MB")
        row(f"import the same {size:,} again (nothing changes)", f"{figures['again']:.1f} s")
