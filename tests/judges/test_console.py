"""The console in a real browser on a phone of 320 px: enrolled, logged in by code and by passkey, rescued; judged by axe."""

import os
import threading
import time
from pathlib import Path

import pytest
import uvicorn

from newsletter import database
from newsletter.operators import codes
from newsletter.operators.roles import Role
from newsletter.web import create
from tests import house
from tests.fakes.ports import free_port
from tests.judges import browsing
from tests.judges.test_looks import objections
from tests.operators.crew import PASSWORD, Crew

# What the browser's own serialisation of a page changes, and html-validate would not see in what we sent.
RULES = {
    "attribute-empty-style": "off",
    "attribute-boolean-style": "off",
    "no-inline-style": "off",
    "doctype-style": "off",
    "void-style": "off",
    "no-raw-characters": "off",
    # Several boxes of one question share their name (HTML §4.10.5.1.15).
    "form-dup-name": ["error", {"shared": ["radio", "checkbox"]}],
}


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def night():
    """Settings of a story of its own."""
    return {}


@pytest.fixture
def worker(tmp_path, database_urls, port):
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", base_url=f"http://localhost:{port}")
    yield made
    made.close()


@pytest.fixture
def pages(worker, tmp_path, database_urls, port, night):
    """The pages, served on loopback; their product."""
    base_url = f"http://localhost:{port}"
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True, base_url=base_url, **night)
    server = uvicorn.Server(uvicorn.Config(create(made), host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield made
    server.should_exit = True
    thread.join(timeout=20)


@pytest.fixture
def crew(worker, pages):
    return Crew(worker.parts.database, pages.parts.database)


class Eye:
    """Looks at each page of a story: with axe, for overflow, as HTML; and keeps a picture where one is asked for."""

    def __init__(self, chrome, judges, folder):
        self.chrome, self.folder = chrome, folder
        self.axe = judges.axe
        self.found, self.files = [], {}
        self.pictures = os.environ.get("NEWSLETTER_TEST_PICTURES")

    def look(self, name):
        """Judge the page as it stands, by day and by night."""
        file = self.folder / f"{name}.html"
        file.write_text(
            "<!DOCTYPE html>\n" + self.chrome.evaluate("document.documentElement.outerHTML"), encoding="utf-8"
        )
        self.files[name] = file
        for dark in (False, True):
            self.chrome.emulate_media(color_scheme="dark" if dark else "light")
            if wide := browsing.too_wide(self.chrome):
                self.found.append(f"{name}: {wide} px too wide")
            said = browsing.violations(self.chrome, self.axe)
            self.found += [f"{name} {'dark' if dark else 'light'}: {one}" for one in said]
            if self.pictures:
                file = Path(self.pictures) / f"{name}-{'dark' if dark else 'light'}.png"
                self.chrome.screenshot(path=file, full_page=True)
        self.chrome.emulate_media(color_scheme="light")


def now_of(made):
    with made.parts.database.transaction() as session:
        return database.now(session)


def code(made, secret, *, after=None):
    """Return the app's code: of a step that was not used yet, waiting for it where need be."""
    while after is not None and codes.step_of(now_of(made)) + 1 <= after:
        time.sleep(0.5)
    step = codes.step_of(now_of(made)) if after is None else max(codes.step_of(now_of(made)), after + 1)
    return codes.hotp(codes.read_secret(secret), step), step


@pytest.mark.proof
def test_a_trustee_joins_logs_in_and_is_rescued_on_a_phone(judges, chromium, crew, worker, pages, port, tmp_path):
    """No shell, no desk, no JavaScript but for the passkey; every page is judged on the way, light and dark."""
    base = f"http://localhost:{port}"
    _, token = crew.add(Role.APPROVER, Role.AUDITOR, name="Mina Moradi", address="mina@sarand.example")
    crew.member(Role.SENDER, name="Noor Holm")
    with browsing.running(chromium) as browser:
        chrome = browsing.phone(browser)
        browsing.authenticator(chrome)
        eye = Eye(chrome, judges, tmp_path)

        chrome.goto(f"{base}/e/{token}")
        eye.look("enrol")
        secret = chrome.evaluate("document.querySelector('[name=secret]').value")
        browsing.fill(chrome, password="short words", again="short words", code="000000")
        chrome.evaluate("document.querySelectorAll('[minlength]').forEach((one) => one.removeAttribute('minlength'))")
        browsing.press(chrome, "Finish", then="document.querySelector('[role=alert]')")
        eye.look("enrol-refused")
        proof, step = code(pages, secret)
        browsing.fill(chrome, password=PASSWORD, again=PASSWORD, code=proof)
        browsing.press(chrome, "Finish", then="document.querySelectorAll('.codes li').length === 10")
        eye.look("recovery")
        recovery = chrome.evaluate("[...document.querySelectorAll('.codes code')].map((one) => one.innerText)")

        browsing.press(chrome, "Log in", then="location.pathname === '/console/login'")
        eye.look("login")
        browsing.fill(chrome, address="mina@sarand.example", password="not my password")
        browsing.press(chrome, "Go on", then="document.querySelector('[role=alert]')")
        eye.look("login-refused")
        browsing.fill(chrome, address="mina@sarand.example", password=PASSWORD)
        browsing.press(chrome, "Go on", then="location.pathname === '/console/second'")
        browsing.press(chrome, "I do not have my phone", then="document.querySelector('details[open]')")
        eye.look("second")
        proof, step = code(pages, secret, after=step)
        browsing.fill(chrome, code=proof)
        browsing.press(chrome, "Go on", then="location.pathname === '/console'")
        eye.look("front")

        browsing.press(chrome, "Your account", then="location.pathname === '/console/account'")
        browsing.press(chrome, "Add a passkey", then="location.pathname === '/console/account/passkey'")
        eye.look("passkey")
        browsing.fill(chrome, label="my phone")
        browsing.press(chrome, "Make it", then="location.pathname === '/console/account'")
        browsing.press(chrome, "Make a key", then="document.querySelector('details[open]')")
        eye.look("account")
        browsing.fill(chrome, **{"token-label": "watchdog"})
        chrome.evaluate("document.querySelector('[value=stop]').click()")
        chrome.evaluate("document.querySelector('[action=\"/console/account/tokens\"]').submit()")
        browsing.until(chrome, "document.body.innerText.includes('nl_')")
        eye.look("token")

        chrome.goto(f"{base}/console/team")
        browsing.press(chrome, "Lost their phone: Noor Holm", then="document.querySelector('.done')")
        eye.look("team")
        chrome.goto(f"{base}/console/audit")
        eye.look("audit")
        chrome.goto(f"{base}/console")
        browsing.press(chrome, "Log out", then="location.pathname === '/console/login'")

        browsing.fill(chrome, address="mina@sarand.example", password=PASSWORD)
        browsing.press(chrome, "Go on", then="location.pathname === '/console/second'")
        eye.look("second-passkey")
        browsing.press(chrome, "Use a passkey", then="location.pathname === '/console'")
        browsing.press(chrome, "Log out", then="location.pathname === '/console/login'")

        chrome.context.clear_cookies()
        chrome.goto(f"{base}/console/login")
        browsing.fill(chrome, address="mina@sarand.example", password=PASSWORD)
        browsing.press(chrome, "Go on", then="location.pathname === '/console/second'")
        browsing.press(chrome, "I do not have my phone", then="document.querySelector('details[open]')")
        browsing.fill(chrome, recovery=recovery[0].lower())
        chrome.evaluate("document.getElementById('recovery').form.requestSubmit()")
        browsing.until(chrome, "document.body.innerText.includes('9 unused codes')")

        chrome.goto(f"{base}/console/nowhere")
        eye.look("nowhere")
    assert eye.found == []
    assert objections(judges, tmp_path, eye.files, RULES) == {}
