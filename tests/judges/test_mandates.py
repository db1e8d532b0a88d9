"""An evening and a night in real browsers of 320 px: two sign a mandate by passkey, one sends by one thumb; judged by axe."""

import pytest

from newsletter.journeys import team
from newsletter.operators.roles import Role
from tests import house
from tests.judges import browsing
from tests.judges.test_alerts import desk as desk
from tests.judges.test_alerts import enter
from tests.judges.test_alerts import night as night
from tests.judges.test_alerts import worker as worker
from tests.judges.test_console import RULES, Eye
from tests.judges.test_console import crew as crew
from tests.judges.test_console import pages as pages
from tests.judges.test_console import port as port
from tests.judges.test_looks import objections

SAID = {
    "who": "2,900 people",
    "place": "Sarand",
    "what has happened, in one sentence": "Fourteen lorries stand at the second gate.",
    "how many": "2,900",
    "who told us": "the camp council",
    "what time": "02:10",
}


def equipped(chrome, base, member, pages, worker):
    """Log in on a phone of one's own, and give it a passkey that workers trust."""
    browsing.authenticator(chrome)
    enter(chrome, base, member, pages)
    browsing.press(chrome, "Your account", then="location.pathname === '/console/account'")
    browsing.press(chrome, "Add a passkey", then="location.pathname === '/console/account/passkey'")
    browsing.fill(chrome, label="my phone")
    browsing.press(chrome, "Make it", then="location.pathname === '/console/account'")
    team.pin(worker.parts, worker.settings.pins)


@pytest.mark.proof
def test_two_sign_in_the_evening_and_one_thumb_sends_at_night(
    judges, chromium, crew, worker, pages, port, desk, sink, tmp_path
):
    """No shell: three phones, three passkeys, a frame with its gaps filled, and six readers have it."""
    base = f"http://localhost:{port}"
    house.add_readers(worker, tmp_path, house.addresses(6))
    holder = crew.member(Role.SENDER, name="Mina Moradi")
    trustees = [crew.member(Role.APPROVER, name=name) for name in ("Noor Holm", "Omid Keller")]
    with browsing.running(chromium) as browser:
        phone = browsing.phone(browser)
        eye = Eye(phone, judges, tmp_path)
        equipped(phone, base, holder, pages, worker)
        browsing.press(phone, "Mandates", then="location.pathname === '/console/mandates'")
        eye.look("mandates-none")
        browsing.press(phone, "Write a mandate", then="location.pathname === '/console/mandates/new'")
        browsing.fill(phone, **{"cause": "Sarand camp", "most-readers": "50"})
        eye.look("mandate-write")
        browsing.press(phone, "Write it down", then="document.querySelector('[role=alert]')")
        eye.look("mandate-refused")
        phone.evaluate("document.querySelector('[value=raid]').click()")
        browsing.press(phone, "Write it down", then="document.body.innerText.includes('0 of 2')")
        browsing.press(phone, "Sarand camp", then="location.pathname === '/console/mandates/1'")
        eye.look("mandate-own")
        assert "Sign with" not in phone.evaluate("document.body.innerText")
        figures = phone.evaluate("document.querySelector('code.figure').innerText")

        for place, trustee in enumerate(trustees, 1):
            theirs = browsing.phone(browser)
            other = Eye(theirs, judges, tmp_path)
            other.files, other.found = eye.files, eye.found
            equipped(theirs, base, trustee, pages, worker)
            browsing.press(theirs, "Mandates", then="location.pathname === '/console/mandates'")
            browsing.press(theirs, "Sarand camp", then="location.pathname === '/console/mandates/1'")
            other.look(f"mandate-to-sign-{place}")
            assert theirs.evaluate("document.querySelector('code.figure').innerText") == figures
            said = "It holds" if place == 2 else "1 of 2"
            browsing.press(theirs, "Sign with a passkey", then=f"document.body.innerText.includes('{said}')")
            other.look(f"mandate-signed-{place}")

        browsing.press(phone, "Mandates", then="document.body.innerText.includes('It holds')")
        eye.look("mandates")
        phone.goto(f"{base}/console/alerts/new?frame=raid")
        for place, words in enumerate(SAID.values()):
            browsing.fill(phone, **{f"says-en-{place}": words})
        eye.look("alert-from-frame")
        browsing.press(phone, "Go on and look at it", then="/^.console.alerts.[0-9]+$/.test(location.pathname)")
        browsing.until(phone, "!document.body.innerText.includes('being tried')")
        browsing.press(phone, "Lock it", then="document.body.innerText.includes('You hold a mandate')")
        eye.look("alert-by-mandate")
        browsing.press(
            phone, "Send now to 6 readers, with a passkey", then="document.body.innerText.includes('On its way')"
        )
        eye.look("alert-mandated")
        browsing.apart(worker.deliver, "urgent")
        phone.goto(f"{base}/console/mandates/1")
        browsing.until(phone, "document.body.innerText.includes('1 of 3 used')")
        browsing.press(phone, "End it now", then="document.body.innerText.includes('Over')")
        eye.look("mandate-over")
    assert len(sink.messages) == 6
    assert eye.found == []
    assert objections(judges, tmp_path, eye.files, RULES) == {}
