"""What writing an outcome costs: the promise that lets a small server keep books on a million messages."""

from sqlalchemy import text

from newsletter.delivery import leasing
from newsletter.journeys import publish
from newsletter.ledger import deliveries
from newsletter.ledger.deliveries import DeliveryState, Result
from tests import house

IN_PLACE = text("""
    SELECT sum(n_tup_upd), sum(n_tup_hot_upd) FROM pg_stat_xact_user_tables
    WHERE relname LIKE :table AND n_tup_upd > 0
""")


def test_outcomes_touch_no_index(newsletter, tmp_path):
    """Ten million rows a month, four indexes: an entry in each for every outcome would double the disk and halve the speed."""
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(500))
    publish.send(newsletter.parts, composed.issue)
    with newsletter.parts.database.transaction() as session:
        work = leasing.lease(session, "bulk", owner="a test", journals=tmp_path)
    with newsletter.parts.database.transaction() as session:
        results = [Result(row.id, DeliveryState.ACCEPTED, code=250, enhanced="2.0.0") for row in work.rows]
        deliveries.record(session, work.lease, results)
        leasing.moved(session, work.lease, [row.subscriber_id for row in work.rows])
        for table in ("delivery_%", "subscription"):
            changed, in_place = session.execute(IN_PLACE, {"table": table}).one()
            assert changed == 500
            # The odd row does not fit: pages of people are not all the same length.
            assert in_place >= 490, table
