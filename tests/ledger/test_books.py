"""The auditor is audited: each rule of the books is seen to fail where it is broken."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from newsletter.journeys import publish
from newsletter.ledger import books, deliveries
from tests import house


@pytest.fixture
def mailing(newsletter, sink, tmp_path):
    """A digest of six, one of them refused, all over."""
    sink.refuse = lambda recipient: "550 5.1.1 User unknown" if recipient.startswith("reader1@") else None
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(6))
    publish.send(newsletter.parts, composed.issue)
    newsletter.deliver("bulk", seconds=10)
    return composed.mailing


def faults(newsletter, mailing):
    with newsletter.parts.database.transaction() as session:
        return books.faults(session, mailing)


def test_sound_books_have_no_fault(newsletter, mailing):
    """Else the next test would prove nothing."""
    assert faults(newsletter, mailing) == []


ONE = "id = (SELECT min(id) FROM delivery WHERE state = 'accepted')"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("UPDATE mailing SET audience = audience + 1", "audience 7 is not planned 6"),
        ("UPDATE mailing SET planned = planned + 1, audience = audience + 1", "planned 7 is not outcomes 6"),
        (f"DELETE FROM delivery WHERE {ONE}", "planned 6 is not outcomes 5"),
        ("UPDATE shard SET accepted = accepted - 1", "1 × an ended shard whose outcomes are not its size"),
        (f"UPDATE delivery SET state = 'planned' WHERE {ONE}", "1 × a delivery never tried in a shard that has ended"),
        (
            f"UPDATE delivery SET state = 'deferred', due_at = now() WHERE {ONE}",
            "1 × a delivery still due in a mailing that is over",
        ),
        (f"UPDATE delivery SET code = NULL WHERE {ONE}", "1 × an accepted delivery without the server's word"),
        (f"UPDATE delivery SET code = 451 WHERE {ONE}", "1 × an accepted delivery without the server's word"),
        (f"UPDATE delivery SET state = 'uncertain' WHERE {ONE}", "1 × an uncertain delivery that is not listed"),
        (f"UPDATE delivery SET tries = 0 WHERE {ONE}", "1 × a delivery with an outcome that was never tried"),
        (f"UPDATE delivery SET shard_id = 999999 WHERE {ONE}", "1 × a delivery in no shard"),
        ("UPDATE delivery SET position = 0", "1 × a place of a shard that two deliveries share"),
        ("UPDATE shard SET state = 'open', size = size + 1", "1 × an open shard whose size is not its rows"),
    ],
    ids=lambda value: value[:60],
)
def test_each_rule_that_is_broken_is_named(newsletter, mailing, change, fault, database_urls):
    """Every scenario asks the books whether they hold; an auditor who never finds anything may be asleep."""
    house.by_owner(database_urls, change)
    found = faults(newsletter, mailing)
    assert any(sentence.startswith(fault) for sentence in found), found


def test_who_leaves_while_retries_are_gathered_is_not_counted_among_them(newsletter, sink, tmp_path):
    """Else their shard waits for somebody who will never come, the mailing never ends, and every worker turns it over and over."""
    sink.refuse = lambda _recipient: "451 4.7.1 Greylisted"
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(6))
    publish.send(newsletter.parts, composed.issue)
    newsletter.deliver("bulk", seconds=10)
    sink.refuse = lambda _recipient: None
    database = newsletter.parts.database
    with database.transaction() as session:
        session.execute(text("UPDATE delivery SET due_at = now() - interval '1 second'"))
    with database.transaction() as leaving:
        mailbox = leaving.execute(text("SELECT min(mailbox_id) FROM delivery")).scalar_one()
        assert deliveries.cancel(leaving, mailbox, reason="left") == 1
        with (
            database.transaction() as session
        ):  # the sweep comes before the wish is committed, and does not wait for it
            session.execute(text("SET LOCAL lock_timeout = '2s'"))
            now = session.execute(text("SELECT clock_timestamp()")).scalar_one()
            assert deliveries.gather(session, now=now) == 5
    assert faults(newsletter, composed.mailing) == []
    newsletter.deliver("bulk", seconds=10)
    newsletter.sweep()
    with database.transaction() as session:
        found = books.status(session, composed.mailing)
    assert (found.state, found.accepted, found.cancelled) == ("done", 5, 1)


def test_a_shard_of_another_size_than_its_rows_ends_all_the_same(newsletter, sink, tmp_path, database_urls):
    """What older versions left behind must not keep a mailing open, and the workers busy, for ever."""
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(3))
    publish.send(newsletter.parts, composed.issue)
    empty = "INSERT INTO shard (mailing_id, lane, provider, size) SELECT mailing_id, lane, provider, 1 FROM shard"
    house.by_owner(database_urls, "UPDATE shard SET size = size + 1")
    house.by_owner(database_urls, empty)
    assert len(faults(newsletter, composed.mailing)) == 1
    newsletter.deliver("bulk", seconds=10)
    assert faults(newsletter, composed.mailing) == []
    with newsletter.parts.database.transaction() as session:
        assert books.status(session, composed.mailing).state == "done"
        assert session.execute(text("SELECT size, fence FROM shard ORDER BY id")).all() == [(3, 1), (0, 1)]


MANY = text("""
    INSERT INTO delivery (month, mailing_id, variant_id, mailbox_id, occasion, shard_id, position, state, due_at, tries)
    SELECT d.month, d.mailing_id, d.variant_id, d.mailbox_id, n::text, d.shard_id, 0, 'deferred', now(), 1
    FROM (SELECT * FROM delivery LIMIT 1) d, generate_series(1, 4500) AS n
