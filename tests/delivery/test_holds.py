"""An alert that one provider refuses: its readers wait for an hour, the team knows it, and whoever looks lets it go on."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from newsletter.cli.alerts import _why
from newsletter.delivery import watching
from newsletter.delivery.budget import Promise
from newsletter.delivery.promises import Promised
from newsletter.journeys import alert, expiring, mailing, refusing, retracting, translating
from newsletter.ledger import books, mailings, promises, tallies
from newsletter.ledger.mailings import Lane, State, WrongState
from newsletter.ledger.tallies import Counts
from newsletter.operators.roles import Role
from tests import house
from tests.journeys import nights
from tests.journeys.alerting import read
from tests.journeys.nights import begun as begun
from tests.journeys.nights import crew as crew
from tests.journeys.nights import pages as pages

BLOCKED = "550 5.7.1 Message blocked by policy"
GONE = "550 5.1.1 User unknown"


@pytest.fixture
def made(tmp_path, database_urls, sink):
    """A product in which one person may send to all of these."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=4", base_url=nights.SITE.origin)
    yield made
    made.close()


def sent(made, tmp_path, *hosts, each):
    addresses = [f"reader{number}@{host}" for host in hosts for number in range(each)]
    house.add_readers(made, tmp_path, addresses)
    return alert.send(made.parts, nights.write(tmp_path, "# At the gate\n\nPlease call.\n"), digest_key=house.DIGEST)


def status(made, number):
    with made.parts.database.transaction() as session:
        assert books.faults(session, number) == []
        return books.status(session, number)


def hour_over(made):
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE tally SET held_until = now() WHERE held_until > now()"))


def in_two_languages(made, tmp_path):
    """Release an alert to three readers of English and its Persian, written later, to three; return both numbers."""
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE digest SET languages = '{en,fa}'"))
    house.add_readers(made, tmp_path, [f"reader{number}@gmail.com" for number in range(6)])
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE subscriber SET language = 'fa' WHERE id > 3"))
    english = nights.write(tmp_path, "# At the gate\n\nPlease call.\n")
    number = alert.send(made.parts, english, digest_key=house.DIGEST, later=["fa"])
    persian = nights.write(tmp_path, "---\nlanguage: fa\nsubject: دم دروازه\n---\nزنگ بزنید.\n", name="fa.md")
    later = translating.draft(made.parts, persian, of=number)
    alert.send_draft(made.parts, later)
    return number, later


def first(count, said):
    """Return a sink's answers: the first so many of Google's readers are refused."""
    left = iter(range(count))
    return lambda recipient: said if "gmail" in recipient and next(left, None) is not None else None


def test_after_its_hour_one_more_refusal_holds_nobody(made, sink, tmp_path):
    """What was refused before the hold held the whole group again, hour after hour, until the alert expired."""
    sink.refuse = first(300, BLOCKED)
    number = sent(made, tmp_path, "gmail.com", each=400)
    made.deliver("urgent", seconds=20)
    assert status(made, number).due > 0
    sink.refuse = first(5, BLOCKED)
    hour_over(made)
    made.deliver("urgent", seconds=20)
    assert status(made, number).due == 0


def test_what_comes_back_while_it_is_held_counts_no_more(made, sink, tmp_path):
    """Answers to what was in hand, and returns of what went before, would hold it for another hour as that one ends."""
    sink.refuse = first(300, BLOCKED)
    number = sent(made, tmp_path, "gmail.com", each=400)
    made.deliver("urgent", seconds=20)
    with made.parts.database.transaction() as session:
        tallies.add(session, number, "google", Counts(policy=50))
        assert tallies.of(session, number, "google") == Counts()


