"""A thumb taps twice: the browser shows the answer to the second tap, and that is what the first came to, with no reproach."""

import re
import threading

import pytest

from newsletter import database
from newsletter.journeys import alert
from newsletter.journeys.agreeing import NotEnough
from newsletter.operators import people
from newsletter.operators.roles import Role
from tests import house
from tests.fakes import desk as at_desk
from tests.web.test_alerts import WORDS, fingerprint, written
from tests.web.test_alerts import author as author
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import made as made
from tests.web.test_alerts import readers as readers
from tests.web.test_alerts import trustee as trustee
from tests.web.test_alerts import worker as worker
from tests.web.visiting import inside, rows, step


def hidden(browser):
    """Return what a page's forms carry unseen."""
    found = {"form": browser.form()}
    for name in ("seen", "once"):
        if value := re.search(rf'name="{name}" value="([^"]*)"', browser.text):
            found[name] = value[1]
    return found


def twice(browser, path, **fields):
    """Press one button of the page that is shown twice, and show the answer to the second press."""
    form = hidden(browser) | fields
    for _ in range(2):
        browser.page = browser.client.post(path, data=form)
    return browser.settled()


def settled(browser, here):
    """Return what the page says was wrong, at the alert's own address."""
    assert browser.page.status_code == 200, browser.problem
    assert browser.path == here
    return browser.problem


def alerts(worker):
    return rows(worker, "SELECT count(*) FROM mailing WHERE kind = 'alert'")[0][0]


def test_every_button_of_an_alert_tapped_twice_is_tapped_once(author, trustee, desk, readers, worker, sink, now):
    """From lock to retraction: no refusal, no second mail, and never “Mailing 3 is locked”."""
    readers(4)
    number = written(author)
    here = f"/console/alerts/{number}"
    assert settled(twice(author, f"{here}/lock"), here) == ""
    member, phone = trustee
    phone.open(f"{here}/approve")
    twice(phone, f"{here}/approve", fingerprint=fingerprint(phone), factor="totp", answer=step(member, now, 1))
    assert settled(phone, here) == ""
    author.open(here)
    assert settled(twice(author, f"{here}/release"), here) == ""
    assert settled(twice(phone.open(here), f"{here}/pause"), here) == ""
    assert settled(twice(author.open(here), f"{here}/resume"), here) == ""
    assert settled(twice(author.open(here), f"{here}/stop"), here) == ""
    assert settled(twice(author.open(here), f"{here}/retract"), here) == ""
    told = [row.event for row in rows(worker, "SELECT event FROM hook_call ORDER BY id")]
    assert told == ["approval-wanted", "approved", "released", "paused", "resumed", "stopped", "retracted"]


def test_sent_alone_twice_is_sent_alone(browse, crew, now, desk, readers, worker):
    """The code is used up by the first tap: the second is not told that it is wrong."""
    readers(4)
    member, browser = inside(browse, crew, now, Role.SENDER)
    number = written(browser)
    here = f"/console/alerts/{number}"
    browser.post(f"{here}/lock")
    seen = fingerprint(browser.open(f"{here}?alone=1"))
    twice(browser, f"{here}/alone", fingerprint=seen, factor="totp", answer=step(member, now, 1))
    assert settled(browser, here) == ""


def test_longer_twice_is_longer_once(author, desk, readers, worker, database_urls):
    """Twelve hours were offered, and twelve are given."""
    readers(2)
    number = written(author)
    here = f"/console/alerts/{number}"
    author.post(f"{here}/lock")
    author.post(f"{here}/release")
    when = f"SELECT expires_at FROM mailing WHERE id = {number}"
    house.by_owner(database_urls, "UPDATE mailing SET expires_at = now() + interval '1 hour' WHERE id = %s", number)
    before = rows(worker, when)[0][0]
    author.open(here)
    seen = re.search(r'name="seen" value="([^"]*)"', author.text.split("/extend")[1])[1]
    assert settled(twice(author, f"{here}/extend", seen=seen.replace("&#43;", "+")), here) == ""
    assert (rows(worker, when)[0][0] - before).total_seconds() == 12 * 3600


def test_one_form_makes_one_draft(author, desk, worker):
    """Two alerts in one wording, and the team asks itself which of them is the one to lock."""
    author.open("/console/alerts/new")
    twice(author, "/console/alerts", **WORDS)
    first = author.path
    assert alerts(worker) == 1
    author.open("/console/alerts/new")
    author.post("/console/alerts", **(WORDS | hidden(author)))
    assert author.path != first
    assert alerts(worker) == 2


