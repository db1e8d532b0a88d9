"""Before an alert expires with people still due, the team is asked what is to become of them."""

from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import text

from newsletter import database
from newsletter.journeys import alert, drafting, expiring, mailing, retracting, translating
from newsletter.ledger import expiry, locks
from newsletter.operators.roles import NotAllowed, Role
from tests import house
from tests.fakes import smtp
from tests.journeys.alerting import read, sent, status
from tests.journeys.nights import calls
from tests.journeys.test_translating import (
    files as files,
)
from tests.journeys.test_translating import (
    readers as readers,
)
from tests.operators.crew import Crew

READERS = 12


@pytest.fixture
def reply():
    """What a relay says to those whom it puts off."""
    return "451 4.7.1 slow down"


@pytest.fixture
def begun(moulds, tmp_path, words, reply):
    """A copy of a product in which an alert goes out with some left over: what most of these tests begin with."""

    def make(urls, folder):
        with smtp.running(smtp.Sink()) as sink, closing(house.build(folder, urls, f"{sink.url}?connections=4")) as made:
            return {"left": left_over(made, urls, folder, words, sink, reply=reply)}

    with moulds.copied((__name__, reply), make, tmp_path) as begun:
        yield begun


@pytest.fixture
def left(begun, newsletter):
    """The number of an alert that went out four hours ago, of which a relay has taken some and puts the others off."""
    return begun.facts["left"]


