"""Lanes share what a relay gives, and what a provider behind it gives; what one relay brought on itself is no other's."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from newsletter.delivery import budget, paces, standing, throttle
from newsletter.ledger.mailings import Lane
from newsletter.relay.target import Relay

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def slowed(session, where, pace):
    """Return a relay with this pace, its own or that of the provider behind it."""
    if where == "relay":
        return Relay.parse(f"smtp://127.0.0.1:9?rate={pace}")
    relay = Relay.parse("smtp://127.0.0.1:9")
    paces.slow(session, relay, "google", observed=2 * pace, now=NOON)
    return relay


def grant(session, relay, lane, want, *, now):
    """Grant at the pace that the provider taught, as if it had been taught a moment ago: it is not raised meanwhile."""
    if relay.rate is None:
        session.execute(text("UPDATE provider_pace SET changed_at = :now"), {"now": now})
    return throttle.grant(session, relay, lane, "google", want, now=now)


@pytest.mark.parametrize("where", ["relay", "provider"])
def test_four_greedy_children_leave_an_alert_and_service_mail_their_share(session, where):
    """Where Gmail asked for less, the digest's many workers must not be the only ones who get through."""
    relay = slowed(session, where, 5)
    children = [(Lane.BULK, 250)] * 4 + [(Lane.URGENT, 250), (Lane.TRANSACTIONAL, 5)]
    got, again = dict.fromkeys(Lane, 0), dict.fromkeys(range(6), 0.0)
    for tick in range(800):
        for child in random.Random(tick).sample(range(6), 6):
            if tick * 0.05 < again[child]:
                continue
            lane, want = children[child]
            found = grant(session, relay, lane, want, now=NOON + timedelta(seconds=tick * 0.05))
            got[lane] += found.messages
            again[child] = tick * 0.05 + found.wait_seconds
    assert 180 <= sum(got.values()) <= 205, "five a second, forty seconds"
    assert got[Lane.TRANSACTIONAL] >= 0.18 * 200
    assert got[Lane.URGENT] >= 0.6 * 200
    assert got[Lane.BULK] > 0


def test_two_senders_of_a_quick_pace_ask_seldom_and_lose_nothing_of_it(session):
    """At 280 a second each message was a grant of its own: what a small server had to spare went into asking."""
    relay = slowed(session, "relay", 280)
    again, got, asked = [0.0, 0.0], 0, 0
    for tick in range(2000):
        for child in random.Random(tick).sample(range(2), 2):
            if tick * 0.005 >= again[child]:
                found = throttle.grant(session, relay, Lane.URGENT, "", 250, now=NOON + timedelta(seconds=tick * 0.005))
                again[child], got, asked = tick * 0.005 + found.wait_seconds, got + found.messages, asked + 1
    assert 2750 <= got <= 2900, "ten seconds and a burst"
    assert asked <= 800, f"{asked} transactions"


@pytest.mark.parametrize("where", ["relay", "provider"])
def test_service_mail_gets_its_fifth_at_the_slowest_pace_too(session, where):
    """At one message in ten seconds it comes back when it was told to, and is not forgotten meanwhile."""
    relay = slowed(session, where, 0.1)
    got, again = dict.fromkeys(Lane, 0), dict.fromkeys((Lane.BULK, Lane.TRANSACTIONAL), 0.0)
    for second in range(1800):
        for lane in again:
            if second >= again[lane]:
                found = grant(session, relay, lane, 1, now=NOON + timedelta(seconds=second))
                got[lane] += found.messages
                again[lane] = second + min(60.0, found.wait_seconds)  # a shard waits a minute at most
    assert got[Lane.TRANSACTIONAL] >= 0.18 * 180
    assert sum(got.values()) <= 181


def test_a_lane_alone_has_all_that_a_provider_gives(session):
    """On a quiet night a digest goes as fast as the provider bears."""
    relay = slowed(session, "provider", 5)
    got, seconds = 0, 0.0
    while seconds < 30:
        found = grant(session, relay, Lane.BULK, 250, now=NOON + timedelta(seconds=seconds))
        got += found.messages
        seconds += found.wait_seconds + 0.003
    assert 145 <= got <= 152


