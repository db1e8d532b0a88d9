"""The console as its users and its enemies meet it: every page over the pages' own database role, without JavaScript."""

import re
import statistics
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import event, text

from newsletter.journeys import entering
from newsletter.operators import codes
from newsletter.operators.roles import Role
from newsletter.web.console import gate
from tests.operators.crew import PASSWORD
from tests.web.visiting import BASE, acts, enrolled, entered, inside, rows, step

# the way in


def test_from_the_invitation_to_the_first_page(crew, browse, now, worker):
    """The whole way of a new trustee: link, password, app, codes on paper, log in, log out."""
    number, token = crew.add(Role.APPROVER, name="Mina Moradi", address="mina@sarand.example")
    browser = browse()
    member = enrolled(browser, token, now=now)
    assert len(member.recovery) == 10
    member.id, member.address = number, "mina@sarand.example"
    browser.log_in(member, step(member, now, 1))
    assert browser.path == "/console"
    assert "Hello, Mina Moradi" in browser.text
    assert "Approve an alert" in browser.text
    assert "See, export and erase supporters" not in browser.text
    browser.post("/console/logout")
    assert browser.path == "/console/login"
    assert browser.open("/console").path == "/console/login"
    assert acts(worker) == ["operator.added", "operator.invited", "operator.enrolled", "login", "logout"]


def test_what_enrolment_refuses_leaves_the_link_good(crew, browse, now):
    """A mistake in the third field must not cost the invitation, nor the app that was set up already."""
    _, token = crew.add()
    browser = browse().open(f"/e/{token}")
    secret = re.search(r'name="secret" value="([A-Z2-7]+)"', browser.text)[1]
    code = codes.hotp(codes.read_secret(secret), codes.step_of(now))
    good = {"password": PASSWORD, "again": PASSWORD, "secret": secret, "code": code}
    for wrong, words in (
        ({"again": "another"}, "not the same"),
        ({"password": "short", "again": "short"}, "too short"),
        ({"code": "000000"}, "not right"),
    ):
        browser.post(f"/e/{token}", **(good | wrong))
        assert words in browser.problem
        assert secret in browser.text
    assert "Recovery codes" in browser.post(f"/e/{token}", **good).text
    assert browser.open(f"/e/{token}").page.status_code == 404


def test_a_code_works_once(crew, browse, now):
    """Whoever reads it over a shoulder types it in the same half minute."""
    member, _ = entered(browse, crew, now)
    thief = browse().log_in(member, step(member, now))
    assert "used before" in thief.problem
    assert thief.open("/console").path == "/console/login"


def test_five_wrong_codes_lock_the_sixth_right_one_out(crew, browse, now):
    """Brute force of six digits: whoever has the password gets five guesses in a quarter of an hour, in any number of browsers."""
    member = crew.member()
    for _ in range(5):
        assert "not right" in browse().log_in(member, "000000").problem
    sixth = browse().log_in(member, step(member, now))
    assert sixth.page.status_code == 429
    assert "15 minutes" in sixth.problem


def test_a_recovery_code_opens_once(crew, browse, worker):
    """The phone lies in a river; the paper lies at home."""
    member = crew.member()
    browser = browse().knock(member)
    browser.post("/console/second", factor="recovery", answer=member.recovery[0].lower())
    assert browser.path == "/console/account"
    assert "9 unused codes" in browser.text
    again = browse().knock(member)
    again.post("/console/second", factor="recovery", answer=member.recovery[0])
    assert "not right" in again.problem
    assert acts(worker)[-2:] == ["login", "factor.refused"]


def test_guessing_passwords_ends_after_ten_for_everyone_but_the_owner_s_own_device(crew, browse, now):
    """An attacker must neither get in nor keep the owner out on the night it matters."""
    member, own = entered(browse, crew, now)
    own.post("/console/logout")
    for _ in range(10):
        assert "Address or password is not right" in browse().knock(member, password="guess").problem
    shut = browse().knock(member)
    assert shut.page.status_code == 429
    assert "15 minutes" in shut.problem
    own.log_in(member, step(member, now, 1))
    assert own.path == "/console"


def test_an_unknown_account_answers_alike(crew, browse):
    """Who is an operator of a campaign is worth knowing to those it campaigns against."""
    member = crew.member()
    stranger = type(member)(0, "nobody@sarand.example", "", [])
    answers = []
    for one in (member, stranger):
        for _ in range(12):
            browser = browse().knock(one, password="guess")
            shown = re.sub(r'value="[0-9a-f]+"', "", browser.text)
            answers.append((browser.page.status_code, shown))
    assert answers[:12] == answers[12:]


