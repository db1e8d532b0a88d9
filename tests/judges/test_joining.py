"""Joining in a real browser of 320 px, in three languages: form, figures, button; judged by axe and as HTML."""

import email
import email.policy
import json
import re

import pytest

from newsletter import languages
from newsletter.journeys import joining
from newsletter.subscribers import forms
from tests import house
from tests.judges import browsing
from tests.judges.test_console import RULES, Eye
from tests.judges.test_console import pages as pages
from tests.judges.test_console import port as port
from tests.judges.test_looks import objections


@pytest.fixture
def night():
    return {}


@pytest.fixture
def worker(tmp_path, database_urls, port, sink):
    made = house.build(tmp_path, database_urls, sink.url, base_url=f"http://localhost:{port}")
    yield made
    made.close()


def say(message: str, language: str) -> str:
    return languages.say(f"web.{message}", language)


@pytest.mark.proof
@pytest.mark.parametrize("language", ["en", "fa", "ar"])
def test_somebody_joins_on_a_small_phone(judges, chromium, worker, pages, port, sink, tmp_path, language):
    """Whoever stands in the rain with an old phone must find the one button, whichever way their letters run."""
    base = f"http://localhost:{port}"
    with browsing.running(chromium) as browser:
        phone = browsing.phone(browser)
        eye = Eye(phone, judges, tmp_path)
        phone.goto(f"{base}/join?language={language}")
        eye.look(f"join-{language}")
        browsing.fill(phone, email="ann.example.org")
        phone.evaluate("document.querySelector('form').noValidate = true")
        browsing.press(phone, say("join-button", language), then="document.querySelector('[role=alert]')")
        eye.look(f"join-problem-{language}")
        browsing.fill(phone, email="ann@example.org")
        phone.wait_for_timeout(forms.SHORTEST.total_seconds() * 1000)  # sooner only programs are
        browsing.press(phone, say("join-button", language), then="document.querySelector('[name=pending]')")
        eye.look(f"look-{language}")
        joining.work(worker.parts)
        browsing.apart(worker.deliver, "transactional", seconds=5)
        mail = email.message_from_bytes(sink.messages[-1].content, policy=email.policy.default)
        text = mail.get_body(("plain",)).get_content()
        phone.evaluate("document.querySelector('details').open = true")
        browsing.fill(phone, code="123456")
        browsing.press(phone, say("look-code-button", language), then="document.querySelector('[role=alert]')")
        eye.look(f"look-problem-{language}")
        phone.goto(re.search(rf"{base}/c/\S+", text)[0])
        eye.look(f"confirm-{language}")
        browsing.press(phone, say("confirm-button", language), then="!document.querySelector('form')")
        eye.look(f"joined-{language}")
        joining.work(worker.parts)
        browsing.apart(worker.deliver, "transactional", seconds=5)
        welcome = email.message_from_bytes(sink.messages[-1].content, policy=email.policy.default)
        phone.goto(re.search(rf"{base}/p/\S+", welcome.get_body(("plain",)).get_content())[0])
        eye.look(f"preferences-{language}")
        phone.evaluate("document.querySelector('[value=emergencies]').checked = true")
        browsing.press(phone, say("save", language), then="document.querySelector('[role=status]')")
        phone.evaluate("document.querySelector('details').open = true")
        eye.look(f"preferences-more-{language}")
        mailed = f"document.body.innerText.includes({json.dumps(say('fresh-mailed', language))})"
        browsing.press(phone, say("fresh-button", language), then=mailed)
        worker.greet()
        browsing.apart(worker.deliver, "transactional", seconds=5)
        proof = email.message_from_bytes(sink.messages[-1].content, policy=email.policy.default)
        phone.goto(re.search(rf"{base}/p/\S+", proof.get_body(("plain",)).get_content())[0])
        eye.look(f"preferences-own-{language}")
    assert len(sink.messages) == 3
    assert eye.found == []
    assert objections(judges, tmp_path, eye.files, RULES) == {}