def test_two_taps_at_once_make_one_draft(author, desk, worker):
    """The second arrives while the first is being composed."""
    author.open("/console/alerts/new")
    form = hidden(author) | WORDS
    tapped = [
        threading.Thread(target=author.client.post, args=("/console/alerts",), kwargs={"data": form}) for _ in "12"
    ]
    for one in tapped:
        one.start()
    for one in tapped:
        one.join()
    at_desk.rest(worker)
    assert alerts(worker) == 1


def test_other_words_in_the_same_form_are_another_draft(author, desk, worker):
    """Whoever goes back and mends a word must not be shown the words of before."""
    author.open("/console/alerts/new")
    form = hidden(author) | WORDS
    author.page = author.client.post("/console/alerts", data=form)
    author.page = author.client.post("/console/alerts", data=form | {"text-en": "Forty lorries stand at the gate."})
    author.settled()
    at_desk.rest(worker)
    assert alerts(worker) == 2
    assert "Forty lorries" in author.text


def test_an_edit_sent_twice_is_no_quarrel(author, desk, readers, worker):
    """“Somebody changed it meanwhile” — it was the same thumb."""
    readers(2)
    number = written(author)
    here = f"/console/alerts/{number}"
    author.open(f"{here}/edit")
    twice(author, f"{here}/edit", **(WORDS | {"text-en": "Forty lorries stand at the gate."}))
    assert settled(author, here) == ""
    assert "Forty lorries" in author.text


def test_who_read_other_words_is_not_told_that_theirs_went(browse, crew, now, author, desk, readers, worker):
    """It was locked anew meanwhile and another approved that: a page that says "Approved" would say it of what they have read."""
    readers(4)
    (late, phone), (other, second) = (inside(browse, crew, now, Role.APPROVER) for _ in range(2))
    here = f"/console/alerts/{written(author)}"
    author.post(f"{here}/lock")
    before = fingerprint(phone.open(f"{here}/approve"))
    author.post(f"{here}/lock", anew="1", seen=hidden(author.open(here)).get("seen", ""))
    after = fingerprint(second.open(f"{here}/approve"))
    assert before != after
    second.post(f"{here}/approve", fingerprint=after, factor="totp", answer=step(other, now, 1))
    phone.post(f"{here}/approve", fingerprint=before, factor="totp", answer=step(late, now, 1))
    assert phone.problem
    author.open(here)
    author.post(f"{here}/release", seen=after)
    author.post(f"{here}/release", seen=before)
    assert author.problem


def test_an_approval_that_was_taken_away_is_said(browse, crew, now, author, desk, readers, worker):
    """ "Approved" and no button: whoever sits before that at night must read why, and what to do."""
    readers(4)
    member, phone = inside(browse, crew, now, Role.APPROVER)
    here = f"/console/alerts/{written(author)}"
    author.post(f"{here}/lock")
    seen = fingerprint(phone.open(f"{here}/approve"))
    phone.post(f"{here}/approve", fingerprint=seen, factor="totp", answer=step(member, now, 1))
    assert "has left the team since" not in author.open(here).text
    with worker.parts.database.transaction() as session:
        people.set_roles(session, member.id, [Role.AUDITOR], now=database.now(session))
    assert "has left the team since" in author.open(here).text
    assert "It does not go yet" in author.open("/console").text
    with pytest.raises(NotEnough):
        alert.may_release(worker.parts, int(here.rpartition("/")[2]))


def test_what_is_not_so_is_still_refused(author, trustee, desk, readers, worker):
    """Only what was pressed for and is there already is passed over."""
    readers(2)
    number = written(author)
    here = f"/console/alerts/{number}"
    author.post(f"{here}/lock")
    stale = hidden(author)
    author.open(f"{here}/edit")
    author.post(f"{here}/edit", **(WORDS | {"text-en": "Forty lorries stand at the gate."}))
    author.post(f"{here}/lock")
    author.page = author.client.post(f"{here}/lock", data=stale | {"seen": "0" * 64})
    assert author.settled().page.status_code == 409
    author.post(f"{here}/pause")
    assert "does not go now, so there is nothing to pause" in author.problem
    author.post(f"{here}/retract")
    assert "has gone to nobody, so there is nothing to take back" in author.problem


def test_a_refusal_is_said_in_their_language(author, desk, readers, worker):
    """No English sentence of mailings and drafts on a Persian page."""
    readers(2)
    number = written(author)
    for language in ("fa", "ar"):
        author.client.headers["accept-language"] = language
        author.post(f"/console/alerts/{number}/pause")
        assert author.problem, language
        assert not re.search(r"[A-Za-z]{4,}", author.problem), language
