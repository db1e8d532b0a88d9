"""Whatever becomes of an alert, those who sit before a page or sleep beside a phone are told, once, and by the hook as well."""

import pytest
from sqlalchemy import text

from newsletter.campaigns.cap import Kind
from newsletter.delivery.planning import CountMoved
from newsletter.journeys import alert, bulletins, drafting, heeding, retracting, telling, wanting
from newsletter.ledger.mailings import State, WrongState
from newsletter.operators.night import Fault
from newsletter.operators.roles import Role
from newsletter.operators.sessions import Factor
from tests import house
from tests.journeys import nights
from tests.journeys.alerting import read
from tests.journeys.nights import approver as approver
from tests.journeys.nights import author as author
from tests.journeys.nights import crew as crew
from tests.journeys.nights import made as made
from tests.journeys.nights import pages as pages
from tests.journeys.test_heeding import ALERT, CANCEL


def approve(made, number, approver):
    alert.approve_by_code(made.parts, number, by=approver.id, code=approver.code(nights.now(made)))


def told(made, sink, subject):
    """Have the team's mail sent; return to whom the mail with this subject went, with its words."""
    made.sweep()
    made.deliver("transactional")
    found = [(message.recipient, read(message)) for message in sink.messages]
    mails = {to: mail.get_body(("plain",)).get_content() for to, mail in found if mail["Subject"] == subject}
    return {to: " ".join(words.split()) for to, words in mails.items()}


def events(made):
    return [event for event, _ in nights.calls(made)]


def test_who_may_send_is_told_of_an_approval(made, tmp_path, crew, author, approver, sink):
    """Nothing goes by itself after an approval: at night the author waits before a page, and need not ask it for ever."""
    other = crew.member(Role.SENDER, name="Lale Oran")
    crew.member(Role.WRITER, name="Zed")
    number = nights.locked(made, tmp_path, author, 4)
    approve(made, number, approver)
    mails = told(made, sink, f"Alert {number} is approved: it can be sent")
    assert sorted(mails) == sorted([author.address, other.address])
    assert "Noor Holm has approved it. It has not gone yet" in mails[author.address]
    assert f"/console/alerts/{number}" in mails[author.address]
    assert nights.calls(made)[-1][1].keys() == {"alert", "count", "code"}
    assert events(made) == ["approval-wanted", "approved"]


def test_an_approval_on_a_page_is_told_once(made, pages, tmp_path, author, approver, sink):
    """The page writes the word, a worker settles it; the mail is of the settling."""
    number = nights.locked(made, tmp_path, author, 4)
    seen = alert.standing(made.parts, number).locked.fingerprint
    code = approver.code(nights.now(made))
    alert.sign(pages.parts, number, by=approver.id, factor=Factor.TOTP, answer=code, seen=seen)
    assert events(made) == ["approval-wanted"]
    alert.settle(made.parts, number, by=approver.id)
    assert list(told(made, sink, f"Alert {number} is approved: it can be sent")) == [author.address]
    assert events(made) == ["approval-wanted", "approved"]


def test_the_team_is_told_that_an_alert_is_taken_back(made, tmp_path, crew, author, approver, sink):
    """One person may, without a code: the others must not learn it from readers who call them."""
    zed = crew.member(Role.WRITER, name="Zed")
    number = nights.locked(made, tmp_path, author, 4)
    approve(made, number, approver)
    alert.release(made.parts, number, by=author.id)
    made.deliver("urgent")
    retracting.retract(made.parts, number, by=author.id)
    mails = told(made, sink, f"Alert {number} is taken back")
    assert sorted(mails) == sorted([author.address, approver.address, zed.address])
    assert "Mina" in mails[zed.address]
    assert "Please do not act on it" in mails[zed.address]
    assert (events(made)[-1], nights.calls(made)[-1][1]["alert"]) == ("retracted", number)
    made.sweep()
    assert events(made).count("retracted") == 1


def test_the_team_is_told_that_an_approved_alert_was_edited(made, tmp_path, crew, author, sink):
    """Everybody was mailed that it goes in a quarter of an hour, and went to sleep over it."""
    zed = crew.member(Role.WRITER, name="Zed Oran")
    number = nights.locked(made, tmp_path, author, 4)
    nights.alone(made, number, author)
    drafting.edit(made.parts, number, nights.write(tmp_path, nights.TEXT + "\nAnd three more.\n"), by=zed.id)
    mails = told(made, sink, f"Alert {number} does not go as it was approved")
    assert sorted(mails) == sorted([author.address, zed.address])
    assert "Zed Oran has written in it after it was approved" in mails[author.address]
    assert "It was to go on" in mails[author.address]
    assert nights.calls(made)[-1] == ("unlocked", {"alert": number})


def test_an_edit_of_what_nobody_approved_is_told_to_nobody(made, tmp_path, author, sink):
    """Nobody waits for it to go: who writes a draft three times wakes no colleague."""
    number = nights.locked(made, tmp_path, author, 4)
    drafting.edit(made.parts, number, nights.write(tmp_path, nights.TEXT + "\nAnd three more.\n"), by=author.id)
    assert told(made, sink, f"Alert {number} does not go as it was approved") == {}
    assert "unlocked" not in events(made)


