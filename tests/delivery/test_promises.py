"""What is promised of an alert, in words that a tired person reads once; and the truth beside it."""

import json
from datetime import UTC, datetime, timedelta

from newsletter import languages
from newsletter.delivery import budget, promises
from newsletter.delivery.budget import Limits, Pause, Promise
from newsletter.delivery.promises import Handed, Promised
from newsletter.ledger.mailings import Lane

NOW = datetime(2026, 6, 1, 2, 10, tzinfo=UTC)


def said(sentences):
    return " ".join(languages.say(message, **facts) for message, facts in sentences)


def test_the_rest_has_its_hour_and_its_reason():
    """Of the day's 50,000 a digest took 20,000 at eight in the evening: whoever decides knows what that leaves until then."""
    used = {NOW - timedelta(hours=6): {Lane.BULK: 20_000}}
    bears = Limits(lane=Lane.URGENT, rate=14, daily=50_000, used=used)
    promise = budget.promise(40_000, [bears], now=NOW)
    pause = promise.pause
    assert (pause.handed, pause.why) == (29_000, "daily")
    assert abs(pause.since - NOW - timedelta(seconds=29_000 / 14)) < timedelta(minutes=2)
    assert pause.until == NOW + timedelta(hours=18, minutes=1)
    assert said(promises.worded(Promised(40_000, NOW, promise))) == (
        "72 % handed over by 02:45 UTC. 11,000 after 20:11 UTC, the last by 20:24 UTC, because of today's quota."
    )


def test_a_pace_alone_and_a_quota_that_is_used_up():
    """Nothing is left today: nobody is told that nought per cent come at once."""
    whole = Promised(40_000, NOW, budget.promise(40_000, [Limits(lane=Lane.URGENT, rate=14)], now=NOW))
    assert said(promises.worded(whole)) == "All 40,000 handed over by 02:57 UTC."
    late = Promise(NOW + timedelta(days=1), (0, 9), "daily", Pause(0, 0, NOW, NOW + timedelta(hours=23), "full"))
    assert said(promises.worded(Promised(9, NOW, late))) == (
        "9 after 02 June, 01:10 UTC, the last by 02 June, 02:10 UTC, because the relay said that it has had enough."
    )


def test_a_pause_goes_on_over_minutes_and_a_short_one_is_not_told():
    """The longest is told; one that nobody would notice is none."""
    used = {NOW - timedelta(minutes=58): {Lane.URGENT: 1000}}
    assert budget.promise(900, [Limits(lane=Lane.URGENT, hourly=1000, used=used)], now=NOW).pause is None
    used = {NOW - timedelta(minutes=20): {Lane.URGENT: 1000}}
    pause = budget.promise(900, [Limits(lane=Lane.URGENT, hourly=1000, used=used)], now=NOW).pause
    assert (pause.handed, pause.since, pause.why) == (0, NOW, "hourly")
    assert pause.until == NOW + timedelta(minutes=41)


def test_a_quota_that_comes_back_little_by_little_is_a_pause_as_well():
    """The digest of the day before took its time: a few go each minute, and nobody shall take these for the alert."""
    used = {NOW - timedelta(minutes=minutes): {Lane.BULK: 10} for minutes in range(1, 1400)}
    bears = Limits(lane=Lane.URGENT, rate=30, daily=130_000, used=used)
    promise = budget.promise(142_000, [bears], now=NOW)
    pause = promise.pause
    assert pause.since - NOW < timedelta(minutes=70)
    assert pause.until == NOW + timedelta(days=1, minutes=1)
    assert 110_000 < pause.handed < pause.reached < 142_000
    words = said(promises.worded(Promised(142_000, NOW, promise)))
    assert words.startswith("80 % handed over by 03:14 UTC. ")
    by_and_by = budget.promise(114_000, [bears], now=NOW)
    assert by_and_by.pause.reached == 114_000
    assert "little by little, the last by" in said(promises.worded(Promised(114_000, NOW, by_and_by)))


def test_a_promise_stands_beside_the_truth():
    """Stored and read again as it was; late is late."""
    promise = Promise(
        NOW + timedelta(hours=8),
        (11_500,),
        "daily",
        Pause(10_580, 10_580, NOW + timedelta(minutes=90), NOW + timedelta(hours=7), "daily"),
    )
    made = Promised(11_500, NOW, promise)
    stored = Promised.of(json.loads(json.dumps(made.facts)))
    assert stored == made
    before = (
        "Promised on 01 June, 02:10 UTC: 92 % handed over by 03:40 UTC. "
        "920 after 09:10 UTC, the last by 10:10 UTC, because"
    )
    soon, late, over = (NOW + timedelta(hours=hours) for hours in (1, 9, 2))
    going = Handed(5750, 11_500, None)
    assert said(promises.kept(stored, going, now=soon)).startswith(before)
    assert said(promises.kept(stored, going, now=soon)).endswith("So far: 50 %, 5,750 of 11,500 handed over.")
    assert "later than promised: 50 %" in said(promises.kept(stored, going, now=late))
    assert said(promises.kept(stored, Handed(11_490, 11_500, over), now=late)).endswith(
        "Over at 04:10 UTC: 11,490 of 11,500 handed over."
    )
