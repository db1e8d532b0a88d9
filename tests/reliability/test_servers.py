"""PostgreSQL restarted, crashed and overfull; Redis restarted, emptied and gone."""

import signal
import time

import psycopg
import pytest
import redis
from sqlalchemy.engine import make_url

from newsletter import embedded
from newsletter.embedded import launching
from newsletter.journeys import mailing, publish
from tests import house
from tests.reliability import forms
from tests.reliability.auditor import audit
from tests.reliability.machine import wait_for

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]
FAST, IMMEDIATE = signal.SIGINT, signal.SIGQUIT


def under_way(estate, readers, *, hold=(0.0, 0.02)):
    """Release a digest to so many readers on a running machine; return machine and mailing once mail flows."""
    made = estate.product(connections=4)
    composed = house.issue(made, estate.folder, addresses=house.addresses(readers))
    estate.relay.be(hold=hold)
    machine = estate.machine()
    machine.worker("worker", "bulk,upkeep", children=2)
    machine.beat()
    publish.send(made.parts, composed.issue)
    wait_for(lambda: estate.relay.taken > readers // 10, what="mail on the wire")
    return machine, composed.mailing


def until_over(estate, machine, mailing_id, *, seconds=200, sweep=True):
    """Wait until the mailing is over, sweeping and starting again what dies meanwhile; return the audit."""
    made = machine.made
    estate.relay.be(hold=(0.0, 0.0))
    wait_for(
        lambda: machine.up() or ((not sweep or made.sweep()) and mailing.status(made.parts, mailing_id).over),
        seconds=seconds,
        every=0.3,
    )
    return audit(made, estate.relay.record(), mailing_id).sound()


@forms.either
def test_a_restart_of_the_database_leaves_nothing_in_doubt(breakable, own_servers, figures, form):
    """PostgreSQL is updated, or crashes, in the middle of a digest; the outcomes wait for it."""
    stops = [(IMMEDIATE, 0.5)]
    if form == forms.FULL:
        stops += [(FAST, 10), (IMMEDIATE, 10), (IMMEDIATE, 60)]
    machine, sent = under_way(breakable, forms.of(form, short=3000, full=40_000))
    for how, seconds in stops:
        before = breakable.relay.taken
        launching.end(own_servers, "postgresql", (how,))
        time.sleep(seconds)
        embedded.start(own_servers)
        wait_for(
            lambda before=before: machine.up() or (machine.made.sweep() and breakable.relay.taken > before + 200),
            seconds=100,
            every=0.3,
        )
    found = until_over(breakable, machine, sent)
    figures(
        "5",
        "PostgreSQL restarted, fast and immediate",
        restarts=len(stops),
        longest_seconds=stops[-1][1],
        **found.figures(),
    )
    assert (found.state, found.ever_in_doubt, found.accepted) == ("done", 0, found.planned)


def test_a_database_without_a_free_connection_leaves_nothing_in_doubt(breakable, figures):
    """Somebody else's program takes every connection; what is on the wire finishes and is written later."""
    machine, sent = under_way(breakable, 20_000)
    occupied = occupy(breakable.urls, seconds=40)
    found = until_over(breakable, machine, sent)
    figures("5 full", "PostgreSQL without a free connection", occupied=occupied, **found.figures())
    assert (found.state, found.ever_in_doubt, found.accepted) == ("done", 0, found.planned)


def occupy(urls, *, seconds):
    """Take every connection there is for a while, also those that others had; return how many were taken."""
    taken, ended = [], False
    until = time.monotonic() + seconds
    while (now := time.monotonic()) < until:
        try:
            taken.append(psycopg.connect(plain(urls.worker), connect_timeout=5))
        except psycopg.OperationalError:
            time.sleep(0.01)
        if not ended and until - now < seconds / 2:
            end_all_but(urls.admin, [one.info.backend_pid for one in taken])
            ended = True
    for one in taken:
        one.close()
    return len(taken)


def end_all_but(admin_url, ours):
    """End the sessions of everybody else in our database: they must ask for a connection again."""
    with psycopg.connect(plain(admin_url), autocommit=True) as admin:
        query = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND pid <> ALL (%s)"
        )
        admin.execute(query, [ours])


def plain(url):
    """Return a URL as psycopg reads it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def test_a_broker_that_is_restarted_or_emptied_loses_nothing(breakable, own_servers, figures):
    """Redis forgets every nudge: the sweep finds the work in the rows."""
    machine, sent = under_way(breakable, 40_000)
    rounds = 5
    for _ in range(rounds):
        launching.end(own_servers, "redis", (signal.SIGKILL,))
        time.sleep(1)
        embedded.start(own_servers)
        with redis.Redis.from_url(breakable.redis_url) as client:
            for _ in range(5):
                client.flushall()
                time.sleep(0.2)
    found = until_over(breakable, machine, sent)
    figures("6", "Redis killed, restarted and emptied", restarts=rounds, flushes=5 * rounds, **found.figures())
    assert (found.state, found.ever_in_doubt, found.accepted) == ("done", 0, found.planned)


@forms.either
def test_without_any_broker_the_lifeboat_sends_the_whole_mailing(breakable, own_servers, figures, form):
    """Redis is gone before the release and stays gone; workers stand still, and the rows are there."""
    readers = forms.of(form, short=3000, full=40_000)
    made, relay = breakable.product(connections=4), breakable.relay
    composed = house.issue(made, breakable.folder, addresses=house.addresses(readers))
    machine = breakable.machine()
    machine.worker("worker", "bulk,upkeep", children=2)
    machine.beat()
    machine.lifeboat("urgent", "transactional", "bulk")
    launching.end(own_servers, "redis", (signal.SIGKILL,))
    began = time.monotonic()
    publish.send(made.parts, composed.issue)
    released = time.monotonic() - began
    wait_for(lambda: relay.taken, seconds=30, what="the lifeboat's first message")
    first = time.monotonic() - began
    found = until_over(breakable, machine, composed.mailing, sweep=False)
    took = time.monotonic() - began
    figures(
        "6 gone",
        "Redis gone for the whole mailing: the lifeboat",
        seconds_to_release=round(released, 1),
        seconds_to_first=round(first, 1),
        seconds=round(took),
        **found.figures(),
    )
    embedded.start(own_servers)
    assert released < 10
    assert (found.state, found.ever_in_doubt, found.accepted) == ("done", 0, readers)
