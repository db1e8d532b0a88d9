"""Ordinary mail stands aside for an alert that lacks hands, and for nothing else."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from newsletter.delivery import windows
from newsletter.journeys import alert, publish
from newsletter.ledger import deliveries, shards
from tests import house


@pytest.fixture
def night(newsletter, sink, tmp_path):
    """Return a product with a digest and an alert under way, in two shards each."""
    begun(newsletter, tmp_path)
    return newsletter


def begun(newsletter, tmp_path):
    readers = [*house.addresses(20), *(f"reader{number}@gmail.com" for number in range(20))]
    composed = house.issue(newsletter, tmp_path, addresses=readers)
    publish.send(newsletter.parts, composed.issue)
    (tmp_path / "alert.md").write_text("# Leave the valley\n\nThe dam is breaking.\n")
    alert.send(newsletter.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
    newsletter.sweep()


def taken(newsletter, lane):
    """Let another sender take a shard of a lane."""
    with newsletter.parts.database.transaction() as session:
        found = shards.take(session, lane, owner="another")
        return found.lease, deliveries.due(session, found.lease)


def test_bulk_leaves_its_hands_to_an_alert_that_lacks_them(night, sink):
    """On a machine with two children a digest would keep one of them for half a minute."""
    taken(night, "urgent")
    assert night.deliver("bulk", seconds=5) == 0
    assert night.deliver("urgent", seconds=5) == 20
    assert night.deliver("bulk", seconds=5) == 40


def test_a_turn_of_bulk_under_way_ends_with_its_window(night):
    """Half a second is what a reader in danger may wait for a digest; thirty are not."""
    lease, rows = taken(night, "bulk")
    first = night.parts.relays["urgent"]
    assert windows.open(night.parts.database, lease, rows, yields_to=first)
    taken(night, "urgent")
    assert windows.open(night.parts.database, lease, rows, yields_to=first) is None


def test_bulk_stands_aside_while_further_readers_of_an_alert_get_their_rows(night):
    """Until they have them nothing can be sent to them: beside a digest on two processors that took three times as long."""
    with night.parts.database.transaction() as session:
        session.execute(text("UPDATE mailing SET growing = true WHERE lane = 'urgent'"))
    assert night.deliver("bulk", seconds=5) == 0
    with night.parts.database.transaction() as session:
        # Whoever was to write them may be gone for ever.
        assert not shards.lacks_hands(session, "urgent", growth=timedelta(0))


def test_a_digest_does_not_wait_for_an_alert_that_nobody_sends(night):
    """Where the urgent workers are gone, silence of the digest would be a second failure."""
    assert night.deliver("bulk", seconds=5) == 40


def test_a_digest_does_not_wait_where_the_relay_s_limit_is_what_holds_the_alert(sink, tmp_path, database_urls):
    """More hands cannot raise fourteen a second, and a digest may have a relay of its own."""
    limited = house.build(tmp_path, database_urls, sink.url, relay_url_urgent=f"{sink.url}?rate=14")
    begun(limited, tmp_path)
    taken(limited, "urgent")
    assert limited.deliver("bulk", seconds=5) == 40
    limited.close()
