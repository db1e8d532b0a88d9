"""Halting asks for no code: not of whoever has only watched, and whoever is out is told that nothing was halted."""

from itertools import product

import pytest

from newsletter import database
from newsletter.journeys import mailing
from newsletter.ledger import shards
from newsletter.operators.roles import Role
from newsletter.web.console import gate
from tests import house
from tests.operators.crew import PASSWORD
from tests.web import evenings
from tests.web.evenings import crew as crew
from tests.web.evenings import database_urls as database_urls
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import made as made
from tests.web.test_alerts import worker as worker
from tests.web.test_alerts import written
from tests.web.visiting import carry, inside, rows, step

IDLE = "UPDATE operator_session SET seen_at = now() - interval '31 minutes', began_at = now() - interval '40 minutes'"
OVER = "UPDATE operator_session SET seen_at = now() - interval '31 minutes', began_at = now() - interval '13 hours'"
ENDED = "UPDATE operator_session SET ended_at = now()"
THERE = "UPDATE operator_session SET seen_at = now(), began_at = now() - interval '1 minute', ended_at = NULL"


def released(stage):
    """Tell how somebody sends an alert to two readers; leave their browser on its page, and its number."""
    stage.readers(2)
    _, browser = inside(stage.browse, stage.crew, stage.now, Role.SENDER)
    number = written(browser)
    browser.post(f"/console/alerts/{number}/lock")
    browser.post(f"/console/alerts/{number}/release")
    assert state(stage.worker, number) == "sending"
    return browser, number


@pytest.fixture(scope="module")
def evening(servers, tmp_path_factory):
    return evenings.told(servers, tmp_path_factory.mktemp("evening"), released, one_person_up_to=2)


@pytest.fixture
def going(evening, browse, desk):
    """Return somebody's browser on the page of an alert that goes, and its number."""
    browser, number = evening.left
    return evenings.again(browse, browser), number


def on_the_wire(worker):
    """Begin with the alert's readers, and hear nothing of them yet; return the lease."""
    with worker.parts.database.transaction() as session:
        lease = shards.take(session, "urgent", owner="a test").lease
        shards.announce(session, lease, first=0, upto=2)
    return lease


def state(worker, number):
    return rows(worker, f"SELECT state FROM mailing WHERE id = {number}")[0][0]


@pytest.mark.parametrize(
    ("act", "became", "said"),
    [("stop", "stopped", "is stopped for good"), ("pause", "paused", "is paused: nothing of it goes")],
)
def test_whoever_only_watched_halts_it_all_the_same(going, worker, database_urls, act, became, said):
    """The page of an alert that goes reloads itself, which keeps no session alive; the thumb comes after half an hour."""
    browser, number = going
    house.by_owner(database_urls, IDLE)
    browser.post(f"/console/alerts/{number}/{act}")
    assert state(worker, number) == became
    assert browser.page.status_code == 200
    assert f"Alert {number} {said}" in browser.text
    # Nothing else is shown to whoever holds the phone, and nothing else is done.
    assert "Lorries" not in browser.text
    assert browser.open(f"/console/alerts/{number}").path == "/console/login"


def test_the_page_that_sends_them_to_the_door_leaves_them_the_button(going, worker, database_urls):
    """The reload after half an hour shows the log-in in the place of the button they were about to press."""
    browser, number = going
    house.by_owner(database_urls, IDLE)
    browser.open(f"/console/alerts/{number}")
    assert browser.path == "/console/login"
    assert "Lorries" not in browser.text
    assert f'action="/console/alerts/{number}/stop"' in browser.text
    browser.post(f"/console/alerts/{number}/stop")
    assert state(worker, number) == "stopped"
    browser.open(f"/console/login?back=/console/alerts/{number}")
    assert "/stop" not in browser.text
    assert "/stop" not in browser.open("/console/login?back=/console/alerts/999").text


def test_the_way_in_leads_to_the_very_page_of_a_mail_s_link(going, browse, crew, now, worker):
    """“Take it back” of the mail about a stop led through the log-in to another page. Nothing else is kept."""
    _, number = going
    member, _ = inside(browse, crew, now, Role.APPROVER)
    here, phone = f"/console/alerts/{number}?retract=1", browse()
    assert phone.open(here).path == "/console/login"
    assert f'name="back" value="{here}"' in phone.text
    phone.post("/console/login", address=member.address, password=PASSWORD, back=here)
    phone.post("/console/second", factor="totp", answer=step(member, now, 1), back=here)
    assert str(phone.page.url.raw_path, "ascii") == here
    assert "<details open>" in phone.text
    for foreign in ("retract=1&to=//x.example", "to=https://x.example", "token=abc", "code=123456"):
        stranger = browse().open(f"/console/alerts/{number}?{foreign}")
        assert f'name="back" value="/console/alerts/{number}"' in stranger.text, foreign
        led = browse().open(f"/console/login?back=/console/alerts/{number}?{foreign}")
        assert foreign not in led.text


