"""What a tired person on a phone is told at night: whom to call, what comes next, and what is true."""

import html
import re
from datetime import timedelta

from sqlalchemy import text

from newsletter.journeys import bulletins, drafting, heeding
from newsletter.journeys.headcount import Headcount
from newsletter.operators.roles import Role
from tests import house
from tests.journeys import nights
from tests.journeys.test_heeding import ALERT, CANCEL
from tests.operators.crew import PASSWORD
from tests.web.test_alerts import WORDS, fingerprint, written
from tests.web.test_alerts import author as author
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import made as made
from tests.web.test_alerts import readers as readers
from tests.web.test_alerts import trustee as trustee
from tests.web.test_alerts import worker as worker
from tests.web.visiting import BASE, inside, rows, step


def plain(browser):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", browser.text)).split())


def locked(author):
    number = written(author)
    author.post(f"/console/alerts/{number}/lock")
    return number, f"/console/alerts/{number}"


def approve(phone, here, code):
    phone.open(f"{here}/approve")
    phone.post(f"{here}/approve", fingerprint=fingerprint(phone), factor="totp", answer=code)


def over(worker, number):
    with worker.parts.database.transaction() as session:
        late = "UPDATE mailing SET expires_at = now() - interval '1 hour' WHERE id = :id"
        session.execute(text(late), {"id": number})


def test_an_approval_reaches_the_page_of_who_waits(awaited, now):
    """The author's page stood still, and the approver took “Approved” for sent."""
    author, (member, phone), number = awaited
    here = f"/console/alerts/{number}"
    assert author.open(here).page.headers["refresh"] == "5"
    approve(phone, here, step(member, now, 1))
    assert "It has not gone yet. Now one of these presses “Send now” here: Mina Moradi" in plain(phone)
    assert "Send now to 4 readers" in plain(author.open(here))
    assert "It may go until" in plain(author)


def test_what_is_over_is_not_offered(awaited, worker, now):
    """The page offered to send it, and then said that all have it."""
    author, (member, phone), number = awaited
    here = f"/console/alerts/{number}"
    assert "It may go until" in plain(phone.open(f"{here}/approve"))
    approve(phone, here, step(member, now, 1))
    over(worker, number)
    assert "that is over" in plain(author.open(here))
    assert "Send now" not in author.text
    author.post(f"{here}/lock", seen=shown_print(author), anew="true")
    assert "Locked, waits" in plain(author.open(here))


def shown_print(browser):
    """Return what the form that locks anew shows of the words."""
    return re.search(r'name="anew" value="true"><input type="hidden" name="seen" value="([^"]+)"', browser.text)[1]


def test_done_with_readers_left_is_not_handed_over_to_all(author, desk, readers, worker):
    """Somebody believes it at three in the morning, and goes to bed."""
    readers(2)
    number, here = locked(author)
    author.post(f"{here}/release")
    with worker.parts.database.transaction() as session:
        session.execute(text("UPDATE mailing SET state = 'done' WHERE id = :id"), {"id": number})
    assert "Over: not everybody has it" in plain(author.open(here))
    assert "Handed over to all" not in author.text


def test_an_alert_whose_readers_moved_is_locked_anew_on_the_phone(awaited, worker, tmp_path, now, app):
    """“Lock it again”, said the page, and had no button for it."""
    app.state.counts = Headcount(timedelta(0))
    author, (member, phone), number = awaited
    here = f"/console/alerts/{number}"
    approve(phone, here, step(member, now, 1))
    house.add_readers(worker, tmp_path, ["late1@example.org", "late2@example.org"])
    assert "Locked for 4 readers; now it would go to 6" in plain(author.open(here))
    author.post(f"{here}/release")
    assert "more than 2 %" in author.problem
    author.post(f"{here}/lock", seen=shown_print(author), anew="true")
    assert author.problem == ""
    assert "Locked, waits" in plain(author)
    assert rows(worker, "SELECT count(*) FROM approval")[0][0] == 1


