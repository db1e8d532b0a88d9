"""The books close when the last shard has ended, whoever ended it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from newsletter.journeys import publish
from newsletter.ledger import books, deliveries, shards
from newsletter.ledger.deliveries import DeliveryState, Result
from tests import house


def test_two_who_end_the_last_shards_at_once_close_the_books(newsletter, tmp_path):
    """Each would see the other's shard still open, and the mailing would look unfinished until the next sweep."""
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(2001))
    publish.send(newsletter.parts, composed.issue)
    first, second = carried(newsletter), carried(newsletter)
    first_ended, second_asks = Event(), Event()

    def end_first():
        with newsletter.parts.database.transaction() as session:
            shards.end(session, first)
            first_ended.set()
            books.finish(session, composed.mailing)
            second_asks.wait(5)

    def end_second():
        with newsletter.parts.database.transaction() as session:
            first_ended.wait(5)
            shards.end(session, second)
            second_asks.set()
            return books.finish(session, composed.mailing)

    with ThreadPoolExecutor(2) as both:
        waiting = both.submit(end_first)
        assert both.submit(end_second).result(10)
        waiting.result(10)


def carried(newsletter):
    """A shard all of whose mail was taken."""
    with newsletter.parts.database.transaction() as session:
        lease = shards.take(session, "bulk", owner="a test").lease
        rows = deliveries.due(session, lease)
        deliveries.record(session, lease, [Result(row.id, DeliveryState.ACCEPTED, code=250) for row in rows])
        return lease
