"""The lamp and when a drill is over: rules, tried at their edges."""

from datetime import UTC, datetime, timedelta

import pytest

from newsletter.campaigns import drills
from newsletter.campaigns.drills import GOOD_FOR, PATIENCE, DrillView, Fault
from newsletter.journeys import drilling
from newsletter.ledger.books import Status

NOW = datetime(2026, 3, 2, 6, 12, tzinfo=UTC)


def drill(**more):
    usual = {"mailing": 7, "mailboxes": 3, "reach": 38_214, "quota": None, "accepted": 3}
    moments = {"asked_at": NOW - timedelta(seconds=2), "first_at": NOW - timedelta(seconds=0.6), "ended_at": NOW}
    return DrillView(**({"id": 1, "fault": None} | usual | moments | more))


def books(accepted, **more):
    counts = dict.fromkeys(("deferred", "rejected", "cancelled", "expired", "uncertain"), 0)
    usual = {"state": "sending", "audience": 3, "planned": 3, "accepted": accepted, "due": 3 - accepted, "excluded": {}}
    moments = dict.fromkeys(("start_at", "started_at", "finished_at", "messages_per_second"))
    return Status(**({"mailing": 7, "kind": "drill", "subject": ""} | usual | counts | moments | more))


def test_the_lamp_says_what_a_director_asks():
    """One line at breakfast: does the way work, how fast, for whom, and is there enough for tonight?"""
    lit = drills.lamp(drill(), NOW, now=NOW)
    assert lit.ok is True
    said = drilling.sentence(lit)
    assert said.endswith("first mail 1.4 s, 3 of 3 mailboxes, reach 38,214, quota enough")
    assert said.startswith("lane proved 02 Mar 06:12, ")


def test_a_quota_that_is_too_small_is_red():
    """A lane that works and may take a third of the readers is no lane for tonight."""
    lit = drills.lamp(drill(quota=12_000), NOW, now=NOW)
    assert lit.ok is False
    assert drilling.sentence(lit).endswith("reach 38,214, quota for 12,000 only")
    assert drills.lamp(drill(quota=38_214), NOW, now=NOW).ok is True


def test_no_reader_is_red():
    """A lane that leads to nobody is no lane for tonight, whatever its quota."""
    lit = drills.lamp(drill(reach=0), NOW, now=NOW)
    assert lit.ok is False
    assert drilling.sentence(lit).endswith("reach 0 (no digest has a reader), quota enough")


@pytest.mark.parametrize(
    ("last", "proved_at", "now", "what", "ok"),
    [
        (None, None, NOW, "never", None),
        (drill(), NOW, NOW + GOOD_FOR, "proved", True),
        (drill(), NOW, NOW + GOOD_FOR + timedelta(seconds=1), "stale", False),
        (drill(fault="late", accepted=2), NOW - timedelta(days=1), NOW, "failed", False),
        (drill(fault="not-composed", mailing=None, first_at=None), None, NOW, "failed-first", False),
    ],
)
def test_the_lamp_s_colours(last, proved_at, now, what, ok):
    """What failed today is not hidden by what worked yesterday, and what worked the day before proves nothing."""
    lit = drills.lamp(last, proved_at, now=now)
    assert (lit.what, lit.ok) == (what, ok)
    said = drilling.sentence(lit)
    assert "{" not in said
    assert "drill." not in said


def test_a_failure_names_what_arrived_and_since_when():
    """Whoever reads it must know whether one mailbox is full or nothing goes at all."""
    lit = drills.lamp(drill(fault="late", accepted=2), NOW - timedelta(days=1), now=NOW)
    wanted = "drill failed 02 Mar 06:12: 2 of 3 mailboxes; lane not proved since 01 Mar 06:12"
    assert drilling.sentence(lit) == wanted


@pytest.mark.parametrize(
    ("status", "age", "more", "over", "fault"),
    [
        (books(3), 1, {}, True, None),
        (books(3), 1, {"reach": None}, False, None),
        (books(2), 1, {}, False, None),
        (books(2), PATIENCE.total_seconds() + 1, {}, True, Fault.LATE),
        (books(2, state="done", rejected=1, due=0), 1, {}, True, Fault.LATE),
        (books(0, state="paused", halted="not approved"), 1, {}, True, Fault.HALTED),
        (None, 1, {}, False, None),
        (None, PATIENCE.total_seconds() + 1, {}, True, Fault.NOT_COMPOSED),
    ],
)
def test_when_a_drill_is_over(status, age, more, over, fault):
    """A full mailbox is known at once, a dead lane after ten minutes, a worker that died over it as well."""
    running = drill(ended_at=None, asked_at=NOW - timedelta(seconds=age), **more)
    found, why = drills.judge(running, status, now=NOW)
    assert found is over
    assert not over or why is fault