def test_the_team_sees_whom_to_call(awaited):
    """“Call the author”, said the page, and did not say who that is."""
    author, (_, phone), number = awaited
    here = f"/console/alerts/{number}"
    assert "call one of them: Mina Moradi" in plain(author.open(here))
    assert "It was written and locked by: Mina Moradi" in plain(phone.open(f"{here}/approve"))
    assert "As fast as the relay takes it" in plain(phone)


def test_where_nobody_can_approve_nobody_was_told(author, desk, readers):
    """“They have been told” kept somebody waiting for people who do not exist."""
    readers(4)
    _, here = locked(author)
    assert "Nobody can approve it" in plain(author.open(here))
    assert "They have been told" not in author.text


def test_a_link_in_a_mail_leads_where_it_points(awaited, browse, crew, now):
    """After the log-in stood the front page, on which was no word of an alert."""
    here = f"/console/alerts/{awaited[2]}"
    member, phone = crew.member(Role.APPROVER, name="Noor Holm"), browse()
    phone.open(f"{here}/approve")
    assert phone.path == "/console/login"
    wrong, right = ({"address": member.address, "password": word} for word in ("x", PASSWORD))
    for door, shown in (
        ("login", wrong),
        ("login", right),
        ("second", {"factor": "totp", "answer": step(member, now)}),
    ):
        back = re.search(r'name="back" value="([^"]+)"', phone.text)[1]
        phone.post(f"/console/{door}", back=back, **shown)
    assert phone.path == f"{here}/approve"
    front = phone.open("/console")
    assert f'href="{here}/approve"' in front.text
    assert "Waits for your approval" in plain(front)


def test_no_link_leads_elsewhere_by_the_log_in(crew, browse, now):
    """Else a mail with our own address in it ends on a stranger's page that looks like ours."""
    crew.member(Role.SENDER)
    browser = browse()
    for place in ("https://evil.example/", "//evil.example", "/console/../x", "/console/logout"):
        browser.open(f"/console/login?back={place}")
        assert 'name="back" value="/console"' in browser.text


def test_words_outlast_the_session(author, desk, worker, readers):
    """Half an hour of writing at night, and all of it gone behind a log-in."""
    readers(1)
    author.open("/console/alerts/new")
    with worker.parts.database.transaction() as session:
        session.execute(text("UPDATE operator_session SET seen_at = now() - interval '31 minutes'"))
    author.post("/console/alerts", **WORDS)
    assert author.page.status_code == 401 or author.problem
    for words in ("Lorries at Sarand", "Fourteen lorries stand at the gate of Sarand.", "Write to your MP"):
        assert words in html.unescape(author.text)
    assert 'target="_blank"' in author.text
    assert rows(worker, "SELECT count(*) FROM mailing")[0][0] == 0


LONG = WORDS | {
    "headline-en": "They take them away",
    "page-en": "https://sarand.example/more",
    "label-en-1": "Ring them",
    "url-en-1": "https://sarand.example/ring",
}
OURS = {"sec-fetch-site": "same-origin"}


def kept(browser):
    """Return what the page after a log-out goes on with, and where."""
    form = re.search(
        r'<form class="fields" method="post" action="(/console/alerts[^"]*)">(.*?)</form>', browser.text, re.DOTALL
    )
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[2])
    return form[1], {name: html.unescape(value) for name, value in found}


def again(browser, path, fields, **headers):
    """Send a form of another session."""
    browser.page = browser.client.post(path, data=fields, headers=headers or OURS)
    return browser


def written_in(browser):
    """Return what the fields of a page hold, and its hidden ones."""
    found = re.findall(r'name="([\w-]+)"[^>]*value="([^"]*)"', browser.text)
    texts = re.findall(r'<textarea id="([\w-]+)"[^>]*>(.*?)</textarea>', browser.text, re.DOTALL)
    return {name: html.unescape(value).strip() for name, value in found + texts}