def test_an_unknown_account_takes_as_long(crew, made):
    """Whoever measures must not learn who is of the team: the same is asked of the database, and argon2 works as long for nobody.

    By the processor's time of this thread: how long the others of the machine keep it waiting says nothing of an account.
    """
    member = crew.member()
    took, asked = {True: [], False: []}, {True: [], False: []}
    for number in range(12):
        for known in (True, False):
            written = member.address if known else "nobody@sarand.example"
            with statements(made) as heard:
                began = time.thread_time()
                with pytest.raises(entering.WrongLogin):
                    entering.enter(made.parts, written, "guess", entering.Where(f"192.0.2.{number}"))
                took[known].append(time.thread_time() - began)
            asked[known].append(heard)
        with made.parts.database.transaction() as session:
            session.execute(text("DELETE FROM login_throttle"))
    assert asked[True] == asked[False]
    assert all(asked[True])
    known, unknown = (statistics.median(took[one]) for one in (True, False))
    assert abs(known - unknown) < 0.25 * max(known, unknown), (known, unknown)


@contextmanager
def statements(made):
    """Yield a list that fills with what is asked of the database."""
    heard = []

    def hear(_connection, _cursor, statement, *_more):
        heard.append(statement)

    engine = made.parts.database.engine
    event.listen(engine, "before_cursor_execute", hear)
    yield heard
    event.remove(engine, "before_cursor_execute", hear)


# cookies and forms


def test_cookies_are_ours_alone(crew, browse, now):
    """Not readable by a script, not sent in clear, not settable by a neighbouring host, and not for ever."""
    member = crew.member()
    browser = browse().open("/console/login")
    first = browser.page.headers["set-cookie"]
    answer = browser.client.post(
        "/console/login",
        data={"form": browser.form(), "address": member.address, "password": PASSWORD},
        follow_redirects=False,
    )
    browser.open("/console/second")
    second = browser.client.post(
        "/console/second",
        data={"form": browser.form(), "factor": "totp", "answer": step(member, now)},
        follow_redirects=False,
    )
    cookies = [first, *answer.headers.get_list("set-cookie"), *second.headers.get_list("set-cookie")]
    assert [cookie.split("=")[0] for cookie in cookies] == [
        gate.FORM,
        gate.SESSION,
        gate.SESSION,
        gate.DEVICE,
        gate.FORM,
    ]
    for cookie in cookies:
        assert cookie.startswith("__Host-")
        flags = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "secure", "path=/"} <= flags
        assert not any(flag.startswith("domain") for flag in flags)
        assert ("samesite=lax" if cookie.startswith(gate.SESSION) else "samesite=strict") in flags
    assert "max-age=43200" in cookies[2].lower()


def test_a_cookie_planted_before_is_worth_nothing_after(crew, browse, now):
    """Session fixation: the thief knows the cookie the victim came with, at each of the two steps."""
    member = crew.member()
    victim, thief = browse(), browse()
    victim.client.cookies.set(gate.SESSION, "planted-by-a-thief", domain="news.sarand.example", path="/")
    victim.knock(member)
    half = victim.client.cookies.get(gate.SESSION)
    assert half != "planted-by-a-thief"
    victim.post("/console/second", factor="totp", answer=step(member, now))
    assert victim.path == "/console"
    for known in ("planted-by-a-thief", half):
        thief.client.cookies.set(gate.SESSION, known, domain="news.sarand.example", path="/")
        assert thief.open("/console").path == "/console/login"
        assert thief.open("/console/second").path == "/console/login"


