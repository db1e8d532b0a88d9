"""An operator takes back what servers said, never what a person said; each act stands in the audit."""

import json

import pytest
from sqlalchemy import text

from newsletter.journeys import suppressing
from newsletter.operators import audit
from newsletter.subscribers.suppression import BadWhy, NotTheirs, Reason
from tests import house


@pytest.fixture
def ann(newsletter, tmp_path):
    """Return the reference of the one reader."""
    house.add_readers(newsletter, tmp_path, ["ann@example.org"])
    with newsletter.parts.database.transaction() as session:
        return session.execute(text("SELECT reference FROM subscriber")).scalar_one()


def lift(made, reference, **more):
    facts = {"address": None, "why": "she phoned", "dry_run": False} | more
    return suppressing.lift(made.parts, reference=reference, **facts)


def acts(made):
    with made.parts.database.transaction() as session:
        return [one for one in audit.listed(session) if one.act == "suppression.lifted"]


@pytest.mark.parametrize("reason", [Reason.DEAD, Reason.QUOTA])
def test_an_operator_lifts_what_servers_said_and_it_is_written_down(newsletter, ann, reason):
    """Somebody asks later who brought this address back, and why."""
    suppressing.suppress(newsletter.parts, ann, reason=reason)
    assert lift(newsletter, ann, dry_run=True).lifted == (reason,)
    assert acts(newsletter) == []
    assert lift(newsletter, ann).lifted == (reason,)
    [act] = acts(newsletter)
    assert (act.actor, act.facts["reasons"]) == ("shell", [reason])
    assert "phoned" not in json.dumps(act.facts)
    with newsletter.parts.database.transaction() as session:
        kept = "SELECT lifted_why, lifted_by FROM suppression"
        assert tuple(session.execute(text(kept)).one()) == ("she phoned", "operator")
    assert lift(newsletter, ann).lifted == ()
    assert len(acts(newsletter)) == 1


@pytest.mark.parametrize("reason", [Reason.LEFT, Reason.COMPLAINT, Reason.NEVER_AGAIN])
def test_an_operator_lifts_nothing_that_a_person_said(newsletter, ann, reason):
    """However well they mean it: whoever said no is asked by nobody but themselves."""
    suppressing.suppress(newsletter.parts, ann, reason=reason)
    with pytest.raises(NotTheirs):
        lift(newsletter, ann)
    suppressing.suppress(newsletter.parts, ann, reason=Reason.DEAD)
    done = lift(newsletter, ann)
    assert (done.lifted, done.kept) == ((Reason.DEAD,), (reason,))
    assert suppressing.listed(newsletter.parts, limit=9)[0]["reason"] == reason


def test_a_reason_that_names_an_address_is_refused(newsletter, ann):
    """It would stand in clear beside sealed addresses."""
    suppressing.suppress(newsletter.parts, ann, reason=Reason.DEAD)
    with pytest.raises(BadWhy):
        lift(newsletter, ann, why="ann@example.org wrote")
    assert acts(newsletter) == []