def test_all_that_was_written_goes_on_after_the_log_in(browse, crew, now, desk, worker, readers):
    """Subject and text came back to be copied by hand; headline, buttons and links were gone."""
    readers(1)
    member, author = inside(browse, crew, now, Role.SENDER)
    author.open("/console/alerts/new")
    with worker.parts.database.transaction() as session:
        session.execute(text("UPDATE operator_session SET seen_at = now() - interval '31 minutes'"))
    author.post("/console/alerts", **LONG)
    path, fields = kept(author)
    assert (path, fields) == ("/console/alerts", LONG)
    assert again(author, path, fields).page.status_code == 401, "nobody has logged in yet"
    assert kept(author) == (path, LONG)
    author.log_in(member, step(member, now, 1))
    again(author, path, fields)
    assert "what you wrote stands here" in author.text
    assert written_in(author).items() >= LONG.items()
    assert rows(worker, "SELECT count(*) FROM mailing")[0][0] == 0, "shown, and nothing done"
    author.post("/console/alerts", **LONG)
    assert re.fullmatch(r"/console/alerts/\d+", author.path), author.problem
    assert "https://sarand.example/ring" in html.unescape(author.text)


def test_words_outlast_the_cookie(browse, crew, now, desk, worker, readers):
    """After twelve hours the browser itself forgets the session, and the form was called a stranger's: in an old phone for ever.

    Such a one names no Sec-Fetch-Site, but where it comes from, which the page it was written on allows it.
    """
    readers(1)
    for said in (OURS, {"origin": BASE}, {"referer": f"{BASE}/console/alerts/new"}):
        member, author = inside(browse, crew, now, Role.SENDER)
        assert author.open("/console/alerts/new").page.headers["referrer-policy"] == "same-origin"
        author.client.cookies.clear()
        fields = LONG | {"form": author.form()}
        assert again(author, "/console/alerts", fields, **said).page.status_code == 401, said
        assert author.page.headers["referrer-policy"] == "same-origin"
        assert kept(author)[1] == LONG, said
        author.log_in(member, step(member, now, 1))
        assert author.page.headers["referrer-policy"] == "no-referrer"
        assert written_in(again(author, "/console/alerts", LONG, **said)).items() >= LONG.items(), said


def test_an_edit_goes_on_where_it_was(browse, crew, now, desk, worker, readers):
    """What was before their eyes goes with it: else it would overwrite what a colleague wrote meanwhile."""
    readers(1)
    member, author = inside(browse, crew, now, Role.SENDER)
    number = written(author)
    author.open(f"/console/alerts/{number}/edit")
    seen = written_in(author)["seen"]
    author.client.cookies.clear()
    again(author, f"/console/alerts/{number}/edit", LONG | {"seen": seen})
    assert kept(author) == (f"/console/alerts/{number}/edit", LONG | {"seen": seen})
    author.log_in(member, step(member, now, 1))
    again(author, f"/console/alerts/{number}/edit", LONG | {"seen": seen})
    assert written_in(author)["seen"] == seen
    author.post(f"/console/alerts/{number}/edit", **(LONG | {"seen": "another"}))
    assert author.page.status_code == 409


def test_no_other_site_puts_words_into_the_form(browse, crew, now, worker):
    """A press of its visitor would make them a draft of ours: the browser itself must say that our own page sent them."""
    _, author = inside(browse, crew, now, Role.SENDER)
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "none", "origin": BASE},
        {"accept": "*/*"},
        {"origin": "null", "referer": f"{BASE}/console/alerts/new"},
        {"origin": "https://elsewhere.example", "referer": f"{BASE}/console/alerts/new"},
        {"referer": "https://elsewhere.example/"},
        {"referer": "http://["},
    ):
        assert again(author, "/console/alerts", LONG, **headers).page.status_code == 403
        assert "Fourteen lorries" not in author.text
    for path in ("/console/alerts/1/lock", "/console/account/recovery", "/console/alerts/errands/1/edit"):
        assert again(author, path, {}, **OURS).page.status_code in (403, 404, 405), path


def test_nobody_waits_for_a_desk_that_is_away(author, readers, worker, database_urls):
    """The page asked for itself every second, all night."""
    readers(1)
    author.open("/console/alerts/new")
    author.post("/console/alerts", **WORDS)
    assert author.page.headers["refresh"] == "1"
    house.by_owner(database_urls, "UPDATE errand SET asked_at = asked_at - interval '3 minutes'")
    author.open(author.path)
    assert "Nobody did this within 2 minutes" in author.problem
    assert "Call whoever runs it" in plain(author)
    assert "refresh" not in author.page.headers


