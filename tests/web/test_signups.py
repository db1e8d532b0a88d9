"""Held sign-ups on the page of those who may act on them: seen at once, counted first, let through or taken back together."""

import re
import time

import pytest

from newsletter.jobs import SWEEP
from newsletter.journeys import joining
from newsletter.operators.roles import Role
from newsletter.subscribers import waves
from newsletter.subscribers.forms import Arrival
from newsletter.subscribers.signup import Wish
from newsletter.web import fresh
from tests import house
from tests.architecture.test_jobs import look
from tests.reliability.machine import Machine, wait_for
from tests.web.visiting import BASE, acts, inside, rows

HERE = "/console/signups"


@pytest.fixture
def attack(made, worker):
    """Let so many forms come from an address, through the pages' role, and the worker look at them."""

    def forms(count: int, client: str = "203.0.113.9") -> None:
        come(made, count, client)
        joining.work(worker.parts)

    return forms


def come(made, count: int, client: str = "203.0.113.9") -> None:
    """Send so many forms through the pages' role, which has no broker here."""
    net = f"{client.rpartition('.')[0]}.0/24"
    for one in range(count):
        wish = Wish(f"victim{one}@{client}.example.org", "en", {"weekly": "weekly"})
        joining.ask(made.parts, wish, Arrival(client, net))


def states(worker):
    return dict(rows(worker, "SELECT state, count(*) FROM signup GROUP BY state"))


@pytest.mark.parametrize("role", [Role.DATA_OFFICER, Role.SENDER])
def test_what_is_held_is_seen_and_let_through(crew, browse, now, attack, worker, role):
    """A minute after it began: how many, why, whence; then one press for all of them, which the worker does."""
    attack(14)
    _, browser = inside(browse, crew, now, role)
    page = browser.open(HERE).text
    assert "4 are held" in page
    assert "many from one address" in page
    assert "example.org" not in page
    assert "Let 4 through" in page
    upto = re.search(r'name="upto" value="(\d+)"', page)[1]
    browser.post(f"{HERE}/release", upto=upto)
    assert "4 are let through" in browser.text
    assert "0 are held" in browser.text
    joining.work(worker.parts)
    assert states(worker) == {"asked": 14}
    assert acts(worker)[-1] == "signups.released"


def test_what_is_held_is_seen_within_a_minute_whatever_was_lost(crew, browse, now, made, worker):
    """No nudge of the page arrives: the sweep of the beat finds what waits, and the page reads it as it stands."""
    come(made, 14)
    _, browser = inside(browse, crew, now)
    assert "0 are held" in browser.open(HERE).text
    beat = look()
    assert (beat["beat"]["sweep"], beat["within"]["sweep"] < 60) == (SWEEP.name, True)
    assert joining.any_due(worker.parts), "what a sweep asks before it calls the desk"
    worker.greet()
    assert "4 are held" in browser.open(HERE).text


@pytest.mark.proof
@pytest.mark.short
def test_the_beat_shows_what_is_held_within_a_minute(crew, browse, now, made, tmp_path, database_urls, redis_url):
    """The same with a real beat and a real desk, by the clock."""
    _, browser = inside(browse, crew, now)
    product = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", redis_url=redis_url, base_url=BASE)
    machine = Machine(product, tmp_path / "machine")
    try:
        machine.worker("desk", "transactional,events,presses,outside,compose,upkeep")
        machine.beat()
        come(made, 14)
        began = time.monotonic()
        wait_for(
            lambda: "4 are held" in browser.open(HERE).text, seconds=60, every=0.5, what="held sign-ups on the page"
        )
        print(f"seen after {time.monotonic() - began:.1f} s")
    finally:
        machine.stop()
        product.close()


def test_only_what_was_counted_is_taken_back(crew, browse, now, attack, worker):
    """Between the look and the press real people come; the press means those that were seen."""
    attack(12)
    attack(12, "198.51.100.9")
    _, browser = inside(browse, crew, now, Role.DATA_OFFICER)
    code = re.search(r'\?net=([0-9a-f]+)&amp;which=held"', browser.open(HERE).text)[1]
    page = browser.open(f"{HERE}?net={code}&which=all").text
    assert "12 sign-ups" in page
    upto = re.search(r'name="upto" value="(\d+)"', page)[1]
    attack(1)
    browser.post(f"{HERE}/undo", upto=upto, net=code, which="all")
    assert "12 are taken back" in browser.text
    joining.work(worker.parts)
    assert states(worker)["undone"] == 10
    assert sum(states(worker).values()) == 23
    assert acts(worker)[-1] == "signups.undone"


def test_a_network_is_found_by_an_address_in_it(crew, browse, now, attack):
    """An operator has a line of the proxy's log in hand, and no code."""
    attack(12)
    attack(13, "198.51.100.9")
    _, browser = inside(browse, crew, now)
    assert "3 are held" in browser.open(f"{HERE}?net=198.51.100.77").text
    assert "5 are held" in browser.open(f"{HERE}?why=client&provider=other&minutes=5&digest=weekly").text
    assert "0 are held" in browser.open(f"{HERE}?form=embedded").text
    assert "neither an address" in browser.open(f"{HERE}?net=nowhere").problem
    assert browser.page.status_code == 422


def test_all_of_a_month_cannot_be_taken_back_by_one_press(crew, browse, now, attack, worker):
    """A slip at night would end what everybody has who joined by a form."""
    attack(3)
    _, browser = inside(browse, crew, now)
    browser.open(f"{HERE}?which=all")
    browser.post(f"{HERE}/undo", upto="999", which="all")
    assert "Say which" in browser.problem
    assert states(worker) == {"asked": 3}


@pytest.mark.parametrize("role", [Role.WRITER, Role.APPROVER, Role.AUDITOR])
def test_who_neither_sends_nor_cares_for_data_sees_nothing_of_it(crew, browse, now, attack, worker, role):
    """Each role sees what its work needs."""
    attack(12)
    _, browser = inside(browse, crew, now, role)
    assert HERE not in browser.text
    assert browser.open(HERE).page.status_code == 403
    browser.open("/console")
    assert browser.post(f"{HERE}/release", upto="99").page.status_code == 403
    assert states(worker) == {"asked": 10, "held": 2}


def test_who_mends_a_form_is_not_taken_for_a_program(browse):
    """Ticking what was forgotten takes a second: the form is as old as it was when it was shown first."""
    first = re.search(r'name="stamp" value="([^"]+)"', browse().open("/join").text)[1]
    again = browse().client.post("/join", data={"email": "no address", "digest": "weekly", "stamp": first})
    assert re.search(r'name="stamp" value="([^"]+)"', again.text)[1] == first
    forged = browse().client.post("/join", data={"email": "no address", "digest": "weekly", "stamp": "1.x"})
    assert "1.x" not in forged.text


def test_in_a_wave_the_form_asks_for_a_sum_and_is_good_without(browse, attack):
    """Whoever has no JavaScript gets in too; nobody does a sum for nothing."""
    quiet = browse().open("/join")
    assert "join.js" not in quiet.text
    attack(waves.WAVE_FROM + 10)
    time.sleep(fresh.SECONDS)  # a page that is the same for all is kept so long
    wave = browse().open("/join")
    assert '<script src="/join.js" defer>' in wave.text
    assert browse().open("/join.js").page.headers["content-type"].startswith("text/javascript")
    data = {"email": "ann@example.org", "digest": "weekly"}
    assert browse().client.post("/join", data=data).status_code == 200
