"""The form in a wave, in a real browser of 320 px that is slowed down: its sum is done within three seconds, and counts."""

import pytest

from newsletter import languages
from newsletter.journeys import joining
from newsletter.subscribers import waves
from newsletter.subscribers.forms import Arrival
from newsletter.subscribers.signup import Wish
from tests.judges import browsing
from tests.judges.test_console import RULES, Eye
from tests.judges.test_console import pages as pages
from tests.judges.test_console import port as port
from tests.judges.test_joining import night as night
from tests.judges.test_joining import worker as worker
from tests.judges.test_looks import objections
from tests.web.visiting import rows

SLOWER = 6
"""What Chromium's own tools take for a phone of the cheapest kind, against a desktop."""


@pytest.mark.proof
def test_a_slow_phone_does_its_sum_in_three_seconds(judges, chromium, worker, pages, port, tmp_path):
    """Whoever is poor must not be kept out by what keeps programs out; and what the script found is what the server checks."""
    for one in range(waves.WAVE_FROM + 10):
        joining.ask(worker.parts, Wish(f"victim{one}@example.org", "en", {"weekly": "weekly"}), Arrival("c", "n"))
    joining.work(worker.parts)
    with browsing.running(chromium) as browser:
        phone = browsing.phone(browser)
        eye = Eye(phone, judges, tmp_path)
        browsing.slowed(phone, SLOWER)
        phone.goto(f"http://localhost:{port}/join")
        eye.look("join-wave")
        took = [
            phone.evaluate(
                f"(() => {{ const began = performance.now(); solve('{one}.a', 'x@y.zz'); return performance.now() - began; }})()"
            )
            for one in range(5)
        ]
        print("sums on a slow phone, ms:", [round(one) for one in took])
        browsing.fill(phone, email="ann@example.org")
        browsing.press(phone, languages.say("web.join-button", "en"), then="document.querySelector('[name=pending]')")
        eye.look("look-wave")
    assert max(took) < 3_000
    assert rows(worker, "SELECT proved FROM signup ORDER BY id DESC LIMIT 1") == [(True,)]
    assert eye.found == []
    assert objections(judges, tmp_path, eye.files, RULES) == {}
