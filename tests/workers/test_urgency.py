"""From a press on a phone to the first message on the wire, with the very processes that `newsletter up` starts."""

import os
import socket
import sys
import time
from contextlib import contextmanager

import pytest

from newsletter.campaigns.errands import Act
from newsletter.cli import running
from newsletter.journeys import alert, drafting, errands, mailing, publish, telling
from newsletter.operators import hooks
from newsletter.operators.hooks import Event
from newsletter.operators.roles import Role
from tests import house
from tests.journeys import nights
from tests.operators.crew import Crew
from tests.reliability.machine import Machine, wait_for

PROMISE, HOOK_SECONDS = 2.0, 12
"""Seconds: what is promised on an idle machine, and how long a hook takes. Links take 42, a turn of bulk 30."""
DRAFTS = 3
SUBJECT = b"Soldiers at the gate"


@pytest.fixture
def silent():
    """The address of a server that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def products(tmp_path, database_urls, redis_url, sink):
    """The product as workers and as pages run it."""
    sink.delay_seconds = lambda: 0.1
    relay = f"{sink.url}?connections=1"
    made, pages = (house.build(tmp_path, database_urls, relay, redis_url=redis_url, web=web) for web in (False, True))
    yield made, pages
    pages.close()
    made.close()


@pytest.fixture
def somebody(products):
    return Crew(*(one.parts.database for one in products)).member(Role.SENDER)


@contextmanager
def up(made, folder):
    """Run what `newsletter up` runs, its pages aside, until the block ends."""
    slow = f'{sys.executable} -c "import time; time.sleep({HOOK_SECONDS})"'
    machine = Machine(made, folder, NEWSLETTER_HOOK=slow, NEWSLETTER_FETCH_ALLOW="127.0.0.0/8")
    parts = running.commands(0)
    del parts["web"]
    for name, command in parts.items():
        machine.run(name, *command)
    try:
        yield machine
    finally:
        machine.stop()


def digest(made, tmp_path, sink):
    """Have a digest under way, for half a minute and more."""
    composed = house.issue(made, tmp_path, addresses=house.addresses(600))
    publish.send(made.parts, composed.issue)
    wait_for(lambda: len(sink.messages) > 3, what="the digest")
    return composed.mailing


def links(made, tmp_path, server):
    """Have the links of some drafts tried, which takes as long as it may."""
    words = "# Draft\n\n" + "".join(f"- [{one}]({server}/{one})\n" for one in range(12))
    numbers = [
        drafting.draft(made.parts, nights.write(tmp_path, words), digest_key=house.DIGEST) for _ in range(DRAFTS)
    ]
    wait_for(lambda: begun(made, "errand WHERE act = 'check' AND begun_at IS NOT NULL"), what="a draft's links")
    return numbers


def hook(made):
    """Have a hook called that takes its time."""
    with made.parts.database.transaction() as session:
        hooks.add(session, Event.UNHEARD, alert=4711)
    telling.nudge(made.parts.nudger)
    wait_for(lambda: begun(made, "hook_call WHERE tries > 0 AND done_at IS NULL"), what="the hook")


def begun(made, what):
    return nights.ask(made, f"SELECT count(*) FROM {what}")[0][0]


def locked(made, tmp_path):
    words = f"# {SUBJECT.decode()}\n\nPlease call.\n"
    number = drafting.draft(made.parts, nights.write(tmp_path, words), digest_key=house.DIGEST)
    alert.lock(made.parts, number)
    return number


def on_the_wire(sink):
    return [message.at for message in list(sink.messages) if SUBJECT in message.content]


@pytest.mark.timeout(180)
def test_a_press_is_on_the_wire_whatever_else_is_under_way(products, somebody, tmp_path, sink, silent):
    """At 02:10 a digest is sent, links of drafts are tried that nobody answers, and the pager hangs: none of it is waited for."""
    made, pages = products
    with up(made, tmp_path / "machine"):
        bulk = digest(made, tmp_path, sink)
        number = locked(made, tmp_path)
        wait_for(lambda: not begun(made, "errand WHERE done_at IS NULL"), what="its own links")
        links(made, tmp_path, silent)
        hook(made)
        pressed = time.monotonic()
        seen = alert.standing(made.parts, number).locked.fingerprint
        errands.ask(pages.parts, Act.RELEASE, by=somebody.id, mailing=number, seen=seen)
        wait_for(lambda: on_the_wire(sink), what="the alert")
        waited = on_the_wire(sink)[0] - pressed
        under_way = (
            begun(made, "errand WHERE act = 'check' AND done_at IS NULL"),
            begun(made, "hook_call WHERE done_at IS NULL"),
            mailing.status(made.parts, bulk).due,
        )
    # On a busy machine all is slower, but nothing is waited for.
    assert waited < min(PROMISE * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)), HOOK_SECONDS - 3)
    assert all(under_way), f"{under_way}: something was over, and the test proved nothing"
