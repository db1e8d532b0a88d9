"""How much a relay may be given, and when a mailing will have gone: pure."""

import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.delivery import budget
from newsletter.delivery.budget import LEARNED, Lesson, Limits
from newsletter.ledger.mailings import Lane

NOW = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)
LANES = list(Lane)


def test_a_lane_alone_has_the_whole_pace():
    """Shares must not make a digest slower on a night when nothing else goes."""
    assert [budget.share(lane, [lane]) for lane in LANES] == [1.0, 1.0, 1.0]


@given(st.sets(st.sampled_from(LANES), min_size=1))
def test_shares_never_exceed_the_pace(active):
    """Whatever is under way, the relay is given no more than it bears."""
    assert sum(budget.share(lane, active) for lane in active) == pytest.approx(1.0)


def test_service_mail_always_has_a_fifth_and_alerts_most_of_the_rest():
    """A confirmation asked for during an alert must come; and an alert must not wait for a digest."""
    assert budget.share(Lane.TRANSACTIONAL, LANES) == 0.2
    assert budget.share(Lane.URGENT, LANES) == pytest.approx(0.72)
    assert budget.share(Lane.BULK, LANES) == pytest.approx(0.08)


@given(
    rate=st.floats(0.1, 500),
    asks=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 250)), min_size=1, max_size=60),
)
def test_a_bucket_never_gives_more_than_its_rate_and_one_burst(rate, asks):
    """Fourteen a second means fourteen a second, however greedily and irregularly it is asked for."""
    burst, now, paid, given_ = max(1.0, rate / 2), NOW, NOW, 0
    for pause, want in asks:
        now += timedelta(seconds=pause)
        got = min(want, budget.tokens(rate, paid_until=paid, now=now, burst=burst))
        paid = budget.paid(rate, got, paid_until=paid, now=now)
        given_ += got
        assert given_ <= rate * (now - NOW).total_seconds() + burst + 1e-3


def test_an_empty_bucket_says_when_it_holds_a_message_again():
    """Whoever waits knows for how long, and then is not sent away again."""
    paid = budget.paid(14, 7, paid_until=NOW, now=NOW)
    wait = budget.wait_for(1, 14, paid_until=paid, now=NOW, burst=7)
    assert 0 < wait < 0.1
    later = NOW + timedelta(seconds=wait)
    assert budget.tokens(14, paid_until=paid, now=later, burst=7) == 1


def test_a_quick_pace_is_granted_in_pieces_and_a_slow_one_message_by_message():
    """Each grant costs a transaction: fourteen a second are a few, three hundred would be three hundred."""
    assert [budget.worth(rate, 250) for rate in (0.1, 14, 280, 2000)] == [1, 1, 14, 100]
    assert budget.worth(280, 3) == 3, "who wants less waits for no more"


@given(st.lists(st.integers(1, 400), max_size=60), st.integers(1, 1000), st.integers(0, 999))
def test_service_mail_finds_a_fifth_of_every_quota_whatever_digests_went(asks, limit, reserve):
    """Whoever signs up on the day of the digest must not wait for tomorrow to be asked whether it was them."""
    used = dict.fromkeys(LANES, 0)
    for want in asks:
        used[Lane.BULK] += min(want, budget.left(Lane.BULK, limit=limit, used=used, reserve=reserve))
    assert budget.left(Lane.TRANSACTIONAL, limit=limit, used=used, reserve=reserve) >= int(limit / 5)


def test_an_alert_may_use_what_service_mail_was_kept_but_for_a_fiftieth():
    """Danger does not wait for tomorrow's quota; and those who sign up because of it are still answered."""
    assert budget.left(Lane.URGENT, limit=1000, used={Lane.BULK: 800}) == 180


def test_a_lane_that_waits_for_a_slow_pace_is_not_forgotten_before_its_turn():
    """At one message in ten seconds service mail comes back once a minute: its fifth must still be there."""
    assert budget.active_for(0.1) >= timedelta(seconds=1 / (0.1 * budget.TRANSACTIONAL_SHARE))
    assert budget.active_for(100) == budget.ACTIVE


