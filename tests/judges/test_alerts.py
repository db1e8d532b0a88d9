"""The night in real browsers of 320 px: written on one phone, approved by a passkey on another, watched; judged by axe."""

import pytest

from newsletter.journeys import team
from newsletter.operators.roles import Role
from tests import house
from tests.fakes import desk as at_desk
from tests.judges import browsing
from tests.judges.test_console import RULES, Eye, code
from tests.judges.test_console import crew as crew
from tests.judges.test_console import pages as pages
from tests.judges.test_console import port as port
from tests.judges.test_looks import objections
from tests.operators.crew import PASSWORD

TEXT = """Fourteen lorries stand at the second gate of **Sarand** camp. The electricity was cut at 01:40.

- Write to your MP: it takes two minutes.
- Call the consulate at Sarrand."""


@pytest.fixture
def night():
    return {"one_person_up_to": 2, "codes_up_to": 5}


@pytest.fixture
def worker(tmp_path, database_urls, port, sink, night):
    made = house.build(tmp_path, database_urls, sink.url, base_url=f"http://localhost:{port}", **night)
    yield made
    made.close()


@pytest.fixture
def desk(worker):
    """A worker at its desk."""
    with at_desk.working(worker):
        yield


def enter(chrome, base, member, made):
    """Log in with password and code."""
    chrome.goto(f"{base}/console/login")
    browsing.fill(chrome, address=member.address, password=PASSWORD)
    browsing.press(chrome, "Go on", then="location.pathname === '/console/second'")
    browsing.fill(chrome, code=code(made, member.secret)[0])
    browsing.press(chrome, "Go on", then="location.pathname === '/console'")


@pytest.mark.proof
def test_an_alert_is_written_on_one_phone_and_approved_on_another(
    judges,
    chromium,
    crew,
    worker,
    pages,
    port,
    desk,
    sink,
    tmp_path,
):
    """No shell, no desk: author and approver with a phone each; the author cannot approve; six readers have it."""
    base = f"http://localhost:{port}"
    house.add_readers(worker, tmp_path, house.addresses(6))
    mina, noor = crew.member(Role.SENDER, name="Mina Moradi"), crew.member(Role.APPROVER, name="Noor Holm")
    with browsing.running(chromium) as browser:
        author, trustee = browsing.phone(browser), browsing.phone(browser)
        for phone in (author, trustee):
            browsing.authenticator(phone)
        eye, other = Eye(author, judges, tmp_path), Eye(trustee, judges, tmp_path)
        other.files = eye.files
        enter(author, base, mina, pages)
        browsing.press(author, "Alerts", then="location.pathname === '/console/alerts'")
        eye.look("alerts-none")
        browsing.press(author, "Write an alert", then="location.pathname === '/console/alerts/new'")
        browsing.fill(
            author, **{"subject-en": "Lorries at Sarand", "label-en-0": "Write to your MP", "url-en-0": "http://x"}
        )
        author.evaluate(f"document.getElementById('text-en').value = {TEXT!r}")
        author.evaluate("document.getElementById('url-en-0').type = 'text'")
        browsing.press(author, "Go on and look at it", then="document.querySelector('[role=alert]')")
        eye.look("alert-refused")
        browsing.fill(author, **{"url-en-0": "https://127.0.0.1:9/act"})
        browsing.press(author, "Go on and look at it", then="/^.console.alerts.[0-9]+$/.test(location.pathname)")
        browsing.until(author, "!document.body.innerText.includes('being tried')")
        eye.look("alert-draft")
        browsing.press(author, "Lock it", then="document.body.innerText.includes('Locked, waits')")
        eye.look("alert-locked")
        said = author.evaluate("document.body.innerText")
        assert "Read and approve" not in said
        assert "Send now" not in said
        here = author.evaluate("location.pathname")
        figures = author.evaluate("document.querySelector('code.figure').innerText")

        enter(trustee, base, noor, pages)
        browsing.press(trustee, "Your account", then="location.pathname === '/console/account'")
        browsing.press(trustee, "Add a passkey", then="location.pathname === '/console/account/passkey'")
        browsing.fill(trustee, label="my phone")
        browsing.press(trustee, "Make it", then="location.pathname === '/console/account'")
        team.pin(worker.parts, worker.settings.pins)
        trustee.goto(base + here)
        other.look("alert-of-another")
        browsing.press(trustee, "Read and approve", then="location.pathname.endsWith('/approve')")
        other.look("alert-approve")
        assert trustee.evaluate("document.querySelector('code.figure').innerText") == figures
        browsing.press(trustee, "Approve with a passkey", then="document.body.innerText.includes('Approved')")
        other.look("alert-approved")

        author.goto(base + here)
        eye.look("alert-ready")
        browsing.press(author, "Send now to 6 readers", then="document.body.innerText.includes('On its way')")
        eye.look("alert-going")
        browsing.apart(worker.deliver, "urgent")
        author.goto(base + here)
        browsing.until(author, "document.body.innerText.includes('6 of 6 handed over')")
        eye.look("alert-done")
        author.goto(f"{base}/console/alerts")
        eye.look("alerts")
    assert len(sink.messages) == 6
    assert eye.found + other.found == []
    assert objections(judges, tmp_path, eye.files, RULES) == {}