def test_a_provider_that_one_relay_offended_is_not_slowed_at_another(session):
    """It counts what one sender brings: the second relay has done nothing, and its readers need not wait."""
    first, second = Relay.parse("smtp://127.0.0.1:8"), Relay.parse("smtp://127.0.0.1:9")
    paces.slow(session, first, "google", observed=2, now=NOON)
    assert throttle.grant(session, first, Lane.BULK, "google", 250, now=NOON).messages == 1
    assert throttle.grant(session, first, Lane.BULK, "yahoo", 250, now=NOON).messages == 250
    assert throttle.grant(session, second, Lane.BULK, "google", 250, now=NOON).messages == 250
    assert (throttle.limited(session, first, "google"), throttle.limited(session, second, "google")) == (True, False)
    assert paces.lessons(session, [first, second]) == {}, "a promise counts on the second"
    assert list(paces.lessons(session, [first])) == ["google"]


def test_a_relay_that_asked_for_less_is_given_nothing_at_once(session):
    """Two thousand into the queue of a relay that has just said "slow down" is what it asked us not to do."""
    relay = Relay.parse("smtp://127.0.0.1:9?rate=20&ahead=200")
    standing.slow(session, relay, observed=20, now=NOON)
    assert throttle.grant(session, relay, Lane.BULK, "other", 250, now=NOON).messages == 2


@pytest.mark.parametrize("where", ["relay", "provider"])
@pytest.mark.parametrize("back", [timedelta(minutes=1), timedelta(hours=1)])
def test_a_clock_that_is_set_back_silences_nobody(session, where, back):
    """An hour on PostgreSQL's clock was an hour without an alert and without a confirmation."""
    relay = slowed(session, where, 14)
    for lane in Lane:
        grant(session, relay, lane, 250, now=NOON)
    got, again = dict.fromkeys(Lane, 0), dict.fromkeys(Lane, 0.0)
    for tick in range(200):
        for lane in Lane:
            if tick * 0.05 >= again[lane]:
                now = NOON - back + timedelta(seconds=tick * 0.05)
                found = grant(session, relay, lane, 250, now=now)
                got[lane] += found.messages
                again[lane] = tick * 0.05 + found.wait_seconds
    assert 120 <= sum(got.values()) <= 145, "fourteen a second, ten seconds"
    assert got[Lane.TRANSACTIONAL] >= 0.18 * 140
    assert got[Lane.URGENT] >= 0.6 * 140


@pytest.mark.parametrize("back", [timedelta(minutes=2), timedelta(hours=5)])
def test_a_pace_that_was_taught_before_the_clock_was_set_back_is_forgotten_in_its_time(session, back):
    """A lesson of a minute held for as long as the clock was set back: a digest crept for five hours, and nothing was refused."""
    relay = Relay.parse("smtp://127.0.0.1:9?rate=64")
    standing.slow(session, relay, observed=64, now=NOON)
    paces.slow(session, relay, "google", observed=1000, now=NOON)
    early = NOON - back
    steps = [early + timedelta(seconds=61 * step) for step in range(4)]
    for step in steps:
        throttle.grant(session, relay, Lane.BULK, "google", 1, now=step)
    assert not session.execute(text("SELECT 1 FROM relay_state WHERE slowed_to IS NOT NULL")).all()
    assert not session.execute(text("SELECT 1 FROM provider_pace")).all()


def test_a_refusal_after_the_clock_was_set_back_teaches_all_the_same(session):
    """What was taught "in the future" kept every new refusal from being heard: it was asked on at the pace that it refused."""
    relay = Relay.parse("smtp://127.0.0.1:9")
    for now in (NOON, NOON - timedelta(hours=1)):
        standing.slow(session, relay, observed=40, now=now)
        paces.slow(session, relay, "google", observed=40, now=now)
    assert session.execute(text("SELECT slowed_to FROM relay_state")).scalar_one() == 10
    assert session.execute(text("SELECT rate FROM provider_pace")).scalar_one() == 10


