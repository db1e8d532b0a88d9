"""When to try again and how much may be on the wire: pure rules."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from newsletter.delivery import pacing
from newsletter.ledger.mailings import Kind

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def test_a_refused_message_is_tried_again_ever_more_rarely():
    """A greylisting server wants minutes, a broken one hours; asking often would look like an attack."""
    waits = [
        pacing.next_attempt(tries, first_tried=NOW, now=NOW, patience=timedelta(hours=72), spread=0.0) - NOW
        for tries in range(1, 9)
    ]
    assert [int(wait.total_seconds() // 60) for wait in waits] == [5, 15, 30, 60, 120, 240, 480, 480]


def test_nobody_is_written_to_after_patience_has_run_out():
    """News of last week is no news."""
    late = NOW + timedelta(hours=71, minutes=55)
    assert pacing.next_attempt(9, first_tried=NOW, now=late, patience=timedelta(hours=72), spread=0.0) is None


@given(delivery=st.integers(0, 2**40), tries=st.integers(1, 50))
def test_the_spread_is_the_same_every_time_and_within_bounds(delivery, tries):
    """Ten thousand deferred messages must not come back in the same second, and a rule must not roll dice."""
    spread = pacing.spread_of(delivery, tries)
    assert -1.0 <= spread <= 1.0
    assert spread == pacing.spread_of(delivery, tries)


def test_a_digest_is_worth_three_days_and_an_alert_its_own_time():
    """Standards §16 gives a day to what is urgent; an alert has until its end, before which people are asked (ADR 0033)."""
    assert pacing.patience_for(Kind.DIGEST) == timedelta(hours=72)
    assert pacing.patience_for(Kind.RETRACTION) == timedelta(hours=24), "nobody is asked about it"
    assert pacing.patience_for(Kind.ALERT) is None


@given(tries=st.integers(1, 50), minutes=st.floats(7, 72 * 60), spread=st.floats(-1, 1))
def test_no_step_leads_past_the_end_of_what_is_tried_until_then(tries, minutes, spread):
    """Whoever is put off at hour sixteen of a day is asked for again within it, and of an hour's warning within the hour."""
    ends = NOW + timedelta(minutes=minutes)
    due = pacing.next_attempt(tries, first_tried=NOW, now=NOW, patience=None, spread=spread, ends=ends)
    assert NOW + timedelta(minutes=4) <= due < ends


def test_an_alert_s_day_holds_no_more_than_fifteen_tries():
    """Cut steps get shorter towards the end, and must not become a hail."""
    now, ends, times = NOW, NOW + timedelta(days=1), 1
    for tries in range(1, 100):
        now = pacing.next_attempt(tries, first_tried=NOW, now=now, patience=None, spread=0.0, ends=ends)
        times += now < ends
    assert times == 15


def test_a_window_never_announces_more_than_the_wire_can_begin():
    """What is announced and not sent is uncertain after a crash, so a slow relay gets small windows."""
    assert pacing.window_size(rate=None, open_already=0) == 250
    assert pacing.window_size(rate=5, open_already=0) == 16
    assert pacing.window_size(rate=1000, open_already=0) == 250


@given(rate=st.none() | st.floats(0, 1e5), open_already=st.integers(0, 249))
def test_windows_that_overlap_hold_no_more_than_one(rate, open_already):
    """The next window is asked for early; the doubt after a lost machine must not grow by that."""
    size = pacing.window_size(rate=rate, open_already=open_already)
    assert size >= 1
    assert size + open_already <= 250


def test_a_fast_wire_asks_before_it_stands_still_and_a_slow_one_when_it_must():
    """Thirty milliseconds of a fast wire are 75 messages; of a relay that takes one a second, none."""
    assert pacing.low_water(rate=2500) == 75
    assert pacing.low_water(rate=1) == 1
    assert pacing.low_water(rate=None) == 83


def test_people_sleep_from_ten_to_seven():
    """At ten past two in London a reader in Tokyo can call an embassy, and one in London finds it at breakfast."""
    night = datetime(2026, 6, 1, 1, 10, tzinfo=UTC)
    asked = {"Europe/London", "Asia/Tokyo", "UTC"}
    assert asked.intersection(pacing.awake(now=night)) == {"Asia/Tokyo"}
    assert "Europe/London" in pacing.awake(now=night.replace(hour=6))
    assert "Europe/London" not in pacing.awake(now=night.replace(hour=21))
