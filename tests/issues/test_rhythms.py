"""To whom an issue goes, by how often they want it: one rule, for composing, planning and where a reader begins."""

import pytest

from newsletter.issues import rhythms
from newsletter.subscribers.subscriptions import ISSUED, Rhythm

EACH, DAILY, WEEKLY, MONTHLY = ISSUED


@pytest.mark.parametrize(
    ("issue", "own", "readers"),
    [
        (WEEKLY, WEEKLY, (EACH, DAILY, WEEKLY)),
        (DAILY, DAILY, (EACH, DAILY)),
        (EACH, EACH, (EACH,)),
        (MONTHLY, MONTHLY, (EACH, DAILY, WEEKLY, MONTHLY)),
        (EACH, WEEKLY, (EACH,)),
        (DAILY, WEEKLY, (DAILY,)),
        (MONTHLY, WEEKLY, (MONTHLY,)),
    ],
)
def test_the_digests_own_issue_goes_to_whoever_wants_it_more_often_too(issue, own, readers):
    """Whoever wants more must not have less; an issue cut besides is for those alone who chose its rhythm."""
    assert rhythms.readers_of(issue, own=own) == readers


@pytest.mark.parametrize("own", ISSUED)
def test_everybody_is_reached_by_an_issue_of_the_own_rhythm_or_waits(own):
    """Nobody stands between: whoever is in no issue of the digest's own is named as waiting."""
    waits, reached = rhythms.more_seldom(own), rhythms.readers_of(own, own=own)
    assert (set(waits) | set(reached), set(waits) & set(reached)) == (set(ISSUED), set())


@pytest.mark.parametrize("own", ISSUED)
@pytest.mark.parametrize("reader", ISSUED)
def test_a_reader_begins_after_the_issues_that_would_have_reached_them(own, reader):
    """The same rule from the other side: an issue that goes to them is one they would have had."""
    found = [issue for issue in ISSUED if reader in rhythms.readers_of(issue, own=own)]
    assert list(rhythms.issues_for(reader, own=own)) == found


def test_emergencies_have_no_issue():
    """Whoever takes those alone is in no issue, and would have had none."""
    assert all(Rhythm.EMERGENCIES not in rhythms.readers_of(one, own=own) for one in ISSUED for own in ISSUED)
    assert all(rhythms.issues_for(Rhythm.EMERGENCIES, own=own) == () for own in ISSUED)
