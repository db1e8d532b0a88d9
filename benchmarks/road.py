"""End to end: Celery prefork workers to smtp-sink, beside smtp-source through the same sink in the same run.

Seal, tokens, windows, consent, suppression and ledger are all on. Needs Debian's postfix package for smtp-sink and smtp-source,
as tools only; without them this part says so and is left out.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks import house
from benchmarks.table import row
from newsletter.assembly import Newsletter
from newsletter.cli import people
from newsletter.journeys import joining, mailing, publish
from newsletter.ledger.books import Status
from newsletter.subscribers.consent import Basis

_FEED = """{"version": "https://jsonfeed.org/version/1.1", "title": "Sarand", "items": [%s]}"""
_ITEM = """{"id": "%(id)s", "url": "https://sarand.example/%(id)s", "title": "Story %(id)s",
"date_published": "2026-06-01T08:00:00Z", "content_text": "%(text)s"}"""
_TEXT = "Between nine in the evening and six there is no current in the camp. " * 12


def run(folder: Path, *, readers: int, rounds: int) -> None:
    """Print the rate of each round, and the median of the ratios to smtp-source."""
    tools = [
        shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin") for tool in ("smtp-sink", "smtp-source")
    ]
    if not all(tools):
        row("road", "left out: no smtp-sink here")
        return
    sink, source = (str(tool) for tool in tools)
    port = _free_port()
    with _sink(sink, port), house.built(folder, f"smtp://127.0.0.1:{port}?connections=6") as made:
        table = people.write(folder / "readers.csv", readers)
        joining.import_subscribers(
            made.parts, str(table), digest_key=house.DIGEST, permission=joining.Permission(Basis.IMPORTED, "benchmark")
        )
        ratios, rates = [], []
        with _workers(made, folder) as worker:
            for number in range(rounds):
                status, size = _issue(made, folder, number)
                theirs = _source(source, port, readers, size)
                ours = status.messages_per_second or 0.0
                rates.append(ours)
                ratios.append(ours / theirs)
                row(
                    f"round {number + 1}: {readers:,} messages of {size // 1000} kB; smtp-source",
                    f"{ours:,.0f}/s; {theirs:,.0f}/s",
                )
            row("memory of a child (PSS), lxml in it", f"{_largest(worker):.0f} MB, {'yes' if _lxml(worker) else 'no'}")
        row("end to end, median", f"{median(rates):,.0f}/s")
        row("ratio to smtp-source -d -s 10, median of rounds", f"{median(ratios):.2f}")


def _issue(made: Newsletter, folder: Path, number: int) -> tuple[Status, int]:
    """Send one issue to everyone; return its books and the size of a message."""
    items = ",".join(_ITEM % {"id": f"{number}-{place}", "text": _TEXT} for place in range(8))
    feed = folder / "feed.json"
    feed.write_text(_FEED % items)
    publish.import_articles(made.parts, str(feed), as_news=True)
    composed = publish.compose(made.parts, house.DIGEST)
    preview = publish.preview(made.parts, composed.issue, folder / "preview")
    size = max(path.stat().st_size for path in preview if path.suffix == ".eml")
    publish.send(made.parts, composed.issue)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        status = mailing.status(made.parts, composed.mailing)
        if status.over:
            return status, size
        time.sleep(0.2)
    raise TimeoutError("the issue did not go out within five minutes")


def _source(source: str, port: int, count: int, size: int) -> float:
    """Return the rate of Postfix's load generator with messages of the same size, ten sessions kept open."""
    command = [
        source,
        "-d",
        "-s",
        "10",
        "-l",
        str(size),
        "-m",
        str(count),
        "-f",
        "a@example.org",
        "-t",
        "b@example.org",
    ]
    began = time.monotonic()
    subprocess.run([*command, f"127.0.0.1:{port}"], check=True, timeout=300)
    return count / (time.monotonic() - began)


@contextmanager
def _sink(sink: str, port: int) -> Iterator[None]:
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([sink, *user, f"127.0.0.1:{port}", "1000"])
    time.sleep(0.5)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _workers(made: Newsletter, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    chosen = made.settings
    environment = os.environ | {
        "NEWSLETTER_HOME": str(chosen.home),
        "NEWSLETTER_KEYS": str(chosen.keys),
        "NEWSLETTER_RELAY_URL": chosen.relay_url.get_secret_value() if chosen.relay_url else "",
        "NEWSLETTER_SENDER": chosen.sender,
        "NEWSLETTER_POSTAL_ADDRESS": chosen.postal_address,
    }
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "workers",
        "-q",
        "worker",
        "-Q",
        "bulk",
        "-c",
        "2",
        "--without-mingle",
    ]
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        time.sleep(4)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def _children(worker: "subprocess.Popen[bytes]") -> list[int]:
    found = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    return [int(pid) for pid in found]


def _largest(worker: "subprocess.Popen[bytes]") -> float:
    """Return the proportional memory of the largest child, in MB."""
    sizes = [0.0]
    for pid in _children(worker):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                sizes.append(int(line.split()[1]) / 1024)
    return max(sizes)


def _lxml(worker: "subprocess.Popen[bytes]") -> bool:
    return any("/lxml/" in Path(f"/proc/{pid}/maps").read_text() for pid in _children(worker))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
