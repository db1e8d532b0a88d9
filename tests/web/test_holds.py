"""An alert that one provider refuses, on its page: until when its readers wait there, and a button that lets it go on."""

import pytest
from sqlalchemy import text

from newsletter import database
from newsletter.delivery import watching
from newsletter.journeys import alert, mailing, retracting
from newsletter.ledger import tallies
from newsletter.ledger.mailings import Lane
from newsletter.ledger.tallies import Counts
from tests.web.test_alerts import author as author
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import made as made
from tests.web.test_alerts import readers as readers
from tests.web.test_alerts import worker as worker
from tests.web.test_alerts import written
from tests.web.test_languages import speak


def blocked(worker, number):
    """Have a provider refuse a hundred of its readers."""
    with worker.parts.database.transaction() as session:
        tallies.add(session, number, "google", Counts(tried=100, policy=100))
        watching.look(session, number, Lane.URGENT, "google", now=database.now(session))


def held(worker, number):
    with worker.parts.database.transaction() as session:
        return set(tallies.held(session, number))


@pytest.fixture
def number(author, desk, readers, worker):
    """An alert that goes."""
    readers(2)
    number = written(author)
    author.post(f"/console/alerts/{number}/lock")
    author.post(f"/console/alerts/{number}/release")
    return number


def test_its_page_says_until_when_and_lets_it_go_on(author, worker, number):
    """Nothing on the page said so, and nothing on a phone could change it."""
    here = f"/console/alerts/{number}"
    assert f'action="{here}/resume"' not in author.open(here).text
    blocked(worker, number)
    page = author.open(here).text
    assert "wait until" in page
    assert "taken for spam" in page
    assert "It did not go" not in page
    author.post(f"{here}/resume")
    assert held(worker, number) == set()
    assert "wait until" not in author.open(here).text


def test_what_takes_it_back_is_let_go_on_from_its_page(author, worker, number):
    """It halted, and only a shell could let it go on: its readers were left with the wrong alert."""
    here = f"/console/alerts/{number}"
    worker.deliver("urgent")
    back = retracting.retract(worker.parts, number).retraction
    assert f'action="{here}/resume"' not in author.open(here).text
    mailing.pause(worker.parts, back)
    assert f'action="{here}/resume"' in author.open(here).text
    author.post(f"{here}/resume")
    assert mailing.status(worker.parts, back).state == "sending"


def test_so_does_the_page_of_one_that_was_taken_back(author, worker, number):
    """Whoever had the wrong alert waits for its retraction, and its page is the alert's."""
    here = f"/console/alerts/{number}"
    worker.deliver("urgent")
    back = retracting.retract(worker.parts, number).retraction
    with worker.parts.database.transaction() as session:
        assert session.execute(text("SELECT state FROM mailing WHERE id = :id"), {"id": back}).scalar_one() == "sending"
    blocked(worker, back)
    assert "wait until" in author.open(here).text
    assert alert.standing(worker.parts, number).held
    author.post(f"{here}/resume")
    assert held(worker, back) == set()


def test_a_language_that_is_held_goes_on_from_the_page_of_its_alert(author, desk, readers, worker):
    """The alert has gone to all, its Persian is held: its own page says so, and one press there lets both go on."""
    readers(2)
    speak(worker, "UPDATE digest SET languages = '{en,fa}'", "UPDATE subscriber SET language = 'fa' WHERE id = 2")
    number = written(author, **{"later-fa": "1"})
    here = f"/console/alerts/{number}"
    author.post(f"{here}/lock")
    author.post(f"{here}/release")
    worker.deliver("urgent")
    wish = {"digest": "weekly", "translates": str(number), "for": "waiting", "subject-fa": "ک", "text-fa": "ک."}
    author.open(f"/console/alerts/new?translates={number}").post("/console/alerts", **wish)
    late = int(author.path.rsplit("/", 1)[1])
    author.post(f"/console/alerts/{late}/lock")
    author.post(f"/console/alerts/{late}/release")
    assert f'action="{here}/resume"' not in author.open(here).text
    blocked(worker, late)
    page = author.open(here).text
    assert f"Its language, alert {late}:" in page
    assert f'action="{here}/resume"' in page
    author.post(f"{here}/resume")
    assert (author.problem, held(worker, late)) == ("", set())
