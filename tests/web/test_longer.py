"""An alert is given longer on a phone: as far as its lock allows, and the button says how far that is."""

from sqlalchemy import text

from tests import house
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import made as made
from tests.web.test_alerts import worker as worker
from tests.web.test_halting import database_urls as database_urls
from tests.web.test_halting import evening as evening
from tests.web.test_halting import going as going
from tests.web.test_night import plain


def test_it_is_given_longer_as_far_as_its_lock_allows(going):
    """Twelve hours more, four times; then somebody has to agree anew."""
    author, number = going
    here = f"/console/alerts/{number}"
    assert "It expires on" in author.text
    for _ in range(4):
        assert "Give it 12 hours more" in author.text
        author.post(f"{here}/extend")
        assert author.problem == ""
    assert "Give it" not in author.text
    assert "Its lock allows it no longer than" in author.text
    author.post(f"{here}/extend")
    assert "no longer" in author.problem


def test_the_button_for_longer_promises_no_more_than_its_lock_allows(going, database_urls):
    """Twelve hours were read and five were given: whoever sleeps on it finds in the morning that it went to nobody else."""
    author, number = going
    here = f"/console/alerts/{number}"
    house.by_owner(
        database_urls, "UPDATE mailing SET expires_at = expires_at + interval '43 hours' WHERE id = %s", number
    )
    author.open(here)
    assert "12 hours" not in author.text
    assert "Give it longer, until" in author.text
    author.post(f"{here}/extend")
    assert author.problem == ""
    assert "Its lock allows it no longer than" in author.text


def test_longer_is_not_offered_for_nobody(going, worker, database_urls):
    """It was paused past its end: whoever presses “12 hours more” believes that somebody is still to be told."""
    author, number = going
    here = f"/console/alerts/{number}"
    author.post(f"{here}/pause")
    assert "Nobody waits for it any more" not in author.text
    over = "UPDATE mailing SET planned_at = now() - interval '1 day', expires_at = now() WHERE id = %s"
    house.by_owner(database_urls, over, number)
    worker.sweep()
    assert "Nobody waits for it any more, and longer would reach nobody" in plain(author.open(here))
    assert f"{here}/extend" not in author.text
    author.post(f"{here}/extend")
    assert "there is nobody to give longer to" in author.problem


def test_whoever_was_not_reached_in_time_has_a_place_in_the_figures(going, worker, sink):
    """Five of twelve, none due, none refused, none unsure: whoever reads that looks for the other seven, and finds them nowhere."""
    author, number = going
    here = f"/console/alerts/{number}"
    sink.refuse = lambda recipient: None if "reader1" in recipient else "452 4.2.2 mailbox full"
    worker.deliver("urgent")
    assert "not reached in time" not in author.open(here).text
    with worker.parts.database.transaction() as session:
        session.execute(text("UPDATE mailing SET expires_at = now() WHERE id = :it"), {"it": number})
    worker.sweep()
    assert "0 refused, 0 unsure · not reached in time: 1" in plain(author.open(here))
