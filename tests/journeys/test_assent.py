"""The question whether somebody wished to join is answered by mail: a yes is a yes, a no is a no, the rest is read by a person."""

import email
import email.policy
import re

import pytest
from sqlalchemy import text

from newsletter import database
from newsletter.bounces.routing import Arrived
from newsletter.issues import digests
from newsletter.journeys import answering, choosing, confirming, inbound, joining, moving_in, retention, returns
from newsletter.journeys.returns import Done
from newsletter.subscribers import suppression
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.preferences import Level
from newsletter.subscribers.signup import Wish
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.subscribers.suppression import Reason
from tests import house
from tests.fakes import answers

ANN = "ann@example.org"


@pytest.fixture
def made(tmp_path, database_urls, sink):
    found = house.build(tmp_path, database_urls, sink.url, bounce_domain="back.sarand.example")
    assert inbound.self_test(found.parts, lambda probe: returns.take(found.parts, Arrived("", probe, b"")) and None)
    yield found
    found.close()


def ask(made, sql, **facts):
    with made.parts.database.transaction() as session:
        return session.execute(text(sql), facts).all()


def question(made, sink, *wanted):
    """Somebody writes her address into a form; return the mail that asks her."""
    made.deliver("transactional", seconds=5)
    before = len(sink.messages)
    joining.ask(made.parts, Wish(ANN, "en", dict.fromkeys(wanted or ("weekly",), "weekly")))
    joining.work(made.parts)
    made.deliver("transactional", seconds=5)
    [mail] = sink.messages[before:]
    return mail.content


def answered(made, mail, content):
    """She answers it, and the worker does what follows."""
    back = str(email.message_from_bytes(mail, policy=email.policy.default)["reply-to"])
    done = returns.take(made.parts, Arrived(ANN, back, content))
    joining.work(made.parts)
    return done


TAKES = "SELECT d.key FROM subscription s JOIN digest d ON d.id = s.digest_id WHERE s.ended_at IS NULL ORDER BY 1"


def takes(made):
    return [key for (key,) in ask(made, TAKES)]


def letters(made):
    return [(one.wish, one.subject) for one in answering.listed(made.parts, limit=10, done=False)]


@pytest.mark.parametrize("said", ["", "Yes", "بله", "نعم"])
def test_a_yes_in_the_reader_s_own_words_brings_them_in(made, sink, said):
    """Whose mail program shows no button answers; many telephones send nothing but the quote."""
    mail = question(made, sink)
    assert answered(made, mail, answers.apple(mail, ANN, said)) is Done.CONFIRMED
    assert takes(made) == ["weekly"]
    assert letters(made) == []


@pytest.mark.parametrize(
    ("said", "subject", "more"),
    [
        ("Unsubscribe", "", False),
        ("Stop", "", False),
        ("No. I never asked for this. Do not write to me again.", "", True),
        ("Hello", "unsubscribe", False),
        ("نه", "", False),
        ("لا", "", False),
    ],
)
def test_a_no_is_no_consent(made, sink, said, subject, more):
    """Whose address a stranger wrote into forms answers "no": it must not become the proof that they agreed."""
    mail = question(made, sink)
    assert answered(made, mail, answers.gmail(mail, ANN, said, subject=subject)) is Done.REFUSED
    assert takes(made) == []
    assert ask(made, "SELECT 1 FROM consent_event") == []
    assert ask(made, "SELECT 1 FROM subscriber") == []
    assert [wish for wish, _ in letters(made)] == (["left"] if more else [])
    plain = email.message_from_bytes(mail, policy=email.policy.default).get_body(("plain",)).get_content()
    token = re.search(r"/c/([^?\s]+)", plain)[1]
    with pytest.raises(confirming.TooLate):
        confirming.confirm(made.parts, token)
    assert answered(made, mail, answers.apple(mail, ANN, "")) is Done.NOTHING
    assert takes(made) == []


