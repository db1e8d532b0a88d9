"""No second holds more than a relay's rate, whichever second the relay counts; and next to nothing of the pace is lost by it."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from newsletter.delivery import seconds

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@given(
    rate=st.floats(0.1, 300),
    asks=st.lists(st.tuples(st.floats(0, 0.7), st.integers(1, 250)), min_size=1, max_size=80),
)
def test_no_second_holds_more_than_the_rate(rate, asks):
    """A relay that counts any second and not the ones we like answers 454 to the fifteenth of fourteen."""
    now, lately, gone = NOON, [], []
    for pause, want in asks:
        now += timedelta(seconds=pause)
        free, wait = seconds.held(1, lately, rate=rate, now=now)
        assert (free == 0) == (wait > 0)
        if taken := min(free, want):
            lately = seconds.with_more(lately, taken, now=now)
            gone.append((now, taken))
    for start, _ in gone:
        within = sum(number for at, number in gone if start <= at < start + timedelta(seconds=1))
        assert within <= seconds.most(rate)
    assert len(lately) <= 110, "a row of a table, read with each window"


def test_who_waits_as_long_as_it_was_told_loses_a_fiftieth_at_most():
    """A promise is made by the pace: whoever is careful must not be slow."""
    now, lately, gone = NOON, [], 0
    while now < NOON + timedelta(seconds=60):
        free, wait = seconds.held(1, lately, rate=14, now=now)
        if free:
            lately, gone = seconds.with_more(lately, 1, now=now), gone + 1
            wait = 1 / 14
        now += timedelta(seconds=wait + 0.001)
    assert gone >= 14 * 60 * 0.97


def test_a_clock_that_was_set_back_forgets_the_second_that_is_to_come():
    """What was given at one o'clock must not count until it is one o'clock again."""
    lately = seconds.with_more([], 14, now=NOON)
    assert seconds.held(1, lately, rate=14, now=NOON)[0] == 0
    assert seconds.held(1, lately, rate=14, now=NOON - timedelta(hours=1)) == (14, 0.0)


def test_a_pace_that_is_no_whole_number_counts_as_the_next():
    """At three in two seconds one second holds two; at one in ten seconds it holds one."""
    assert [seconds.most(rate) for rate in (0.1, 1, 1.5, 14, 14.0000000001)] == [1, 1, 2, 14, 14]


def test_what_was_not_begun_makes_room_for_others():
    """A window that a stop has closed must not cost the next mailing a second."""
    lately = seconds.with_more(seconds.with_more([], 10, now=NOON), 4, now=NOON + timedelta(seconds=0.5))
    less = seconds.with_less(lately, [NOON] * 10, now=NOON + timedelta(seconds=0.6))
    assert seconds.held(1, less, rate=14, now=NOON + timedelta(seconds=0.6)) == (10, 0.0)
    assert seconds.held(1, less, rate=14, now=NOON + timedelta(seconds=1.2)) == (10, 0.0), "the four are of half past"


def test_what_is_given_back_late_takes_nobody_else_s_place():
    """A session that took two seconds to open gave back what had left the second already, and a live message was forgotten."""
    later = NOON + timedelta(seconds=1.5)
    lately = seconds.with_more(seconds.with_more([], 8, now=NOON), 14, now=later)
    less = seconds.with_less(lately, [NOON] * 8, now=later + timedelta(seconds=0.01))
    assert seconds.held(1, less, rate=14, now=later + timedelta(seconds=0.02))[0] == 0


@given(st.lists(st.tuples(st.floats(0, 0.4), st.integers(1, 30), st.floats(0, 3)), min_size=1, max_size=60))
def test_no_second_holds_more_than_the_rate_whatever_is_given_back_and_when(asks):
    """Whoever gives back makes room for one, and never for two. asks: pause, messages wanted, seconds until every other is back."""
    now, lately, gone, back = NOON, [], [], []
    for place, (pause, want, keeps) in enumerate(asks):
        now += timedelta(seconds=pause)
        for due in [one for one in back if one[0] <= now]:
            back.remove(due)
            lately = seconds.with_less(lately, due[1], now=now)
        free, _ = seconds.held(1, lately, rate=14, now=now)
        if taken := min(free, want):
            lately = seconds.with_more(lately, taken, now=now)
            if place % 2:
                back.append((now + timedelta(seconds=keeps), [now] * taken))
            else:
                gone.append((now, taken))
    for start, _ in gone:
        assert sum(number for at, number in gone if start <= at < start + timedelta(seconds=1)) <= 14