def test_a_word_that_lets_something_go_wants_somebody_who_is_there(going, worker, database_urls):
    """A phone that was left lying halts an alert, and can do nothing else."""
    browser, number = going
    browser.post(f"/console/alerts/{number}/pause")
    house.by_owner(database_urls, IDLE)
    browser.post(f"/console/alerts/{number}/resume")
    assert (browser.path, state(worker, number)) == ("/console/login", "paused")


def test_whose_session_is_over_is_told_that_nothing_was_halted(going, worker, database_urls):
    """A bare log-in looks as if it were done; the mail's button needs none."""
    browser, number = going
    cookie = browser.client.cookies.get(gate.SESSION)
    for gone, act in product((OVER, ENDED, None), ("stop", "pause", "retract")):
        house.by_owner(database_urls, THERE)
        carry(browser, gate.SESSION, cookie)
        assert browser.open(f"/console/alerts/{number}").page.status_code == 200
        assert browser.path != "/console/login", "each begins with somebody who is there"
        if gone:
            house.by_owner(database_urls, gone)
        else:
            browser.client.cookies.delete(gate.SESSION)
        browser.post(f"/console/alerts/{number}/{act}")
        assert state(worker, number) == "sending", (gone, act)
        assert browser.page.status_code == 401, (gone, act)
        assert "so nothing was stopped, paused or taken back" in browser.problem, (gone, act)
        assert f"alert {number} goes out stops it without logging in" in browser.problem, (gone, act)
        assert f'name="back" value="/console/alerts/{number}"' in browser.text, (gone, act)


def test_a_foreign_page_halts_nothing_by_an_idle_session(going, worker, database_urls):
    """The form's value still says that our own page in this browser sent it."""
    browser, number = going
    house.by_owner(database_urls, IDLE)
    browser.page = browser.client.post(f"/console/alerts/{number}/stop", data={"form": "0" * 64})
    assert (browser.page.status_code, state(worker, number)) == (403, "sending")


def test_a_paused_alert_says_on_every_page_that_it_does_not_go(going, browse, crew, now, worker, database_urls):
    """Whoever paused it by a slip of the thumb may not let it go on, and must know whom to call."""
    author, number = going
    _, approver = inside(browse, crew, now, Role.APPROVER)
    assert "It goes now" in author.open("/console").text
    approver.open(f"/console/alerts/{number}")
    approver.post(f"/console/alerts/{number}/pause")
    assert "You may not let it go on. These may: " in approver.text
    assert f"/console/alerts/{number}/resume" not in approver.text
    assert ": it does not go</p>" in approver.text
    assert f"/console/alerts/{number}/resume" in author.open(f"/console/alerts/{number}").text
    assert "You may not let it go on" not in author.text
    assert "Paused: it does not go" in author.open("/console").text
    assert "It goes now" not in author.text
    house.by_owner(database_urls, "DELETE FROM operator_role")
    assert "Nobody of the team may let it go on" in approver.open(f"/console/alerts/{number}").text


def test_an_alert_that_a_worker_halted_does_not_go_now(going, worker, database_urls):
    """Its lock was tampered with: the first page may not say that it goes."""
    author, number = going
    house.by_owner(
        database_urls, "UPDATE mailing SET expires_at = expires_at + interval '30 days' WHERE id = %s", number
    )
    worker.deliver("urgent")
    assert state(worker, number) == "paused"
    assert "Paused: it does not go" in author.open("/console").text


def test_who_stopped_it_is_read_by_its_author(going, browse, crew, now, worker):
    """Whoever wrote it reads no audit, and is the first to be called."""
    author, number = going
    _, approver = inside(browse, crew, now, Role.APPROVER)
    approver.open(f"/console/alerts/{number}")
    approver.post(f"/console/alerts/{number}/stop")
    shown = author.open(f"/console/alerts/{number}").text
    assert "Stopped for good by Mina Moradi, on" in shown


def test_a_page_that_nobody_has_is_not_linked(going):
    """Stopped before anybody had it, an alert has no public page: the team's page led to "not found"."""
    browser, number = going
    here, public = f"/console/alerts/{number}", f"/alerts/{number}"
    assert f'href="{public}"' in browser.open(here).text
    browser.post(f"{here}/stop")
    assert f'href="{public}"' not in browser.open(here).text
    assert browser.open(public).page.status_code == 404
    for page in (here, f"{here}?retract=1"):
        assert f'action="{here}/retract"' not in browser.open(page).text, "nor is there anything to take back"


