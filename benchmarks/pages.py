"""Public pages beside a running send: three hundred requests a second, a tenth of them by people who join, and then all of them.

Everything runs on this machine: PostgreSQL, Valkey, the pages, a worker with two children that sends a digest as fast as it can,
the sink that takes it, and the crowd itself.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import house, ours, sinks
from newsletter.assembly import Newsletter
from newsletter.cli import running
from newsletter.journeys import alert, drafting, mailing, publish
from newsletter.ledger.mailings import State

RATE, SECONDS = 300, 20
_TEXT = "# Lorries at Sarand\n\n" + "Fourteen lorries stand at the gate, and nobody says why. " * 40 + "\n"


def run(folder: Path, *, readers: int) -> None:
    """Print how long pages and the form take while a digest goes out to so many, and while none does."""
    with (
        sinks.smtp_sink() if sinks.missing("fastsink") else sinks.fastsink(folder) as sink,
        house.built(folder) as made,
    ):
        house.settle(made, folder, readers)
        own = house.assembled(
            made.settings.home,
            made.settings.keys,
            one_person_up_to=10_000_000,
            relay_url=f"smtp://127.0.0.1:{sink.port}?connections=6",
        )
        many = {"NEWSLETTER_ONE_PERSON_UP_TO": "10000000"}
        with house.workers(own, folder / "worker.log", "-B", queues=None, **many), _pages(own, folder) as port:
            places = _places(own, folder)
            print(
                f"\n| {RATE} requests a second | pages p50, p95, p99 | form p50, p95, p99 | failed | sent meanwhile |"
            )
            print("|---|---|---|---|---|")
            for joining in (10, 100):
                _line(f"idle, {joining} % join", _crowd(port, joining, places), sent=0)
            issue = ours.compose(own, folder)
            publish.send(own.parts, issue.issue)
            for joining in (10, 100):
                before = mailing.status(own.parts, issue.mailing).accepted
                took = _crowd(port, joining, places)
                sent = mailing.status(own.parts, issue.mailing).accepted - before
                _line(f"beside a send, {joining} % join", took, sent=sent)
            if mailing.status(own.parts, issue.mailing).state is not State.SENDING:
                print("The send was over before the crowd: take more readers.")
            else:
                mailing.stop(own.parts, issue.mailing)
        own.close()


def _crowd(port: int, joining: int, places: list[str]) -> dict[str, dict[str, float]]:
    command = [sys.executable, "-m", "benchmarks.crowd", *map(str, (port, RATE, SECONDS, joining)), *places]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    took: dict[str, dict[str, float]] = json.loads(done.stdout)
    return took


def _line(name: str, took: dict[str, dict[str, float]], *, sent: int) -> None:
    def cell(kind: str) -> str:
        one = took.get(kind)
        return ", ".join(f"{one[share] * 1000:.0f}" for share in ("p50", "p95", "p99")) + " ms" if one else "–"

    failed = int(took.get("failed", {}).get("visits", 0))
    print(f"| {name} | {cell('reading')} | {cell('joining')} | {failed} | {sent:,} |", flush=True)


def _places(made: Newsletter, folder: Path) -> list[str]:
    """Publish an alert, and return the pages that a crowd opens: more than half of it that alert."""
    words = folder / "alert.md"
    words.write_text(_TEXT)
    number = drafting.draft(made.parts, [str(words)], digest_key=house.DIGEST)
    alert.lock(made.parts, number)
    alert.release(made.parts, number)
    mailing.stop(made.parts, number)
    page = f"/alerts/{number}/en"
    return [page, page, "/join", page, "/", page, f"/archive/{house.DIGEST}", page, "/privacy", "/style.css"]


@contextmanager
def _pages(made: Newsletter, folder: Path) -> Iterator[int]:
    port = sinks.free_port()
    told = {name: str(getattr(made.settings, name)) for name in ("home", "keys", "sender", "postal_address")}
    environment = os.environ | {f"NEWSLETTER_{name.upper()}": value for name, value in told.items()}
    with (folder / "pages.log").open("wb") as log:
        process = subprocess.Popen(running.commands(port)["web"], env=environment, stdout=log, stderr=log)
        try:
            time.sleep(6)
            yield port
        finally:
            process.terminate()
            process.wait(20)