def test_a_no_lifts_nothing_and_brings_no_further_question(made, sink):
    """A yes lifts a complaint. A no must leave it, and leave a stranger no more room to have them asked than silence does."""
    mail = question(made, sink)
    [(mailbox,)] = ask(made, "SELECT mailbox_id FROM signup")
    with made.parts.database.transaction() as session:
        suppression.add(session, mailbox, reason=Reason.COMPLAINT, now=database.now(session))
    assert answered(made, mail, answers.gmail(mail, ANN, "No, never")) is Done.REFUSED
    live = ask(made, "SELECT reason FROM suppression WHERE lifted_at IS NULL ORDER BY id")
    assert live == [("complaint",), ("left",)]
    assert not asks(made, sink, ANN)
    later(made, "20 minutes")
    assert not asks(made, sink, ANN)


def asks(made, sink, address):
    """Whether a stranger's form has a question mailed."""
    before = len(sink.messages)
    joining.ask(made.parts, Wish(address, "en", {"weekly": "weekly"}))
    joining.work(made.parts)
    made.deliver("transactional", seconds=5)
    return len(sink.messages) > before


def later(made, span):
    """Let time pass: what is known of sign-ups lies that much further back."""
    columns = ("came_at", "asked_at", "again_at", "answered_at", "refused_at")
    moved = ", ".join(f"{one} = {one} - CAST(:span AS interval)" for one in columns)
    with made.parts.database.transaction() as session:
        session.execute(text(f"UPDATE signup SET {moved}"), {"span": span})


@pytest.mark.parametrize("address", [ANN, "ann+news@example.org"])
def test_after_a_no_nobody_is_asked_for_a_month(made, sink, address):
    """Whose address a stranger writes into forms said that it was not they: a fresh form each week must not ask them each week."""
    mail = question(made, sink)
    assert answered(made, mail, answers.gmail(mail, ANN, "I did not ask for this")) is Done.REFUSED
    for span in ("20 minutes", "2 days", "20 days", "7 days"):
        later(made, span)
        assert not asks(made, sink, address), span
    later(made, "30 hours")
    assert asks(made, sink, address), "a month later they may have thought better of it"


def test_a_no_said_late_holds_as_long(made, sink):
    """The mail lay unread for three weeks: a sign-up is forgotten after a month, and the no to it is not."""
    mail = question(made, sink)
    later(made, "20 days")
    assert answered(made, mail, answers.gmail(mail, ANN, "no")) is Done.REFUSED
    later(made, "29 days")
    assert not asks(made, sink, ANN)
    assert [one.ok for one in retention.table(made.parts) if one.category.startswith("sign-ups")] == [True, True]
    later(made, "3 days")
    joining.work(made.parts)
    assert ask(made, "SELECT 1 FROM signup WHERE refused_at IS NOT NULL") == []


def test_nobody_of_the_team_asks_who_said_no(made, sink, tmp_path):
    """Held sign-ups that are let through, and a list without evidence, are no word of the person."""
    mail = question(made, sink)
    assert answered(made, mail, answers.gmail(mail, ANN, "no")) is Done.REFUSED
    later(made, "1 hour")
    before = len(sink.messages)
    joining.ask(made.parts, Wish(ANN, "en", {"weekly": "weekly"}))
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE signup SET released_at = now() WHERE state = 'waiting'"))
    brought = {"digest_key": "weekly", "permission": moving_in.Permission(Basis.IMPORTED, "")}
    (tmp_path / "list.csv").write_text(f"email,optin_time\n{ANN},\n", encoding="utf-8")
    done = moving_in.import_subscribers(made.parts, str(tmp_path / "list.csv"), **brought)
    assert moving_in.ask(made.parts, done.number) == 0
    joining.work(made.parts)
    made.deliver("transactional", seconds=5)
    assert len(sink.messages) == before


