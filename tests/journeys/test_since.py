"""What whoever approves is shown of what changed: all since what they saw, and not since whatever was locked last."""

import pytest

from newsletter.journeys import alert, drafting
from newsletter.journeys.drafting import Revision
from newsletter.operators.roles import Role
from tests import house
from tests.journeys.test_alert import approver as approver
from tests.journeys.test_alert import author as author
from tests.journeys.test_alert import by_code
from tests.journeys.test_alert import crew as crew
from tests.journeys.test_alert import made as made
from tests.journeys.test_alert import pages as pages

FIRST = "# Lorries at Sarand\n\nFourteen lorries stand at the second gate.\n"
FIGURE = FIRST.replace("Fourteen", "Forty")
STOP = FIGURE.replace("gate.", "gate!")


@pytest.fixture
def number(made, tmp_path, author):
    house.add_readers(made, tmp_path, house.addresses(4))
    wish = drafting.Wish((FIRST,), house.DIGEST)
    number = drafting.draft_words(made.parts, wish, by=author.id)
    alert.lock(made.parts, number, by=author.id)
    return number


def locked_anew(made, number, author, words):
    drafting.edit_words(made.parts, number, Revision((words,)), by=author.id)
    alert.lock(made.parts, number, by=author.id)


def shown(made, number, reader=None):
    since = alert.standing(made.parts, number, reader=reader and reader.id).since
    return since, [line for change in since.changes for line in change.lines if line[0] in "+-"]


def test_two_locks_in_a_row_hide_no_change(made, number, author, approver):
    """The figure is changed, then a full stop: whoever read the first and is shown the full stop alone signs the figure unseen."""
    locked_anew(made, number, author, FIGURE)
    locked_anew(made, number, author, STOP)
    for reader in (None, approver):
        since, lines = shown(made, number, reader)
        assert (since.number, since.approved, since.own, since.between) == (1, False, False, 1)
        assert "-Fourteen lorries stand at the second gate." in lines
        assert "+Forty lorries stand at the second gate!" in lines


def test_what_somebody_approved_they_saw(made, number, author, approver):
    """Nobody is made to read again what they signed; and a lock that another signed is none that they saw."""
    other = approver
    locked_anew(made, number, author, FIGURE)
    by_code(made, number, other)
    locked_anew(made, number, author, STOP)
    for reader, own in ((other, True), (None, False)):
        since, lines = shown(made, number, reader)
        assert (since.number, since.approved, since.own, since.between) == (3, True, own, 0)
        assert lines == ["-Forty lorries stand at the second gate.", "+Forty lorries stand at the second gate!"]


def test_what_another_approved_is_none_that_one_saw(made, number, author, approver, crew):
    """The second approver takes over at four in the morning, and has read the first lock alone."""
    fresh = crew.member(Role.APPROVER, name="Lale Aksoy")
    locked_anew(made, number, author, FIGURE)
    by_code(made, number, approver)
    locked_anew(made, number, author, STOP)
    since, lines = shown(made, number, fresh)
    assert (since.number, since.between) == (1, 1)
    assert "-Fourteen lorries stand at the second gate." in lines


def test_of_the_first_lock_there_is_nothing_before(made, number):
    """It is read whole."""
    assert alert.standing(made.parts, number).since is None