def test_the_team_and_its_hook_are_told_once_and_the_page_says_until_when(made, pages, crew, sink, tmp_path):
    """It was silent: no mail, no call, and a page that promised everything for seven minutes past the hour."""
    author = crew.member(Role.SENDER)
    sink.refuse = first(300, BLOCKED)
    number = sent(made, tmp_path, "gmail.com", "a.example", each=400)
    made.deliver("urgent", seconds=20)
    found = alert.standing(pages.parts, number)
    [held] = found.refusals
    assert (found.held, held.held, held.facts["provider"], held.facts["why"]) == (True, True, "google", "policy")
    assert nights.calls(made)[-1][0] == "held"
    sink.messages.clear()
    assert (refusing.tell(made.parts), refusing.tell(made.parts)) == (1, 0)
    made.deliver("transactional")
    mails = {one["Subject"]: one for one in map(read, sink.messages) if one["To"] == author.address}
    mail = mails[f"Alert {number} is HELD at one provider"]
    said = " ".join(mail.get_body(("plain",)).get_content().split())
    assert f"wait until {held.facts['until']}" in said
    hour_over(made)
    assert alert.standing(pages.parts, number).refusals == ()


def test_a_promise_says_who_waits_and_until_when(made, sink, tmp_path):
    """All by 15:08, it said, with thirteen hundred held until four."""
    sink.refuse = first(300, BLOCKED)
    number = sent(made, tmp_path, "gmail.com", each=1200)
    before = nights.now(made)
    with made.parts.database.transaction() as session:
        all_soon = Promise(before + timedelta(minutes=1), (1200,), "rate")
        promises.keep(session, number, Promised(1200, before, all_soon).facts)
    made.deliver("urgent", seconds=20)
    found = status(made, number)
    *_, (said, facts) = mailing.promise_kept(made.parts, found)
    assert (said, facts["held"]) == ("promise.held", f"{found.due:,}")
    assert facts["until"].at > before + timedelta(minutes=59)
    assert mailing.promise(made.parts, number).ends_at >= facts["until"].at


def test_whoever_has_looked_lets_it_go_on(made, sink, tmp_path):
    """Resume said that it was not paused: at night nobody guesses that one must pause it first."""
    sink.refuse = first(300, BLOCKED)
    number = sent(made, tmp_path, "gmail.com", each=400)
    made.deliver("urgent", seconds=20)
    assert status(made, number).state == "sending"
    mailing.may(made.parts, number, State.SENDING)
    sink.refuse = lambda _recipient: None
    assert mailing.resume(made.parts, number) == [number]
    made.deliver("urgent", seconds=20)
    assert status(made, number).due == 0
    with pytest.raises(WrongState):
        mailing.resume(made.parts, number)


@pytest.mark.parametrize(("said", "again"), [(GONE, False), (BLOCKED, True)])
@pytest.mark.parametrize("after", ["resume", "its hour", "pause and resume"])
def test_dead_addresses_hold_once_and_policy_again(made, sink, tmp_path, said, again, after):
    """An old list of forty thousand could not have it within a day; but what is blocked costs each reader the alert.

    Whether anybody pressed Resume or slept: the same dead addresses are no news in the next hour.
    """
    sink.refuse = lambda recipient: said if int(recipient[6:].split("@")[0]) % 4 == 0 else None
    number = sent(made, tmp_path, "gmail.com", each=1000)
    made.deliver("urgent", seconds=20)
    assert status(made, number).due > 0
    if after == "its hour":
        hour_over(made)
    else:
        if after == "pause and resume":
            mailing.pause(made.parts, number)
        mailing.resume(made.parts, number)
    made.deliver("urgent", seconds=20)
    assert (status(made, number).due > 0) == again
    assert [event for event, _ in nights.calls(made)].count("held") == 1 + again, "the team is woken once"


