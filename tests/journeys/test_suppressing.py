"""An operator takes back what servers said, never what a person said; each act stands in the audit."""

import json

import pytest
from sqlalchemy import text

from newsletter.journeys import moving_in, suppressing
from newsletter.journeys.acting import NobodyNamed
from newsletter.journeys.finding import MOST, TooMany
from newsletter.operators import audit
from newsletter.operators.roles import NotAllowed, Role
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.suppression import BadWhy, NotTheirs, Reason
from tests import house
from tests.operators.crew import Crew


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


@pytest.fixture
def ways(newsletter, ann, tmp_path):
    """Each act on the do-not-mail list and on a whole import, by whoever says so; with what it leaves in the audit."""
    parts, path = newsletter.parts, tmp_path / "never.csv"
    path.write_text("email\nbob@example.org\nnobody\n")
    suppressing.suppress(parts, ann, reason=Reason.DEAD)
    return {
        "suppression.lifted": lambda by: lift(newsletter, ann, by=by),
        "suppressions.imported": lambda by: suppressing.import_csv(parts, str(path), dry_run=False, by=by),
        "suppressions.listed": lambda by: suppressing.listed(parts, limit=9, by=by),
        "import.brought": lambda by: moving_in.import_subscribers(
            parts, str(path), digest_key=house.DIGEST, permission=moving_in.Permission(Basis.IMPORTED, "a test"), by=by
        ),
        "import.asked": lambda by: moving_in.ask(parts, 1, by=by),
        "import.undone": lambda by: moving_in.undo(parts, 1, suppressions_too=False, by=by),
    }


def written(made):
    with made.parts.database.transaction() as session:
        return [(one.act, one.actor) for one in reversed(audit.listed(session))]


def test_who_acts_on_suppressions_and_imports_is_named(newsletter, ways):
    """Where there are operators the audit must say which of them it was, and a sender has no business with the list."""
    crew = Crew(newsletter.parts.database, newsletter.parts.database)
    officer, sender = crew.member(Role.DATA_OFFICER), crew.member(Role.SENDER)
    before = written(newsletter)
    for way in ways.values():
        with pytest.raises(NobodyNamed):
            way(None)
        with pytest.raises(NotAllowed):
            way(sender.id)
    assert written(newsletter) == before
    for way in ways.values():
        way(officer.id)
    assert written(newsletter)[len(before) :] == [(act, str(officer.id)) for act in ways]


def test_before_there_are_operators_the_shell_is_named(newsletter, ways):
    """On the first day nobody has a number yet; one row each all the same."""
    before = len(written(newsletter))
    for way in ways.values():
        way(None)
    assert written(newsletter)[before:] == [(act, audit.SHELL) for act in ways]


def test_the_do_not_mail_list_is_not_printed_whole(newsletter):
    """It names people as the list does: a look shows a few of them."""
    with pytest.raises(TooMany):
        suppressing.listed(newsletter.parts, limit=MOST + 1)
    assert suppressing.listed(newsletter.parts, limit=MOST) == []


def test_a_dry_run_of_a_do_not_mail_list_writes_no_row(newsletter, tmp_path):
    """The audit says what was done."""
    path = tmp_path / "never.csv"
    path.write_text("email\nbob@example.org\n")
    before = written(newsletter)
    assert suppressing.import_csv(newsletter.parts, str(path), dry_run=True)[0].added == 1
    assert written(newsletter) == before


def test_a_dry_run_of_an_import_writes_no_row(newsletter, tmp_path):
    """So does that of people who read."""
    path = tmp_path / "people.csv"
    path.write_text("email\nbob@example.org\n")
    before = written(newsletter)
    permission = moving_in.Permission(Basis.IMPORTED, "a test")
    brought = {"digest_key": house.DIGEST, "permission": permission}
    assert moving_in.import_subscribers(newsletter.parts, str(path), dry_run=True, **brought).added == 1
    assert written(newsletter) == before
