"""A list comes in, which is one transaction of a minute, while people sign up: who is not on it waits for nothing."""

import io
import threading
import time

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from newsletter import database
from newsletter.issues import digests
from newsletter.journeys import joining
from newsletter.subscribers import importing
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.signup import Wish
from newsletter.subscribers.subscriptions import Rhythm
from tests import house

ANN, STRANGERS = "ann@example.org", [f"stranger-{number}@example.org" for number in range(6)]
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def ask(made, sql, **facts):
    with made.parts.database.transaction() as session:
        return session.execute(text(sql), facts).all()


@pytest.fixture
def bring(newsletter, tmp_path):
    """Import a list of addresses, and let something happen when all of it is written and nothing committed."""

    def run(addresses, meanwhile=lambda: None, **more):
        with newsletter.parts.database.transaction() as session:
            into, now = digests.by_key(session, "weekly"), database.now(session)
        terms = importing.Terms(into.id, "en", Rhythm.WEEKLY, Basis.IMPORTED, 0, now, **more)
        return importing.import_csv(
            newsletter.parts.database,
            io.BytesIO("\n".join(["email,name", *(f"{one},From the list" for one in addresses)]).encode()),
            terms=terms,
            evidence="paper forms",
            rejects=tmp_path / "rejects",
            before_commit=lambda *_: meanwhile(),
        )

    return run


def wish(made, *addresses):
    for address in addresses:
        joining.ask(made.parts, Wish(address, "en", {"weekly": "weekly"}))


def say_yes(made):
    for (number,) in ask(made, "SELECT id FROM signup WHERE asked_at IS NOT NULL AND answered_at IS NULL"):
        assert joining.confirm_by_reply(made.parts, number)


def states(made):
    return [state for (state,) in ask(made, "SELECT state FROM signup ORDER BY id")]


@pytest.mark.parametrize("place", [0, 3, 6])
def test_whoever_a_list_does_not_name_is_asked_at_once(newsletter, bring, place):
    """One who is named had all the others of their turn wait until the import was through: their mail came minutes late."""
    wish(newsletter, *STRANGERS[:place], ANN, *STRANGERS[place:])

    def work():
        began = time.monotonic()
        with capture_logs() as said:
            assert joining.work(newsletter.parts) == len(STRANGERS)
        assert time.monotonic() - began < 10
        assert [(one["log_level"], one["count"]) for one in said if one["event"] == "sign-ups wait"] == [("info", 1)]
        waiting = ["asked"] * 7
        waiting[place] = "waiting"
        assert states(newsletter) == waiting

    bring([ANN], work)
    assert joining.work(newsletter.parts) == 1
    assert states(newsletter) == ["asked"] * 7


def test_whoever_a_list_does_not_name_comes_in_at_once(newsletter, bring):
    """The same for a yes; and hers counts when the list is through, beside what that says of her."""
    wish(newsletter, *STRANGERS, ANN)
    joining.work(newsletter.parts)
    say_yes(newsletter)

    def work():
        assert joining.work(newsletter.parts) == len(STRANGERS)
        assert states(newsletter) == ["settled"] * 6 + ["asked"]

    bring([ANN], work)
    assert joining.work(newsletter.parts) == 1
    assert states(newsletter) == ["settled"] * 7
    hers = "SELECT s.id FROM subscriber s JOIN signup g USING (mailbox_id) WHERE g.id = (SELECT max(id) FROM signup)"
    grants = f"SELECT import_id IS NULL FROM consent_event WHERE subscriber_id = ({hers})"
    assert sorted(ask(newsletter, grants)) == [(False,), (True,)], "by her own word and by the list's"


@pytest.mark.parametrize("said_yes", [False, True], ids=["to be asked", "said yes"])
def test_a_list_that_is_through_while_a_turn_waits_for_it_spoils_no_turn(newsletter, bring, said_yes):
    """Both make the same mailbox, reader and subscription: whoever is later finds them there, and neither fails."""
    wish(newsletter, ANN, *STRANGERS)
    if said_yes:
        joining.work(newsletter.parts)
        say_yes(newsletter)
    failed, thread = [], threading.Thread(target=lambda: attempt())

    def attempt():
        try:
            joining.work(newsletter.parts)
        except Exception as error:
            failed.append(error)

    def until_it_waits():
        thread.start()
        patience = time.monotonic() + 10
        while not ask(newsletter, BLOCKED)[0][0] and time.monotonic() < patience:
            time.sleep(0.005)

    assert bring([ANN], until_it_waits).added == 1
    thread.join(30)
    joining.work(newsletter.parts)
    assert failed == []
    assert set(states(newsletter)) == {"settled" if said_yes else "asked"}
    assert ask(newsletter, "SELECT count(*) FROM mailbox WHERE id IN (SELECT mailbox_id FROM signup)") == [(7,)]


# A fault of ours, such as a sign-up that a constraint never lets in.
FAULT = """
    CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'duplicate key: %', NEW.id USING ERRCODE = '{code}', CONSTRAINT = 'one_of_a_kind'; END $$;
    CREATE TRIGGER fault BEFORE UPDATE ON signup FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION fault()
"""


@pytest.mark.parametrize("code", ["unique_violation", "foreign_key_violation"])
def test_what_waits_for_no_list_is_warned_of_by_its_cause(newsletter, database_urls, code):
    """It was called a list that is coming in, at the level of what is as it should be: such a wish waited for ever, unseen."""
    wish(newsletter, *STRANGERS)
    house.by_owner(database_urls, FAULT.format(code=code))
    with capture_logs() as said:
        joining.work(newsletter.parts)
    assert states(newsletter) == ["asked", "waiting", "asked", "asked", "asked", "asked"]
    [warned] = [one for one in said if one["event"] == "sign-ups wait"]
    assert warned["log_level"] == "warning"
    assert (warned["causes"], warned["numbers"]) == ({"one_of_a_kind": 1}, [2])
    assert "no list is coming in" in warned["why"]
    assert "example.org" not in str(warned)