def test_links_that_nobody_tries_are_not_being_tried(author, readers, worker, tmp_path, database_urls):
    """A desk that is away tries nothing, whatever the page hopes."""
    readers(1)
    number = drafting.draft(worker.parts, nights.write(tmp_path, nights.TEXT), digest_key=house.DIGEST)
    assert "They are being tried" in plain(author.open(f"/console/alerts/{number}"))
    house.by_owner(database_urls, "UPDATE errand SET asked_at = asked_at - interval '1 minute'")
    assert "They have not been tried" in plain(author.open(f"/console/alerts/{number}"))


def test_a_retraction_is_watched_in_four_lines(author, trustee, desk, readers, worker, sink):
    """Whoever takes an alert back must see whether those who have it are told."""
    readers(2)
    _number, here = locked(author)
    author.post(f"{here}/release")
    worker.deliver("urgent")
    author.open(here).post(f"{here}/retract")
    assert "What takes it back" in plain(author.open(here))
    assert plain(author).count("handed over") == 2
    worker.deliver("urgent")
    assert plain(author.open(here)).count("2 of 2 handed over") == 2


def test_a_cancel_of_what_has_gone_stands_on_its_page(author, desk, readers, worker):
    """Whoever reads the page next can ask the issuer, and take it back."""
    readers(2)
    act = heeding.Heeding(worker.parts, house.DIGEST)
    number = bulletins.take(worker.parts, ALERT, act=act).mailing
    author.open(f"/console/alerts/{number}").post(f"/console/alerts/{number}/lock")
    author.post(f"/console/alerts/{number}/release")
    worker.deliver("urgent")
    assert "Cancelled by their issuer" not in plain(author.open("/console/alerts"))
    bulletins.take(worker.parts, CANCEL, act=act)
    assert "Cancelled by their issuer, and still with readers" in plain(author.open("/console/alerts"))
    assert "take it back if it is so" in plain(author.open(f"/console/alerts/{number}"))
    author.post(f"/console/alerts/{number}/retract")
    assert "Cancelled by their issuer" not in plain(author.open("/console/alerts"))


def test_a_writer_sees_who_may_lock_and_asks_them(author, browse, crew, now, desk, readers, worker):
    """A draft without a button, and not a word on who has one."""
    readers(4)
    _, writer = inside(browse, crew, now, Role.WRITER)
    number = written(writer)
    here = f"/console/alerts/{number}"
    assert "These may: Mina Moradi" in plain(writer.open(here))
    writer.post(f"{here}/want-lock")
    assert "They were asked on" in plain(writer)
    assert [row.event for row in rows(worker, "SELECT event FROM hook_call")] == ["lock-wanted"]
    assert "want-lock" not in author.open(here).text


def test_a_reload_closes_nothing_that_is_read(author, desk, readers, worker):
    """While an alert goes its page asks anew every three seconds; words are read, and names typed, on pages that do not."""
    readers(2)
    _number, here = locked(author)
    author.post(f"{here}/release")
    assert author.open(here).page.headers["refresh"] == "3"
    assert "<textarea" not in author.text
    assert 'type="text"' not in author.text
    assert "<details" not in author.text
    author.open(f"{here}?words=1")
    assert "Fourteen lorries" in author.text
    assert "refresh" not in author.page.headers
    author.open(f"{here}/as/1")
    assert 'name="name"' in author.text
    assert "refresh" not in author.page.headers


def test_refusals_on_a_phone_name_no_command(awaited):
    """Whoever stands at a border with a phone has no shell."""
    author, _, number = awaited
    here = f"/console/alerts/{number}"
    author.post(f"{here}/release", seen=fingerprint_of(author, here))
    assert "on their phone" in author.problem
    assert "newsletter" not in author.problem


def fingerprint_of(browser, here):
    return fingerprint(browser.open(f"{here}?alone=1"))
