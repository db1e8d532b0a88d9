"""An alert that was locked, perhaps approved, and that nobody let go: it does not end in silence."""

from email import message_from_bytes, policy
from threading import Barrier, Thread

import pytest
from sqlalchemy import text as sql

from newsletter.journeys import alert, unreleased
from newsletter.ledger import mailings
from newsletter.ledger.mailings import State
from newsletter.operators import people
from tests import house
from tests.journeys import nights
from tests.journeys.nights import approver as approver
from tests.journeys.nights import author as author
from tests.journeys.nights import crew as crew
from tests.journeys.nights import made as made
from tests.journeys.nights import pages as pages
from tests.journeys.test_expiring import expires_in


def mailed(made, sink, number):
    """Sweep twice, and return the texts of mails about an alert's end, by recipient and subject."""
    sink.messages.clear()
    made.sweep()
    made.sweep()
    made.deliver("transactional")
    found = [(one.recipient, message_from_bytes(one.content, policy=policy.default)) for one in sink.messages]
    texts = [(to, str(mail["Subject"]), mail.get_body(("plain",)).get_content()) for to, mail in found]
    return {(to, subject): " ".join(text.split()) for to, subject, text in texts if "expire" in subject}


@pytest.mark.parametrize("approved", [True, False])
def test_what_nobody_lets_go_is_asked_about_before_and_told_afterwards(
    made, author, approver, sink, tmp_path, approved
):
    """One approved it, each thought that the other had sent it; in the morning nobody had got it, and nobody knew."""
    number = nights.locked(made, tmp_path, author, 4)
    if approved:
        alert.approve_by_code(made.parts, number, by=approver.id, code=approver.code(nights.now(made)))
    assert mailed(made, sink, number) == {}, "a day is long"
    expires_in(made, number, 110)
    asked = mailed(made, sink, number)
    subject = f"Alert {number} expires soon, and nobody has let it go"
    assert set(asked) == {(one.address, subject) for one in (author, approver)}
    text = asked[author.address, subject]
    assert "locked for 4 readers" in text
    assert ("It is approved" if approved else "still waits for another's approval") in text
    assert f"/console/alerts/{number}" in text
    expires_in(made, number, -1)
    told = mailed(made, sink, number)
    assert set(told) == {(one.address, f"Alert {number} has expired: nobody got it") for one in (author, approver)}
    assert [event for event, facts in nights.calls(made) if "unreleased" in facts] == ["expiring", "expired"]


def test_what_is_given_up_or_goes_is_asked_about_by_nobody(made, author, approver, sink, tmp_path):
    """A question without a matter teaches people to delete it unread."""
    stopped = nights.locked(made, tmp_path, author, 4)
    alert.stop(made.parts, stopped, by=author.id)
    alone = nights.locked(made, tmp_path, author, 0)
    nights.alone(made, alone, author)
    for number in (stopped, alone):
        expires_in(made, number, 110)
    assert mailed(made, sink, alone) == {}


def test_what_was_approved_by_who_left_is_not_called_approved(made, author, approver, sink, tmp_path):
    """“Whoever may send lets it go” sends somebody to a page without that button, in the last two hours."""
    number = nights.locked(made, tmp_path, author, 4)
    alert.approve_by_code(made.parts, number, by=approver.id, code=approver.code(nights.now(made)))
    with made.parts.database.transaction() as session:
        people.disable(session, approver.id, by=author.id, now=nights.now(made))
    expires_in(made, number, 110)
    [text] = mailed(made, sink, number).values()
    assert "whoever may send lets it go" not in text
    assert "It was approved, and that is not enough any more" in text


def test_nobody_is_sent_to_lock_what_an_authority_s_message_forbids(made, author, sink, tmp_path):
    """It is over with the message that it was made of: the page would refuse, and the hour is lost."""
    number = nights.locked(made, tmp_path, author, 4)
    with made.parts.database.transaction() as session:
        over = "content || jsonb_build_object('until', now() - interval '1 minute')"
        session.execute(sql(f"UPDATE mailing SET content = {over}"))
    expires_in(made, number, -1)
    [text] = mailed(made, sink, number).values()
    assert "locks it anew" not in text
    assert "it cannot be locked anew. If it is still true, write a new alert" in text


def test_a_mail_that_could_not_be_written_is_tried_again(made, author, sink, tmp_path, database_urls):
    """Somebody mends the template at midnight, and whoever was to be asked before the end is asked."""
    number = nights.locked(made, tmp_path, author, 4)
    made.deliver("transactional")
    expires_in(made, number, 110)
    own = tmp_path / "own" / "email" / "team"
    own.mkdir(parents=True)
    (own / "body.html").write_text("{{ nothing.here }}")
    broken = house.build(tmp_path, database_urls, sink.url, **nights.RULES, templates=tmp_path / "own")
    assert unreleased.tell(broken.parts) == 0
    broken.close()
    assert mailed(made, sink, number) != {}
    assert of_unreleased(made) == [number]


def of_unreleased(made):
    return [facts["alert"] for _, facts in nights.calls(made) if "unreleased" in facts]


def test_two_sweeps_at_once_ask_once(made, author, sink, tmp_path):
    """Whoever sleeps beside two desks is woken once by an alert, and asks no colleague which of two mails is true."""
    numbers = [nights.locked(made, tmp_path, author, readers) for readers in (4, 0, 0)]
    for number in numbers:
        expires_in(made, number, 110)
    gate = Barrier(2)

    def sweep():
        gate.wait()
        unreleased.tell(made.parts)

    threads = [Thread(target=sweep) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(of_unreleased(made)) == numbers


def test_what_is_given_up_this_moment_is_asked_about_no_more(made, author, sink, tmp_path):
    """The sweep found it a moment ago; a question about what is over by then has no answer."""
    number = nights.locked(made, tmp_path, author, 4)
    expires_in(made, number, 110)
    sweep = Thread(target=unreleased.tell, args=(made.parts,))
    with made.parts.database.transaction() as session:
        mailings.take(session, number)
        sweep.start()
        sweep.join(1.0)
        mailings.move(session, number, State.CANCELLED)
    sweep.join()
    assert of_unreleased(made) == []
