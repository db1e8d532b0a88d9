"""What one person sends alone, and a second who wakes up: their word lets it go at once, once, and no forged one does."""

import json
import threading

import pytest

from newsletter.campaigns.errands import Act
from newsletter.delivery.alone import SenderLeft
from newsletter.delivery.planning import CountMoved
from newsletter.journeys import alert, errands
from newsletter.ledger.mailings import State, WrongState
from newsletter.operators import people
from newsletter.operators.night import Fault, Rule
from newsletter.operators.roles import NotAllowed
from newsletter.operators.sessions import Factor
from tests import house
from tests.journeys import nights
from tests.journeys.nights import acts, calls, locked, now, phone_of, signature
from tests.journeys.nights import approver as approver
from tests.journeys.nights import author as author
from tests.journeys.nights import crew as crew
from tests.journeys.nights import made as made
from tests.journeys.nights import pages as pages
from tests.journeys.test_forging import APPROVE, attacker, refused
from tests.journeys.test_starting import overdue


@pytest.fixture
def number(made, tmp_path, author, approver):
    """An alert to four that its author sends alone: it waits for a quarter of an hour."""
    number = locked(made, tmp_path, author, 4)
    nights.alone(made, number, author)
    return number


def by_code(made, number, member, **more):
    alert.approve_by_code(made.parts, number, by=member.id, code=member.code(now(made)), **more)


def done(made):
    said = [json.loads(one)["act"] for one in acts(made)]
    return [act for act in said if act.startswith("alert.")]


def test_a_second_word_lets_it_go_at_once(made, number, approver, sink):
    """Twelve minutes matter, and a new lock would ask the one who fell asleep for another code."""
    standing = alert.standing(made.parts, number)
    assert (standing.alone, standing.waits_for.fault) == (True, Fault.TOO_SOON)
    by_code(made, number, approver, seen=standing.locked.fingerprint)
    assert alert.standing(made.parts, number).state is State.SENDING
    assert made.deliver("urgent") == 4
    assert done(made)[-4:] == ["alert.released", "alert.approved", "alert.released", "alert.vouched"]
    assert [event for event, _ in calls(made)].count("released") == 2
    made.deliver("transactional")
    told = [message.content for message in sink.messages if message.recipient == approver.address]
    assert any(f"/console/alerts/{number}/approve".encode() in one.replace(b"=\r\n", b"") for one in told)


def test_so_does_a_passkey_over_this_very_lock(made, pages, tmp_path, crew, author, approver):
    """Above what a code suffices for it is the worker that looks at the signature, as ever; nobody else is asked to be heard."""
    number = locked(made, tmp_path, author, 6)
    mine, theirs = phone_of(crew, made, author), phone_of(crew, made, approver)
    word = signature(made, mine, number, Rule.ALONE)
    alert.send_alone(made.parts, number, by=author.id, factor=Factor.PASSKEY, answer=word)
    with pytest.raises(alert.NotEnough) as weak:
        by_code(made, number, approver)
    assert weak.value.fault is Fault.NEEDS_PASSKEY
    with pytest.raises(alert.NotEnough) as wrong:
        nights.by_passkey(pages, made, number, approver, signature(made, theirs, number, Rule.ALONE))
    assert wrong.value.fault is Fault.BAD_SIGNATURE
    assert alert.standing(made.parts, number).state is State.APPROVED
    nights.by_passkey(pages, made, number, approver, signature(made, theirs, number))
    assert made.deliver("urgent") == 6
    assert alert.standing(made.parts, number).state is State.DONE


def test_a_word_that_nobody_settled_lets_it_go_by_a_press(made, pages, number, author, approver):
    """A worker may die over an errand: whoever may send then sends what two people agreed to, before its time."""
    seen = alert.standing(made.parts, number).locked.fingerprint
    with pytest.raises(alert.NotEnough):
        alert.release(made.parts, number, by=author.id)
    alert.sign(pages.parts, number, by=approver.id, factor=Factor.TOTP, answer=approver.code(now(made)), seen=seen)
    standing = alert.standing(pages.parts, number)
    assert (standing.state, standing.waits_for) == (State.APPROVED, None)
    alert.release(made.parts, number, by=author.id)
    assert made.deliver("urgent") == 4


def test_nobody_need_have_heard_of_what_two_agreed_to(made, number, approver, database_urls):
    """The mail with the link that stops it hangs in a queue; the second person is awake, and has read it."""
    overdue(database_urls, number)
    made.sweep()
    assert alert.standing(made.parts, number).waits_for.fault is Fault.UNHEARD
    by_code(made, number, approver)
    assert made.deliver("urgent") == 4


def test_of_what_is_over_no_word_is_taken(made, number, author, approver):
    """Neither one's own nor of what was stopped: each is refused before a code is used up."""
    with pytest.raises(NotAllowed):
        by_code(made, number, author)
    alert.stop(made.parts, number)
    with pytest.raises(WrongState):
        by_code(made, number, approver)


