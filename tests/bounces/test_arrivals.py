"""Notices that wait for a worker: none of them holds up another."""

from sqlalchemy import text

from newsletter.bounces import arrivals
from newsletter.journeys import returns
from tests import house


def test_a_damaged_notice_holds_up_no_other(tmp_path, database_urls):
    """One row whose seal cannot be opened kept every complaint of three days from being heard."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9")
    with made.parts.database.transaction() as session:
        for name in ("a", "b"):
            arrivals.store(session, name, "Notification\n{}")
        session.execute(text("UPDATE arrival SET body_sealed = 'x' WHERE name = 'a'"))
    assert returns.work(made.parts) == 2
    with made.parts.database.transaction() as session:
        assert not arrivals.any_waiting(session)
    made.close()