POSTS = (
    "/console/login",
    "/console/second",
    "/console/passkey",
    "/console/prove",
    "/console/logout",
    "/console/account/language",
    "/console/account/sessions/1/end",
    "/console/account/sessions/end",
    "/console/account/passkeys",
    "/console/account/passkey",
    "/console/account/passkeys/1/remove",
    "/console/account/password",
    "/console/account/recovery",
    "/console/account/tokens",
    "/console/account/tokens/1/end",
    "/console/team/1/vouch",
    "/console/team/1/disable",
    "/console/team/1/logout",
    "/console/alerts",
    "/console/alerts/1/edit",
    "/console/alerts/1/lock",
    "/console/alerts/1/want-lock",
    "/console/alerts/1/approve",
    "/console/alerts/1/release",
    "/console/alerts/1/alone",
    "/console/alerts/1/retract",
    "/console/alerts/1/extend",
    "/console/alerts/1/pause",
    "/console/alerts/1/resume",
    "/console/alerts/1/stop",
    "/console/alerts/1/mandated",
    "/console/signups/release",
    "/console/signups/undo",
    "/console/mandates",
    "/console/mandates/1/sign",
    "/console/mandates/1/end",
    "/e/token",
)


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")
def test_every_post_of_the_console_is_in_the_list_below(app):
    """A route that is added without its place here would be one that nobody attacked."""
    paths = app.openapi()["paths"]
    found = {path for path, ways in paths.items() if "post" in ways and path.startswith(("/console", "/e/"))}
    assert {re.sub(r"\{\w+\}", "1", path) for path in found} == {path.replace("/e/token", "/e/1") for path in POSTS}


def test_no_form_of_another_site_does_anything(crew, browse, now, worker):
    """Without our value, with a stranger's own, from another origin: each alone is enough to be refused, on every path."""
    _, browser = inside(browse, crew, now, Role.APPROVER)
    _, other = inside(browse, crew, now, Role.APPROVER)
    mine = browser.form()
    before = rows(worker, "SELECT count(*) FROM audit")
    for path in POSTS:
        for form, headers in (
            ("", {}),
            ("0" * 64, {}),
            (other.form(), {}),
            (mine, {"sec-fetch-site": "cross-site"}),
            (mine, {"sec-fetch-site": "same-site"}),
            (mine, {"origin": "https://evil.example"}),
        ):
            answer = browser.client.post(path, data={"form": form}, headers=headers, follow_redirects=False)
            assert answer.status_code == 403, (path, form, headers)
            assert "did not come from our own page" in answer.text, (path, form, headers)
        assert rows(worker, "SELECT count(*) FROM audit") == before, path
        assert browser.open("/console").path == "/console", path
        assert browser.form() == mine, "the right value would have done it"


def test_a_log_in_form_of_another_site_is_refused_too(crew, browse):
    """Being logged in to somebody else's account, unseen, is how one writes into it."""
    member = crew.member()
    answer = browse().client.post(
        "/console/login", data={"form": "", "address": member.address, "password": PASSWORD}, follow_redirects=False
    )
    assert answer.status_code == 403


def test_looking_changes_nothing_but_the_way_there(crew, browse, now, worker):
    """Idle time runs on while a page reloads itself; GET does nothing (decision 6)."""
    _, browser = inside(browse, crew, now, Role.SENDER, Role.AUDITOR)
    tables = (
        "operator",
        "operator_session",
        "audit",
        "passkey",
        "recovery_code",
        "api_token",
        "login_throttle",
        "rescue",
    )
    before = {name: sorted(map(str, rows(worker, f"SELECT * FROM {name}"))) for name in tables}
    for path in (
        "/console",
        "/console/account",
        "/console/team",
        "/console/audit",
        "/console/prove",
        "/console/passkey.js",
    ):
        for method in ("GET", "HEAD"):
            assert browser.client.request(method, path).status_code == 200, path
    for path in ("/console/login", "/console/second", "/console/account/passkey"):
        browser.client.get(path)
    assert {name: sorted(map(str, rows(worker, f"SELECT * FROM {name}"))) for name in tables} == before


def test_what_every_page_of_the_console_carries(crew, browse, now):
    """Nothing kept in a cache, no foreign script, and a script of ours only where a passkey needs it."""
    _, browser = inside(browse, crew, now, Role.SENDER, Role.AUDITOR)
    for path in ("/console", "/console/account", "/console/team", "/console/audit", "/console/login", "/e/x"):
        headers = browser.client.get(path, follow_redirects=False).headers
        assert headers["cache-control"] == "no-store", path
        assert "script" not in headers.get("content-security-policy", ""), path
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


# idle, age, revocation


def test_an_idle_session_is_over(crew, browse, now, worker):
    """Half an hour without a POST, whatever was looked at."""
    _, browser = inside(browse, crew, now)
    with worker.parts.database.transaction() as session:
        session.execute(text("UPDATE operator_session SET seen_at = seen_at - interval '31 minutes'"))
    assert browser.open("/console").path == "/console/login"


