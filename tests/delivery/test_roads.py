"""What is told of the road of an alert before it goes: lane, relays, pace, quota, and what goes beside it."""

from datetime import UTC, datetime

import pytest

from newsletter.delivery import roads
from newsletter.delivery.budget import Limits
from newsletter.ledger.mailings import Lane

NOW = datetime(2026, 6, 1, 2, 10, tzinfo=UTC)


def relay(name="relay.example.org:587", *, rate=None, hourly=None, daily=None, given=0, **more):
    used = {NOW: {Lane.BULK: given}} if given else {}
    return roads.Bearer(name, Limits(Lane.URGENT, rate, hourly, daily, used=used), daily, **more)


def told(due, *bearers, digest=False):
    return dict(roads.plan(due, bearers, digest=digest, now=NOW))


def test_a_plan_names_lane_relay_pace_and_what_is_left_of_the_day():
    """At 02:10 nobody opens the settings to find out whether the quota does."""
    said = told(2_900, relay(rate=14.0, daily=50_000, given=12_000, reserve=40_000))
    assert said == {
        "plan.lane": {},
        "plan.pace": {"relay": "relay.example.org:587", "pace": "14"},
        "plan.day": {"left": "37,000", "daily": "50,000"},
        "plan.reserve": {"reserve": "40,000"},
        "plan.alone": {},
    }


def test_a_plan_says_for_how_many_the_day_does_not_do():
    """Told before it goes there is time to ring the relay; told afterwards there is none."""
    short = told(2_900, relay(daily=1_000, given=900), relay("b:25", daily=1_000))
    # An alert leaves a fiftieth of each day to service mail.
    assert short["plan.short"] == {"missing": "1,840"}
    assert "plan.short" not in told(1_060, relay(daily=1_000, given=900), relay("b:25", daily=1_000))
    assert "plan.short" not in told(2_900, relay(daily=1_000), relay("b:25"))
    assert told(500, relay(daily=1_000), relay("b:25", daily=100, away=True)).get("plan.short") is None
    assert told(500, relay(daily=400), relay("b:25", daily=1_000, away=True))["plan.short"] == {"missing": "108"}


@pytest.mark.parametrize(
    ("bearer", "pace", "said"),
    [
        (relay(rate=10.0), "9", "plan.digest-shares"),
        (relay(rate=10.0, bulk=False), "10", "plan.digest-apart"),
        (relay(), None, "plan.digest-behind"),
    ],
)
def test_a_plan_says_what_a_running_digest_takes(bearer, pace, said):
    """Nine tenths are the alert's where both go by one relay, all where they do not."""
    found = told(100, bearer, digest=True)
    assert (found.get("plan.pace", {}).get("pace"), list(found)[-1]) == (pace, said)
    assert list(told(100, bearer))[-1] == "plan.alone"


def test_a_plan_warns_of_a_day_that_digests_may_use_up():
    """The evening before is when a reserve can still be set."""
    assert "plan.no-reserve" in told(100, relay(daily=1_000))
    assert "plan.no-reserve" not in told(100, relay(daily=1_000, bulk=False))
    assert "plan.no-reserve" not in told(100, relay(rate=5.0))
    assert told(100, relay(hourly=400))["plan.hourly"] == {"hourly": "400"}
    assert list(told(100, relay(daily=9, away=True))) == ["plan.lane", "plan.away", "plan.alone"]