def test_readers_that_moved_are_not_written_to_by_a_word_for_others(made, tmp_path, number, approver):
    """Twice as many by now: the second word was for four, and what is refused leaves neither word nor code used up."""
    house.add_readers(made, tmp_path, [f"late{one}@example.org" for one in range(4)])
    code = approver.code(now(made))
    for _ in range(2):
        with pytest.raises(CountMoved):
            alert.approve_by_code(made.parts, number, by=approver.id, code=code)
    standing = alert.standing(made.parts, number)
    assert (standing.state, standing.seconded) == (State.APPROVED, False)
    assert made.deliver("urgent") == 0


def test_nobody_approves_for_a_colleague_who_was_shut_out(made, number, author, approver):
    """Their phone was stolen: whoever ends that access believes that nothing of it goes, and no tired thumb may undo that."""
    with made.parts.database.transaction() as session:
        people.disable(session, author.id, by=approver.id, now=now(made))
    with pytest.raises(SenderLeft):
        by_code(made, number, approver)


@pytest.mark.parametrize("first", ["its time", "stop"])
def test_of_a_word_and_what_comes_in_the_same_second_one_holds(
    made, pages, number, author, approver, database_urls, sink, first
):
    """It goes once, or not at all: whoever comes second finds what the first did, and hears no refusal of what went."""
    overdue(database_urls, number)
    made.deliver("transactional")
    seen = alert.standing(made.parts, number).locked.fingerprint
    alert.sign(pages.parts, number, by=approver.id, factor=Factor.TOTP, answer=approver.code(now(made)), seen=seen)
    if first == "its time":
        made.sweep()
        alert.settle(made.parts, number, by=approver.id)
    else:
        alert.stop(made.parts, number)
        with pytest.raises(WrongState):
            alert.settle(made.parts, number, by=approver.id)
    made.sweep()
    assert made.deliver("urgent") == (4 if first == "its time" else 0)
    assert done(made).count("alert.vouched") == (first == "its time")


def test_two_words_and_its_time_at_once_let_it_go_once(made, number, crew, approver, database_urls):
    """Three hands in one second: one release, one set of rows."""
    overdue(database_urls, number)
    made.deliver("transactional")
    refusals = []

    def approve():
        try:
            by_code(made, number, approver)
        except WrongState as late:
            refusals.append(late)

    hands = [threading.Thread(target=approve), threading.Thread(target=made.sweep), threading.Thread(target=made.sweep)]
    for one in hands:
        one.start()
    for one in hands:
        one.join()
    made.deliver("urgent")
    assert nights.ask(made, "SELECT count(*) FROM delivery WHERE mailing_id = :id", id=number) == [(4,)]
    assert len(refusals) <= 1


@pytest.mark.parametrize("role", ["web", "worker"])
def test_no_word_is_forged_into_what_waits(made, number, author, approver, database_urls, role):
    """Not the author's, not by another rule, not of one who may not, not for another lock."""
    with attacker(getattr(database_urls, role)) as intruder:
        for rule, operator in (("two", author.id), ("two", 4711), ("alone", author.id), ("few", None)):
            refused(intruder, APPROVE, (rule, operator, "totp", None, number))
        other = APPROVE.replace("fingerprint, %s, %s, %s, %s FROM", "sha256('x'), %s, %s, %s, %s FROM")
        refused(intruder, other, ("two", approver.id, "totp", None, number))


def test_the_pages_settle_nothing_that_nobody_said(made, pages, number, author, approver):
    """Whoever has the password of the pages asks the desk to settle what waits, in another's name: nobody spoke."""
    asked = errands.ask(pages.parts, Act.SETTLE, by=approver.id, mailing=number)
    errands.run(made.parts)
    found = errands.wait(pages.parts, asked, by=approver.id, seconds=0)
    assert found.refused[0] == "night.nobody"
    assert alert.standing(made.parts, number).state is State.APPROVED
    assert made.deliver("urgent") == 0


def test_nothing_is_added_to_what_two_approved(made, tmp_path, author, approver, database_urls):
    """Only what one person sends alone waits for a word: what has one takes no more of them, whoever writes the row."""
    number = locked(made, tmp_path, author, 4)
    by_code(made, number, approver)
    with attacker(database_urls.web) as intruder:
        refused(intruder, APPROVE, ("two", approver.id, "totp", None, number))


def test_a_row_without_a_signature_lets_no_large_one_go(made, pages, tmp_path, crew, author, approver, database_urls):
    """Whoever has the password of the pages writes the row of an approval; the worker asks for the signature."""
    number = locked(made, tmp_path, author, 6)
    phone = phone_of(crew, made, author)
    word = signature(made, phone, number, Rule.ALONE)
    alert.send_alone(made.parts, number, by=author.id, factor=Factor.PASSKEY, answer=word)
    with attacker(database_urls.web) as intruder:
        intruder.execute(APPROVE, ("two", approver.id, "totp", None, number))
        intruder.execute(APPROVE, ("two", approver.id, "passkey", word, number))
        intruder.commit()
    with pytest.raises(alert.NotEnough):
        alert.settle(made.parts, number, by=approver.id)
    house.by_owner(database_urls, "UPDATE mailing SET start_at = now() WHERE id = %s", number)
    made.deliver("transactional")
    made.sweep()
    made.deliver("urgent")
    accepted = nights.ask(
        made, "SELECT count(*) FROM delivery WHERE mailing_id = :id AND state = 'accepted'", id=number
    )
    assert accepted == [(0,)]
