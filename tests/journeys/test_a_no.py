"""What a no to the question holds against: strangers, lists, the team, and its own afterwards; and how its owner comes back."""

import email
import email.policy
import re

import psycopg
import pytest

from newsletter import database
from newsletter.addresses import EmailAddress
from newsletter.issues import digests
from newsletter.journeys import choosing, confirming, erasing, holding, joining, leaving, privacy, retention
from newsletter.journeys.choosing import Details
from newsletter.journeys.holding import Asked
from newsletter.journeys.returns import Done
from newsletter.operators.audit import LINK
from newsletter.subscribers import suppression
from newsletter.subscribers.preferences import Level
from newsletter.subscribers.signup import Wish
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.subscribers.suppression import Reason
from tests import house
from tests.fakes import answers
from tests.journeys import traces
from tests.journeys.test_assent import ANN, answered, ask, asks, later, question, takes
from tests.journeys.test_assent import made as made

LIVE = "SELECT reason FROM suppression WHERE lifted_at IS NULL ORDER BY id"


@pytest.fixture
def alarm(made):
    with made.parts.database.transaction() as session:
        digests.add(session, "alarm", name="The Alarm", languages=("en",), rhythm=Rhythm.WEEKLY)


def says(made, mail, word):
    return answered(made, mail, answers.gmail(mail, ANN, word))


def listed(made, tmp_path):
    """A list with evidence names her; return how many of it came in."""
    (tmp_path / "list.csv").write_text(f"email\n{ANN}\n", encoding="utf-8")
    return 1 - house.bring(made, tmp_path / "list.csv").rejected


def link(made, purpose="fresh"):
    if purpose == "fresh":
        return house.fresh_link(made, 1)
    with made.parts.database.transaction() as session:
        return getattr(made.parts.tokens, purpose)(1, now=database.now(session))


def gone_by(made, sink):
    """A reader left everything, and said no when a stranger wrote her address into a form."""
    mail = question(made, sink)
    assert says(made, mail, "yes") is Done.CONFIRMED
    leaving.leave_everything(made.parts, link(made, "preferences"))
    later(made, "2 days")
    mail = question(made, sink)
    assert says(made, mail, "no") is Done.REFUSED
    assert ask(made, LIVE) == [("left",)]


ALL = Details({"weekly": Rhythm.WEEKLY}, (), "en", "UTC", choosing.PLAIN)
BY = {
    "the three choices": lambda made, token: choosing.choose(made.parts, token, Level.EVERYTHING),
    "all of it": lambda made, token: choosing.change(made.parts, token, ALL),
}


@pytest.mark.parametrize("by", BY)
def test_who_said_no_comes_back_by_a_fresh_link(made, sink, by):
    """What they chose by the mailbox itself must not stay without a mail for ever, with a page that says it is barred."""
    gone_by(made, sink)
    assert BY[by](made, link(made))
    assert takes(made) == ["weekly"]
    assert ask(made, LIVE) == []
    assert ask(made, "SELECT DISTINCT lifted_by FROM suppression") == [("person",)]
    assert not choosing.shown(made.parts, link(made)).barred


@pytest.mark.parametrize("by", BY)
def test_a_fresh_link_lifts_no_complaint_and_an_old_one_nothing(made, sink, by, alarm):
    """Whoever complained wants more than a press to be written to again; a link from a newsletter may have been forwarded."""
    mail = question(made, sink, "alarm")
    assert says(made, mail, "yes") is Done.CONFIRMED
    [(mailbox,)] = ask(made, "SELECT mailbox_id FROM subscriber")
    with made.parts.database.transaction() as session:
        for reason in (Reason.LEFT, Reason.COMPLAINT):
            suppression.add(session, mailbox, reason=reason, now=database.now(session))
    assert BY[by](made, link(made, "preferences"))
    assert ask(made, LIVE) == [("left",), ("complaint",)]
    leaving.leave_everything(made.parts, link(made))
    assert BY[by](made, link(made))
    assert ask(made, LIVE) == [("complaint",)]
    assert choosing.shown(made.parts, link(made)).barred


