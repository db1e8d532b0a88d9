"""A benchmark that says what was asked must fail where that is not reached: nobody reads a table that ends well."""

import math

import pytest

from benchmarks import alerting, limits, segments
from benchmarks.alerting import Alarm
from newsletter.subscribers.segments import Word

IDLE = [Alarm(0.2, 1_000.0)] * 3


@pytest.mark.parametrize(
    ("first", "rate", "everybody", "said"),
    [
        (2.0, 800.0, 2.0, []),
        (2.01, 800.0, 0.3, ["first message beside a digest: 2.01 s, and asked is at most 2 s"]),
        (0.3, 800.0, 2.5, ["first message of an alert to all beside a digest: 2.50 s, and asked is at most 2 s"]),
        (0.3, 790.0, 0.3, ["rate beside a digest: 0.79 of idle, and asked is at least 0.8 of idle"]),
        (0.3, math.nan, 0.3, ["rate beside a digest: nan of idle, and asked is at least 0.8 of idle"]),
    ],
)
def test_an_alert_that_is_late_or_slow_is_missed(first, rate, everybody, said):
    """Two seconds to the first message, the slowest of them, and four fifths of an idle machine's rate."""
    beside = [Alarm(0.3, rate), Alarm(first, rate), Alarm(0.3, rate)]
    assert alerting.missed(IDLE, beside, everybody) == said


def test_the_ten_segments_use_every_condition_and_its_opposite():
    """What is promised of a segment's seconds is promised of each condition; one that nobody measures is the slow one."""
    told = [one for data in segments.SEGMENTS.values() for one in data]
    assert len(segments.SEGMENTS) == 10
    assert {word for one in told if "not" not in one for word in one} == {*Word}
    # When somebody joined is turned round by its other end.
    assert {word for one in told if "not" in one for word in one["not"]} == {*Word} - {Word.JOINED}
    spans = [set(one["joined"]) for one in [*told, *segments.NEWCOMERS] if "joined" in one]
    assert spans == [{"from", "before"}, {"from"}]


def test_each_segment_that_is_slow_is_named():
    """“One of the ten” sends somebody through all of them."""
    taken = {"quick": [0.1] * 12, "slow": [0.2] * 10 + [1.2] * 2, "once": [0.1] * 39 + [3.0]}
    assert segments.missed(taken) == ["segment “slow”, p95: 1.20 s, and asked is at most 1 s"]


def test_what_is_missed_is_printed_and_ends_the_run_with_one(capsys):
    """Whoever runs it in a script sees it by the status, and finds in the last lines what it was."""
    assert limits.verdict([]) == 0
    assert capsys.readouterr().out == ""
    assert limits.verdict(["rate beside a digest", "segment"]) == 1
    assert capsys.readouterr().out == "MISSED  rate beside a digest\nMISSED  segment\n"
