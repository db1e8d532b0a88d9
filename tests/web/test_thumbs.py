"""What a tired thumb meets on an alert's page: nothing that moves under it, no button that leads nowhere; and a program's stop."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter import database
from newsletter.campaigns import errands as asked
from newsletter.journeys import alert, drafting
from newsletter.journeys.drafting import Wish
from newsletter.operators.roles import Role
from tests import house
from tests.web.test_alerts import WORDS, written
from tests.web.test_alerts import author as author
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import made as made
from tests.web.test_alerts import readers as readers
from tests.web.test_alerts import worker as worker
from tests.web.visiting import BASE, acts, inside, rows


def test_nothing_moves_under_a_thumb(author, desk, readers, worker):
    """A page that reloads closes what was opened on it, and empties the field in which a code is being typed."""
    readers(2)
    number = written(author)
    here = f"/console/alerts/{number}"
    author.post(f"{here}/lock")
    author.post(f"{here}/release")
    assert author.open(here).page.headers["refresh"] == "3"
    assert f'href="{here}?retract=1"' in author.text
    assert f'action="{here}/retract"' not in author.text, "one tap away, and under no reload"
    author.open(f"{here}?retract=1")
    assert f'action="{here}/retract"' in author.text
    assert "refresh" not in author.page.headers


@pytest.mark.parametrize(("ago", "refresh"), [(0, "1"), (30, None)])
def test_a_page_waits_for_links_as_long_as_somebody_may_try_them(author, readers, worker, ago, refresh):
    """No desk's worker runs any more: the page asked for itself every second, all night."""
    readers(4)
    author.open("/console/alerts/new")
    author.post("/console/alerts", **WORDS)
    number = at_desk_once(worker, author, ago=ago)
    assert author.open(f"/console/alerts/{number}").page.headers.get("refresh") == refresh


def test_no_reload_while_a_code_is_typed(author, readers, worker):
    """Locked for many, and its links not tried yet: whoever sends alone has a field to fill."""
    readers(4)
    author.open("/console/alerts/new")
    author.post("/console/alerts", **WORDS)
    number = at_desk_once(worker, author)
    alert.lock(worker.parts, number, by=rows(worker, "SELECT id FROM operator")[0][0])
    assert author.open(f"/console/alerts/{number}").page.headers["refresh"] == "5"
    assert 'autocomplete="one-time-code"' not in author.text
    author.open(f"/console/alerts/{number}?alone=1")
    assert 'autocomplete="one-time-code"' in author.text
    assert "refresh" not in author.page.headers


def at_desk_once(worker, author, *, ago=0):
    """Have what was asked for done, and leave its links to be tried; return the alert's number."""
    with worker.parts.database.transaction() as session:
        found = asked.claim(session, now=database.now(session))
    number = drafting.draft_words(worker.parts, Wish(tuple(found.facts["words"]), "weekly"), by=found.operator)
    with worker.parts.database.transaction() as session:
        asked.end(session, found.id, mailing=number, refused=None, now=database.now(session))
        check = "INSERT INTO errand (act, operator_id, mailing_id, asked_at) VALUES ('check', :by, :it, now() - :ago)"
        session.execute(text(check), {"by": found.operator, "it": number, "ago": timedelta(seconds=ago)})
    return number


def test_who_wrote_in_it_is_not_asked_to_approve(author, browse, crew, now, desk, readers, worker):
    """They cannot: a button and a mail that lead to a refusal cost a minute at night."""
    readers(4)
    number = written(author)
    here = f"/console/alerts/{number}"
    _, other = inside(browse, crew, now, Role.SENDER, Role.APPROVER)
    other.open(f"{here}/edit")
    other.post(f"{here}/edit", **(WORDS | {"text-en": "Forty lorries."}))
    author.open(here).post(f"{here}/lock")
    assert author.problem == ""
    assert "Read and approve" not in other.open(here).text
    assert "You locked this yourself" in other.open(f"{here}/approve").text
    assert rows(worker, "SELECT count(*) FROM mailing WHERE kind = 'notice' AND subject LIKE '%approv%'") == [(0,)]


def test_a_program_stops_an_alert_and_does_nothing_else(author, desk, readers, worker, app, sink, browse, crew, now):
    """A watchdog that sees what nobody awake sees: one call, of its own scope, and never a GET."""
    readers(4)
    number = written(author)
    author.post(f"/console/alerts/{number}/lock")
    api, stop = TestClient(app, base_url=BASE, raise_server_exceptions=False), f"/api/v1/alerts/{number}/stop"
    auditor = inside(browse, crew, now, Role.AUDITOR)[1]
    watchdog, other = token(author, "stop"), token(auditor, "audit")
    assert 'name="scope" value="write"' not in author.open("/console/account").text, "it would open nothing"
    assert api.get(stop, headers=watchdog).status_code == 405
    assert (api.post(stop).status_code, api.post(stop, headers=other).status_code) == (401, 403)
    assert rows(worker, "SELECT state FROM mailing WHERE kind = 'alert'") == [("locked",)]
    assert api.post(stop, headers=watchdog).json() == {"mailing": number, "state": "cancelled"}
    assert acts(worker)[-1] == "alert.stopped"
    again = api.post(stop, headers=watchdog)
    assert (again.status_code, again.json()["error"]) == (409, "mailing.not-stopped")
    assert api.post("/api/v1/alerts/4711/stop", headers=watchdog).status_code == 404


def token(browser, scope):
    """Make a key for a program, and return the header it is shown in."""
    browser.open("/console/account").post("/console/account/tokens", scope=scope, label=scope, days="7")
    secret = re.search(r"<code>(nl_[\w-]{43})</code>", browser.text)[1]
    return {"authorization": f"Bearer {secret}"}


def test_its_page_says_why_it_did_not_go(author, desk, readers, worker, database_urls):
    """Whoever comes from the mail at four in the morning finds the reason, and need not read the audit."""
    readers(2)
    number = written(author)
    here = f"/console/alerts/{number}"
    author.post(f"{here}/lock")
    author.post(f"{here}/release")
    house.by_owner(database_urls, "UPDATE mailing SET updates = id WHERE id = %s", number)
    worker.deliver("urgent")
    author.open(here)
    assert "It did not go (" in author.text
    assert "The alert that it follows and replaces is another" in author.text
    author.post(f"{here}/resume")
    assert "It did not go" not in author.text
