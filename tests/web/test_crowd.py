"""The night on which everybody opens the page at once, while the alert itself is still going out."""

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from newsletter.journeys import alert
from tests import house
from tests.journeys.workers import ROOT, environment

RATE, SECONDS = 300, 10
READERS = 6_000


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def pages(newsletter, database_urls, port):
    """The public pages, in a process of their own, as the pages' role."""
    command = [sys.executable, "-m", "uvicorn", "newsletter.web:create", "--factory", "--port", str(port)]
    settings = environment(newsletter) | {"NEWSLETTER_DATABASE_URL": database_urls.web}
    process = subprocess.Popen([*command, "--log-level", "warning", "--no-access-log"], cwd=ROOT, env=settings)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    yield port
    process.terminate()
    process.wait(20)


async def visit(port, path, took, *, form=""):
    """Open the page once, as a browser does that was never here; or send a form to it."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(form)}\r\n" if form else ""
    head = f"{'POST' if form else 'GET'} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n"
    writer.write(f"{head}{sent}\r\n{form}".encode())
    answer = await reader.read(-1)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200"), answer[:80]
    took.append(time.monotonic() - began)


async def crowd(port, paths, took, joined=None):
    """Let so many come each second, whether or not those before them were answered. joined: every tenth joins, and took so long."""
    began, visits = time.monotonic(), []
    for number in range(RATE * SECONDS):
        await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
        if joined is not None and number % 10 == 0:
            form = f"email=visitor{number}%40example.org&name=Ann&digest={house.DIGEST}"
            visits.append(asyncio.create_task(visit(port, "/join", joined, form=form)))
        else:
            visits.append(asyncio.create_task(visit(port, paths[number % len(paths)], took)))
    await asyncio.gather(*visits)


@contextmanager
def sending(newsletter, sink, tmp_path):
    """Let an alert go out at the relay's pace; yield its number and how to tell what went meanwhile."""
    house.add_readers(newsletter, tmp_path, house.addresses(READERS))
    words = tmp_path / "alert.md"
    words.write_text("# Lorries at Sarand\n\n" + "Fourteen lorries stand at the gate. " * 60 + "\n")
    number = alert.send(newsletter.parts, [str(words)], digest_key=house.DIGEST)
    sink.delay_seconds = lambda: 0.005
    carrying = threading.Thread(target=lambda: newsletter.deliver("urgent", seconds=SECONDS + 5))
    carrying.start()
    while not sink.messages:
        time.sleep(0.01)
    before = len(sink.messages)
    yield number, lambda: len(sink.messages) - before
    carrying.join()


def percentiles(took):
    return round(statistics.median(took) * 1000), round(statistics.quantiles(took, n=20)[-1] * 1000)


@pytest.mark.proof
def test_three_hundred_a_second_are_answered_beside_the_send(newsletter, sink, tmp_path, pages):
    """Claim: 300 requests a second, p95 under 300 ms, on two cores, while the alert goes out."""
    took = []
    with sending(newsletter, sink, tmp_path) as (number, gone):
        asyncio.run(crowd(pages, [f"/alerts/{number}/en"], took))
        during = gone()
    p50, p95 = percentiles(took)
    figures = {"requests": len(took), "p50_ms": p50, "p95_ms": p95, "sent_meanwhile": during}
    print(json.dumps(figures | {"load": os.getloadavg()[0]}))
    assert during > 0
    assert p95 < 300


@pytest.mark.proof
def test_people_join_while_three_hundred_a_second_come(newsletter, sink, tmp_path, pages):
    """Claim: of 300 requests a second to the public pages a tenth are people who join, p95 under a second, beside the send."""
    took, joined = [], []
    with sending(newsletter, sink, tmp_path) as (number, gone):
        asyncio.run(crowd(pages, [f"/alerts/{number}/en", "/join", "/", f"/archive/{house.DIGEST}"], took, joined))
        during = gone()
    (p50, p95), (joined_p50, joined_p95) = percentiles(took), percentiles(joined)
    figures = {"pages": len(took), "p50_ms": p50, "p95_ms": p95, "sent_meanwhile": during}
    figures |= {"joined": len(joined), "joined_p50_ms": joined_p50, "joined_p95_ms": joined_p95}
    print(json.dumps(figures | {"load": os.getloadavg()[0]}))
    with newsletter.parts.database.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM signup")).scalar_one() == len(joined)
    assert during > 0
    assert joined_p95 < 1000
