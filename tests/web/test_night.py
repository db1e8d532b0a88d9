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
from tests.web.visiting import inside, rows, step


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


def test_an_approval_reaches_the_page_of_who_waits(author, trustee, desk, readers, worker, now):
    """The author's page stood still, and the approver took “Approved” for sent."""
    readers(4)
    _number, here = locked(author)
    assert author.open(here).page.headers["refresh"] == "5"
    member, phone = trustee
    approve(phone, here, step(member, now, 1))
    assert "It has not gone yet. Now one of these presses “Send now” here: Mina Moradi" in plain(phone)
    assert "Send now to 4 readers" in plain(author.open(here))
    assert "It may go until" in plain(author)


def test_what_is_over_is_not_offered(author, trustee, desk, readers, worker, now):
    """The page offered to send it, and then said that all have it."""
    readers(4)
    number, here = locked(author)
    member, phone = trustee
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


def test_an_alert_whose_readers_moved_is_locked_anew_on_the_phone(
    author, trustee, desk, readers, worker, tmp_path, now, app
):
    """“Lock it again”, said the page, and had no button for it."""
    app.state.counts = Headcount(timedelta(0))
    readers(4)
    _number, here = locked(author)
    member, phone = trustee
    approve(phone, here, step(member, now, 1))
    house.add_readers(worker, tmp_path, ["late1@example.org", "late2@example.org"])
    assert "Locked for 4 readers; now it would go to 6" in plain(author.open(here))
    author.post(f"{here}/release")
    assert "more than 2 %" in author.problem
    author.post(f"{here}/lock", seen=shown_print(author), anew="true")
    assert author.problem == ""
    assert "Locked, waits" in plain(author)
    assert rows(worker, "SELECT count(*) FROM approval")[0][0] == 1


def test_the_team_sees_whom_to_call(author, trustee, desk, readers):
    """“Call the author”, said the page, and did not say who that is."""
    readers(4)
    _, here = locked(author)
    assert "call one of them: Mina Moradi" in plain(author.open(here))
    assert "It was written and locked by: Mina Moradi" in plain(trustee[1].open(f"{here}/approve"))
    assert "As fast as the relay takes it" in plain(trustee[1])


def test_where_nobody_can_approve_nobody_was_told(author, desk, readers):
    """“They have been told” kept somebody waiting for people who do not exist."""
    readers(4)
    _, here = locked(author)
    assert "Nobody can approve it" in plain(author.open(here))
    assert "They have been told" not in author.text


def test_a_link_in_a_mail_leads_where_it_points(author, browse, crew, now, desk, readers, worker):
    """After the log-in stood the front page, on which was no word of an alert."""
    readers(4)
    _number, here = locked(author)
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
    for words in ("Lorries at Sarand", "Fourteen lorries stand at the gate of Sarand."):
        assert words in html.unescape(author.text)
    assert 'target="_blank"' in author.text
    assert rows(worker, "SELECT count(*) FROM mailing")[0][0] == 0


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


def test_refusals_on_a_phone_name_no_command(author, desk, readers):
    """Whoever stands at a border with a phone has no shell."""
    readers(4)
    _number, here = locked(author)
    author.post(f"{here}/release", seen=fingerprint_of(author, here))
    assert "on their phone" in author.problem
    assert "newsletter" not in author.problem


def fingerprint_of(browser, here):
    return fingerprint(browser.open(f"{here}?alone=1"))