def test_bulk_mail_leaves_the_reserve_and_a_little_for_service_mail():
    """The morning's digest must not use up the night's alert, nor anybody's confirmation."""
    used = {Lane.BULK: 9000}
    assert budget.left(Lane.BULK, limit=50_000, used=used, reserve=40_000) == 0
    assert budget.left(Lane.URGENT, limit=50_000, used=used, reserve=40_000) == 40_000
    assert budget.left(Lane.TRANSACTIONAL, limit=50_000, used=used, reserve=40_000) == 41_000
    after = used | {Lane.URGENT: 40_000}
    assert budget.left(Lane.URGENT, limit=50_000, used=after, reserve=40_000) == 0
    assert budget.left(Lane.TRANSACTIONAL, limit=50_000, used=after, reserve=40_000) == 1000


@given(st.dictionaries(st.sampled_from(LANES), st.integers(0, 60_000)), st.integers(1, 60_000), st.integers(0, 60_000))
def test_no_lane_is_ever_given_more_than_is_left(used, limit, reserve):
    """A quota exceeded by one is a relay that refuses everything until tomorrow."""
    free = limit - sum(used.values())
    for lane in LANES:
        assert 0 <= budget.left(lane, limit=limit, used=used, reserve=reserve) <= max(0, free)


def limits(**changes):
    return Limits(**({"lane": Lane.TRANSACTIONAL} | changes))  # the one lane that nothing is taken off


def test_without_limits_nothing_is_promised():
    """A time that nobody computed is no promise."""
    assert budget.promise(1000, [limits()], now=NOW) is None
    assert budget.promise(1000, [limits(rate=1), limits()], now=NOW) is None


def test_the_pace_alone_says_when():
    """40,000 at fourteen a second take 48 minutes."""
    promise = budget.promise(40_000, [limits(rate=14)], now=NOW)
    assert promise.ends_at - NOW == pytest.approx(timedelta(seconds=40_000 / 14), abs=timedelta(seconds=2))
    assert promise.by_day == (40_000,)


def test_a_small_daily_quota_spreads_a_mailing_over_days():
    """An operator must learn before the release that the last reader has it on Friday."""
    promise = budget.promise(25_000, [limits(rate=100, daily=9000)], now=NOW)
    assert promise.by_day == (9000, 9000, 7000)
    assert promise.held_by == "daily"
    assert promise.ends_at > NOW + timedelta(days=2)


def test_what_went_today_already_counts():
    """The day of a quota is the last twenty-four hours, not the calendar's."""
    used = {NOW - timedelta(hours=3): {Lane.BULK: 8000}}
    promise = budget.promise(2000, [limits(daily=9000, used=used)], now=NOW)
    assert promise.by_day[0] == 1000
    assert promise.ends_at >= NOW + timedelta(hours=20)


def test_a_quota_holds_in_every_hour_and_every_day_of_a_promise():
    """Of an hour that has just been used up nothing is left when the clock strikes: the plan must wait as the wire does."""
    used = {NOW - timedelta(minutes=5): {Lane.BULK: 800}}
    bears = Limits(hourly=1000, used=used)
    assert bears.room(NOW, used[NOW - timedelta(minutes=5)], {}) == (0, "hourly")
    promise = budget.promise(900, [bears], now=NOW)
    # 800 once the first 800 are an hour and a minute old, and the rest an hour and a minute later.
    assert promise.ends_at == NOW + timedelta(minutes=56 + 61)
    assert promise.held_by == "hourly"


def test_what_other_lanes_were_given_is_not_promised_again():
    """Forty thousand alerts in the night leave little of the day: the morning's plan must know it."""
    used = {NOW - timedelta(hours=8): {Lane.URGENT: 39_000}}
    promise = budget.promise(3000, [Limits(daily=50_000, used=used)], now=NOW)
    assert promise.by_day == (1000, 2000)
    assert Limits(daily=50_000).room(NOW, {}, used[NOW - timedelta(hours=8)]) == (1000, "daily")