def test_the_team_is_told_that_an_approved_alert_was_locked_anew(made, tmp_path, author, approver, sink):
    """The approval counted for the lock before: whoever gave it is asked once more, and nobody waits for what was said."""
    number = nights.locked(made, tmp_path, author, 4)
    approve(made, number, approver)
    before = alert.standing(made.parts, number).locked
    house.add_readers(made, tmp_path, ["late1@example.org", "late2@example.org"])
    with pytest.raises(CountMoved):
        alert.release(made.parts, number, by=author.id)
    made_anew = alert.lock(made.parts, number, by=author.id, anew=True)
    assert (before.count, made_anew.count) == (4, 6)
    found = alert.standing(made.parts, number)
    assert (found.state, found.approved_by, found.waits_for.fault) == (State.LOCKED, (), Fault.NOBODY)
    [said] = {*told(made, sink, f"Alert {number} does not go as it was approved").values()}
    assert "locked it anew" in said
    assert events(made)[-2:] == ["unlocked", "approval-wanted"]
    with pytest.raises(WrongState):
        alert.lock(made.parts, number, by=author.id)


def test_what_goes_is_not_locked_anew(made, tmp_path, author, approver):
    """Not what readers have by now, nor what was given up."""
    number = nights.locked(made, tmp_path, author, 4)
    approve(made, number, approver)
    alert.release(made.parts, number, by=author.id)
    with pytest.raises(WrongState):
        alert.lock(made.parts, number, by=author.id, anew=True)


def test_a_writer_asks_for_a_lock(made, tmp_path, crew, author, sink):
    """Whoever is awake alone and may only write would sit before a draft that nobody knows of."""
    zed = crew.member(Role.WRITER, name="Zed Oran")
    house.add_readers(made, tmp_path, house.addresses(1))
    number = drafting.draft(made.parts, nights.write(tmp_path, nights.TEXT), digest_key=house.DIGEST, by=zed.id)
    wanting.ask_for_lock(made.parts, number, by=zed.id)
    mails = told(made, sink, f"Alert {number} waits for somebody who may lock it")
    assert list(mails) == [author.address]
    assert "Zed Oran has written an alert" in mails[author.address]
    assert nights.calls(made) == [("lock-wanted", {"alert": number})]
    alert.lock(made.parts, number, by=author.id)
    with pytest.raises(WrongState):
        wanting.ask_for_lock(made.parts, number, by=zed.id)


def test_what_an_authority_brings_and_cancels_is_told(made, tmp_path, crew, author, approver, sink):
    """Their cancel of an alert that had gone left no trace: readers went on doing what nobody asks of them any more."""
    house.add_readers(made, tmp_path, house.addresses(2))
    act = heeding.Heeding(made.parts, house.DIGEST)
    number = bulletins.take(made.parts, ALERT, act=act).mailing
    assert list(told(made, sink, f"Alert {number} came in as a draft")) == [author.address]
    alert.lock(made.parts, number)
    alert.release(made.parts, number)
    made.deliver("urgent")
    assert bulletins.cancelled(made.parts) == []
    bulletins.take(made.parts, CANCEL, act=act)
    mails = told(made, sink, f"Alert {number} was cancelled by its issuer")
    assert sorted(mails) == sorted([author.address, approver.address])
    assert "take the alert back on its page" in mails[author.address]
    assert [event for event in events(made) if event in ("drafted", "cancelled-by-issuer")] == [
        "drafted",
        "cancelled-by-issuer",
    ]
    [shown] = bulletins.cancelled(made.parts)
    assert (shown.alert, shown.bulletin.kind) == (number, Kind.CANCEL)
    retracting.retract(made.parts, number)
    assert bulletins.cancelled(made.parts, among=number) == []


WRITTEN = """---
subject: Lorries at Sarand
headline: The camp is surrounded
action: Write to your MP | https://sarand.example/act
---
Fourteen lorries
stand at the gate.

- Call your MP.
"""


@pytest.mark.parametrize("asked", ["approval", "release"])
def test_the_team_reads_an_alert_and_not_its_file(made, tmp_path, author, approver, sink, asked):
    """At night, on a phone: what is said, by which button, and what the figures at the end are."""
    number = nights.locked(made, tmp_path, author, 4, WRITTEN)
    subject = f"Alert {number} waits for your approval"
    if asked == "release":
        approve(made, number, approver)
        alert.release(made.parts, number, by=author.id)
        subject = f"Alert {number} goes out now"
    found = told(made, sink, subject)[approver.address]
    said = (
        "Subject: Lorries at Sarand The camp is surrounded Fourteen lorries stand at the gate. - Call your MP. "
        "Button “Write to your MP”: https://sarand.example/act"
    )
    assert said in found
    assert "action:" not in found
    assert "--- subject" not in found
    code = alert.standing(made.parts, number).locked.code
    named = "they must be the same on both sides" if asked == "approval" else "that they speak of the same lock:"
    assert found.index(named) < found.index(code)


def test_what_fails_over_one_alert_keeps_no_other_from_the_team(made):
    """A row that nobody can read, or that somebody holds, would silence every alert of the night."""
    heard = []

    def unread(*_, **__):
        raise ValueError

    def held(session, *_, **__):
        session.execute(text("SET lock_timeout = '50ms'"))
        session.execute(text("LOCK TABLE delivery IN SHARE MODE"))

    with made.parts.database.transaction() as other:
        other.execute(text("LOCK TABLE delivery IN ROW EXCLUSIVE MODE"))
        for tell in (unread, held, lambda *_, **__: heard.append(1) is None):
            telling.tried(made.parts, 1, tell)
    assert heard == [1]
