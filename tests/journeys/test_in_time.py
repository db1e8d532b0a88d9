"""An alert is sent within the time it was locked for: nobody is told what was true a day ago."""

import pytest
from sqlalchemy import text

from newsletter.delivery.planning import Expired
from newsletter.journeys import alert, desk
from newsletter.ledger.mailings import State
from tests import house
from tests.journeys import nights
from tests.journeys.test_telling import approve
from tests.journeys.test_telling import approver as approver
from tests.journeys.test_telling import author as author
from tests.journeys.test_telling import crew as crew
from tests.journeys.test_telling import made as made


def over(made, number, *, by="1 hour"):
    """Let the time of an alert be over."""
    with made.parts.database.transaction() as session:
        late = text("UPDATE mailing SET expires_at = now() - CAST(:by AS interval) WHERE id = :id")
        session.execute(late, {"id": number, "by": by})


def test_what_is_over_is_not_released(made, tmp_path, author, approver, sink):
    """It would go to nobody, and everybody would be told that it goes."""
    number = nights.locked(made, tmp_path, author, 4)
    approve(made, number, approver)
    assert not desk.shown(made.parts, number).expired
    over(made, number)
    assert desk.shown(made.parts, number).expired
    for attempt in (lambda: alert.may_release(made.parts, number), lambda: alert.release(made.parts, number)):
        with pytest.raises(Expired):
            attempt()
    assert alert.standing(made.parts, number).state is State.APPROVED
    assert "released" not in [event for event, _ in nights.calls(made)]


def test_what_is_over_is_neither_approved_nor_sent_alone(made, tmp_path, author, approver):
    """Nobody types a code for what can no longer go; nor for what would be over before its quarter of an hour is."""
    number = nights.locked(made, tmp_path, author, 4)
    over(made, number, by="-10 minutes")
    with pytest.raises(Expired):
        nights.alone(made, number, author)
    over(made, number)
    with pytest.raises(Expired):
        approve(made, number, approver)
    assert alert.standing(made.parts, number).state is State.LOCKED


def test_what_was_to_go_by_itself_is_a_draft_once_it_is_over(made, tmp_path, author, sink):
    """The machine stood still over night: the team is told that it did not go, and why."""
    number = nights.locked(made, tmp_path, author, 4)
    nights.alone(made, number, author)
    over(made, number)
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE mailing SET start_at = now() - interval '2 hours' WHERE id = :id"), {"id": number})
    made.sweep()
    made.deliver("urgent")
    found = alert.standing(made.parts, number)
    assert (found.state, [one.why for one in found.refusals]) == (State.DRAFT, ["alert.expired"])
    assert len([one for one in sink.messages if one.recipient == house.addresses(1)[0]]) == 0