def test_a_broken_page_lifts_nothing_that_a_link_may_not(made, sink, database_urls):
    """Whoever takes the web server over must not have those written to again who complained."""
    question(made, sink)
    [(mailbox,)] = ask(made, "SELECT mailbox_id FROM signup")
    with made.parts.database.transaction() as session:
        for reason in (Reason.LEFT, Reason.COMPLAINT):
            suppression.add(session, mailbox, reason=reason, now=database.now(session))
    lifting = "UPDATE suppression SET lifted_at = now(), lifted_why = 'x', lifted_by = '{}' WHERE reason = '{}'"
    with psycopg.connect(traces.plain(database_urls.web), autocommit=True) as pages:
        for by, reason in (("answered", "complaint"), ("answered", "left"), ("person", "complaint")):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.CheckViolation)):
                pages.execute(lifting.format(by, reason))
        assert pages.execute(lifting.format("person", "left")).rowcount == 1
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            pages.execute("UPDATE suppression SET lifted_at = NULL, lifted_why = NULL, lifted_by = NULL")
    assert ask(made, LIVE) == [("complaint",)]


def test_no_list_brings_a_reader_what_they_said_no_to(made, sink, alarm, tmp_path):
    """They take the alarm and want no weekly: a list is no answer to that, whatever evidence is said to come with it."""
    mail = question(made, sink, "alarm")
    says(made, mail, "yes")
    mail = question(made, sink)
    assert says(made, mail, "no") is Done.REFUSED
    assert says(made, mail, "no") is Done.REFUSED
    assert listed(made, tmp_path) == 0
    assert takes(made) == ["alarm"]
    assert ask(made, "SELECT purpose FROM consent_event WHERE kind = 'withdrawn'") == [("digest:1",)], "once"
    choosing.choose(made.parts, link(made, "preferences"), Level.EVERYTHING)
    assert takes(made) == ["alarm", "weekly"], "their own links do"


def test_no_list_and_no_form_reaches_who_thought_better_of_a_yes(made, sink, alarm, tmp_path):
    """They pressed the button, and then wrote "Do not write to me again": that is a no as any other."""
    mail = question(made, sink, "alarm")
    assert says(made, mail, "yes") is Done.CONFIRMED
    assert says(made, mail, "Do not write to me again") is Done.REFUSED
    made.deliver("transactional", seconds=5)
    assert ask(made, LIVE) == [("left",)]
    for span in ("1 day", "28 days"):
        later(made, span)
        assert not asks(made, sink, ANN), span
    assert listed(made, tmp_path) == 0
    assert takes(made) == []
    before = len(sink.messages)
    assert says(made, mail, "") is Done.NOTHING, "a telephone that sends the quote alone"
    assert says(made, mail, "yes") is Done.ASKED
    made.deliver("transactional", seconds=5)
    [again] = [one.content for one in sink.messages[before:]]
    assert says(made, again, "yes") is Done.CONFIRMED
    assert takes(made) == ["alarm"]


@pytest.mark.parametrize("worked", [True, False])
def test_a_no_is_heard_where_the_team_took_the_sign_up_back(made, sink, worked, tmp_path):
    """An attack is undone in bulk while its questions lie in people's inboxes: what they answer there holds all the same."""
    mail = question(made, sink)
    assert holding.undo(made.parts, Asked(minutes=60, held=False)) == 1
    if worked:
        joining.work(made.parts)
    assert says(made, mail, "no") is Done.REFUSED
    later(made, "29 days")
    assert not asks(made, sink, ANN)
    assert listed(made, tmp_path) == 0
    later(made, "3 days")
    joining.work(made.parts)
    assert ask(made, "SELECT 1 FROM signup WHERE refused_at IS NOT NULL") == []


def test_what_was_refused_and_then_undone_stays_refused(made, sink):
    """The team cleans up after an attack: whoever said no meanwhile must not be asked again by it."""
    mail = question(made, sink)
    assert says(made, mail, "no") is Done.REFUSED
    holding.undo(made.parts, Asked(minutes=60, held=False))
    joining.work(made.parts)
    later(made, "29 days")
    assert not asks(made, sink, ANN)


