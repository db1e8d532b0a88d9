"""First attempts go before retries, also before those that are under way."""

import threading
import time

import pytest
from sqlalchemy import text

from newsletter.delivery import windows
from newsletter.journeys import publish
from newsletter.ledger import deliveries, shards
from tests import house


@pytest.fixture
def again(newsletter, sink, tmp_path, database_urls):
    """Return the mailing of which forty readers are asked once more, and a later one to all of them that is released."""
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(40))
    publish.send(newsletter.parts, composed.issue)
    house.by_owner(database_urls, "UPDATE shard SET retry = true")
    house.add_articles(newsletter, tmp_path, "Newer")
    return composed.mailing


@pytest.fixture
def later(newsletter, tmp_path, again):
    """Release a later mailing to all of them, and return it."""
    second = publish.compose(newsletter.parts, house.DIGEST)
    publish.send(newsletter.parts, second.issue)
    return second.mailing


def do(made, sql):
    with made.parts.database.transaction() as session:
        session.execute(text(sql))


def lease(made, mailing):
    """Take a shard of a mailing, whatever comes before it."""
    with made.parts.database.transaction() as session:
        others = text("UPDATE shard SET not_before = not_before + interval '1 hour' WHERE mailing_id <> :mailing")
        session.execute(others, {"mailing": mailing})
        taken = shards.take(session, "bulk", owner="a test").lease
        rows = deliveries.due(session, taken)
        session.execute(text("UPDATE shard SET not_before = not_before - interval '1 hour' WHERE lease_until IS NULL"))
    return taken, rows


def leases(made):
    with made.parts.database.transaction() as session:
        return session.execute(text("SELECT sum(fence) FROM shard")).scalar_one()


def test_retries_under_way_give_way_to_a_first_attempt(newsletter, again, later):
    """A second alert waited eighteen seconds for the greylisted readers of the first."""
    retries, first = lease(newsletter, again), lease(newsletter, later)
    assert (retries[0].retry, first[0].retry) == (True, False)
    open_ = newsletter.parts.database, *retries
    assert windows.open(*open_), "the first attempts are under way as well"
    with newsletter.parts.database.transaction() as session:
        shards.release(session, first[0])
    assert windows.open(*open_) is None
    assert windows.open(newsletter.parts.database, *lease(newsletter, later)), "and these wait for nobody"


@pytest.mark.parametrize(
    "not_now",
    [
        "UPDATE shard SET not_before = now() + interval '2 seconds' WHERE NOT retry",
        "UPDATE mailing SET state = 'paused' FROM shard s WHERE s.mailing_id = mailing.id AND NOT s.retry",
        "UPDATE tally SET held_until = now() + interval '1 hour'",
        "UPDATE shard SET tranche_pause = interval '1 hour' WHERE NOT retry",
    ],
    ids=["its pace is used up", "halted", "its provider held", "its tranche waits"],
)
def test_retries_wait_for_no_first_attempt_that_cannot_go(newsletter, again, later, not_now):
    """Each would be taken and given back for ever, and nobody have anything."""
    retries = lease(newsletter, again)
    do(
        newsletter,
        "INSERT INTO tally (mailing_id, provider) SELECT mailing_id, provider FROM shard WHERE NOT retry ON CONFLICT DO NOTHING",
    )
    assert windows.open(newsletter.parts.database, *retries) is None
    do(newsletter, not_now)
    assert windows.open(newsletter.parts.database, *retries)


def test_retries_wait_for_no_first_attempt_that_somebody_keeps_locked(newsletter, again, later):
    """Nobody can lease it meanwhile: whoever stood aside would have the same retries again at once."""
    retries = lease(newsletter, again)
    with newsletter.parts.database.transaction() as session:
        session.execute(text("SELECT FROM shard WHERE NOT retry FOR UPDATE"))
        assert windows.open(newsletter.parts.database, *retries)


def test_a_first_attempt_is_on_the_wire_within_a_second_or_two_of_retries(tmp_path, database_urls, sink):
    """And the retries follow, each of them once."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?rate=14&connections=2")
    composed = house.issue(made, tmp_path, addresses=house.addresses(40))
    publish.send(made.parts, composed.issue)
    house.by_owner(database_urls, "UPDATE shard SET retry = true")
    house.add_articles(made, tmp_path, "Newer")
    second = publish.compose(made.parts, house.DIGEST)
    thread = threading.Thread(target=made.deliver, args=("bulk",), kwargs={"seconds": 20}, daemon=True)
    thread.start()
    time.sleep(1.5)
    before = len(sink.messages)
    publish.send(made.parts, second.issue)
    time.sleep(2)
    newer = [b"Newer" in one.content for one in sink.messages]
    assert 0 < before < 26
    assert True in newer[: before + 14], "the rest of the older would take longer"
    thread.join(25)
    assert [sum(b"Newer" in one.content for one in sink.messages), len(sink.messages)] == [40, 80]
    made.close()


def test_what_expired_and_was_not_given_up_yet_keeps_nobody_busy(newsletter, again, later, sink):
    """It looks as if it could go, and no window opens: it was taken and given back two hundred times until the next sweep."""
    do(newsletter, f"UPDATE mailing SET expires_at = now() WHERE id = {later}")
    newsletter.deliver("bulk", seconds=3)
    assert len(sink.messages) == 40, "the retries went"
    assert leases(newsletter) <= 10
