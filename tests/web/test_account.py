"""What is done once inside: passkeys, the team, the record, keys for programs; and whence a request comes."""

import re
from ipaddress import ip_network

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter import database
from newsletter.journeys import team as joining
from newsletter.operators import audit, factors, people
from newsletter.operators.roles import Role
from newsletter.web import security
from newsletter.web.console import gate
from tests.fakes.authenticator import PRESENT, Authenticator
from tests.web.visiting import BASE, acts, challenge_of, enrolled, inside, rows, step

# passkeys


def with_passkey(browse, crew, now):
    member, browser = inside(browse, crew, now)
    authenticator = Authenticator("news.sarand.example", BASE)
    browser.open("/console/account").post("/console/account/passkeys")
    assert browser.path == "/console/account/passkey"
    assert "script-src 'self'" in browser.page.headers["content-security-policy"]
    browser.post("/console/account/passkey", answer=authenticator.create(browser.options()), label="my phone")
    assert "my phone" in browser.text, browser.text
    return member, browser, authenticator


def test_a_passkey_logs_in(crew, browse, now, worker):
    """No digits to type, and none that a false page could ask for."""
    member, browser, authenticator = with_passkey(browse, crew, now)
    browser.post("/console/logout")
    browser.knock(member).show_passkey(authenticator)
    assert browser.path == "/console"
    assert acts(worker)[-3:] == ["passkey.added", "logout", "login"]


def test_a_replayed_assertion_does_not_log_in(crew, browse, now):
    """Recorded on the way or in a log, it must be worth nothing: not in this session, not in another."""
    member, browser, authenticator = with_passkey(browse, crew, now)
    browser.post("/console/logout")
    browser.knock(member)
    recorded = authenticator.get(browser.options())
    browser.post("/console/second", factor="passkey", answer=recorded)
    assert browser.path == "/console"
    thief = browse().knock(member)
    for _ in range(2):
        thief.post("/console/second", factor="passkey", answer=recorded)
        assert thief.page.status_code == 403
    assert challenge_of(thief.options()) not in recorded


def test_whose_passkey_it_is_matters_and_who_holds_it(crew, browse, now):
    """A colleague's passkey, an unlocked phone without its owner, and an answer given to a false page."""
    member, browser, authenticator = with_passkey(browse, crew, now)
    _, _, theirs = with_passkey(browse, crew, now)
    browser.post("/console/logout")
    browser.knock(member)
    assert browser.show_passkey(theirs).page.status_code == 403
    authenticator.flags = PRESENT
    assert browser.show_passkey(authenticator).page.status_code == 403
    fake = Authenticator("news.sarand.example", "https://news-sarand.example", key=authenticator.key)
    fake.credential, fake.count = authenticator.credential, 50
    assert browser.show_passkey(fake).page.status_code == 403
    for junk in ("", "{}", "null", "\x00", "x" * 20_000):
        assert browser.post("/console/second", factor="passkey", answer=junk).page.status_code == 403


def test_a_passkey_works_while_codes_are_locked(crew, browse, now):
    """Whoever stole the password must not be able to keep the owner out by guessing."""
    member, browser, authenticator = with_passkey(browse, crew, now)
    browser.post("/console/logout")
    for _ in range(6):
        locked = browse().log_in(member, "000000")
    assert locked.page.status_code == 429
    browser.knock(member).show_passkey(authenticator)
    assert browser.path == "/console"


def test_a_passkey_proves_again_and_is_removed(crew, browse, now, worker):
    """The old phone is sold: its passkey goes."""
    _, browser, authenticator = with_passkey(browse, crew, now)
    with worker.parts.database.transaction() as session:
        session.execute(text("UPDATE operator_session SET factor_at = factor_at - interval '6 minutes'"))
    [remove] = re.findall(r'action="(/console/account/passkeys/\d+/remove)"', browser.text)
    assert browser.post(remove).path == "/console/prove"
    browser.post("/console/passkey", back="/console/account")
    browser.post(
        "/console/prove", factor="passkey", answer=authenticator.get(browser.options()), back="/console/account"
    )
    assert browser.path == "/console/account"
    browser.post(remove)
    assert "You have none" in browser.text


# the team and the record


def test_who_sees_the_team_and_the_record(crew, browse, now):
    """Each page is for those whose roles say so, whatever address they type."""
    for role, team, record in (
        (Role.WRITER, 403, 403),
        (Role.SENDER, 200, 403),
        (Role.APPROVER, 200, 403),
        (Role.DATA_OFFICER, 200, 403),
        (Role.AUDITOR, 403, 200),
    ):
        _, browser = inside(browse, crew, now, role)
        assert browser.open("/console/team").page.status_code == team
        assert browser.open("/console/audit").page.status_code == record


def test_a_lost_phone_is_signed_for_on_the_page(crew, browse, now, worker):
    """Two senders, two presses; and nobody for themselves, or twice."""
    mina = crew.member(name="Mina Moradi")
    _, first = inside(browse, crew, now)
    first_id = rows(worker, "SELECT max(id) FROM operator")[0][0]
    first.open("/console/team").post(f"/console/team/{mina.id}/vouch")
    assert "Lost their phone, says:" in first.text
    assert "once more" not in first.problem
    assert "signed already" in first.post(f"/console/team/{mina.id}/vouch").problem
    assert "Nobody signs for themselves" in first.post(f"/console/team/{first_id}/vouch").problem
    assert first.post(f"/console/team/{mina.id}/disable").page.status_code == 403
    _, chair = inside(browse, crew, now, Role.APPROVER)
    chair.open("/console/team").post(f"/console/team/{mina.id}/vouch")
    assert len(rows(worker, "SELECT 1 FROM rescue_signature")) == 2
    chair.post(f"/console/team/{first_id}/logout")
    assert first.open("/console").path == "/console/login"
    chair.post(f"/console/team/{mina.id}/disable")
    assert "access ended" in chair.text


