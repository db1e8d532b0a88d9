"""Who gets an alert, and in which words, is fixed also for whoever has a worker's password and writes SQL."""

import pytest

from newsletter.journeys import alert, drafting
from tests import house
from tests.journeys.test_alert import TEXT, books, by_code, locked
from tests.journeys.test_alert import approver as approver
from tests.journeys.test_alert import author as author
from tests.journeys.test_alert import crew as crew
from tests.journeys.test_alert import made as made
from tests.journeys.test_alert import pages as pages
from tests.journeys.test_alert import words as words
from tests.journeys.test_forging import MORE, attacker, forced, refused, sending
from tests.journeys.test_forging import intruder as intruder


def test_nobody_writes_over_who_gets_an_alert(made, tmp_path, words, author, approver, intruder):
    """Of the same number, other people: nothing that is counted would show it."""
    number = locked(made, tmp_path, words, author, 4)
    sending(made, number, author, approver)
    for column in (
        "mailbox_id = 1",
        "subscriber_id = 1",
        "variant_id = 1",
        "shard_id = 1",
        "mailing_id = 1",
        "position = 9",
    ):
        refused(intruder, f"UPDATE delivery SET {column} WHERE mailing_id = %s", (number,))
    for table in ("delivery", "shard"):
        refused(intruder, f"DELETE FROM {table} WHERE mailing_id = %s", (number,))
    for column in ("mailing_id = 1", "lane = 'bulk'", "retry = true"):
        refused(intruder, f"UPDATE shard SET {column} WHERE mailing_id = %s", (number,))
    retry = "INSERT INTO shard (mailing_id, lane, provider, size, retry) VALUES (%s, 'urgent', 'other', 1, true)"
    refused(intruder, retry, (number,))
    month = "SELECT to_regclass('delivery_' || to_char(created_at, 'YYYY_MM'))::text FROM mailing WHERE id = %s"
    [part] = intruder.execute(month, (number,)).fetchone()
    refused(intruder, f"UPDATE {part} SET mailbox_id = 1")
    refused(intruder, f"DELETE FROM {part}")


def test_a_shard_of_an_alert_is_not_made_smaller(made, tmp_path, words, author, approver, database_urls):
    """What its shards hold together is what is compared with the lock, so there is no making room among them."""
    number = locked(made, tmp_path, words, author, 4)
    sending(made, number, author, approver)
    with attacker(database_urls.worker) as worker:
        worker.execute("UPDATE shard SET size = 1 WHERE mailing_id = %s", (number,))
        assert worker.execute("SELECT sum(size) FROM shard WHERE mailing_id = %s", (number,)).fetchone() == (4,)


def test_an_alert_for_few_does_not_reach_everybody(made, tmp_path, words, author, sink, database_urls):
    """One person may send to few: rows that somebody adds to such an alert must not be a way to all."""
    house.add_readers(made, tmp_path, house.addresses(2))
    number = drafting.draft(made.parts, words, digest_key=house.DIGEST, by=author.id)
    alert.lock(made.parts, number, by=author.id)
    alert.release(made.parts, number, by=author.id)
    house.add_readers(made, tmp_path, house.addresses(9))
    assert forced(made, database_urls, number, MORE).state == "paused"
    assert sink.messages == []


@pytest.mark.parametrize("occasion", ["''", "'more'"])
def test_rows_that_pose_as_retries_are_counted_too(
    made, tmp_path, words, author, approver, sink, database_urls, occasion
):
    """The owner's function gathers whatever waits for another attempt: what it gathers must not be more than was approved."""
    number = locked(made, tmp_path, words, author, 4)
    sending(made, number, author, approver)
    sink.refuse = lambda recipient: "451 4.7.1 Greylisted" if recipient.startswith("reader1@") else None
    made.deliver("urgent")
    sent = len([message for message in sink.messages if message.recipient.startswith("reader")])
    house.add_readers(made, tmp_path, house.addresses(9))
    with attacker(database_urls.worker) as worker:
        worker.execute(
            f"""
            INSERT INTO delivery (month, mailing_id, variant_id, mailbox_id, subscriber_id, occasion, shard_id, position,
                state, due_at, tries)
            SELECT date_trunc('month', m.created_at)::date, m.id, (SELECT min(id) FROM variant WHERE mailing_id = m.id),
                u.mailbox_id, u.id, {occasion}, (SELECT min(id) FROM shard WHERE mailing_id = m.id), 50, 'deferred', now(), 1
            FROM mailing m, subscriber u WHERE m.id = %s ON CONFLICT DO NOTHING
            """,
            (number,),
        )
    sink.refuse = lambda _recipient: None
    made.sweep()
    made.deliver("urgent")
    assert len([message for message in sink.messages if message.recipient.startswith("reader")]) == sent == 3
    assert books(made, number).state == "paused"


def test_nobody_s_mail_is_turned_to_another_address(made, tmp_path, words, author, intruder):
    """The row names a subscriber, and the subscriber a mailbox: neither is written over."""
    locked(made, tmp_path, words, author, 4)
    refused(intruder, "UPDATE subscriber SET mailbox_id = mailbox_id + 1")


@pytest.mark.parametrize("locked_again", [False, True])
def test_an_approval_of_words_that_were_changed_since_is_good_for_nothing(
    made, tmp_path, words, author, approver, sink, database_urls, locked_again
):
    """They were withdrawn because they were wrong: neither before nor after the next lock does their approval send them."""
    number = locked(made, tmp_path, words, author, 4)
    by_code(made, number, approver)
    with attacker(database_urls.worker) as worker:
        [old] = worker.execute("SELECT fingerprint FROM mailing WHERE id = %s", (number,)).fetchone()
        worker.execute("CREATE TEMP TABLE old AS SELECT * FROM variant")
        worker.commit()
        (tmp_path / "alert.md").write_text(TEXT.replace("second", "ninth"))
        drafting.edit(made.parts, number, words, by=author.id)
        if locked_again:
            alert.lock(made.parts, number, by=author.id)
        else:
            worker.execute("UPDATE mailing SET state = 'locked', fingerprint = %s WHERE id = %s", (old, number))
        worker.execute(
            "UPDATE variant v SET head = o.head, blocks = o.blocks FROM old o"
            " WHERE o.mailing_id = v.mailing_id AND o.number = v.number"
        )
        worker.execute(
            "UPDATE mailing SET state = 'approved', start_at = now(), fingerprint = %s WHERE id = %s", (old, number)
        )
    made.sweep()
    made.deliver("urgent")
    assert sink.messages == []
    assert books(made, number).state == "paused"


def test_a_stopped_alert_stays_stopped(made, tmp_path, words, author, approver, intruder):
    """Whoever pressed stop at night must be able to sleep."""
    number = locked(made, tmp_path, words, author, 4)
    sending(made, number, author, approver)
    alert.stop(made.parts, number)
    refused(intruder, "UPDATE mailing SET state = 'sending' WHERE id = %s", (number,))
    refused(intruder, "UPDATE mailing SET state = 'approved' WHERE id = %s", (number,))
