"""An hour and a day hold what was agreed, whoever asks, and the plan says what the windows will get."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from newsletter.delivery import budget, quotas, standing, throttle
from newsletter.ledger.mailings import Lane
from newsletter.relay.target import Relay
from newsletter.relay.verdict import Limit

NOON = datetime(2026, 6, 1, 12, 0, 50, tzinfo=UTC)


@pytest.fixture
def session(newsletter):
    with newsletter.parts.database.transaction() as session:
        yield session


def granted(session, relay, *, now, lane=Lane.BULK, asks=8):
    return sum(throttle.grant(session, relay, lane, "other", 250, now=now).messages for _ in range(asks))


def used(session, relay, lane, number, *, at):
    session.execute(
        text("INSERT INTO relay_use VALUES (:relay, date_trunc('minute', CAST(:at AS timestamptz)), :lane, :number)"),
        {"relay": relay.key, "at": at, "lane": lane, "number": number},
    )


@pytest.mark.parametrize(
    "limits", ["daily=300", "hourly=300", "daily=300&rate=5000", "daily=400&reserve=152&rate=5000"]
)
def test_workers_that_ask_at_once_are_given_no_more_than_there_is(newsletter, limits):
    """Four workers open a window in the same millisecond: the relay counts what all bring, and the reserve is the alert's."""
    relay = Relay.parse(f"smtp://127.0.0.1:9?{limits}")
    gate, got = threading.Barrier(4), []

    def ask():
        with newsletter.parts.database.transaction() as session:
            now = session.execute(text("SELECT now()")).scalar_one()
            gate.wait(10)
            got.append(throttle.grant(session, relay, Lane.BULK, "other", 150, now=now).messages)

    workers = [threading.Thread(target=ask) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert len(got) == 4
    assert sum(got) == 240, got


@pytest.mark.parametrize(
    ("limits", "span"), [("hourly=1000", timedelta(hours=1)), ("daily=1000", timedelta(days=1))], ids=["hour", "day"]
)
def test_no_hour_and_no_day_holds_more_than_was_agreed(session, limits, span):
    """A relay counts from any second to any other: a minute that is forgotten too early is a quota exceeded."""
    relay = Relay.parse(f"smtp://127.0.0.1:9?{limits}")
    assert granted(session, relay, now=NOON) == 800
    for early in (timedelta(minutes=1), timedelta(seconds=48), timedelta(seconds=1)):
        assert granted(session, relay, now=NOON + span - early) == 0, early
    assert granted(session, relay, now=NOON + span + timedelta(minutes=1)) == 800


def test_what_is_given_back_leaves_the_minute_it_was_counted_in(session):
    """Given back to a later minute it would lower that one, and when the first is forgotten more would be free than there is."""
    relay = Relay.parse("smtp://127.0.0.1:9?hourly=1000")
    assert granted(session, relay, now=NOON, asks=3) == 750
    throttle.refund(session, relay, Lane.BULK, "other", [NOON] * 250, now=NOON + timedelta(minutes=2))
    assert granted(session, relay, now=NOON + timedelta(minutes=30)) == 300
    later = NOON + timedelta(minutes=61)
    assert granted(session, relay, now=later) == 500, "the three hundred of half an hour ago still count"
    assert session.execute(text("SELECT min(used) FROM relay_use")).scalar_one() >= 0


@pytest.mark.parametrize(("limit", "minutes"), [(Limit.ACCOUNT_DAY, 60), (Limit.ACCOUNT_HOUR, 10)])
def test_a_window_of_bulk_mail_knows_that_the_relay_has_had_enough(session, limit, minutes):
    """It has just refused for the day: the shard under way must not knock a thousand times more, and an alert may."""
    relay = Relay.parse("smtp://127.0.0.1:9?rate=200")
    standing.fill(session, relay, limit, now=NOON)
    assert throttle.grant(session, relay, Lane.BULK, "other", 250, now=NOON).why == "full"
    assert throttle.choose(session, [relay], Lane.BULK, chance=0.5, now=NOON) == throttle.Choice(None, "full")
    assert throttle.grant(session, relay, Lane.URGENT, "other", 250, now=NOON).messages > 0
    later = NOON + timedelta(minutes=minutes, seconds=1)
    assert throttle.grant(session, relay, Lane.BULK, "other", 250, now=later).messages > 0


def test_a_relay_that_was_full_before_the_clock_was_set_back_is_asked_in_its_time(session):
    """It had had enough for an hour, and had no digest for a day; and what it says now holds for an hour from now."""
    relay = Relay.parse("smtp://127.0.0.1:9?rate=200")
    standing.fill(session, relay, Limit.ACCOUNT_DAY, now=NOON)
    early = NOON - timedelta(days=1)
    assert throttle.grant(session, relay, Lane.BULK, "other", 250, now=early).messages > 0
    assert throttle.choose(session, [relay], Lane.BULK, chance=0.5, now=early).relay == relay
    standing.fill(session, relay, Limit.ACCOUNT_DAY, now=early)
    assert throttle.grant(session, relay, Lane.BULK, "other", 250, now=early + timedelta(minutes=59)).why == "full"
    assert throttle.grant(session, relay, Lane.BULK, "other", 250, now=early + timedelta(minutes=61)).messages > 0


@pytest.mark.parametrize(
    ("url", "by", "number"),
    [
        ("smtp://127.0.0.1:9?daily=50000", Lane.URGENT, 39_000),
        ("smtp://127.0.0.1:9?daily=50000&reserve=40000", Lane.URGENT, 20_000),
        ("smtp://127.0.0.1:9?hourly=1000", Lane.URGENT, 700),
        ("smtp://127.0.0.1:9?hourly=1000", Lane.TRANSACTIONAL, 300),
        ("smtp://relay.example:25", Lane.URGENT, 400),
    ],
)
def test_the_plan_promises_what_the_windows_will_be_given(session, url, by, number):
    """What an alert used in the night is not there in the morning, whatever the limit: the dry run must say so."""
    relay = Relay.parse(url)
    used(session, relay, by, number, at=NOON - timedelta(minutes=20))
    [bears] = quotas.limits(session, [relay], Lane.BULK, now=NOON)
    left = throttle.known(session, relay, Lane.BULK, now=NOON).left
    assert 0 < left < 20_000
    assert budget.promise(left, [bears], now=NOON).ends_at <= NOON + timedelta(minutes=1)
    assert budget.promise(left + 1, [bears], now=NOON).ends_at > NOON + timedelta(minutes=30)
    assert granted(session, relay, now=NOON, asks=100) == left


def test_the_plan_waits_for_the_hour_as_the_wire_does(session):
    """A clock that strikes does not empty a relay's hour: promised for 11 o'clock, it would have gone at five to twelve."""
    relay = Relay.parse("smtp://127.0.0.1:9?hourly=1000")
    assert granted(session, relay, now=NOON) == 800
    bears = quotas.limits(session, [relay], Lane.BULK, now=NOON + timedelta(minutes=5))
    ends = budget.promise(800, bears, now=NOON + timedelta(minutes=5)).ends_at
    assert granted(session, relay, now=ends - timedelta(seconds=51)) == 0
    assert granted(session, relay, now=ends) == 800


def test_two_accounts_at_one_provider_have_a_quota_each(session):
    """Who pays for two accounts may use both; and one that is locked out does not close the other."""
    one, two = (Relay.parse(f"smtp://{user}:x@mail.example:587?daily=100") for user in ("ann", "ben"))
    for relay in (one, two):
        standing.warm(session, relay, now=NOON)
        assert granted(session, relay, now=NOON) == 80
    standing.closed(session, one)
    standing.slow(session, one, observed=5, now=NOON)
    assert throttle.known(session, two, Lane.BULK, now=NOON).away_since is None
    assert throttle.known(session, two, Lane.BULK, now=NOON).slowed_to is None
    names = session.execute(text("SELECT name FROM relay_state")).scalars().all()
    assert not any("ann" in name or "ben" in name for name in names), "a user name stands in no row"


def test_what_was_known_of_a_relay_before_accounts_were_told_apart_holds_on(session):
    """After an update a warm relay must not begin with five hundred a day again, nor today's quota be used up twice."""
    relay = Relay.parse("smtp://ann:x@mail.example:587?daily=5000")
    session.execute(
        text("INSERT INTO relay_state (name, first_used_at) VALUES (:name, :at)"),
        {"name": relay.name, "at": NOON - timedelta(days=90)},
    )
    session.execute(
        text("INSERT INTO relay_use VALUES (:name, :at, 'bulk', 3500)"),
        {"name": relay.name, "at": NOON.replace(second=0)},
    )
    for _ in range(2):
        known = throttle.known(session, relay, Lane.BULK, now=NOON)
        assert (known.left, known.held_by) == (500, "daily")
        standing.closed(session, relay)  # the first word of its own
        standing.answered(session, relay)