def test_a_lane_that_asked_before_the_clock_was_set_back_takes_no_share(session):
    """An alert that went an hour ago, by the clock as it was, must not keep a digest at a tenth of the pace."""
    relay = slowed(session, "relay", 14)
    throttle.grant(session, relay, Lane.URGENT, "google", 250, now=NOON)
    early = NOON - timedelta(hours=1)
    got = sum(
        throttle.grant(session, relay, Lane.BULK, "google", 250, now=early + timedelta(seconds=0.1 * step)).messages
        for step in range(100)
    )
    assert got >= 120


def test_what_is_given_back_late_makes_no_room_for_a_fifteenth(session):
    """A session that took two seconds to open gave back what had left the second, and 22 met there at fourteen a second."""
    relay, soon = slowed(session, "relay", 14), NOON + timedelta(seconds=1.5)
    assert grant(session, relay, Lane.BULK, 2, now=NOON).messages == 2
    for step in range(14):
        assert grant(session, relay, Lane.BULK, 1, now=soon + timedelta(seconds=0.07 * step)).messages == 1
    now = soon + timedelta(seconds=0.95)
    throttle.refund(session, relay, Lane.BULK, "google", [NOON, NOON], now=now)
    assert paces.given_lately(session, relay, now=now) == 14
    throttle.refund(session, relay, Lane.BULK, "google", [NOON, now], now=now)
    assert paces.given_lately(session, relay, now=now) == 13


def test_a_relay_that_was_closed_before_the_clock_was_set_back_is_asked_all_the_same(session):
    """It has been well for an hour, and nobody would knock."""
    relay = Relay.parse("smtp://127.0.0.1:9")
    standing.closed(session, relay)
    assert not standing.probe(session, relay, patient=False)
    session.execute(text("UPDATE relay_state SET closed_until = clock_timestamp() + interval '1 hour'"))
    assert standing.probe(session, relay, patient=False)
    assert not standing.probe(session, relay, patient=False)


@pytest.mark.parametrize("where", ["relay", "provider"])
def test_no_second_holds_more_than_the_pace_whoever_asks(session, where):
    """A digest by the dozen, an alert, single confirmations: the relay counts them all, from any moment on."""
    relay, dice = slowed(session, where, 56), random.Random(5)
    gone, again = [], [0.0] * 4
    children = [(Lane.BULK, 250), (Lane.BULK, 3), (Lane.URGENT, 250), (Lane.TRANSACTIONAL, 1)]
    for tick in range(1000):
        for child in dice.sample(range(4), 4):
            if tick * 0.01 >= again[child]:
                lane, want = children[child]
                now = NOON + timedelta(seconds=tick * 0.01)
                found = grant(session, relay, lane, want, now=now)
                gone += [tick * 0.01] * found.messages
                again[child] = tick * 0.01 + found.wait_seconds + dice.choice((0, 0, 0.1))
    assert max(sum(start <= at < start + 0.999 for at in gone) for start in gone) <= 56
    assert len(gone) >= 56 * 10 * 0.95, (
        "a fortieth is what may come late, and a part of them asks a tenth of a second late"
    )


@pytest.mark.parametrize("where", ["relay", "provider"])
@pytest.mark.parametrize("pace", [0.1, 0.25, 0.4, 0.49])
def test_the_slowest_paces_are_reached_by_shards_that_a_sweep_finds(session, where, pace):
    """Given back and found every five seconds, a mailing at 0.4 a second got one in five and took twice as long as promised."""
    relay, dice, got, now, due = slowed(session, where, pace), random.Random(7), 0, 0.0, 0.0
    for sweep in range(60):
        now = sweep * 5 + dice.random()
        while now >= due:
            found = grant(session, relay, Lane.BULK, 250, now=NOON + timedelta(seconds=now))
            got += found.messages
            if found.wait_seconds > budget.PATIENCE_SECONDS:
                due = now + found.wait_seconds
                break
            now += found.wait_seconds + 0.01
    assert 0.93 * pace * 300 <= got <= pace * 300 + 5
