"""The night on which everybody opens the page at once, while the alert itself is still going out."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from benchmarks.crowd import percentile, visit
from newsletter import database
from newsletter.journeys import alert, joining, mailing
from newsletter.ledger.mailings import State
from tests import house
from tests.fakes.ports import free_port
from tests.journeys.workers import ROOT, environment

RATE, SECONDS = 300, 10
# More than the relay takes while the crowd is there.
READERS = 12_000
TOKENS = 50


@pytest.fixture
def port():
    return free_port()


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


def crowd(port, paths, *, joining=0):
    """Let the crowd of the benchmark come, in a process of its own; return how long each kind of visit took, in seconds."""
    command = [sys.executable, "-m", "benchmarks.crowd", *map(str, (port, RATE, SECONDS, joining)), *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=True)
    took = json.loads(done.stdout)
    print(json.dumps(took | {"load": os.getloadavg()[0]}))
    assert "failed" not in took
    assert sum(one["visits"] for one in took.values()) == RATE * SECONDS
    return took


@contextmanager
def sending(newsletter, sink, tmp_path):
    """Let an alert go out at the relay's pace; yield its number. It must go all the while that the block lasts."""
    house.add_readers(newsletter, tmp_path, house.addresses(READERS))
    words = tmp_path / "alert.md"
    words.write_text("# Lorries at Sarand\n\n" + "Fourteen lorries stand at the gate. " * 60 + "\n")
    number = alert.send(newsletter.parts, [str(words)], digest_key=house.DIGEST)
    sink.delay_seconds = lambda: 0.005
    stopped = threading.Event()

    def carry():
        while not stopped.is_set():
            newsletter.deliver("urgent", seconds=1)
            joining.work(newsletter.parts)

    carrying = threading.Thread(target=carry)
    carrying.start()
    try:
        while not sink.messages:
            time.sleep(0.01)
        before = len(sink.messages)
        yield number
        during, after = len(sink.messages) - before, mailing.status(newsletter.parts, number)
    finally:
        stopped.set()
        carrying.join()
    print(json.dumps({"sent_meanwhile": during, "still_to_go": after.due}))
    assert during > 1_000, "a send that stands still is no company"
    assert (after.state, after.due > 0) == (State.SENDING, True)


def token_pages(newsletter):
    """Return pages that only a link of a mail opens: each of another reader, so that none is shared."""
    tokens = newsletter.parts.tokens
    with newsletter.parts.database.transaction() as session:
        now = database.now(session)
        rows = session.execute(
            text("SELECT subscriber_id, digest_id FROM subscription ORDER BY id LIMIT :most"), {"most": TOKENS}
        )
        found = [(reader, digest) for reader, digest in rows]
    return [
        page
        for reader, digest in found
        for page in (f"/p/{tokens.preferences(reader, now=now)}", f"/u/{tokens.leave(reader, digest, 1)}")
    ]


@pytest.mark.proof
def test_three_hundred_a_second_are_answered_beside_the_send(newsletter, sink, tmp_path, pages):
    """Claim: 300 requests a second, p95 under 300 ms, on two cores, while the alert goes out."""
    with sending(newsletter, sink, tmp_path) as number:
        took = crowd(pages, [f"/alerts/{number}/en"])
    assert took["reading"]["p95"] < 0.3


@pytest.mark.proof
def test_people_join_while_three_hundred_a_second_come(newsletter, sink, tmp_path, pages):
    """Claim: of 300 requests a second, some behind a mail's links, a tenth are of people who join; p95 of both under a second."""
    with sending(newsletter, sink, tmp_path) as number:
        own = token_pages(newsletter)
        page = f"/alerts/{number}/en"
        # Half of them open the alert, one of ten a page of their own.
        shared = [page, "/join", page, "/", page, f"/archive/{house.DIGEST}", page, "/privacy", page]
        paths = [path for one in own for path in (*shared, one)]
        took = crowd(pages, paths, joining=10)
    with newsletter.parts.database.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM signup")).scalar_one() == took["joining"]["visits"]
    assert took["reading"]["p95"] < 1.0
    assert took["joining"]["p95"] < 1.0


@pytest.mark.proof
def test_nobody_who_leaves_waits_for_a_flood_of_sign_ups(newsletter, tmp_path, pages):
    """Claim: while three hundred a second fill in the form, more than a machine takes, a page to leave by is there in a second."""
    house.add_readers(newsletter, tmp_path, house.addresses(TOKENS))
    own = token_pages(newsletter)
    took = []

    def leave():
        while flood.is_alive():
            began = time.monotonic()
            asyncio.run(visit(pages, f"GET {own[len(took) % len(own)]}", "en"))
            took.append(time.monotonic() - began)
            time.sleep(0.2)

    flood = threading.Thread(target=lambda: crowd(pages, ["/"], joining=100))
    flood.start()
    leave()
    flood.join()
    print(
        json.dumps(
            {"visits": len(took), "p50": percentile(took, 0.5), "p95": percentile(took, 0.95), "longest": max(took)}
        )
    )
    assert percentile(took, 0.95) < 1.0
