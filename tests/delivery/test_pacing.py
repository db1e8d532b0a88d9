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
    """News of last week is no news; an alert is worth a day."""
    late = NOW + timedelta(hours=71, minutes=55)
    assert pacing.next_attempt(9, first_tried=NOW, now=late, patience=timedelta(hours=72), spread=0.0) is None


@given(delivery=st.integers(0, 2**40), tries=st.integers(1, 50))
def test_the_spread_is_the_same_every_time_and_within_bounds(delivery, tries):
    """Ten thousand deferred messages must not come back in the same second, and a rule must not roll dice."""
    spread = pacing.spread_of(delivery, tries)
    assert -1.0 <= spread <= 1.0
    assert spread == pacing.spread_of(delivery, tries)


def test_an_alert_is_worth_a_day_and_a_digest_three():
    """Patience follows the kind of mail (standards §16)."""
    assert pacing.patience_for(Kind.ALERT) == timedelta(hours=24)
    assert pacing.patience_for(Kind.DIGEST) == timedelta(hours=72)


def test_a_window_never_announces_more_than_the_wire_can_begin():
    """What is announced and not sent is uncertain after a crash, so a slow relay gets small windows."""
    assert pacing.window_size(last_begun=None) == 250
    assert pacing.window_size(last_begun=5) == 16
    assert pacing.window_size(last_begun=1000) == 250