def test_the_record_shows_what_was_done(crew, browse, now, worker):
    """And the line that everyone was mailed, to be compared at a glance."""
    _, browser = inside(browse, crew, now, Role.AUDITOR)
    browser.open("/console/audit")
    with worker.parts.database.transaction() as session:
        assert str(audit.head(session)) in browser.text
    assert "operator.enrolled" in browser.text
    for _ in range(60):
        with worker.parts.database.transaction() as session:
            audit.append(session, "test", by=audit.SHELL, now=now)
    older = re.search(r'href="(/console/audit\?before=\d+)"', browser.open("/console/audit").text)[1]
    assert "operator.added" in browser.open(older).text


# programs


def test_a_program_s_key_is_shown_once_and_works_within_its_scopes(crew, browse, now, app):
    """A bot that may stop must not be able to read who did what."""
    _, browser = inside(browse, crew, now, Role.SENDER, Role.AUDITOR)
    browser.open("/console/account").post("/console/account/tokens", scope="stop", label="watchdog", days="7")
    secret = re.search(r"<code>(nl_[\w-]{43})</code>", browser.text)[1]
    browser.open("/console/account")
    assert "watchdog" in browser.text
    assert secret not in browser.text
    api = TestClient(app, base_url=BASE, raise_server_exceptions=False)
    bearer = {"authorization": f"Bearer {secret}"}
    assert api.get("/api/v1/me", headers=bearer).json()["may"] == ["stop"]
    refused = api.get("/api/v1/audit/head", headers=bearer)
    assert (refused.status_code, refused.json()["error"]) == (403, "operator.not-allowed")
    for headers in ({}, {"authorization": "Bearer nl_nothing"}, {"authorization": f"Basic {secret}"}):
        answer = api.get("/api/v1/me", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"] == "operator.bad-bearer"
    assert api.get("/api/v1/nothing").json()["error"] == "api.not-found"
    browser.post("/console/account/tokens", scope="audit", label="witness", days="7")
    witness = re.search(r"<code>(nl_[\w-]{43})</code>", browser.text)[1]
    head = api.get("/api/v1/audit/head", headers={"authorization": f"Bearer {witness}"}).json()
    assert re.fullmatch(rf"{head['number']}:[0-9a-f]{{64}}", head["head"])
    browser.open("/console/account")
    [*_, ended] = re.findall(r'action="(/console/account/tokens/\d+/end)"', browser.text)
    browser.post(ended)
    assert api.get("/api/v1/me", headers=bearer).status_code == 401
    assert "cannot be given" in browser.post("/console/account/tokens", scope="people", label="x", days="7").problem
    assert "at most 366 days" in browser.post("/console/account/tokens", scope="stop", label="x", days="400").problem


# whence


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("192.0.2.7", "", "192.0.2.7"),
        ("192.0.2.7", "203.0.113.9", "192.0.2.7"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.4, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.4, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "", "192.0.2.7"),
        ("10.0.0.1", "junk", "unknown"),
        ("", "", "unknown"),
    ],
)
def test_whence_a_request_comes(peer, forwarded, found):
    """Whoever writes their own X-Forwarded-For must not become a new stranger with each guess."""
    assert security.client(peer, forwarded, (ip_network("10.0.0.0/8"),)) == found


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile Safari/604.1",
            "Safari, iPhone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36",
            "Chrome, Android",
        ),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/126.0 Safari/537.36 Edg/126.0", "Edge, Windows"),
        ("curl/8.0", "–"),
        ("<script>", "–"),
    ],
)
def test_a_device_is_named_as_its_owner_knows_it(agent, words):
    """Among four sessions, which one is the phone on the train?"""
    assert gate.device(agent) == words


def test_who_was_disabled_comes_back_by_a_new_link(crew, browse, now, worker):
    """A mistake of the night is put right in the morning; by what they had before nobody acts in between, or ever."""
    member, browser, _ = with_passkey(browse, crew, now)
    chair = crew.member(Role.APPROVER)
    with worker.parts.database.transaction() as session:
        people.disable(session, member.id, by=chair.id, now=database.now(session))
    link = joining.invite(worker.parts, member.id)
    assert browser.open("/console/account").path == "/console/login"
    assert browser.knock(member).page.status_code == 403
    with worker.parts.database.transaction() as session:
        back = people.by_id(session, member.id)
        assert (back.active, back.disabled_at) == (False, None)
        assert factors.passkeys_of(session, member.id) == []
        assert factors.recovery_left(session, member.id) == 0
    phone = browse()
    again = enrolled(phone, link.token, now=now, password="another long lantern password")
    assert phone.page.status_code == 200, phone.text
    assert len(again.recovery) == 10
    with worker.parts.database.transaction() as session:
        assert people.by_id(session, member.id).active
    assert browser.knock(member).page.status_code == 403
    again.address = member.address
    phone.knock(again, password="another long lantern password").post(
        "/console/second", factor="totp", answer=step(again, now, 1)
    )
    assert phone.path == "/console", phone.text
    assert "operator.readmitted" in acts(worker)
