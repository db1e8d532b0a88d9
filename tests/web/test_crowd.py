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

import pytest

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


async def visit(port, path, took):
    """Open the page once, as a browser does that was never here."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
    answer = await reader.read(-1)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200"), answer[:80]
    took.append(time.monotonic() - began)


async def crowd(port, path, took):
    """Let so many come each second, whether or not those before them were answered."""
    began, visits = time.monotonic(), []
    for number in range(RATE * SECONDS):
        await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
        visits.append(asyncio.create_task(visit(port, path, took)))
    await asyncio.gather(*visits)


@pytest.mark.proof
def test_three_hundred_a_second_are_answered_beside_the_send(newsletter, sink, tmp_path, pages):
    """Claim: 300 requests a second, p95 under 300 ms, on two cores, while the alert goes out."""
    house.add_readers(newsletter, tmp_path, house.addresses(READERS))
    words = tmp_path / "alert.md"
    words.write_text("# Lorries at Sarand\n\n" + "Fourteen lorries stand at the gate. " * 60 + "\n")
    number = alert.send(newsletter.parts, [str(words)], digest_key=house.DIGEST)
    sink.delay_seconds = lambda: 0.005
    sending = threading.Thread(target=lambda: newsletter.deliver("urgent", seconds=SECONDS + 5))
    sending.start()
    while not sink.messages:
        time.sleep(0.01)
    before, took = len(sink.messages), []
    asyncio.run(crowd(pages, f"/alerts/{number}/en", took))
    during = len(sink.messages) - before
    sending.join()
    p50, p95 = statistics.median(took), statistics.quantiles(took, n=20)[-1]
    figures = {
        "requests": len(took),
        "p50_ms": round(p50 * 1000),
        "p95_ms": round(p95 * 1000),
        "sent_meanwhile": during,
    }
    print(json.dumps(figures | {"load": os.getloadavg()[0]}))
    assert during > 0
    assert p95 < 0.3