def test_while_mail_is_on_the_wire_the_way_to_take_it_back_is_there(going, worker):
    """Stopped in its first second: whoever followed the link of the stop found a page without the button, which stood still."""
    browser, number = going
    here = f"/console/alerts/{number}"
    lease = on_the_wire(worker)
    with worker.parts.database.transaction() as session:
        token = worker.parts.tokens.stop(number, now=database.now(session))
    stopped = browser.client.post(f"/h/{token}").text
    assert f'href="{here}?retract=1"' in stopped
    shown = browser.open(f"{here}?retract=1")
    assert f'action="{here}/retract"' in shown.text
    assert f'href="/alerts/{number}"' in shown.text
    assert browser.open(f"/alerts/{number}").page.status_code == 200
    assert browser.open(here).page.headers["refresh"] == "3", "its figures are not the last"
    with worker.parts.database.transaction() as session:
        shards.release(session, lease)
    assert "refresh" not in browser.open(here).page.headers
    assert f'action="{here}/retract"' not in browser.text, "nobody had it after all"


@pytest.mark.parametrize("act", ["stop", "pause"])
def test_what_is_halted_moves_under_no_thumb_either(going, worker, act):
    """Stopped in its first second its page reloads until all answers are in, and shut “It was wrong” under the thumb each time."""
    browser, number = going
    here = f"/console/alerts/{number}"
    on_the_wire(worker)
    browser.post(f"{here}/{act}")
    assert browser.open(here).page.headers["refresh"] == "3"
    assert "<details" not in browser.text, "nothing that a reload shuts"
    assert 'class="words"' not in browser.text, "nor what is read at length"
    for own, there in (("retract", f'action="{here}/retract"'), ("words", 'class="words"')):
        assert f'href="{here}?{own}=1"' in browser.open(here).text
        assert there in browser.open(f"{here}?{own}=1").text
        assert "refresh" not in browser.page.headers


def test_a_page_does_not_wait_for_a_machine_that_was_lost(going, worker, database_urls):
    """What is paused is taken by nobody: it asked for itself every three seconds, all night, and none of its figures moved."""
    browser, number = going
    here = f"/console/alerts/{number}"
    on_the_wire(worker)
    browser.post(f"{here}/pause")
    house.by_owner(database_urls, "UPDATE shard SET lease_until = now() - interval '1 second'")
    assert "refresh" not in browser.open(here).page.headers
    assert f'action="{here}/retract"' in browser.text
    assert 'class="words"' in browser.text


def test_the_link_of_a_stop_leads_to_no_page_where_nothing_is_to_be_done(going, worker, now):
    """Nothing of it had begun: the page said that whoever has it learns nothing, and led to one without a button."""
    browser, number = going
    stopped = browser.client.post(f"/h/{worker.parts.tokens.stop(number, now=now)}").text
    assert f"Alert {number} is stopped" in stopped
    assert "retract=1" not in stopped


def test_what_takes_it_back_and_is_paused_is_said_on_its_page(going, worker):
    """Readers go on believing what is wrong, and its page said only that it was taken back."""
    browser, number = going
    worker.deliver("urgent")
    browser.post(f"/console/alerts/{number}/retract")
    [(back,)] = rows(worker, f"SELECT id FROM mailing WHERE retracts = {number}")
    mailing.pause(worker.parts, back)
    said = "Paused by whoever runs the machine, on "
    assert said in browser.open(f"/console/alerts/{number}").text
    browser.post(f"/console/alerts/{number}/resume")
    assert said not in browser.text


def test_the_page_of_what_is_taken_back_follows_that(going, worker):
    """“0 of 2 handed over” stood still on the phone of whoever took it back, and they pressed again or called somebody."""
    browser, number = going
    worker.deliver("urgent")
    browser.post(f"/console/alerts/{number}/retract")
    [(back,)] = rows(worker, f"SELECT id FROM mailing WHERE retracts = {number}")
    assert browser.open(f"/console/alerts/{number}").page.headers["refresh"] == "3"
    mailing.pause(worker.parts, back)
    assert "refresh" not in browser.open(f"/console/alerts/{number}").page.headers
    mailing.resume(worker.parts, back)
    assert browser.open(f"/console/alerts/{number}").page.headers["refresh"] == "3"
    worker.deliver("urgent")
    assert state(worker, back) == "done"
    assert "refresh" not in browser.open(f"/console/alerts/{number}").page.headers
