"""The judge of a night convicts: a page that only tells how late it was would be read as a good one."""

from dataclasses import replace

import pytest

from tests.night import judge, page
from tests.night.judge import Measured, Promised
from tests.night.sink import Account

GOOD = Measured({"alert": 1.4, "correction": 1.9}, 0.3, {"correction": Promised(by=100.0, last=101.9)})


def test_a_night_in_time_is_not_convicted():
    """As late as a first mail may be, the last one may be as well: the night's clock makes minutes of two seconds."""
    assert judge.late(GOOD) == []
    assert page.verdict(Account(), judge.late(GOOD), 7)[-1].startswith("All of it was in time")


@pytest.mark.parametrize(
    ("night", "says"),
    [
        (replace(GOOD, first={"alert": 2.1}), "alert: first mail 2.1 s after the thumb, promised within 2 s"),
        (replace(GOOD, first={"correction": None}), "correction: no message of it reached"),
        (replace(GOOD, after_stop=0.6), "begun 0.60 s after the stop"),
        (replace(GOOD, first={"back": 2.4}), "back: first mail 2.4 s"),
        (replace(GOOD, on_again={"killed one": 11.0}), "killed one: it went on after 11.0 s"),
        (replace(GOOD, on_again={"killed whole": None}), "killed whole: nothing went on"),
        (replace(GOOD, promised={"correction": Promised(100.0, 107.0)}), "came 7.0 s of this machine after the hour"),
    ],
    ids=[
        "a late first mail",
        "no mail",
        "a late stop",
        "a late word back",
        "a late start",
        "no start",
        "a broken promise",
    ],
)
def test_what_is_late_is_convicted_on_the_page_and_by_the_exit_code(night, says):
    """Somebody who runs it before a release reads one word at the end, and a machine reads one number."""
    [said] = judge.late(night)
    assert says in said
    lines = page.verdict(Account(), [said], 7)
    assert lines[-2:] == ["THE NIGHT WAS NOT IN TIME:", f"  {said}"]
    written = page.Page("\n".join(lines), [], [said])
    assert written.convicts
    assert not page.Page("", [], []).convicts
    assert page.Page("", ["one reader has it twice"], []).convicts


def test_books_that_differ_are_said_beside_what_was_late():
    """The worse of two must not hide behind the other."""
    account = Account(faults=["en1 had nothing"])
    lines = page.verdict(account, judge.late(replace(GOOD, first={"alert": 9.0})), 7)
    assert lines[0] == "THE MAIL SERVER AND THE BOOKS DISAGREE:"
    assert "THE NIGHT WAS NOT IN TIME:" in lines
