"""The console in a real browser on a phone of 320 px: enrolled, logged in by code and by passkey, rescued; judged by axe."""

import os
import socket
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
from tests.judges import driving
from tests.judges.test_looks import objections
from tests.operators.crew import PASSWORD, Crew

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOK = """axe.run(document, {runOnly: %s}).then((found) =>
  found.violations.map((one) => one.id + ": " + one.nodes.map((node) => node.html.slice(0, 200)).join(" | ")))"""

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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


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
        self.axe = (judges.folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
        self.found, self.files = [], {}
        self.pictures = os.environ.get("NEWSLETTER_TEST_PICTURES")

    def look(self, name):
        """Judge the page as it stands, by day and by night."""
        file = self.folder / f"{name}.html"
        file.write_text("<!DOCTYPE html>\n" + self.chrome.run("document.documentElement.outerHTML"), encoding="utf-8")
        self.files[name] = file
        for dark in (False, True):
            self.chrome.phone(dark=dark)
            wide = self.chrome.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if wide > 0:
                self.found.append(f"{name}: {wide} px too wide")
            # The pages' own policy lets no script in; the debugger may.
            self.chrome.run(self.axe + ";0")
            self.found += [f"{name} {'dark' if dark else 'light'}: {said}" for said in self.chrome.run(LOOK % TAGS)]
            if self.pictures:
                self.chrome.picture(Path(self.pictures) / f"{name}-{'dark' if dark else 'light'}.png")
        self.chrome.phone()


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
    with driving.running(chromium) as chrome:
        chrome.phone()
        chrome.authenticator()
        eye = Eye(chrome, judges, tmp_path)

        chrome.open(f"{base}/e/{token}")
        eye.look("enrol")
        secret = chrome.run("document.querySelector('[name=secret]').value")
        chrome.fill(password="short words", again="short words", code="000000")
        chrome.run("document.querySelectorAll('[minlength]').forEach((one) => one.removeAttribute('minlength'))")
        chrome.press("Finish", then="document.querySelector('[role=alert]')")
        eye.look("enrol-refused")
        proof, step = code(pages, secret)
        chrome.fill(password=PASSWORD, again=PASSWORD, code=proof)
        chrome.press("Finish", then="document.querySelectorAll('.codes li').length === 10")
        eye.look("recovery")
        recovery = chrome.run("[...document.querySelectorAll('.codes code')].map((one) => one.innerText)")

        chrome.press("Log in", then="location.pathname === '/console/login'")
        eye.look("login")
        chrome.fill(address="mina@sarand.example", password="not my password")
        chrome.press("Go on", then="document.querySelector('[role=alert]')")
        eye.look("login-refused")
        chrome.fill(address="mina@sarand.example", password=PASSWORD)
        chrome.press("Go on", then="location.pathname === '/console/second'")
        chrome.press("I do not have my phone", then="document.querySelector('details[open]')")
        eye.look("second")
        proof, step = code(pages, secret, after=step)
        chrome.fill(code=proof)
        chrome.press("Go on", then="location.pathname === '/console'")
        eye.look("front")

        chrome.press("Your account", then="location.pathname === '/console/account'")
        chrome.press("Add a passkey", then="location.pathname === '/console/account/passkey'")
        eye.look("passkey")
        chrome.fill(label="my phone")
        chrome.press("Make it", then="location.pathname === '/console/account'")
        chrome.press("Make a key", then="document.querySelector('details[open]')")
        eye.look("account")
        chrome.fill(**{"token-label": "watchdog"})
        chrome.run("document.querySelector('[value=stop]').click()")
        chrome.run("document.querySelector('[action=\"/console/account/tokens\"]').submit()")
        chrome.until("document.body.innerText.includes('nl_')")
        eye.look("token")

        chrome.open(f"{base}/console/team")
        chrome.press("Lost their phone: Noor Holm", then="document.querySelector('.done')")
        eye.look("team")
        chrome.open(f"{base}/console/audit")
        eye.look("audit")
        chrome.open(f"{base}/console")
        chrome.press("Log out", then="location.pathname === '/console/login'")

        chrome.fill(address="mina@sarand.example", password=PASSWORD)
        chrome.press("Go on", then="location.pathname === '/console/second'")
        eye.look("second-passkey")
        chrome.press("Use a passkey", then="location.pathname === '/console'")
        chrome.press("Log out", then="location.pathname === '/console/login'")

        chrome.forget()
        chrome.open(f"{base}/console/login")
        chrome.fill(address="mina@sarand.example", password=PASSWORD)
        chrome.press("Go on", then="location.pathname === '/console/second'")
        chrome.press("I do not have my phone", then="document.querySelector('details[open]')")
        chrome.fill(recovery=recovery[0].lower())
        chrome.run("document.getElementById('recovery').form.requestSubmit()")
        chrome.until("document.body.innerText.includes('9 unused codes')")

        chrome.open(f"{base}/console/nowhere")
        eye.look("nowhere")
    assert eye.found == []
    assert objections(judges, tmp_path, eye.files, RULES) == {}
