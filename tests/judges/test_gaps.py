"""A frame is filled by thumb on a phone of 320 px, in two languages, across a log-out; the first page says what goes by itself."""

import pytest
from sqlalchemy import text

from newsletter import languages
from newsletter.issues import digests
from newsletter.operators.roles import Role
from newsletter.subscribers.subscriptions import Rhythm
from tests import house
from tests.judges import browsing
from tests.judges.test_alerts import desk as desk
from tests.judges.test_alerts import night as night
from tests.judges.test_alerts import worker as worker
from tests.judges.test_console import RULES, Eye, code
from tests.judges.test_console import crew as crew
from tests.judges.test_console import pages as pages
from tests.judges.test_console import port as port
from tests.judges.test_looks import objections
from tests.operators.crew import PASSWORD

FRAMES = {"en": "raid", "fa": "raid-fa"}
BUTTON = "form.fields button:not(.second)"


def enter(page, base, member, made, *, step=None):
    """Log in with password and code, whatever the language; return the code's step."""
    page.goto(f"{base}/console/login")
    browsing.fill(page, address=member.address, password=PASSWORD)
    page.locator(BUTTON).first.click()
    browsing.until(page, "location.pathname === '/console/second' && document.readyState === 'complete'")
    shown, step = code(made, member.secret, after=step)
    browsing.fill(page, code=shown)
    page.locator(BUTTON).first.click()
    browsing.until(page, "location.pathname === '/console' && document.readyState === 'complete'")
    return step


@pytest.mark.proof
@pytest.mark.parametrize("language", FRAMES)
def test_a_frame_is_filled_across_a_log_out(
    judges, chromium, crew, worker, pages, port, desk, sink, tmp_path, language
):
    """Nobody sees a brace, nothing typed is lost, and each page holds at 320 px by day and by night."""
    base = f"http://localhost:{port}"

    def say(message, **facts):
        return languages.say(f"web.{message}", language, **facts)

    with worker.parts.database.transaction() as session:
        digests.add(session, "hafte", name="Hafte", languages=("en", "fa"), rhythm=Rhythm.WEEKLY)
    house.add_readers(worker, tmp_path, house.addresses(6), digest="hafte")
    member = crew.member(Role.SENDER, name="Mina Moradi")
    with worker.parts.database.transaction() as session:
        session.execute(text("UPDATE operator SET language = :it"), {"it": language})
    with browsing.running(chromium) as browser:
        phone = browsing.phone(browser, locale=f"{language}-GB")
        eye = Eye(phone, judges, tmp_path)
        step = enter(phone, base, member, pages)
        phone.goto(f"{base}/console/mandates/new")
        eye.look(f"hours-mandate-{language}")
        phone.goto(f"{base}/console/alerts/new?frame={FRAMES[language]}")
        eye.look(f"gaps-{language}")
        fields = phone.locator(f"input[name^=says-{language}-]")
        assert fields.count() >= 6
        for place in range(fields.count() - 1):
            fields.nth(place).fill("2,900" if place % 2 else "Sarand")
        browsing.press(phone, say("alert-look"), then="document.querySelector('[role=alert]')")
        eye.look(f"gaps-open-{language}")
        assert fields.count() == 1
        browsing.fill(phone, **{f"label-{language}-0": "Sarand", f"url-{language}-0": "https://127.0.0.1:9/act"})
        fields.first.fill("02:10")
        phone.context.clear_cookies()
        browsing.press(phone, say("alert-look"), then=f"document.body.innerText.includes('{say('login-kept-on')}')")
        eye.look(f"words-kept-{language}")
        beside = phone.context.new_page()
        step = enter(beside, base, member, pages, step=step)
        browsing.press(phone, say("login-kept-on"), then="document.querySelector('.done')")
        eye.look(f"words-back-{language}")
        assert phone.locator(f"#label-{language}-0").input_value() == "Sarand"
        browsing.press(phone, say("alert-look"), then="/^.console.alerts.[0-9]+$/.test(location.pathname)")
        browsing.until(phone, f"document.body.innerText.includes('{say('alert-lock')}')")
        browsing.press(phone, say("alert-lock"), then="document.querySelector('code.figure')")
        here = phone.evaluate("location.pathname")
        phone.goto(f"{base}{here}?alone=1")
        eye.look(f"alone-{language}")
        with worker.parts.database.transaction() as session:
            late = "UPDATE mailing SET state = 'approved', start_at = now() + interval '9 minutes' WHERE kind = 'alert'"
            session.execute(text(late))
        phone.goto(f"{base}{here}")
        eye.look(f"starts-{language}")
        phone.goto(f"{base}/console")
        eye.look(f"front-{language}")
    assert eye.found == []
    assert objections(judges, tmp_path, eye.files, RULES) == {}
