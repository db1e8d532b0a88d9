"""How fast the wire is: what a refusal is measured by."""

import pytest

from newsletter.delivery.speed import Speed


def test_a_pace_that_is_asked_for_again_and_again_is_that_of_a_second():
    """Between two polls of a budget nothing is begun: a refusal that came then took a relay to a hundred-and-fortieth."""
    speed = Speed()
    for poll in range(500):
        speed.step(int(poll * 0.01 * 14), now=poll * 0.01)
    assert speed.lately(70, now=5.0) == pytest.approx(14, abs=1)
    assert speed.step(69, now=5.0) == 0, "the next window is made by what went since the last"


def test_a_fast_wire_is_measured_by_its_last_second():
    """What it was able to do at its start says nothing of the pace that was too fast."""
    speed, begun = Speed(), 0
    for window in range(100):
        begun += 250 if window < 60 else 50
        assert speed.step(begun, now=window * 0.05) in (None, pytest.approx(5000), pytest.approx(1000))
    assert speed.lately(begun, now=99 * 0.05) == pytest.approx(1000, rel=0.01)


def test_an_answer_that_is_waited_for_makes_nothing_slower():
    """One letter and a relay that thinks for ten seconds: a tenth of a message a second was never its pace."""
    speed = Speed()
    assert speed.lately(0, now=0.0) == 0.0
    assert speed.step(0, now=0.0) is None
    assert speed.lately(1, now=10.0) == 1.0
    assert speed.lately(1, now=0.001) == 20.0, "nor does a millisecond make it fast"
