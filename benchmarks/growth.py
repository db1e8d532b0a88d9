"""What a message costs as the list grows: CPU of clients and servers, buffers of PostgreSQL. Wall time cannot show it."""

from pathlib import Path
from statistics import median

from benchmarks import costs, house, ours, sinks
from benchmarks.ours import Run
from newsletter import embedded

TIMES = 5
SMALLEST = 10_000


def run(folder: Path, *, readers: int) -> None:
    """Print a line for each size of list from 10,000 to `readers`, and how the largest compares with the smallest."""
    print(
        "\n| readers | CPU of a message, µs: client · PostgreSQL · Valkey | planning it | buffers | largest child, PSS |"
    )
    print("|---|---|---|---|---|")
    sizes = [size for size in (10_000, 100_000, 1_000_000) if size <= readers]
    for size in sizes:
        _measure(folder, size, times=TIMES if size == SMALLEST else 1)


def _measure(folder: Path, readers: int, *, times: int) -> None:
    with sinks.smtp_sink() as sink, house.built(folder) as made:
        house.settle(made, folder, readers)
        url, name = embedded.start(made.settings.home).admin_url, str(made.parts.database.engine.url.database)
        relay = f"smtp://127.0.0.1:{sink.port}?connections=6"
        with ours.plant(made, folder, relay, number=1) as plant:
            runs, touched = [], []
            for _ in range(times):
                before = costs.buffers(url, name)
                runs.append(plant.send(sink))
                touched.append((costs.buffers(url, name) - before) / readers)
            child, lxml = costs.largest_mb(plant.worker.pid), costs.holds(plant.worker.pid, "/lxml/")
    memory = f"{child:.0f} MB, {'with' if lxml else 'no'} lxml"
    print(f"| {readers:,} | {_each(runs)} | {_planning(runs)} | {median(touched):.1f} | {memory} |", flush=True)


def _each(runs: list[Run]) -> str:
    return " · ".join(
        f"{1e6 * median(getattr(run.costs, part) / run.messages for run in runs):.1f}"
        for part in ("client", "database", "broker")
    )


def _planning(runs: list[Run]) -> str:
    return f"{1e6 * median(run.planning.database / run.messages for run in runs):.1f}"
