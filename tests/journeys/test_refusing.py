"""What does not go is told to whoever sleeps in the belief that it does: once, with the reason, and whatever dies meanwhile."""

import re
from pathlib import Path

import pytest

from newsletter import languages
from newsletter.delivery import vouching
from newsletter.journeys import alert, mailing, refusing, retracting
from newsletter.ledger import refusals
from newsletter.ledger.mailings import State
from newsletter.operators.night import Fault
from tests import house
from tests.journeys import nights
from tests.journeys.alerting import read
from tests.journeys.test_alert import approver as approver
from tests.journeys.test_alert import author as author
from tests.journeys.test_alert import crew as crew
from tests.journeys.test_alert import locked
from tests.journeys.test_alert import made as made
from tests.journeys.test_alert import pages as pages
from tests.journeys.test_alert import words as words
from tests.journeys.test_forging import EDITED, attacker, forced, sending


@pytest.fixture
def number(made, tmp_path, words, author, approver):
    """An alert to four readers, approved and released."""
    number = locked(made, tmp_path, words, author, 4)
    sending(made, number, author, approver)
    made.deliver("transactional")
    return number


def told(made, sink):
    """Return the team's mail since the last time, after two looks of the desk: by address, with its words."""
    sink.messages.clear()
    made.sweep()
    made.sweep()
    made.deliver("transactional")
    return {message.recipient: read(message) for message in sink.messages}


def test_the_team_is_mailed_what_a_worker_would_not_send(made, number, author, approver, sink, database_urls):
    """A pager names a number; the mail says what is wrong, how many have it, and where to look. No reader is named."""
    forced(made, database_urls, number, EDITED["template"])
    found = told(made, sink)
    assert set(found) == {author.address, approver.address}
    assert len(sink.messages) == 2
    mail = found[author.address]
    said = " ".join(mail.get_body(("plain",)).get_content().split())
    assert mail["Subject"] == f"Alert {number} was HALTED: a worker would not send it"
    assert languages.say("vouch.bytes", mailing=number) in said
    assert "0 have been handed their mail, 4 have not" in said
    assert f"newsletter alerts status {number}" in said
    assert f"/console/alerts/{number}" in said
    assert "reader" not in said
    assert told(made, sink) == {}


def test_who_resumes_what_is_still_wrong_is_told_again(made, number, sink, database_urls):
    """The second halt is another refusal: whoever resumed it believes that it goes now."""
    forced(made, database_urls, number, EDITED["count"])
    told(made, sink)
    mailing.resume(made.parts, number)
    made.deliver("urgent")
    assert len(told(made, sink)) == 2


def test_a_desk_that_cannot_write_leaves_it_to_the_next(made, number, sink, database_urls, tmp_path, author, approver):
    """It died over the mail, or has no sender: the refusal is still there, and so is the news of it."""
    forced(made, database_urls, number, EDITED["subject"])
    mute = house.build(tmp_path, database_urls, sink.url, **nights.RULES, sender="")
    assert refusing.tell(mute.parts) == 0
    mute.close()
    assert set(told(made, sink)) == {author.address, approver.address}


def test_of_two_desks_one_tells(made, number, database_urls):
    """Every machine looks; the team is told once."""
    forced(made, database_urls, number, EDITED["update"])
    with made.parts.database.transaction() as session:
        now = nights.now(made)
        [found] = refusals.untold(session, since=now - refusing.KEEPS)
        assert [refusals.tell_once(session, found.id, now=now) for _ in range(2)] == [True, False]


def test_yesterday_s_refusal_is_no_news(made, number, sink, database_urls):
    """The desk was down for days: a mail about a night that is over would only frighten."""
    forced(made, database_urls, number, EDITED["expiry"])
    house.by_owner(database_urls, "UPDATE refusal SET at = now() - interval '25 hours'")
    assert told(made, sink) == {}


def test_a_retraction_that_is_refused_is_called_one(made, number, sink, database_urls):
    """Whoever took it back must not believe that readers know."""
    made.deliver("urgent")
    back = retracting.retract(made.parts, number).retraction
    made.deliver("transactional")
    forced(made, database_urls, back, "UPDATE mailing SET planned = planned + 2 WHERE id = %(alert)s")
    found = told(made, sink)
    assert {mail["Subject"] for mail in found.values()} == {
        f"What takes alert {number} back was HALTED: a worker would not send it"
    }
    [why] = alert.standing(made.parts, number).refusals
    assert (why.mailing, why.why) == (back, "vouch.count")


def test_no_reason_is_rewritten(made, number, database_urls):
    """Whoever has the password of a worker or of the pages cannot make it say something harmless afterwards."""
    forced(made, database_urls, number, EDITED["template"])
    for url in (database_urls.worker, database_urls.web):
        for statement in ("UPDATE refusal SET why = 'vouch.sender'", "DELETE FROM refusal"):
            with attacker(url) as somebody, pytest.raises(Exception, match="permission denied"):
                somebody.execute(statement)


def test_every_reason_has_a_sentence():
    """At four in the morning an id is no reason. What is asked before a release no worker finds."""
    early = {Fault.TOGETHER, Fault.NO_AUTHOR, Fault.UNREAD, Fault.UNHEARD}
    source = Path(vouching.__file__).read_text()
    faults = set(re.findall(r'NotVouched\([a-z_.]+, "([a-z-]+)"\)', source)) | set(Fault) - early
    assert len(faults) > 20
    for fault in faults:
        said = languages.say(f"vouch.{fault}", mailing=7)
        assert not said.startswith("vouch."), fault


def test_where_an_alert_stands_says_why_it_does_not_go(made, pages, number, database_urls):
    """Also to the pages; until somebody has let it go on."""
    assert alert.standing(pages.parts, number).refusals == ()
    forced(made, database_urls, number, EDITED["update"])
    [found] = alert.standing(pages.parts, number).refusals
    assert (found.why, found.halted) == ("vouch.updates", True)
    mailing.resume(made.parts, number)
    assert alert.standing(made.parts, number).refusals == ()


def test_a_draft_says_why_until_it_is_locked_anew(made, tmp_path, words, author, database_urls):
    """What one sends alone came back because the audience moved: that is so until somebody has looked and locked it."""
    number = locked(made, tmp_path, words, author, 4)
    nights.alone(made, number, author)
    house.add_readers(made, tmp_path, house.addresses(9))
    house.by_owner(database_urls, "UPDATE mailing SET start_at = now() WHERE id = %s", number)
    made.sweep()
    found = alert.standing(made.parts, number)
    assert found.state is State.DRAFT
    assert [(one.why, one.facts["now"]) for one in found.refusals] == [("alert.count-moved", 9)]
    alert.lock(made.parts, number, by=author.id)
    assert alert.standing(made.parts, number).refusals == ()
