"""What goes wrong at night, in browsers of 320 px: changed after the lock, paused, ended, taken back, sent alone; judged by axe."""

import pytest

from newsletter.issues import digests
from newsletter.journeys import bulletins
from newsletter.operators.roles import Role
from newsletter.subscribers.subscriptions import Rhythm
from tests import house
from tests.campaigns.samples import xml
from tests.fakes.alerts import Alerts
from tests.judges import browsing
from tests.judges.test_alerts import TEXT
from tests.judges.test_alerts import desk as desk
from tests.judges.test_alerts import night as night
from tests.judges.test_alerts import worker as worker
from tests.judges.test_console import RULES, Eye
from tests.judges.test_console import crew as crew
from tests.judges.test_console import pages as pages
from tests.judges.test_console import port as port
from tests.judges.test_looks import objections
from tests.judges.test_mandates import equipped

AUTHORITY = "urn:oid:warnings.of-the-ministry-of-the-interior.and-its-provinces.example"
NOBODY = f"{AUTHORITY},A,2026-06-01T02:00:00-00:00"
SAYS = "document.body.innerText.includes({!r})"
OF_ONE = "/^.console.alerts.[0-9]+$/.test(location.pathname)"


def write(phone, base):
    """Write an alert of which Persian comes later, and wait for its links."""
    phone.goto(f"{base}/console/alerts/new")
    phone.evaluate("document.getElementById('digest').value = 'hafte'")
    browsing.fill(phone, **{"subject-en": "Lorries at Sarand"})
    phone.evaluate(f"document.getElementById('text-en').value = {TEXT!r}")
    phone.evaluate("document.querySelector('[name=later-fa]').click()")
    look_at_it(phone)


def look_at_it(phone):
    """Press the form's button, and wait until the alert's page does not ask anew."""
    browsing.press(phone, "Go on and look at it", then=OF_ONE)
    browsing.until(phone, "!document.body.innerText.includes('being tried')")


@pytest.mark.proof
def test_an_alert_is_changed_halted_ended_and_taken_back_on_phones(
    judges, chromium, crew, worker, pages, port, desk, sink, tmp_path
):
    """Every button that is pressed when it went wrong, by whoever has nothing but a phone and shaking hands."""
    base = f"http://localhost:{port}"
    with worker.parts.database.transaction() as session:
        digests.add(session, "hafte", name="Hafte", languages=("en", "fa"), rhythm=Rhythm.WEEKLY)
    house.add_readers(worker, tmp_path, house.addresses(6), digest="hafte")
    mina, noor = crew.member(Role.SENDER, name="Mina Moradi"), crew.member(Role.APPROVER, name="Noor Holm")
    with browsing.running(chromium) as browser:
        author, trustee = browsing.phone(browser), browsing.phone(browser)
        eye, other = Eye(author, judges, tmp_path), Eye(trustee, judges, tmp_path)
        other.files, other.found = eye.files, eye.found
        equipped(author, base, mina, pages, worker)
        equipped(trustee, base, noor, pages, worker)
        write(author, base)
        here = author.evaluate("location.pathname")
        browsing.press(author, "Lock it", then=SAYS.format("Locked, waits"))
        browsing.press(author, "Change the text", then="location.pathname.endsWith('/edit')")
        eye.look("end-edit")
        author.evaluate(f"document.getElementById('text-en').value = {TEXT.replace('Fourteen', 'Forty')!r}")
        look_at_it(author)
        browsing.press(author, "Lock it", then=SAYS.format("What is another than before"))
        eye.look("end-locked-anew")

        trustee.goto(f"{base}{here}/approve")
        assert "Forty lorries" in trustee.evaluate("document.querySelector('ins').innerText")
        browsing.press(trustee, "What would take it back", then=SAYS.format("Please disregard"))
        other.look("end-difference")
        browsing.press(trustee, "Approve with a passkey", then=SAYS.format("Approved"))

        author.goto(base + here)
        browsing.press(author, "Send now to 6 readers", then=SAYS.format("On its way"))
        browsing.press(author, "Pause", then=SAYS.format("Let it go on"))
        eye.look("end-paused")
        browsing.press(author, "Add a language", then="location.search.startsWith('?translates=')")
        eye.look("end-later-language")
        author.goto(base + here)
        browsing.press(author, "Write an update", then="location.search.startsWith('?updates=')")
        eye.look("end-update")
        author.goto(base + here)
        browsing.press(author, "Let it go on", then=SAYS.format("On its way"))
        sink.refuse = lambda recipient: None if recipient == house.addresses(1)[0] else "451 4.2.1 later"
        browsing.apart(worker.deliver, "urgent", seconds=3)
        author.goto(base + here)
        assert "1 of 6 handed over" in author.evaluate("document.body.innerText")
        browsing.press(author, "Stop for good", then=SAYS.format("Stopped"))
        assert "still to go" not in author.evaluate("document.body.innerText"), "to nobody, from this second on"
        eye.look("end-stopped")
        browsing.press(author, "It was wrong", then="document.querySelector('details[open] form.press')")
        eye.look("end-retract")
        browsing.press(author, "Take it back", then=SAYS.format("Taken back"))
        eye.look("end-retracted")

        write(author, base)
        browsing.press(author, "Lock it", then=SAYS.format("Locked, waits"))
        browsing.press(author, "Nobody can be reached", then="document.querySelector('details[open] [name=factor]')")
        eye.look("end-alone")
        browsing.press(author, "Send alone, with a passkey", then=SAYS.format("unless somebody stops it"))
        eye.look("end-alone-waits")
        browsing.press(author, "Give it up", then=SAYS.format("Given up"))
        eye.look("end-given-up")

        bulletins.take(worker.parts, xml(msgType="Cancel", references=NOBODY, sender=AUTHORITY), act=Alerts())
        author.goto(f"{base}/console/alerts")
        assert AUTHORITY in author.evaluate("document.body.innerText")
        eye.look("end-held")
        author.goto(f"{base}/console/alerts/new?frame=raid&frame=raid-fa")
        eye.look("end-frames")
    assert [one.recipient for one in sink.messages] == house.addresses(1)
    assert eye.found == []
    assert objections(judges, tmp_path, eye.files, RULES) == {}
