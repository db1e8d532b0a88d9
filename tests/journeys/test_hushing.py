"""A stopped alert is put before nobody any more: no digest tells it, no list names it; whoever has it keeps its page."""

import re

from starlette.testclient import TestClient

from newsletter.journeys import alert, drafting, publish, retracting, stopping
from newsletter.ledger.mailings import State
from newsletter.web import create
from tests import house
from tests.journeys.alerting import TEXT, read, sent, status
from tests.journeys.test_following import AGAIN, THIRD, following_file, update

SUBJECT = "Lorries at Sarand"
LATER = "Sending of this alert was stopped."
WITHDRAWN = "Something in this issue was withdrawn after it went out"


def stopped_by_link(pages, number, made):
    """Stop an alert as the pages' role does, and let the sweep come by."""
    with made.parts.database.transaction() as session:
        now = session.connection().exec_driver_sql("SELECT now()").scalar_one()
    offer = stopping.by_link(pages.parts, made.parts.tokens.stop(number, now=now))
    assert offer.ended
    made.sweep()


def shown(pages, path):
    with TestClient(create(pages)) as client:
        return client.get(path)


def places(number):
    return [
        f"/alerts/{number}",
        f"/alerts/{number}/en",
        f"/alerts/{number}/cap.xml",
        f"/archive/{house.DIGEST}/{number}/1",
    ]


def digest(made, tmp_path, sink, *, composed=None):
    """Send an issue, and return its mails' texts by recipient."""
    if composed is None:
        house.add_articles(made, tmp_path, "The well runs dry")
        composed = publish.compose(made.parts, house.DIGEST)
    sink.messages.clear()
    publish.send(made.parts, composed.issue)
    made.deliver("bulk")
    return {one.recipient: read(one).get_body(("plain",)).get_content() for one in sink.messages}


def test_what_was_stopped_before_anybody_had_it_is_gone(newsletter, pages, tmp_path, words, sink):
    """Three seconds after “send now” somebody sees that it names the wrong gate: no digest leads with it on Sunday."""
    number = sent(newsletter, tmp_path, words, 3)
    stopped_by_link(pages, number, newsletter)
    newsletter.deliver("urgent")
    assert sink.messages == []
    assert [shown(pages, one).status_code for one in places(number)] == [404] * 4
    assert SUBJECT not in shown(pages, "/alerts/feed.xml").text
    told = digest(newsletter, tmp_path, sink)
    assert len(told) == 3
    assert not any("Lorries" in one for one in told.values())


def test_an_issue_cut_before_any_sweep_does_not_tell_it(newsletter, pages, tmp_path, words, sink):
    """The timer of the digest may be quicker than the sweep."""
    number = sent(newsletter, tmp_path, words, 2)
    with pages.parts.database.transaction() as session:
        stopping.end(session, number, by="link")
    assert not any("Lorries" in one for one in digest(newsletter, tmp_path, sink).values())


def test_what_was_composed_already_goes_to_those_alone_who_had_it(newsletter, pages, tmp_path, words, sink):
    """The issue lies ready with the alert in it: who would learn of it there gets nothing, everybody else their issue."""
    sink.refuse = lambda to: None if to == "reader0@example.org" else "450 4.7.1 later"
    number = sent(newsletter, tmp_path, words, 3)
    newsletter.deliver("urgent")
    house.add_articles(newsletter, tmp_path, "The well runs dry")
    composed = publish.compose(newsletter.parts, house.DIGEST)
    assert composed.variants == 2
    stopped_by_link(pages, number, newsletter)
    sink.refuse = lambda _to: None
    told = digest(newsletter, tmp_path, sink, composed=composed)
    assert set(told) == {"reader0@example.org"}
    house.add_articles(newsletter, tmp_path, "The well runs dry", "Rain at last")
    again = digest(newsletter, tmp_path, sink, composed=publish.compose(newsletter.parts, house.DIGEST))
    assert len(again) == 3
    assert "The well runs dry" in again["reader1@example.org"]
    assert not any("Lorries" in one for one in again.values())
    rest = [shown(pages, f"/archive/{house.DIGEST}/{composed.mailing}/{version}") for version in (1, 2)]
    assert [one.status_code for one in rest] == [200, 200]
    assert all("The well runs dry" in one.text and "Lorries" not in one.text for one in rest)
    assert [WITHDRAWN in one.text for one in rest] == [True, False]


def test_an_issue_that_told_it_stays_in_the_archive_without_it(newsletter, pages, tmp_path, words, sink):
    """The link “view in browser” stands in mails that have arrived: it leads to the rest of the issue, and never to nothing."""
    sink.refuse = lambda _to: "450 4.7.1 later"
    number = sent(newsletter, tmp_path, words, 2)
    newsletter.deliver("urgent")
    sink.refuse = lambda _to: None
    only = publish.compose(newsletter.parts, house.DIGEST)
    assert all("Lorries" in one for one in digest(newsletter, tmp_path, sink, composed=only).values())
    stopped_by_link(pages, number, newsletter)
    page = shown(pages, f"/archive/{house.DIGEST}/{only.mailing}/1")
    assert page.status_code == 200
    assert "Lorries" not in page.text
    assert WITHDRAWN in page.text