@pytest.fixture
def slow(tmp_path, database_urls, sink):
    """A product whose relay takes two messages an hour, and is warm."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=2&hourly=2")
    yield made
    made.close()


@pytest.fixture
def crew(newsletter, pages):
    return Crew(newsletter.parts.database, pages.parts.database)


def expires_in(made, number, minutes):
    with made.parts.database.transaction() as session:
        moment = "UPDATE mailing SET expires_at = now() + interval '1 minute' * :minutes WHERE id = :it"
        session.execute(text(moment), {"minutes": minutes, "it": number})


def gone_for(urls, number, *, minutes):
    """Have an alert gone out so long ago, which none of our roles may say."""
    ago = "UPDATE mailing SET planned_at = now() - interval '1 minute' * %s WHERE id = %s"
    house.by_owner(urls, ago, minutes, number)


def left_over(made, urls, tmp_path, words, sink, *, reply):
    """Return an alert that went out four hours ago, of which a relay has taken some and puts the others off."""
    sink.refuse = lambda recipient: None if recipient < "reader3" else reply
    number = sent(made, tmp_path, words, READERS)
    made.deliver("urgent")
    sink.refuse = lambda _recipient: None
    assert status(made, number).due == 7
    sink.messages.clear()
    gone_for(urls, number, minutes=240)
    return number


def put_off_for(made, *, hours):
    """Have whoever waits be put off since so long ago: by then the steps are of eight hours."""
    with made.parts.database.transaction() as session:
        old = "UPDATE delivery SET tries = 8, first_tried = now() - interval '1 hour' * :hours WHERE state = 'deferred'"
        session.execute(text(old), {"hours": hours})


def again(made):
    """Let whoever waits be tried now."""
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE delivery SET due_at = now() - interval '1 s' WHERE state = 'deferred'"))
    made.sweep()
    made.deliver("urgent")


def dues(made):
    """Return when each of those who wait is tried again."""
    with made.parts.database.transaction() as session:
        return session.execute(text("SELECT due_at FROM delivery WHERE state = 'deferred'")).scalars().all()


def asked(made, sink):
    """Return what the team was mailed."""
    made.deliver("transactional")
    return [message for message in sink.messages if "expires" in read(message)["Subject"]]


def test_each_of_the_team_is_asked_once(newsletter, left, crew, sink):
    """Whoever wakes first decides; a second mail every five seconds would only be turned off."""
    team = [crew.member(Role.SENDER), crew.member(Role.APPROVER, name="Noor Holm")]
    newsletter.sweep()
    assert asked(newsletter, sink) == [], "a day is long"
    expires_in(newsletter, left, 119)
    newsletter.sweep()
    newsletter.sweep()
    mails = asked(newsletter, sink)
    assert sorted(mail.recipient for mail in mails) == sorted(member.address for member in team)
    message = read(mails[0])
    assert message["Subject"] == f"Alert {left} expires with 7 still to be told"
    body = message.get_body(("plain",)).get_content()
    assert f"/console/alerts/{left}" in body, "whoever is woken has a phone and no shell"
    assert f"newsletter alerts extend {left} --hours 24" in body
    assert "do nothing: it expires by itself" in " ".join(body.split())


def test_a_short_alert_is_asked_about_at_half_of_its_time(newsletter, left, database_urls, crew, sink):
    """A warning holds for an hour: asked as it was released, everyone is woken for nothing, and by nobody when it matters."""
    crew.member(Role.SENDER)
    expires_in(newsletter, left, 60)
    gone_for(database_urls, left, minutes=0)
    newsletter.sweep()
    assert asked(newsletter, sink) == []
    gone_for(database_urls, left, minutes=62)
    newsletter.sweep()
    assert len(asked(newsletter, sink)) == 1
    expiring.extend(newsletter.parts, left, timedelta(minutes=90))
    newsletter.sweep()
    assert len(asked(newsletter, sink)) == 1
    expires_in(newsletter, left, 100)
    gone_for(database_urls, left, minutes=112)
    newsletter.sweep()
    assert len(asked(newsletter, sink)) == 2, "and once more before that is over"


def test_nobody_is_asked_about_an_alert_that_all_have(newsletter, crew, tmp_path, words, sink):
    """A question without a matter teaches people to delete it unread."""
    number = sent(newsletter, tmp_path, words, 2)
    crew.member(Role.SENDER)
    newsletter.deliver("urgent")
    expires_in(newsletter, number, 30)
    newsletter.sweep()
    assert asked(newsletter, sink) == []


def test_without_anybody_to_ask_the_question_stays(newsletter, left, crew, sink):
    """Somebody who joins at half past one is asked then."""
    expires_in(newsletter, left, 60)
    newsletter.sweep()
    assert asked(newsletter, sink) == []
    crew.member(Role.SENDER)
    newsletter.sweep()
    assert len(asked(newsletter, sink)) == 1


def test_a_relay_too_slow_for_all_is_said_at_once(slow, crew, tmp_path, words, sink):
    """Two an hour will not reach two hundred in a day: that is known at the first minute, and asked then."""
    crew.member(Role.SENDER)
    number = sent(slow, tmp_path, words, 200)
    slow.deliver("urgent", seconds=5)
    slow.sweep()
    assert status(slow, number).due == 198
    with slow.parts.database.transaction() as session:
        assert session.execute(text("SELECT asked_at IS NOT NULL FROM mailing WHERE id = :it"), {"it": number}).scalar()
        told = session.execute(text("SELECT subject FROM mailing WHERE kind = 'notice' ORDER BY id")).scalars().all()
    assert told == [f"Alert {number} goes out now", f"Alert {number} expires with 198 still to be told"]


def test_who_was_asked_early_is_asked_once_more_before_the_end(newsletter, left, database_urls, crew, sink):
    """At its first minute a relay seemed too slow, and came right; of the seven left at the end nobody was asked or told."""
    crew.member(Role.SENDER)
    with newsletter.parts.database.transaction() as session:
        early, later = (expiry.ask_once(session, left, now=database.now(session)) for _ in range(2))
    assert (early, later) == (True, False)
    newsletter.sweep()
    assert asked(newsletter, sink) == []
    gone_for(database_urls, left, minutes=24 * 60)
    expires_in(newsletter, left, 119)
    at_first = "UPDATE mailing SET asked_at = planned_at + interval '1 minute' WHERE id = %s"
    house.by_owner(database_urls, at_first, left)
    newsletter.sweep()
    newsletter.sweep()
    assert len(asked(newsletter, sink)) == 1


@pytest.mark.parametrize("reply", ["452 4.2.2 mailbox full", "451 4.7.1 greylisted"])
def test_longer_reaches_those_who_were_left(newsletter, left, crew, sink, reply):
    """The answer to the question is a day more, for whoever was put off all day as well: the next "later" was their last."""
    member = crew.member(Role.SENDER)
    expires_in(newsletter, left, 60)
    put_off_for(newsletter, hours=23)
    newsletter.sweep()
    assert len(asked(newsletter, sink)) == 1
    done = expiring.extend(newsletter.parts, left, timedelta(hours=24), by=member.id)
    assert not done.shortened
    sink.refuse = lambda _recipient: reply
    again(newsletter)
    found = status(newsletter, left)
    assert (found.state, found.due, found.expired) == ("sending", 7, 0), "put off once more, and not given up"
    assert all(due < done.expires_at for due in dues(newsletter)), "and asked for again before the end"
    sink.refuse = lambda _recipient: None
    again(newsletter)
    assert (status(newsletter, left).accepted, status(newsletter, left).expired) == (READERS, 0)


def test_nobody_is_given_up_before_the_team_is_asked(newsletter, left, crew, sink):
    """Put off for seventeen hours, they were expired at the next "later", seven hours before anybody was to be asked."""
    crew.member(Role.SENDER)
    expires_in(newsletter, left, 7 * 60)
    put_off_for(newsletter, hours=17)
    sink.refuse = lambda _recipient: "452 4.2.2 mailbox full"
    again(newsletter)
    assert (status(newsletter, left).due, status(newsletter, left).expired) == (7, 0)
    sink.refuse = lambda _recipient: None
    expires_in(newsletter, left, 110)
    newsletter.sweep()
    [mail] = asked(newsletter, sink)
    assert read(mail)["Subject"] == f"Alert {left} expires with 7 still to be told"


def test_unanswered_it_expires(newsletter, left, crew):
    """Doing nothing is an answer as well."""
    crew.member(Role.SENDER)
    expires_in(newsletter, left, 30)
    newsletter.sweep()
    expires_in(newsletter, left, -1)
    newsletter.sweep()
    found = status(newsletter, left)
    assert (found.state, found.accepted, found.expired) == ("done", READERS - 7, 7)


@pytest.mark.parametrize("paused", [False, True])
def test_what_ended_while_nothing_ran_is_told_of_once(newsletter, left, crew, sink, paused):
    """The machine was down all night: seven were not reached, nobody had been asked, and in the morning nothing said so."""
    crew.member(Role.SENDER)
    if paused:
        mailing.pause(newsletter.parts, left)
    expires_in(newsletter, left, -60)
    for _ in range(3):
        newsletter.sweep()
        newsletter.deliver("urgent")
    newsletter.deliver("transactional")
    [mail] = [read(one) for one in sink.messages if "expired" in read(one)["Subject"]]
    assert mail["Subject"] == f"Alert {left} has expired: 7 did not get it"
    assert f"surely or perhaps: {READERS - 7}." in mail.get_body(("plain",)).get_content()
    [(_, facts)] = [one for one in calls(newsletter) if one[0] == "expired"]
    assert (facts["alert"], facts["unreached"]) == (left, 7)


@pytest.mark.parametrize("why", ["asked", "all have it"])
def test_nobody_is_told_of_an_end_that_left_nobody_out_unasked(
    newsletter, database_urls, crew, tmp_path, words, sink, why
):
    """Who did nothing on purpose, or has nothing to do, needs no mail about it."""
    crew.member(Role.SENDER)
    if why == "asked":
        number = left_over(newsletter, database_urls, tmp_path, words, sink, reply="451 4.7.1 slow down")
        expires_in(newsletter, number, 30)
        newsletter.sweep()
    else:
        number = sent(newsletter, tmp_path, words, 2)
        newsletter.deliver("urgent")
    expires_in(newsletter, number, -1)
    for _ in range(2):
        newsletter.sweep()
        newsletter.deliver("urgent")
    newsletter.deliver("transactional")
    assert [one for one in sink.messages if "expired" in read(one)["Subject"]] == []


def test_no_longer_for_nobody(newsletter, left):
    """What is paused gives its readers up at its end; a button that still gave it twelve hours promised them to nobody."""
    mailing.pause(newsletter.parts, left)
    expires_in(newsletter, left, -1)
    newsletter.sweep()
    assert (status(newsletter, left).state, status(newsletter, left).due) == ("paused", 0)
    with pytest.raises(expiring.NobodyDue):
        expiring.extend(newsletter.parts, left, timedelta(hours=12))


def test_no_longer_than_was_locked(newsletter, left, crew):
    """What people agreed to has an end; beyond it a worker would not send, so the command does not pretend."""
    done = expiring.extend(newsletter.parts, left, timedelta(hours=500))
    with newsletter.parts.database.transaction() as session:
        latest = locks.current(session, left).latest
    assert (done.shortened, done.expires_at, done.latest) == (True, latest, latest)
    with pytest.raises(expiring.NoLonger):
        expiring.extend(newsletter.parts, left, timedelta(hours=1))
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE delivery SET due_at = now() - interval '1 s' WHERE state = 'deferred'"))
    newsletter.sweep()
    newsletter.deliver("urgent")
    assert status(newsletter, left).accepted == READERS, "the worker agrees with the last moment"


def test_only_senders_give_longer_and_only_what_is_under_way(newsletter, left, crew, words):
    """To send longer is to send; and what is over stays over."""
    with pytest.raises(NotAllowed):
        expiring.extend(newsletter.parts, left, timedelta(hours=1), by=crew.member(Role.APPROVER).id)
    retracting.retract(newsletter.parts, left)
    with pytest.raises(expiring.NotUnderWay):
        expiring.extend(newsletter.parts, left, timedelta(hours=1))
    fresh = drafting.draft(newsletter.parts, words, digest_key=house.DIGEST)
    with pytest.raises(expiring.NotUnderWay):
        expiring.extend(newsletter.parts, fresh, timedelta(hours=1))


def test_who_has_longer_is_asked_again_before_that_ends(newsletter, left, crew, sink):
    """The second night is asked about like the first; at the very end there is nothing left to ask but to know."""
    crew.member(Role.SENDER)
    expires_in(newsletter, left, 60)
    newsletter.sweep()
    expiring.extend(newsletter.parts, left, timedelta(hours=8))
    newsletter.sweep()
    assert len(asked(newsletter, sink)) == 1
    expires_in(newsletter, left, 100)
    newsletter.sweep()
    assert len(asked(newsletter, sink)) == 2


def test_the_hook_is_told_as_well(newsletter, left, crew):
    """Mail wakes nobody, and in two hours nothing can be done any more."""
    crew.member(Role.SENDER)
    expires_in(newsletter, left, 100)
    newsletter.sweep()
    newsletter.sweep()
    [told] = [facts for event, facts in calls(newsletter) if event == "expiring"]
    assert (told["alert"], told["due"]) == (left, 7)
    assert told["expires_at"].startswith("20")


def test_the_team_is_asked_for_the_language_that_readers_wait_for(
    newsletter, database_urls, crew, readers, files, sink
):
    """Five were to wait for Arabic, and whoever writes it fell asleep: the alert is done, and they have nothing of it."""
    member = crew.member(Role.WRITER)
    number = alert.send(newsletter.parts, [files["en"], files["fa"]], digest_key=house.DIGEST, later=["ar"])
    newsletter.deliver("urgent")
    assert status(newsletter, number).state == "done"
    newsletter.sweep()
    assert asked(newsletter, sink) == [], "a day is long"
    gone_for(database_urls, number, minutes=240)
    expires_in(newsletter, number, 119)
    newsletter.sweep()
    newsletter.sweep()
    [mail] = asked(newsletter, sink)
    assert mail.recipient == member.address
    assert read(mail)["Subject"].startswith(f"Alert {number} expires, and 5 wait for it")
    assert f"/console/alerts/new?translates={number}" in read(mail).get_body(("plain",)).get_content()
    told = [facts["languages"] for event, facts in calls(newsletter) if event == "expiring"]
    assert told == [["ar"]]


@pytest.mark.parametrize("why", ["it went", "it was followed", "it is over"])
def test_nobody_is_asked_for_a_language_that_helps_nobody(newsletter, database_urls, crew, readers, files, sink, why):
    """They have it, or another alert in its place, or its time is over: there is nothing left to decide."""
    crew.member(Role.WRITER)
    number = alert.send(newsletter.parts, [files["en"], files["fa"]], digest_key=house.DIGEST, later=["ar"])
    newsletter.deliver("urgent")
    if why == "it went":
        alert.send_draft(newsletter.parts, translating.draft(newsletter.parts, [files["ar"]], of=number))
    elif why == "it was followed":
        alert.send(newsletter.parts, [files["en"]], digest_key=house.DIGEST, updates=number)
    gone_for(database_urls, number, minutes=240)
    expires_in(newsletter, number, 0 if why == "it is over" else 60)
    newsletter.sweep()
    assert asked(newsletter, sink) == []