""")


def test_many_retries_go_into_several_shards_and_each_has_its_place(newsletter, mailing, database_urls):
    """A provider that greylists a whole list: what comes back at once must not outgrow a shard."""
    house.by_owner(database_urls, "UPDATE mailing SET state = 'sending', finished_at = NULL")
    with newsletter.parts.database.transaction() as session:
        session.execute(MANY)
        now = session.execute(text("SELECT clock_timestamp()")).scalar_one()
        assert deliveries.gather(session, now=now) == 4500
        shards = session.execute(text("SELECT size, retry FROM shard WHERE state = 'open' ORDER BY size")).all()
        assert shards == [(500, True), (2000, True), (2000, True)]
        places = "SELECT count(DISTINCT (shard_id, position)) FROM delivery WHERE state = 'deferred'"
        assert session.execute(text(places)).scalar_one() == 4500
        assert deliveries.gather(session, now=now) == 0, "nothing is gathered twice"


def test_sweeps_at_once_gather_nothing_twice(newsletter, mailing, database_urls):
    """They do not wait for each other: what one holds, or has just moved, the other leaves; else a shard ends never."""
    house.by_owner(database_urls, "UPDATE mailing SET state = 'sending', finished_at = NULL")
    database = newsletter.parts.database
    with database.transaction() as session:
        session.execute(MANY)
    with database.transaction() as first, database.transaction() as second:
        second.execute(text("SET LOCAL lock_timeout = '2s'"))
        now = first.execute(text("SELECT clock_timestamp()")).scalar_one()
        some = text("SELECT gather_retries(:now, 20)")
        assert first.execute(some, {"now": now}).scalar_one() == 20
        assert second.execute(some, {"now": now}).scalar_one() == 20

    def sweep(_which):
        gathered = 0
        while True:
            with database.transaction() as session:
                found = session.execute(some, {"now": now}).scalar_one()
            if not found:
                return gathered
            gathered += found

    with ThreadPoolExecutor(3) as sweeps:
        assert sum(sweeps.map(sweep, range(3))) == 4460
    with database.transaction() as session:
        odd = """
            SELECT s.id FROM shard s LEFT JOIN delivery d ON d.shard_id = s.id WHERE s.retry
            GROUP BY s.id HAVING s.size <> count(d.id) OR s.size <> count(DISTINCT d.position)
        """
        assert session.execute(text(odd)).all() == []
