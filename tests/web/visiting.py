"""A browser without JavaScript: keeps cookies, fills in the forms a page shows, and presses their buttons."""

import html
import json
import re
import time
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter.operators import audit, codes
from newsletter.operators.roles import Role
from newsletter.web.console import gate
from tests.fakes.authenticator import Authenticator
from tests.operators.crew import PASSWORD, Member

DOMAIN = "news.sarand.example"
BASE = f"https://{DOMAIN}"


@dataclass
class Browser:
    """One device. page: the last answer, redirects followed. patient: it looks again by itself at a page that waits."""

    client: TestClient
    page: object = field(default=None)
    value: str = ""
    patient: bool = False

    @property
    def text(self) -> str:
        """Return the page as it stands."""
        return self.page.text

    @property
    def path(self) -> str:
        """Return where the browser is."""
        return self.page.url.path

    @property
    def problem(self) -> str:
        """Return what the page says went wrong, or nothing."""
        found = re.search(r'role="alert">([^<]*)<', self.text)
        return html.unescape(found[1]) if found else ""

    def open(self, path: str) -> "Browser":
        """Look at a page."""
        self.page = self.client.get(path)
        return self

    def post(self, path: str, **fields: str) -> "Browser":
        """Send a form with the value that the page before carried."""
        seen = re.search(r'name="seen" value="([^"]*)"', self.text) if self.page is not None else None
        hidden = {"form": self.form()} | ({"seen": seen[1]} if seen else {})
        self.page = self.client.post(path, data=hidden | fields)
        return self.settled() if self.patient else self

    def settled(self) -> "Browser":
        """Wait for a desk that takes longer than a page waits, as it does on a machine under load."""
        for _ in range(200):
            if not self.path.startswith("/console/alerts/errands/"):
                return self
            time.sleep(0.1)
            self.open(self.path)
        raise AssertionError(self.path)

    def form(self) -> str:
        """Return the value that makes a form ours: of this page, or of the last that had one."""
        found = re.search(r'name="form" value="([0-9a-f]+)"', self.text)
        self.value = found[1] if found else self.value
        return self.value

    def log_in(self, member: Member, code: str, *, password: str = PASSWORD) -> "Browser":
        """Log in with a password and a code."""
        self.knock(member, password=password)
        return self.post("/console/second", factor="totp", answer=code)

    def knock(self, member: Member, *, password: str = PASSWORD) -> "Browser":
        """Log in as far as the password."""
        self.open("/console/login")
        return self.post("/console/login", address=member.address, password=password)

    def options(self) -> str:
        """Return what the page asks a passkey to sign."""
        return html.unescape(re.search(r'data-options="([^"]*)"', self.text)[1])

    def show_passkey(self, authenticator: Authenticator, path: str = "/console/second") -> "Browser":
        """Let an authenticator answer the page."""
        return self.post(path, factor="passkey", answer=authenticator.get(self.options()))


def enrolled(browser: Browser, token: str, *, now, password: str = PASSWORD) -> Member:
    """Use an invitation as people do."""
    browser.open(f"/e/{token}")
    secret = re.search(r'name="secret" value="([A-Z2-7]+)"', browser.text)[1]
    code = codes.hotp(codes.read_secret(secret), codes.step_of(now))
    browser.post(f"/e/{token}", password=password, again=password, secret=secret, code=code)
    return Member(0, "", secret, re.findall(r"<li><code>([^<]+)</code>", browser.text))


def challenge_of(options: str) -> str:
    """Return the challenge in a page's options."""
    return json.loads(options)["challenge"]


def rows(worker, sql):
    with worker.parts.database.transaction() as session:
        return session.execute(text(sql)).all()


def acts(worker):
    with worker.parts.database.transaction() as session:
        return [entry.act for entry in audit.listed(session, limit=100)][::-1]


def step(member, now, steps=0):
    return member.code(now + timedelta(seconds=steps * codes.STEP_SECONDS))


def entered(browse, crew, now, *roles):
    """Return a member and their browser, logged in as people do: for what looks at the door."""
    member, browser = crew.member(*(roles or (Role.SENDER,))), browse()
    browser.log_in(member, step(member, now))
    assert browser.path == "/console", browser.text
    return member, browser


def inside(browse, crew, now, *roles):
    """Return a member and their browser with a session's cookie: five pages and an argon2 less than by the door."""
    member, browser = crew.member(*(roles or (Role.SENDER,))), browse()
    carry(browser, gate.SESSION, crew.session(member, now=now)[0])
    assert browser.open("/console").path == "/console", browser.text
    return member, browser


def carry(browser, name, value):
    """Put a cookie into a browser, as an answer of ours would."""
    browser.client.cookies.set(name, value, domain=DOMAIN, path="/")