def test_one_device_logs_out_another(crew, browse, now, worker):
    """The phone was left on a train; the desk ends it."""
    member, phone = inside(browse, crew, now)
    desk = browse(headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"})
    desk.log_in(member, step(member, now, 1))
    desk.open("/console/account")
    assert "Firefox, Linux" in desk.text
    [ended] = re.findall(r'action="(/console/account/sessions/\d+/end)"', desk.text)
    desk.post(ended)
    assert phone.open("/console").path == "/console/login"
    assert desk.post("/console/account/sessions/4711/end").page.status_code == 404
    stranger = crew.member(name="Noor Holm")
    _, view = crew.session(stranger)
    desk.open("/console/account")
    assert desk.post(f"/console/account/sessions/{view.id}/end").page.status_code == 404
    assert rows(worker, f"SELECT ended_at FROM operator_session WHERE id = {view.id}") == [(None,)]


def test_a_device_that_lies_idle_is_listed_and_logged_out_as_well(crew, browse, now, worker):
    """The phone left on a train does nothing for half an hour, and may stop alerts for twelve: it must be seen to be ended."""
    member, _ = inside(browse, crew, now)
    idle = "SET seen_at = seen_at - interval '31 minutes', began_at = began_at - interval '31 minutes'"
    with worker.parts.database.transaction() as session:
        session.execute(text(f"UPDATE operator_session {idle}"))
    desk = browse()
    desk.log_in(member, step(member, now, 1))
    desk.open("/console/account")
    assert desk.text.count("idle; may still stop and pause alerts") == 1
    desk.post("/console/account/sessions/end")
    assert "idle" not in desk.open("/console/account").text
    assert rows(worker, "SELECT count(*) FROM operator_session WHERE ended_at IS NULL") == [(1,)]


# what opens doors asks again


def test_an_hour_old_log_in_must_prove_itself_again(crew, browse, now, worker):
    """Codes, passkeys and keys for programs outlive a session: a thief of the open browser must not get them."""
    member, browser = inside(browse, crew, now)
    with worker.parts.database.transaction() as session:
        session.execute(text("UPDATE operator_session SET factor_at = factor_at - interval '6 minutes'"))
    for path in ("recovery", "tokens", "passkeys", "passkey", "passkeys/1/remove", "password"):
        browser.open("/console/account").post(f"/console/account/{path}", scope="stop", label="x")
        assert browser.path == "/console/prove", path
    browser.post("/console/prove", factor="totp", answer="000000", back="/console/account")
    assert "not right" in browser.problem
    browser.post("/console/prove", factor="totp", answer=step(member, now, 1), back="/console/account")
    assert browser.path == "/console/account"
    browser.post("/console/account/recovery")
    assert len(re.findall(r"<li><code>", browser.text)) == 10


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/console/../u/x", "javascript:alert(1)"])
def test_nobody_is_led_elsewhere(crew, browse, now, back):
    """A link to our log-in that ends on a page which looks like ours."""
    member, browser = inside(browse, crew, now)
    browser.open(f"/console/prove?back={back}")
    browser.post("/console/prove", factor="totp", answer=step(member, now, 1), back=back)
    assert str(browser.page.url) == f"{BASE}/console"


def test_a_password_is_changed_by_who_knows_it(crew, browse, now):
    """After a suspicion: and whoever was logged in with the old one is out."""
    member, browser = inside(browse, crew, now)
    other = browse().log_in(member, step(member, now, 1))
    assert other.path == "/console"
    new = {"password": "rain upon the yard", "again": "rain upon the yard"}
    browser.open("/console/account")
    for wrong, words in (
        ({"present": "no idea at all"}, "not the password you have"),
        ({"present": PASSWORD, "password": "other"}, "not the same"),
        ({"present": PASSWORD, "password": "short", "again": "short"}, "too short"),
    ):
        assert words in browser.post("/console/account/password", **({"present": ""} | new | wrong)).problem
    browser.post("/console/account/password", present=PASSWORD, **new)
    assert "Your password is changed" in browser.text
    assert other.open("/console").path == "/console/login"
    assert "not right" in browse().knock(member).problem
    assert browse().knock(member, password="rain upon the yard").path == "/console/second"
    for _ in range(10):
        browser.post("/console/account/password", present="guess", **new)
    assert browser.page.status_code == 429
