"""A new relay becomes a known sender by mail, not by waiting."""

from datetime import UTC, datetime, timedelta

import pytest

from newsletter.delivery import quotas, standing, throttle, warming
from newsletter.delivery.warming import DAY, Warming
from newsletter.ledger.mailings import Lane
from newsletter.relay.target import Relay

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
PLAN = {1: 500, 2: 1000, 3: 2000}


@pytest.fixture
def session(newsletter):
    with newsletter.parts.database.transaction() as session:
        yield session


def room(session, relay, *, now, lane=Lane.BULK):
    return throttle.known(session, relay, lane, now=now).left


def send(session, relay, number, *, now, lane=Lane.BULK):
    while number > 0:
        granted = throttle.grant(session, relay, lane, "other", min(250, number), now=now).messages
        assert granted
        number -= granted


def day_of(known, *, now):
    return 1 + (now - warming.began(known, PLAN, now=now)) // DAY


def test_one_confirmation_and_a_month_make_no_known_sender(session):
    """Providers had seen one message, and sixty-four thousand would have come at once: all of them to the spam folder."""
    relay = Relay.parse("smtp://mail.example:587")
    send(session, relay, 1, now=NOON, lane=Lane.TRANSACTIONAL)
    assert room(session, relay, now=NOON + timedelta(days=7)) == 500
    assert room(session, relay, now=NOON + timedelta(days=30)) == 500


def test_days_of_bulk_mail_count_and_idle_ones_do_not(session):
    """A digest a week: each begins where the last one ended."""
    relay = Relay.parse("smtp://mail.example:587")
    send(session, relay, 500, now=NOON)
    assert room(session, relay, now=NOON + timedelta(hours=1)) == 0
    second = NOON + timedelta(days=7)
    allowed = room(session, relay, now=second)
    assert allowed > 500
    send(session, relay, allowed // 2 - 1, now=second)
    third = second + timedelta(days=2)
    assert room(session, relay, now=third) == allowed, "the day was hardly used"
    send(session, relay, allowed // 2, now=third)
    assert room(session, relay, now=third + timedelta(hours=23)) < allowed
    assert room(session, relay, now=third + timedelta(hours=25)) > allowed


def test_what_is_given_back_warms_nobody(session):
    """A window that a stop has closed was counted for the day, and nobody had it."""
    relay = Relay.parse("smtp://mail.example:587")
    send(session, relay, 500, now=NOON)
    throttle.refund(session, relay, Lane.BULK, "other", [NOON] * 400, now=NOON + timedelta(seconds=1))
    assert room(session, relay, now=NOON + timedelta(days=2)) == 500


def test_a_relay_that_was_at_its_third_day_stays_there(session):
    """An update in the middle of a warm-up must neither begin anew nor end it."""
    assert day_of(Warming(NOON - timedelta(days=2, hours=3)), now=NOON) == 3
    spent = warming.spent(Warming(NOON - timedelta(days=2, hours=3)), PLAN, 1500, now=NOON)
    assert (day_of(spent, now=NOON), spent.used, spent.since) == (3, 1500, NOON - timedelta(hours=3))


def test_who_says_that_a_relay_is_warm_is_believed(session):
    """It was in use for years before we came."""
    relay = Relay.parse("smtp://mail.example:587")
    send(session, relay, 10, now=NOON)
    standing.warm(session, relay, now=NOON)
    assert room(session, relay, now=NOON) is None
    assert quotas.young(session, relay, standing.of(session, relay), now=NOON + timedelta(days=3)) is None


def test_a_clock_that_is_set_back_lifts_no_warm_up(session):
    """On the first day an hour less was a day that no plan names, and all of the mail at once."""
    relay = Relay.parse("smtp://mail.example:587")
    send(session, relay, 250, now=NOON)
    assert room(session, relay, now=NOON - timedelta(hours=1)) == 250