def test_dead_addresses_are_news_after_another_hold(made, sink, tmp_path):
    """Whoever let it go on after a block has not heard of the dead addresses: of these it is held once as well."""
    sink.refuse = first(300, BLOCKED)
    number = sent(made, tmp_path, "gmail.com", each=1000)
    made.deliver("urgent", seconds=20)
    mailing.resume(made.parts, number)
    sink.refuse = lambda recipient: GONE if int(recipient[6:].split("@")[0]) % 4 == 0 else None
    made.deliver("urgent", seconds=20)
    whys = [facts["why"] for event, facts in nights.calls(made) if event == "held"]
    assert whys == ["policy", "dead"]
    hour_over(made)
    made.deliver("urgent", seconds=20)
    assert status(made, number).due == 0


def held_at(made, number, provider, *, for_hours):
    with made.parts.database.transaction() as session:
        tallies.add(session, number, provider, Counts(tried=100, policy=100))
        watching.look(session, number, Lane.URGENT, provider, now=nights_now(session))
        session.execute(
            text("UPDATE tally SET held_until = now() + make_interval(hours => :hours)"), {"hours": for_hours}
        )


def nights_now(session):
    return session.execute(text("SELECT now()")).scalar_one()


def expires_in(made, number, hours):
    statement = "UPDATE mailing SET expires_at = now() + make_interval(hours => :hours) WHERE id = :id"
    with made.parts.database.transaction() as session:
        session.execute(text(statement), {"id": number, "hours": hours})


@pytest.mark.parametrize(
    ("provider", "hours", "asked"),
    [("google", 6, 1), ("google", 3, 0), ("yahoo", 6, 0), (None, 0, 0)],
    ids=["held beyond its time", "held and over before", "where nobody is due", "not held"],
)
def test_a_hold_that_outlasts_the_alert_is_asked_about(made, crew, tmp_path, provider, hours, asked):
    """Half of its readers wait until after it expires: who hears of that two hours before has slept through four."""
    crew.member(Role.SENDER)
    number = sent(made, tmp_path, "gmail.com", each=20)
    if provider:
        held_at(made, number, provider, for_hours=hours)
    expires_in(made, number, 5)
    assert (expiring.ask(made.parts), expiring.ask(made.parts)) == (asked, 0)


def test_the_status_says_who_waits_and_until_when(made, crew, tmp_path):
    """At the command line as on the page: at which provider, why, until when, and what lets it go on."""
    number = sent(made, tmp_path, "gmail.com", "a.example", each=20)
    held_at(made, number, "google", for_hours=1)
    [one] = alert.standing(made.parts, number).refusals
    said = _why(one)
    assert "Readers at “google” wait until" in said
    assert "whoever resumes it lets it go on at once" in said
    assert "taken for spam" in said
    mailing.resume(made.parts, number)
    assert alert.standing(made.parts, number).refusals == ()


def test_resume_lets_every_language_go_on(made, tmp_path):
    """Each language is a mailing with holds of its own, and whoever presses Resume on the alert means all of it."""
    number, later = in_two_languages(made, tmp_path)
    held_at(made, later, "google", for_hours=1)
    held_at(made, number, "google", for_hours=1)
    assert [one.mailing for one in alert.standing(made.parts, number).refusals] == [later, number]
    assert [one.mailing for one in alert.standing(made.parts, later).refusals] == [later]
    mailing.may(made.parts, number, State.SENDING)
    assert mailing.resume(made.parts, number) == [number, later]
    assert made.deliver("urgent", seconds=20) == 6
    assert alert.standing(made.parts, number).refusals == ()


def test_so_it_does_of_what_takes_them_back(made, tmp_path):
    """Whoever has the wrong words in another language waits for the right ones just as long."""
    number, later = in_two_languages(made, tmp_path)
    made.deliver("urgent", seconds=20)
    retracting.retract(made.parts, number)
    made.sweep()
    with made.parts.database.transaction() as session:
        backs = [mailings.retraction_of(session, one) for one in (number, later)]
    for one in backs:
        held_at(made, one, "google", for_hours=1)
    assert alert.standing(made.parts, number).held
    assert sorted(mailing.resume(made.parts, number)) == sorted(backs)
    assert made.deliver("urgent", seconds=20) == 6