@given(
    limit=st.integers(5, 3000),
    rate=st.none() | st.floats(0.2, 50),
    past=st.lists(st.tuples(st.integers(0, 1450), st.sampled_from(LANES), st.integers(1, 900)), max_size=8),
    due=st.integers(1, 6000),
    begins=st.integers(0, 3599),
)
def test_no_promise_asks_for_more_than_would_be_granted(limit, rate, past, due, begins):
    """Two rules for one quota would part one day: what the plan says of the first day, windows that ask each second must get."""
    now = NOW + timedelta(seconds=begins)
    used = {}
    for minutes, lane, number in past:
        used.setdefault((now - timedelta(minutes=minutes)).replace(second=0), {})[lane] = number
    bears = Limits(rate=rate, daily=limit, used=used)
    promise = budget.promise(due, [bears], now=now)
    went, moment = dict(used), now
    given_, night = 0, now.replace(hour=0, minute=0, second=0) + timedelta(days=1)
    while given_ < promise.by_day[0] and moment < night:
        day = Counter()
        for minute, lanes in went.items():
            if minute >= budget.counted_since(moment, budget.DAY):
                day.update(lanes)
        room, _ = bears.room(moment, {}, day)
        part = min(room, promise.by_day[0] - given_)
        if part:
            lanes = went.setdefault(moment.replace(second=0), {})
            lanes[Lane.BULK] = lanes.get(Lane.BULK, 0) + part
        given_ += part
        moment += timedelta(minutes=1)
    assert given_ == promise.by_day[0]


def test_a_plan_of_a_year_is_made_in_a_moment():
    """A list far too long for its relay is found out at the dry run, not after a minute of silence."""
    began = time.process_time()
    promise = budget.promise(200_000, [Limits(rate=1, hourly=40, daily=600)], now=NOW)
    assert promise.ends_at > NOW + timedelta(days=365)
    assert time.process_time() - began < 10


def test_several_relays_carry_together():
    """Two relays of ten a second take half the time."""
    one = budget.promise(36_000, [limits(rate=10)], now=NOW)
    two = budget.promise(36_000, [limits(rate=10), limits(rate=10)], now=NOW)
    assert (one.ends_at - NOW) / (two.ends_at - NOW) == pytest.approx(2, abs=0.05)


def test_a_digest_that_goes_beside_takes_its_tenth_until_it_is_over():
    """Who is told of 48 minutes and waits for 53 has been told nothing: the lane gives a digest a tenth, and so does the plan."""
    bears = Limits(lane=Lane.URGENT, rate=14)
    alone = budget.promise(40_000, [bears], now=NOW).ends_at - NOW
    beside = budget.promise(40_000, [replace(bears, beside=1_000_000)], now=NOW).ends_at - NOW
    assert beside / alone == pytest.approx(1 / 0.9, abs=0.001)
    # 1,000 take 714 s at a tenth of 14; both are over when all of it has gone.
    short = budget.promise(40_000, [replace(bears, beside=1_000)], now=NOW).ends_at - NOW
    assert short.total_seconds() == pytest.approx(41_000 / 14, abs=2)
    bulk = budget.promise(1_000, [Limits(rate=14, beside=9_000)], now=NOW).ends_at - NOW
    assert bulk.total_seconds() == pytest.approx(9_000 / 12.6, abs=3), "an alert goes first"


def test_a_digest_beside_uses_up_the_day_as_far_as_it_may():
    """11,400 tonight and 600 tomorrow is what the morning sees, not 12,000 tonight."""
    bears = Limits(lane=Lane.URGENT, rate=10, daily=12_000)
    assert budget.promise(11_760, [bears], now=NOW).by_day == (11_760,)
    beside = budget.promise(11_760, [replace(bears, beside=50_000)], now=NOW)
    # 980 of the digest in the first 9,800 seconds, when bulk mail leaves what is kept for others.
    assert beside.by_day[0] == pytest.approx(11_760 - 960, abs=30)
    reserved = replace(bears, beside=50_000, reserve=12_000)
    assert budget.promise(11_760, [reserved], now=NOW).by_day == (11_760,), "a digest leaves the reserve"


def lesson(rate, **past):
    return Lesson(rate, NOW + LEARNED - timedelta(**past))


def test_a_pace_that_a_refusal_taught_is_what_is_promised():
    """The URL says fourteen, the relay said one: who is told of one minute waits for five."""
    promise = budget.promise(840, [limits(rate=14, lesson=lesson(1))], now=NOW)
    # 60, 90, 135, 202 and 303 in the first five minutes, and 50 at 7.6 a second.
    assert promise.ends_at - NOW == pytest.approx(timedelta(minutes=5, seconds=6.6), abs=timedelta(seconds=1))
    assert promise.held_by == "rate"


