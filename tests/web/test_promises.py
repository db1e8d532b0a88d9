"""What was promised of an alert, on its own page, while it goes."""

from datetime import timedelta

from newsletter.delivery.budget import Promise
from newsletter.delivery.promises import Promised
from newsletter.journeys import halting
from newsletter.ledger import promises
from newsletter.ledger.mailings import Lane
from tests.web.test_alerts import author as author
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import made as made
from tests.web.test_alerts import readers as readers
from tests.web.test_alerts import worker as worker
from tests.web.test_alerts import written


def test_the_page_shows_what_was_promised_and_what_came_of_it(author, desk, readers, worker, now):
    """Before: as fast as it can. While it goes: by when it was said to be over, and how far it is."""
    readers(2)
    number = written(author)
    here = f"/console/alerts/{number}"
    assert "As fast as the relay takes it" in author.text
    author.post(f"{here}/lock")
    author.post(f"{here}/release")
    assert "Promised on" not in author.open(here).text
    said = Promised(2, now, Promise(now + timedelta(hours=1), (2,), "rate"))
    with worker.parts.database.transaction() as session:
        promises.keep(session, number, said.facts)
    page = author.open(here).text
    assert "Promised on" in page
    assert "All 2 handed over by" in page
    assert "So far: 0 %, 0 of 2 handed over." in page


def test_a_lane_that_stands_still_is_said_on_the_page(author, desk, readers, worker):
    """Whoever presses Send on a phone sees no command line: the page says that nothing goes, and since when."""
    readers(2)
    halting.pause(worker.parts, [Lane.URGENT])
    number = written(author)
    here = f"/console/alerts/{number}"
    assert "The urgent lane has been paused since" in author.open(here).text
    assert "Nothing is promised while the lane is paused." in author.text
    author.post(f"{here}/lock")
    author.post(f"{here}/release")
    assert "The urgent lane has been paused since" in author.open(here).text
    assert "lanes resume" not in author.text
