"""What was approved and waits for its time: each begins by itself, and the team hears of what does not go after all."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import text

from newsletter import database
from newsletter.delivery.alone import HeardLate, Unheard
from newsletter.journeys import alert, drafting, publish, stopping, team
from newsletter.ledger.mailings import State
from newsletter.operators import audit, people
from newsletter.operators.night import Fault
from newsletter.operators.roles import Role
from newsletter.operators.sessions import Factor
from tests import house
from tests.delivery.test_carrying import wait_for
from tests.journeys import nights
from tests.journeys.test_alert import (
    approver as approver,
)
from tests.journeys.test_alert import (
    author as author,
)
from tests.journeys.test_alert import (
    books,
    locked,
    now,
)
from tests.journeys.test_alert import (
    crew as crew,
)
from tests.journeys.test_alert import (
    made as made,
)
from tests.journeys.test_alert import (
    pages as pages,
)
from tests.journeys.test_alert import (
    words as words,
)
from tests.journeys.test_forging import attacker

START = text("UPDATE mailing SET start_at = now() WHERE state = 'approved'")


def sent_alone(made, tmp_path, words, author):
    """Return an alert that one person sends alone, a quarter of an hour ago."""
    number = locked(made, tmp_path, words, author, 4)
    alert.send_alone(made.parts, number, by=author.id, factor=Factor.TOTP, answer=author.code(now(made)))
    return number


@pytest.fixture
def issue(made, tmp_path, database_urls):
    """An issue that is due, and whose rows take as long as this lasts."""
    composed = house.issue(made, tmp_path, addresses=house.addresses(4))
    with made.parts.database.transaction() as session:
        later = database.now(session).replace(year=2100)
    publish.release(made.parts, composed.mailing, start_at=later)
    with attacker(database_urls.worker) as held:
        yield lambda: held.execute("LOCK TABLE variant_group IN ACCESS EXCLUSIVE MODE"), held.rollback


def test_an_alert_goes_and_can_be_stopped_while_an_issue_is_planned(made, pages, tmp_path, words, author, issue):
    """The rows of a million take a minute: the alert would have gone after it, and nobody could have stopped it before."""
    hold, let_go = issue
    number = sent_alone(made, tmp_path, words, author)
    with made.parts.database.transaction() as session:
        session.execute(START)
    hold()
    sweep = threading.Thread(target=made.sweep)
    sweep.start()
    try:
        wait_for(lambda: books(made, number).state == State.SENDING, seconds=10)
        assert sweep.is_alive()
        stopping.by_hand(pages.parts, number, State.STOPPED, by=author.id)
        assert alert.standing(made.parts, number).state is State.STOPPED
    finally:
        let_go()
        sweep.join()


def test_the_lifeboat_sends_an_alert_while_an_issue_is_planned(made, tmp_path, words, author, sink, issue):
    """Without a broker one loop does all of it, and an alert must not wait in it for the rows of a million."""
    hold, let_go = issue
    house.add_readers(made, tmp_path, house.addresses(2))
    with made.parts.database.transaction() as session:
        session.execute(START)
        session.execute(text("DELETE FROM subscription WHERE subscriber_id > 2"))
    number = drafting.draft(made.parts, words, digest_key=house.DIGEST, by=author.id)
    alert.lock(made.parts, number, by=author.id)
    alert.release(made.parts, number, by=author.id)
    hold()
    try:
        made.lifeboat(["urgent"], until=lambda: len(sink.messages) == 2, pause_seconds=0.05)
        assert len(sink.messages) == 2
    finally:
        let_go()
    wait_for(lambda: books(made, 1).state == State.SENDING, seconds=10)


def test_the_team_is_told_what_does_not_go_after_all(made, tmp_path, words, author, approver, sink, database_urls):
    """Whoever sent it alone has gone to sleep in the belief that it goes."""
    number = sent_alone(made, tmp_path, words, author)
    made.deliver("transactional")
    sink.messages.clear()
    house.add_readers(made, tmp_path, house.addresses(9))
    heard(database_urls, number)
    made.sweep()
    made.sweep()
    made.deliver("transactional")
    with made.parts.database.transaction() as session:
        calls = session.execute(text("SELECT facts FROM hook_call WHERE event = 'refused'")).scalars().all()
        acts = [entry.act for entry in audit.listed(session)]
    assert alert.standing(made.parts, number).state is State.DRAFT
    assert calls == [{"alert": number, "why": "alert.count-moved"}]
    assert acts.count("alert.unlocked") == 1
    assert len(sink.messages) == 2
    assert all(b"did NOT go" in message.content for message in sink.messages)


@pytest.mark.parametrize("taken", ["access", "role"])
def test_what_somebody_sent_alone_does_not_go_once_they_are_disabled(
    made, tmp_path, words, author, approver, sink, taken, database_urls
):
    """Somebody's phone was stolen and its password with it: whoever ends that access believes that nothing of it goes.

    So does whoever takes from them what they could send by.
    """
    number = sent_alone(made, tmp_path, words, author)
    made.deliver("transactional")
    sink.messages.clear()
    with made.parts.database.transaction() as session:
        if taken == "access":
            people.disable(session, author.id, by=approver.id, now=database.now(session))
        else:
            people.set_roles(session, author.id, [Role.WRITER], now=database.now(session))
    heard(database_urls, number)
    overdue(database_urls, number)
    made.sweep()
    made.deliver("urgent")
    assert sink.messages == []
    found = alert.standing(made.parts, number)
    assert found.state is State.DRAFT
    assert [one.why for one in found.refusals] == ["alert.sender-left"]
    made.deliver("transactional")
    told = [approver.address] if taken == "access" else sorted([approver.address, author.address])
    assert sorted(message.recipient for message in sink.messages) == told
    assert b"did NOT go" in sink.messages[0].content


def overdue(database_urls, number):
    """The quarter of an hour is over, with the word that was given then."""
    house.by_owner(database_urls, "ALTER TABLE approval DISABLE TRIGGER USER")
    house.by_owner(database_urls, "UPDATE approval SET at = now() - interval '16 minutes'")
    house.by_owner(database_urls, "ALTER TABLE approval ENABLE TRIGGER USER")
    house.by_owner(database_urls, "UPDATE mailing SET start_at = now() WHERE id = %s", number)


def heard(database_urls, number):
    """The mail that stops it was taken a quarter of an hour ago, and what waits for that has its hour now."""
    house.by_owner(
        database_urls, "UPDATE delivery SET outcome_at = now() - interval '16 minutes' WHERE state = 'accepted'"
    )
    house.by_owner(database_urls, "UPDATE mailing SET start_at = now() WHERE id = %s", number)


def test_what_one_sends_alone_waits_for_somebody_to_have_the_link(
    made, pages, tmp_path, words, author, approver, sink, database_urls
):
    """The quarter of an hour is worth nothing where the mail that says so still waits: nobody could have stopped it."""
    number = sent_alone(made, tmp_path, words, author)
    overdue(database_urls, number)
    made.sweep()
    made.sweep()
    with pytest.raises(Unheard):
        alert.release(made.parts, number, by=author.id)
    assert made.deliver("urgent") == 0
    found = alert.standing(pages.parts, number)
    assert (found.state, found.waits_for.fault) == (State.APPROVED, Fault.UNHEARD)
    assert [facts for event, facts in nights.calls(made) if event == "unheard"] == [{"alert": number, "lock": 1}]
    sink.messages.clear()
    made.deliver("transactional")
    assert approver.address in [message.recipient for message in sink.messages]
    assert alert.standing(pages.parts, number).waits_for is None


def test_whoever_hears_late_has_as_long_to_stop_it(made, tmp_path, words, author, approver, sink, database_urls):
    """A relay that was away for twenty minutes must not make a quarter of an hour into five seconds."""
    number = sent_alone(made, tmp_path, words, author)
    overdue(database_urls, number)
    made.sweep()
    made.deliver("transactional")
    before = now(made)
    with pytest.raises(HeardLate):
        alert.release(made.parts, number, by=author.id)
    made.sweep()
    assert made.deliver("urgent") == 0
    found = alert.standing(made.parts, number)
    assert (found.state, found.waits_for) == (State.APPROVED, None)
    assert timedelta(minutes=14) < found.start_at - before <= timedelta(minutes=15)
    told = [facts["starts_at"] for event, facts in nights.calls(made) if event == "released"]
    assert told[1:] == [found.start_at.isoformat()]
    heard(database_urls, number)
    made.sweep()
    assert made.deliver("urgent") == 4


def test_what_somebody_heard_of_after_its_lock_was_over_does_not_go(
    made, tmp_path, words, author, approver, sink, database_urls
):
    """The new hour lies behind the end of the lock: it becomes a draft of which the team hears, and is not forgotten."""
    number = sent_alone(made, tmp_path, words, author)
    made.deliver("transactional")
    overdue(database_urls, number)
    made.sweep()
    sink.messages.clear()
    house.by_owner(
        database_urls, "UPDATE mailing SET start_at = now() - interval '1 s', expires_at = now() WHERE id = %s", number
    )
    house.by_owner(database_urls, "UPDATE delivery SET outcome_at = now() - interval '1 hour'")
    made.sweep()
    made.sweep()
    made.deliver("transactional")
    assert alert.standing(made.parts, number).state is State.DRAFT
    assert all(b"did NOT go" in message.content for message in sink.messages)
    assert len(sink.messages) == 2


def test_an_hour_that_holds_is_left_alone(made, tmp_path, words, author, approver, database_urls):
    """The mail went at once, as it nearly always does: it goes when it was said, and the hook is told of it once."""
    number = sent_alone(made, tmp_path, words, author)
    made.deliver("transactional")
    overdue(database_urls, number)
    heard(database_urls, number)
    made.sweep()
    assert books(made, number).state == "sending"
    assert len([event for event, _ in nights.calls(made) if event == "released"]) == 1


def test_one_s_own_link_is_no_other_s(made, tmp_path, words, author, approver, sink, database_urls):
    """Whoever took over one account must not be the only one who could stop what they send by it."""
    number = sent_alone(made, tmp_path, words, author)
    overdue(database_urls, number)
    theirs = f"mailbox_id = (SELECT mailbox_id FROM operator WHERE id = {approver.id})"
    house.by_owner(database_urls, f"UPDATE delivery SET state = 'rejected' WHERE {theirs}")
    house.by_owner(database_urls, f"UPDATE delivery SET state = 'accepted' WHERE NOT {theirs}")
    made.sweep()
    assert alert.standing(made.parts, number).waits_for.fault is Fault.UNHEARD


def test_in_a_team_of_one_there_is_nobody_to_tell(made, tmp_path, words, author, database_urls):
    """One person and a phone: nothing of theirs may wait for a colleague who does not exist."""
    number = sent_alone(made, tmp_path, words, author)
    overdue(database_urls, number)
    made.sweep()
    assert books(made, number).state == "sending"


@pytest.mark.parametrize(("ago", "goes"), [("23 hours", False), ("25 hours", True)])
def test_who_was_disabled_within_a_day_is_somebody_to_tell(
    made, tmp_path, words, author, approver, database_urls, ago, goes
):
    """Whoever ends the others' access is no team of one by that, before they had a day to say that it was wrong."""
    disabled = "UPDATE operator SET disabled_at = now() - %s::interval WHERE id = %s"
    house.by_owner(database_urls, disabled, ago, approver.id)
    number = sent_alone(made, tmp_path, words, author)
    overdue(database_urls, number)
    made.sweep()
    assert books(made, number).state == ("sending" if goes else "approved")


