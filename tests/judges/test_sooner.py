"""A bad night in real browsers of 320 px: a part of the readers, sent alone, unheard, and approved by whoever wakes up."""

import pytest

from newsletter import database
from newsletter.journeys import bulletins, segmenting
from newsletter.operators.roles import Role
from newsletter.subscribers import topics
from tests import house
from tests.campaigns.samples import xml
from tests.fakes.alerts import Alerts
from tests.journeys.test_starting import overdue
from tests.judges import browsing
from tests.judges.test_alerts import TEXT, enter
from tests.judges.test_alerts import desk as desk
from tests.judges.test_alerts import worker as worker
from tests.judges.test_console import RULES, Eye, code
from tests.judges.test_console import crew as crew
from tests.judges.test_console import pages as pages
from tests.judges.test_console import port as port
from tests.judges.test_looks import objections


@pytest.fixture
def night():
    return {"one_person_up_to": 2, "codes_up_to": 20}


def part(worker):
    """Six of the readers chose water, and a segment says so in its own words."""
    with worker.parts.database.transaction() as session:
        topics.add(session, "water", name="Water & wells")
        topics.add(session, "press", name="The press in all its trouble")
        for one in range(1, 7):
            topics.choose(session, one, ["water"], now=database.now(session))
    segmenting.add(worker.parts, "early-readers-of-the-river", segmenting.said(topic=["water"], not_language=["fa"]))


@pytest.mark.proof
def test_the_second_who_wakes_up_ends_the_wait(
    judges, chromium, crew, worker, pages, port, desk, sink, tmp_path, database_urls
):
    """Every page that somebody meets on the way is read on the smallest phone, and none is a dead end."""
    base = f"http://localhost:{port}"
    house.add_readers(worker, tmp_path, house.addresses(9))
    part(worker)
    for place in range(7):
        wrong = xml(
            identifier=f"U{place}", msgType="Update", references=f"warnings.example,A{place},2026-06-01T02:00:00-00:00"
        )
        bulletins.take(worker.parts, wrong, act=Alerts())
    mina, noor = crew.member(Role.SENDER, name="Mina Moradi"), crew.member(Role.APPROVER, name="Noor Holm")
    with browsing.running(chromium) as browser:
        author, trustee = browsing.phone(browser), browsing.phone(browser)
        eye, other = Eye(author, judges, tmp_path), Eye(trustee, judges, tmp_path)
        other.files = eye.files
        enter(author, base, mina, pages)
        author.goto(f"{base}/console/alerts")
        eye.look("alerts-held-more")
        browsing.press(author, "Show all", then="location.search === '?all=1'")
        author.goto(f"{base}/console/alerts/new")
        browsing.press(author, "Only to some of them: topics, segments", then="true")
        author.locator("[name=topic-water]").check()
        author.locator("#segment").select_option("early-readers-of-the-river")
        browsing.fill(author, **{"subject-en": "Lorries at Sarand", "text-en": TEXT})
        eye.look("alert-write-part")
        browsing.press(author, "Go on and look at it", then="/^.console.alerts.[0-9]+$/.test(location.pathname)")
        here = author.evaluate("location.pathname")
        browsing.press(author, "Lock it", then="document.body.innerText.includes('Locked, waits')")
        browsing.press(author, "Nobody can be reached", then="location.search === '?alone=1'")
        used = code(pages, mina.secret)[1]
        browsing.fill(author, code=browsing.apart(code, pages, mina.secret, after=used)[0])
        browsing.press(
            author, "Send alone, with this code", then="document.body.innerText.includes('unless somebody stops it')"
        )
        eye.look("alert-alone")

        enter(trustee, base, noor, pages)
        other.look("front-sooner")
        browsing.apart(overdue, database_urls, int(here.rpartition("/")[2]))
        trustee.goto(f"{base}/console")
        other.look("front-blocked")
        trustee.goto(base + here)
        other.look("alert-unheard")
        browsing.press(trustee, "Read and approve", then="location.pathname.endsWith('/approve')")
        other.look("alert-approve-part")
        used = code(pages, noor.secret)[1]
        browsing.fill(trustee, code=browsing.apart(code, pages, noor.secret, after=used)[0])
        browsing.press(trustee, "Approve with this code", then="document.body.innerText.includes('On its way')")
        other.look("alert-sooner-going")
        browsing.apart(worker.deliver, "urgent")
        author.goto(base + here)
        browsing.until(author, "document.body.innerText.includes('6 of 6 handed over')")
    assert len([one for one in sink.messages if one.recipient.startswith("reader")]) == 6
    assert eye.found + other.found == []
    assert objections(judges, tmp_path, eye.files, RULES) == {}
