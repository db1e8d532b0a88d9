"""Somebody is to be forgotten while a list comes in that may be bringing them: it is done when that is through; neither fails."""

import threading
import time

import pytest
from sqlalchemy import text

from newsletter import mailboxes
from newsletter.addresses import EmailAddress
from newsletter.journeys import erasing, holding, joining, privacy, retention
from newsletter.journeys.holding import Asked
from newsletter.subscribers import subscriptions
from tests import house
from tests.journeys.test_beside_a_list import ANN, BLOCKED, ask, bring, say_yes, states, wish

__all__ = ["bring"]

BOB = "bob@example.org"
LEFT = (
    "SELECT count(*) FROM subscriber JOIN mailbox m ON m.id = mailbox_id WHERE m.id = :box OR m.address_sealed IS NULL"
)


@pytest.fixture
def ann(newsletter, bring):
    """(reader, mailbox) of Ann, who takes another digest than the one that lists bring."""
    bring([ANN])
    [found] = ask(newsletter, "SELECT id, mailbox_id FROM subscriber")
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE subscription SET ended_at = now(), end_reason = 'a test'"))
        assert subscriptions.of(session, found.id) == []
    return found


def meant(made, address=ANN):
    with made.parts.database.transaction() as session:
        return erasing.whose(session, address=EmailAddress.parse(address))


def erase(made, whose):
    return erasing.erase(made.parts, whose, by="shell")


def quickly(act):
    """Do something, and have it take a moment: not until the list is through, nor until PostgreSQL gives up."""
    began = time.monotonic()
    done = act()
    assert time.monotonic() - began < 5
    return done


def test_an_erasure_within_a_batch_fails_no_list(newsletter, bring, ann):
    """She was looked up and is gone when her subscription is written: the operator of the list read of a foreign key."""
    done, refused = [], []
    with newsletter.parts.database.transaction() as other:
        # What the batch waits for once it has looked everybody up; in the end nobody made it.
        mailboxes.find_or_make(other, EmailAddress.parse(BOB))
        thread = threading.Thread(target=lambda: done.append(bring([ANN, BOB])))
        thread.start()
        patience = time.monotonic() + 10
        while not ask(newsletter, BLOCKED)[0][0] and time.monotonic() < patience:
            time.sleep(0.01)
        try:
            erase(newsletter, meant(newsletter))
        except erasing.ListComesIn as error:
            refused.append(error.message)
        other.rollback()
    thread.join(20)
    assert refused == ["erasures.list-comes-in"]
    assert (done[0].added, done[0].changed) == (1, 1)
    erase(newsletter, meant(newsletter))
    assert ask(newsletter, LEFT, box=ann.mailbox_id) == [(0,)]
    assert bring([ANN]).rejected == 1, "and the next list brings her no more"


@pytest.mark.parametrize("overwrite", [False, True], ids=["plainly", "overwriting"])
def test_a_wish_to_be_erased_is_done_when_the_list_is_through(newsletter, bring, ann, overwrite):
    """Her page said that it is being done: nobody waits for minutes, nothing is refused, and the worker comes back to it."""
    parts = newsletter.parts

    def press():
        privacy.ask_erasure(parts, house.fresh_link(newsletter, ann.id).rpartition("/")[2], may_come_back=False)
        privacy.work(parts)
        assert privacy.any_due(parts)

    bring([ANN], lambda: quickly(press), overwrite=overwrite)
    privacy.work(parts)
    assert not privacy.any_due(parts)
    assert ask(newsletter, LEFT, box=ann.mailbox_id) == [(0,)]


def test_whom_a_list_made_a_reader_since_they_were_looked_up_is_erased_as_one(newsletter, bring):
    """An operator looks up somebody who signed up, and confirms a minute later: their name must not stay without an address."""
    wish(newsletter, ANN)
    joining.work(newsletter.parts)
    whose = meant(newsletter)

    def too_soon():
        with pytest.raises(erasing.ListComesIn):
            erase(newsletter, whose)

    bring([ANN], lambda: quickly(too_soon))
    erase(newsletter, whose)
    assert ask(newsletter, LEFT, box=whose.mailbox_id) == [(0,)]


def test_a_sign_up_that_is_over_takes_no_address_from_who_comes_in(newsletter, bring, database_urls):
    """A month without an answer, and the address is forgotten; a list brought its owner that minute, and they were never mailed."""
    wish(newsletter, ANN)
    joining.work(newsletter.parts)
    house.by_owner(database_urls, "UPDATE signup SET came_at = now() - interval '40 days'")
    bring([ANN], lambda: quickly(lambda: joining.tidy(newsletter.parts)))
    joining.tidy(newsletter.parts)
    assert states(newsletter) == []
    assert ask(newsletter, "SELECT count(*) FROM mailbox WHERE address_sealed IS NOT NULL") == [(1,)]
    assert bring([ANN]).unchanged == 1, "and their address is known again"


def test_what_is_taken_back_keeps_no_sign_up_waiting(newsletter, bring):
    """Who is taken back and named by a list is waited for by nobody: a stranger's question goes out."""
    wish(newsletter, ANN)
    joining.work(newsletter.parts)
    say_yes(newsletter)
    joining.work(newsletter.parts)
    holding.undo(newsletter.parts, Asked(minutes=10, held=False))

    def work():
        wish(newsletter, BOB)
        joining.work(newsletter.parts)

    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE subscription SET ended_at = now(), end_reason = 'a test'"))
    bring([ANN], lambda: quickly(work))
    assert states(newsletter)[-1] == "asked"
    joining.work(newsletter.parts)
    assert states(newsletter) == ["undone", "asked"]


def test_who_never_answered_is_forgotten_after_the_list(newsletter, bring, database_urls):
    """Upkeep came by each minute, waited twenty seconds for the list, and left all that comes after it undone."""
    bring([ANN])
    [(number,)] = ask(newsletter, "SELECT id FROM import_run")
    house.by_owner(database_urls, "INSERT INTO digest (key, name, languages) VALUES ('other', 'Other', '{en}')")
    sources = "subscriber s, digest d WHERE d.key = 'other'"
    house.by_owner(
        database_urls,
        f"INSERT INTO unproven (subscriber_id, digest_id, import_id) SELECT s.id, d.id, {number} FROM {sources}",
    )
    for change in (
        "DELETE FROM subscription",
        "DELETE FROM consent_event",
        "UPDATE import_run SET at = now() - interval '400 days'",
    ):
        house.by_owner(database_urls, change)
    bring([ANN], lambda: quickly(lambda: retention.tidy(newsletter.parts)))
    retention.tidy(newsletter.parts)
    assert ask(newsletter, "SELECT count(*) FROM subscriber") == [(1,)], "the list brought her with a permission"