def disabled(made, who):
    with made.parts.database.transaction() as session:
        people.disable(session, who.id, by=audit.SHELL, now=database.now(session))


def answering(made, sink, who, refusal):
    """Have the relay refuse the mails to somebody, and hand over what waits."""
    sink.refuse = lambda recipient: refusal if recipient == who.address else None
    made.deliver("transactional")
    made.sweep()
    made.deliver("transactional")


@pytest.mark.parametrize(
    "refusal", ["550 5.1.1 no such user", "550 5.2.1 The account that you tried to reach is disabled."]
)
def test_whose_mailbox_went_with_them_keeps_no_alert(
    made, tmp_path, words, author, approver, sink, database_urls, refusal
):
    """Noor left today, and her mailbox with her: what the one who is left sends at night waited for her for good."""
    disabled(made, approver)
    number = sent_alone(made, tmp_path, words, author)
    answering(made, sink, approver, refusal)
    overdue(database_urls, number)
    made.sweep()
    assert books(made, number).state == "sending"


@pytest.mark.parametrize(
    ("left", "refusal"), [(True, "451 4.3.0 later"), (False, "550 5.1.1 no such user")], ids=["away", "refused"]
)
def test_a_mailbox_that_may_come_back_is_somebody_s(
    made, tmp_path, words, author, approver, sink, database_urls, left, refusal
):
    """A server that is away for a quarter of an hour makes nobody of a colleague, nor does one that refuses who is still there."""
    if left:
        disabled(made, approver)
    number = sent_alone(made, tmp_path, words, author)
    answering(made, sink, approver, refusal)
    overdue(database_urls, number)
    made.sweep()
    assert alert.standing(made.parts, number).waits_for.fault is Fault.UNHEARD


def test_who_is_let_back_in_hears_as_before(made, tmp_path, words, author, approver, sink, database_urls):
    """The mail that says that somebody was disabled names the command that lets them in: by that they heard of nothing any more."""
    disabled(made, approver)
    team.invite(made.parts, approver.id)
    number = sent_alone(made, tmp_path, words, author)
    overdue(database_urls, number)
    made.sweep()
    assert books(made, number).state == "approved", "they are somebody to tell"
    made.deliver("transactional")
    assert any(b"/h/" in one.content for one in sink.messages_for(approver.address))


def test_one_that_cannot_begin_keeps_no_other_waiting(made, tmp_path, words, author, issue, database_urls):
    """A row that somebody damaged must not silence every alert and digest that comes after it."""
    number = sent_alone(made, tmp_path, words, author)
    damaged = "UPDATE mailing SET digest_id = NULL, start_at = now() - interval '1 hour' WHERE kind = 'digest'"
    house.by_owner(database_urls, damaged)
    house.by_owner(database_urls, "UPDATE mailing SET lane = 'urgent' WHERE kind = 'digest'")
    house.by_owner(database_urls, "UPDATE mailing SET start_at = now() WHERE id = %s", number)
    made.sweep()
    assert books(made, number).state == "sending"