def test_a_question_that_is_due_does_not_follow_a_no(made, sink):
    """Its planning and its sending are minutes apart where the lane is full: they have answered already."""
    mail = question(made, sink)
    later(made, "20 minutes")
    joining.ask(made.parts, Wish(ANN, "en", {"weekly": "weekly"}))
    joining.work(made.parts)
    before = len(sink.messages)
    assert says(made, mail, "no") is Done.REFUSED
    made.deliver("transactional", seconds=3)
    assert len(sink.messages) == before
    assert ask(made, "SELECT state, reason FROM delivery ORDER BY id DESC LIMIT 1") == [("cancelled", "refused")]
    later(made, "29 days")
    assert not asks(made, sink, ANN)


def test_who_said_no_on_a_day_with_two_questions_is_asked_by_their_yes(made, sink):
    """Strangers have used up the day: told "we ask you again", they would wait for ever."""
    question(made, sink)
    later(made, "20 minutes")
    mail = question(made, sink)
    assert says(made, mail, "no") is Done.REFUSED
    later(made, "1 hour")
    before = len(sink.messages)
    assert says(made, mail, "yes") is Done.ASKED
    made.deliver("transactional", seconds=5)
    [again] = [one.content for one in sink.messages[before:]]
    assert says(made, mail, "yes") is Done.NOTHING, "once"
    assert says(made, mail, "no") is Done.REFUSED, "and it is heard however often they change their mind"
    assert says(made, again, "yes") is Done.ASKED
    assert takes(made) == []


def erase(made, **wishes):
    """Erase her as she does it by a fresh link."""
    meant, _ = privacy.meant(made.parts, reference=None, address=EmailAddress.parse(ANN), by=None)
    erasing.erase(made.parts, meant, by=LINK, **wishes)


def test_erasure_does_not_end_a_no(made, sink):
    """Who wants nothing of us at all must not be written to sooner than who said no and was content with that."""
    mail = question(made, sink)
    assert says(made, mail, "no") is Done.REFUSED
    later(made, "20 minutes")
    erase(made)
    kept = "SELECT wish_sealed, named, digest_ids, client, net, form, provider, answered_at FROM signup"
    assert [tuple(row) for row in ask(made, kept)] == [(b"", [], [], None, None, "", "other", None)], "a bare date"
    later(made, "29 days")
    assert not asks(made, sink, ANN)
    assert [one.ok for one in retention.table(made.parts) if one.category.startswith("sign-ups")] == [True, True]
    later(made, "3 days")
    joining.work(made.parts)
    assert ask(made, "SELECT 1 FROM signup WHERE refused_at IS NOT NULL") == []
    assert asks(made, sink, ANN)


def test_who_may_come_back_leaves_no_date_either(made, sink):
    """They wished that nothing at all stays."""
    mail = question(made, sink)
    assert says(made, mail, "no") is Done.REFUSED
    erase(made, may_come_back=True)
    assert ask(made, "SELECT 1 FROM signup") == ask(made, "SELECT 1 FROM address_index") == []


def test_when_the_no_was_said_is_told(made, sink):
    """Whoever asks why they were written to, or a regulator for them, needs the moment from which it had to end."""
    mail = question(made, sink)
    assert says(made, mail, "no") is Done.REFUSED
    [(said,)] = ask(made, "SELECT refused_at FROM signup")
    whose = {"reference": None, "address": EmailAddress.parse(ANN), "by": None}
    assert [one["refused_at"] for one in privacy.exported(made.parts, **whose)["signups"]] == [said]
    told = privacy.report(made.parts, **whose).entries
    assert [one["at"] for one in told if one["what"] == "answered no"] == [said]
    [form] = [one for one in told if one["what"] == "form sent"]
    assert "refused_at" not in form


def test_its_button_does_nothing_after_the_no_to_a_yes(made, sink):
    """Their mail program opens the link again a day later: it must not open what they have ended."""
    mail = question(made, sink)
    assert says(made, mail, "yes") is Done.CONFIRMED
    assert says(made, mail, "no") is Done.REFUSED
    plain = email.message_from_bytes(mail, policy=email.policy.default).get_body(("plain",)).get_content()
    with pytest.raises(confirming.TooLate):
        confirming.confirm(made.parts, re.search(r"/c/([^?\s]+)", plain)[1])
    joining.work(made.parts)
    assert takes(made) == []
