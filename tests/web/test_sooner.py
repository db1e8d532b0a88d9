"""What one person sends alone, on two phones: the second wakes up, and it need not wait any longer."""

from newsletter.operators.roles import Role
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import fingerprint, written
from tests.web.test_alerts import made as made
from tests.web.test_alerts import readers as readers
from tests.web.test_alerts import trustee as trustee
from tests.web.test_alerts import worker as worker
from tests.web.visiting import inside, step


def test_whoever_wakes_up_lets_it_go_at_once(browse, crew, now, trustee, desk, readers, worker, sink):
    """One sends alone and waits; the second reads it on their own phone, approves, and nobody waits any longer."""
    readers(4)
    member, browser = inside(browse, crew, now, Role.SENDER)
    number = written(browser)
    here = f"/console/alerts/{number}"
    browser.post(f"{here}/lock")
    seen = fingerprint(browser.open(f"{here}?alone=1"))
    browser.post(f"{here}/alone", fingerprint=seen, factor="totp", answer=step(member, now, 1))
    assert "It goes at once if one of these reads and approves it" in browser.text
    assert f"{here}/approve" not in browser.text
    assert browser.page.headers["refresh"] == "15", "the page goes on by itself once somebody has"
    other, phone = trustee
    phone.open(here)
    assert "with the word of two" in phone.text
    phone.open(f"{here}/approve")
    assert "Fourteen lorries" in phone.text
    assert "as soon as you approve: its author has sent it already" in phone.text
    phone.post(f"{here}/approve", fingerprint=fingerprint(phone), factor="totp", answer="000000")
    assert "not right" in phone.problem
    phone.post(f"{here}/approve", fingerprint=fingerprint(phone), factor="totp", answer=step(other, now, 1))
    assert (phone.problem, phone.path) == ("", here)
    assert "On its way" in phone.text
    worker.deliver("urgent")
    assert len(sink.messages) == 4
    assert "4 of 4 handed over" in phone.open(f"{here}/approve").text, "the old link leads to where it stands"