def test_no_list_brings_in_who_said_no(made, sink, tmp_path):
    """Months after "do not write to me again" an operator finds a list, and believes that it shows their wish."""
    mail = question(made, sink)
    assert answered(made, mail, answers.gmail(mail, ANN, "Do not write to me again")) is Done.REFUSED
    later(made, "70 days")
    joining.work(made.parts)
    assert ask(made, "SELECT 1 FROM signup") == []
    assert ask(made, "SELECT 1 FROM mailbox WHERE address_sealed IS NOT NULL") == [], "a digest of the address does"
    (tmp_path / "list.csv").write_text(f"email\n{ANN}\n", encoding="utf-8")
    assert house.bring(made, tmp_path / "list.csv").rejected == 1
    assert takes(made) == []
    again = question(made, sink)
    assert answered(made, again, answers.gmail(again, ANN, "yes")) is Done.CONFIRMED
    assert takes(made) == ["weekly"]
    assert ask(made, "SELECT 1 FROM suppression WHERE lifted_at IS NULL") == [], "their own yes lifts it"


def test_who_said_no_comes_back_by_answering_that_mail_anew(made, sink):
    """They pressed the wrong key, or their child did: a clear yes brings one more question, and that alone."""
    mail = question(made, sink)
    assert answered(made, mail, answers.gmail(mail, ANN, "no")) is Done.REFUSED
    later(made, "1 hour")
    assert answered(made, mail, answers.gmail(mail, ANN, "")) is Done.NOTHING, "a telephone that sends the quote alone"
    before = len(sink.messages)
    assert answered(made, mail, answers.gmail(mail, ANN, "yes")) is Done.ASKED
    made.deliver("transactional", seconds=5)
    assert takes(made) == []
    [again] = [one.content for one in sink.messages[before:]]
    assert answered(made, mail, answers.gmail(mail, ANN, "yes")) is Done.NOTHING, "once"
    assert answered(made, again, answers.gmail(again, ANN, "yes")) is Done.CONFIRMED
    assert takes(made) == ["weekly"]
    assert ask(made, "SELECT 1 FROM suppression WHERE lifted_at IS NULL") == []


def test_a_reader_who_said_no_goes_on_by_their_own_links(made, sink):
    """A stranger asked for another digest in their name. What they choose by a link of theirs needs no question."""
    with made.parts.database.transaction() as session:
        digests.add(session, "alarm", name="The Alarm", languages=("en",), rhythm=Rhythm.WEEKLY)
    first = question(made, sink, "alarm")
    answered(made, first, answers.gmail(first, ANN, "yes"))
    mail = question(made, sink)
    assert answered(made, mail, answers.gmail(mail, ANN, "no")) is Done.REFUSED
    assert takes(made) == ["alarm"]
    assert ask(made, "SELECT 1 FROM suppression") == [], "what they take goes on"
    with made.parts.database.transaction() as session:
        link = made.parts.tokens.preferences(1, now=database.now(session))
    choosing.choose(made.parts, link, Level.EVERYTHING)
    assert takes(made) == ["alarm", "weekly"]


def test_a_no_closes_what_waited_beside_it(made, sink):
    """A stranger wrote the address into ten forms: one no is one to all of them."""
    with made.parts.database.transaction() as session:
        digests.add(session, "alarm", name="The Alarm", languages=("en",), rhythm=Rhythm.WEEKLY)
    mail = question(made, sink)
    joining.ask(made.parts, Wish(ANN, "en", {"alarm": "weekly"}))
    joining.work(made.parts)
    assert ask(made, "SELECT state FROM signup ORDER BY id") == [("asked",), ("beside",)]
    assert answered(made, mail, answers.gmail(mail, ANN, "No")) is Done.REFUSED
    assert ask(made, "SELECT state, again_at FROM signup") == [("refused", None)] * 2


