"""Mail on its way to those who leave while somebody is at their rows."""

from sqlalchemy import text

from newsletter.journeys import publish
from newsletter.ledger import leavers
from tests import house

STATES = "SELECT mailbox_id, state, reason FROM delivery ORDER BY mailbox_id"


def ask(newsletter, sql):
    with newsletter.parts.database.transaction() as session:
        return [tuple(row) for row in session.execute(text(sql))]


def test_what_nobody_is_at_is_cancelled_for_all_of_them(newsletter, tmp_path):
    """One row that is being written must keep nobody else's mail coming, and nobody waiting; of another digest nothing goes."""
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(4))
    publish.send(newsletter.parts, composed.issue)
    newsletter.sweep()

    def cancel(gone):
        with newsletter.parts.database.impatient(1) as session:
            return leavers.cancel(session, gone, reason="unsubscribed")

    with newsletter.parts.database.transaction() as other:
        other.execute(text("SELECT id FROM delivery WHERE mailbox_id = 1 FOR UPDATE")).all()
        assert cancel({(1, None), (2, None), (3, 1), (4, 2), (99, None)}) == 2
    done, goes_on = ("cancelled", "unsubscribed"), ("planned", None)
    assert ask(newsletter, STATES) == [(1, *goes_on), (2, *done), (3, *done), (4, *goes_on)]
    assert cancel({(1, None), (2, None), (2, 1)}) == 1
    assert cancel(set()) == 0