def test_whoever_has_it_finds_its_page_and_nobody_is_asked_to_pass_it_on(newsletter, pages, tmp_path, words, sink):
    """It may be right and only not for all: the mail's link must lead somewhere, and says what became of it."""
    sink.refuse = lambda to: None if to == "reader0@example.org" else "450 4.7.1 later"
    number = sent(newsletter, tmp_path, words, 3)
    newsletter.deliver("urgent")
    before = shown(pages, f"/alerts/{number}/en").text
    assert "og:title" in before
    assert LATER not in before
    stopped_by_link(pages, number, newsletter)
    page, mail, bulletin = (shown(pages, place) for place in places(number)[1:2] + places(number)[3:1:-1])
    assert (page.status_code, mail.status_code, bulletin.status_code) == (200, 200, 404)
    assert LATER in page.text
    assert "Fourteen" in page.text
    assert not re.search("og:|twitter:card|wa.me|name=.description", page.text)
    assert SUBJECT not in shown(pages, "/alerts/feed.xml").text
    assert "أُوقف إرسال هذا التنبيه" not in page.text
    # Taken back after all, it stands everywhere as that.
    retracting.retract(newsletter.parts, number)
    assert "We take our alert back" in shown(pages, "/alerts/feed.xml").text
    assert LATER not in shown(pages, f"/alerts/{number}/en").text


def test_an_alert_that_an_update_ended_stands_as_it_did(newsletter, pages, tmp_path, words, sink):
    """Nobody stopped it: it was true, and the newer word names it."""
    sink.refuse = lambda _to: "450 4.7.1 later"
    number = sent(newsletter, tmp_path, words, 2)
    newsletter.deliver("urgent")
    newer = update(newsletter, tmp_path, number)
    newsletter.sweep()
    assert status(newsletter, number).state == "stopped"
    page = shown(pages, f"/alerts/{number}/en")
    assert page.status_code == 200
    assert LATER not in page.text
    assert f"/alerts/{newer}/en" in page.text
    assert SUBJECT in shown(pages, "/alerts/feed.xml").text
    alert.stop(newsletter.parts, newer)
    assert f"/alerts/{newer}/en" not in shown(pages, f"/alerts/{number}/en").text
    assert shown(pages, f"/alerts/{newer}/en").status_code == 404


def test_the_update_of_what_nobody_was_told_of_is_a_message_of_its_own(newsletter, pages, tmp_path, words, sink):
    """Whoever takes in CAP holds an update whose reference they cannot find, or drops it: the true word would be the lost one."""
    number = sent(newsletter, tmp_path, words, 2)
    stopped_by_link(pages, number, newsletter)
    newer = update(newsletter, tmp_path, number)
    bulletin = shown(pages, f"/alerts/{newer}/cap.xml").text
    assert "<msgType>Alert</msgType>" in bulletin
    assert "<references>" not in bulletin


def test_an_update_names_the_last_that_was_told(newsletter, pages, tmp_path, words, sink):
    """The one in between was stopped before anybody had it: what the newest supersedes is the first."""
    first = sent(newsletter, tmp_path, words, 2)
    newsletter.deliver("urgent")
    between = update(newsletter, tmp_path, first)
    stopped_by_link(pages, between, newsletter)
    last = update(newsletter, tmp_path, between, THIRD)
    named = re.search("<identifier>(.+)</identifier>", shown(pages, f"/alerts/{first}/cap.xml").text)
    bulletin = shown(pages, f"/alerts/{last}/cap.xml").text
    assert "<msgType>Update</msgType>" in bulletin
    assert f",{named.group(1)}," in re.search("<references>(.+)</references>", bulletin).group(1)


def test_the_command_line_s_stop_hushes_at_once(newsletter, pages, tmp_path, words, sink):
    """Whoever stops at the command line may cut the digest in the next one, with no worker running."""
    number = sent(newsletter, tmp_path, words, 2)
    assert TEXT.splitlines()[0].strip("# ") == SUBJECT
    alert.stop(newsletter.parts, number)
    assert alert.standing(newsletter.parts, number).state is State.STOPPED
    assert not any("Lorries" in one for one in digest(newsletter, tmp_path, sink).values())


def test_so_does_one_that_was_ended_by_an_update_of_what_never_went(newsletter, pages, tmp_path, words, sink):
    """The update in between is a draft still: it is the thread that went on."""
    sink.refuse = lambda to: None if to == "reader0@example.org" else "450 4.7.1 later"
    number = sent(newsletter, tmp_path, words, 2)
    newsletter.deliver("urgent")
    paths = following_file(tmp_path, AGAIN)
    between = drafting.draft(newsletter.parts, paths, digest_key=house.DIGEST, updates=number)
    update(newsletter, tmp_path, between, THIRD)
    newsletter.sweep()
    assert status(newsletter, number).state == "stopped"
    assert LATER not in shown(pages, f"/alerts/{number}/en").text