def test_a_no_after_a_yes_ends_what_that_brought_and_nothing_else(made, sink):
    """They pressed the button, thought again, and answered the mail that they had in hand."""
    with made.parts.database.transaction() as session:
        digests.add(session, "alarm", name="The Alarm", languages=("en",), rhythm=Rhythm.WEEKLY)
    first = question(made, sink, "alarm")
    assert answered(made, first, answers.gmail(first, ANN, "yes")) is Done.CONFIRMED
    mail = question(made, sink)
    assert answered(made, mail, answers.gmail(mail, ANN, "yes")) is Done.CONFIRMED
    assert takes(made) == ["alarm", "weekly"]
    assert answered(made, mail, answers.gmail(mail, ANN, "Unsubscribe")) is Done.REFUSED
    assert takes(made) == ["alarm"]
    assert ask(made, "SELECT purpose FROM consent_event WHERE kind = 'withdrawn'") == [("digest:1",)]


def test_a_no_before_the_worker_has_looked_at_a_yes_counts(made, sink):
    """Both may come within a second: the later word is theirs."""
    mail = question(made, sink)
    back = str(email.message_from_bytes(mail, policy=email.policy.default)["reply-to"])
    assert returns.take(made.parts, Arrived(ANN, back, answers.gmail(mail, ANN, "yes"))) is Done.CONFIRMED
    assert answered(made, mail, answers.gmail(mail, ANN, "no")) is Done.REFUSED
    assert takes(made) == []
    assert not joining.any_due(made.parts)


@pytest.mark.parametrize("to", ["news@sarand.example", "the return path"])
def test_who_answers_the_welcome_by_unsubscribe_has_left(made, sink, to):
    """It is the first mail they see, and often the moment in which they think better of it: nobody should have to write twice."""
    with made.parts.database.transaction() as session:
        digests.add(session, "alarm", name="The Alarm", languages=("en",), rhythm=Rhythm.WEEKLY)
        digests.add(session, "farm", name="The Farm", languages=("en",), rhythm=Rhythm.WEEKLY)
    earlier = question(made, sink, "alarm")
    answered(made, earlier, answers.gmail(earlier, ANN, "yes"))
    mail = question(made, sink, "weekly", "farm")
    answered(made, mail, answers.gmail(mail, ANN, "yes"))
    made.deliver("transactional", seconds=5)
    welcome = sink.messages[-1]
    assert b"Subject: Welcome: " in welcome.content
    assert takes(made) == ["alarm", "farm", "weekly"]
    where = welcome.sender if to == "the return path" else to
    said = answers.apple(welcome.content, ANN, "Unsubscribe")
    assert returns.take(made.parts, Arrived(ANN, where, said)) is Done.LEFT
    assert takes(made) == ["alarm"], "what another mail welcomed them to goes on"
    assert letters(made) == []


def test_a_question_of_another_kind_is_left_by_nobody(made, sink):
    """The wish to leave under a mail that brought nothing is for a person: it must not be guessed what was meant."""
    mail = question(made, sink)
    answered(made, mail, answers.gmail(mail, ANN, "yes"))
    made.deliver("transactional", seconds=5)
    said = answers.apple(mail, ANN, "Unsubscribe")
    assert returns.take(made.parts, Arrived(ANN, "news@sarand.example", said)) is Done.KEPT
    assert takes(made) == ["weekly"]
    assert [wish for wish, _ in letters(made)] == ["leave"]


@pytest.mark.parametrize(
    "said", ["Who are you?", "Thank you for your message. Your request was received and has the number 4711."]
)
def test_what_is_neither_is_kept_for_a_person(made, sink, said):
    """A ticket system that marks nothing agrees to nothing, and somebody who asks who we are deserves an answer."""
    mail = question(made, sink)
    assert answered(made, mail, answers.gmail(mail, ANN, said)) is Done.KEPT
    assert takes(made) == []
    assert letters(made) == [("", "Re: Please confirm: The Weekly")]
    assert answered(made, mail, answers.gmail(mail, ANN, "yes")) is Done.CONFIRMED
    assert takes(made) == ["weekly"]
