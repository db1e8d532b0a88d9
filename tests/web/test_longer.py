"""An alert is given longer on a phone: as far as its lock allows, and the button says how far that is."""

from tests import house
from tests.web.test_alerts import author as author
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import made as made
from tests.web.test_alerts import readers as readers
from tests.web.test_alerts import worker as worker
from tests.web.test_alerts import written


def test_it_is_given_longer_as_far_as_its_lock_allows(author, desk, readers, worker):
    """Twelve hours more, four times; then somebody has to agree anew."""
    readers(2)
    number = written(author)
    here = f"/console/alerts/{number}"
    author.post(f"{here}/lock")
    author.post(f"{here}/release")
    assert "It expires on" in author.text
    for _ in range(4):
        assert "Give it 12 hours more" in author.text
        author.post(f"{here}/extend")
        assert author.problem == ""
    assert "Give it" not in author.text
    assert "Its lock allows it no longer than" in author.text
    author.post(f"{here}/extend")
    assert "no longer" in author.problem


def test_the_button_for_longer_promises_no_more_than_its_lock_allows(author, desk, readers, worker, database_urls):
    """Twelve hours were read and five were given: whoever sleeps on it finds in the morning that it went to nobody else."""
    readers(2)
    number = written(author)
    here = f"/console/alerts/{number}"
    author.post(f"{here}/lock")
    author.post(f"{here}/release")
    house.by_owner(
        database_urls, "UPDATE mailing SET expires_at = expires_at + interval '43 hours' WHERE id = %s", number
    )
    author.open(here)
    assert "12 hours" not in author.text
    assert "Give it longer, until" in author.text
    author.post(f"{here}/extend")
    assert author.problem == ""
    assert "Its lock allows it no longer than" in author.text