def test_a_lesson_is_forgotten_in_a_promise_as_it_is_on_the_wire():
    """A bad minute must not make an operator believe that a mailing takes a week."""
    plain = budget.promise(500_000, [limits(rate=100)], now=NOW)
    after = budget.promise(500_000, [limits(rate=100, lesson=lesson(0.1))], now=NOW)
    assert timedelta(minutes=10) < after.ends_at - plain.ends_at < timedelta(minutes=20)
    idle = budget.promise(500_000, [limits(rate=100, lesson=lesson(80, hours=5))], now=NOW)
    assert abs(idle.ends_at - plain.ends_at) < timedelta(seconds=2), "a step from eighty is the usual again"


@given(
    rate=st.floats(0.1, 900),
    usual=st.none() | st.floats(0.2, 400),
    past=st.integers(0, 600),
    due=st.integers(1, 60_000),
)
def test_a_promise_walks_the_steps_that_the_wire_walks(rate, usual, past, due):
    """Two rules for one pace would part one day, and the plan would be a guess."""
    taught = lesson(rate, seconds=past)
    promise = budget.promise(due, [limits(rate=usual, lesson=taught)], now=NOW)
    if promise is None:
        assert taught.at(NOW, usual=usual) is None
        return
    moment, gone = NOW, 0.0
    while moment < promise.ends_at and (taught := taught and taught.at(moment, usual=usual)):
        pace = min(taught.rate, usual or taught.rate)
        until = min(taught.until, promise.ends_at)
        gone += pace * (until - moment).total_seconds()
        moment = until
    if moment < promise.ends_at:
        gone += usual * (promise.ends_at - moment).total_seconds()
    # Each step of the plan, and each of its hours, drops less than one message.
    steps = 40 + (promise.ends_at - NOW) / timedelta(hours=1)
    assert due - 1 <= gone or usual is None
    assert gone <= due + steps


def test_a_relay_that_is_full_gives_nothing_until_it_said_so():
    """It has refused today's quota: bulk mail waits an hour, and the promise must not begin now."""
    full = limits(rate=10, full_until=NOW + timedelta(minutes=40))
    promise = budget.promise(600, [full], now=NOW)
    assert promise.ends_at == NOW + timedelta(minutes=41)
    assert promise.held_by == "full"
    free = limits(full_until=NOW + timedelta(minutes=40))
    assert budget.promise(600, [free], now=NOW).ends_at == NOW + timedelta(minutes=40)
    assert budget.promise(600, [free], now=NOW + timedelta(hours=1)) is None
    assert budget.promise(600, [full, limits(rate=10)], now=NOW).ends_at == NOW + timedelta(minutes=1)


def test_a_provider_that_asked_for_less_holds_its_own_readers_only():
    """The last reader is the one with the slow provider; all others have it when the relay says."""
    at_night = NOW.replace(hour=23, minute=58)
    taught = Lesson(1.0, at_night + LEARNED)
    promised = budget.promise(1000, [limits(rate=100)], now=at_night)
    held = budget.promise_to_group(promised, 1000, 285, [taught], now=at_night)
    assert held.ends_at - at_night == timedelta(minutes=3)
    assert (held.by_day, held.held_by) == ((1000 - 285 + 150, 135), "provider")
    assert budget.promise_to_group(None, 1000, 285, [taught], now=at_night).by_day == held.by_day
    assert budget.promise_to_group(promised, 1000, 3, [taught], now=at_night) == promised
    assert budget.promise_to_group(None, 1000, 0, [taught], now=at_night) is None


def test_what_is_left_of_today_knows_no_pace():
    """The lamp in the morning: fourteen a second is slow and enough, a spent quota is neither."""
    assert limits(rate=14.0).left_today(NOW) is None
    spent = {NOW.replace(second=0, microsecond=0): {Lane.BULK: 12_000}}
    assert limits(rate=14.0, hourly=100, daily=49_000, used=spent).left_today(NOW) == 37_000
    old = {NOW - timedelta(days=2): {Lane.BULK: 12_000}}
    assert limits(daily=49_000, used=old).left_today(NOW) == 49_000
