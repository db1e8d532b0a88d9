"""What was in doubt once is called sent only by a server's word, and never called not sent."""

from contextlib import closing

import pytest
from sqlalchemy import text

from newsletter import assembly
from newsletter.journeys import alert
from newsletter.journeys import mailing as journey
from newsletter.ledger import books, deliveries, shards
from newsletter.ledger.deliveries import DeliveryState, Result
from newsletter.ledger.shards import Marks
from tests import house

EXPIRED = text("UPDATE mailing SET expires_at = now() - interval '1 minute' WHERE kind = 'alert'")
READERS = 5


def alert_to_five(urls, folder):
    """Make a product with an alert to five, released."""
    with closing(house.build(folder, urls, "smtp://127.0.0.1:9")) as made:
        house.add_readers(made, folder, house.addresses(READERS))
        (folder / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
        return {"sent": alert.send(made.parts, [str(folder / "alert.md")], digest_key=house.DIGEST)}


@pytest.fixture
def begun(moulds, tmp_path):
    """A copy of it: all of these tests begin with one."""
    with moulds.copied(__name__, alert_to_five, tmp_path) as begun:
        yield begun


@pytest.fixture
def sent(newsletter, begun):
    """An alert to five, released."""
    return begun.facts["sent"]


@pytest.fixture
def in_doubt(newsletter, sink, sent):
    """The alert, once its server hung up on the first reader after the final dot: they may have it, and it is to go again."""
    sink.hang_up = lambda recipient: recipient.startswith("reader1@")
    newsletter.deliver("urgent", seconds=10)
    sink.hang_up = lambda _recipient: False
    assert (status(newsletter, sent).accepted, status(newsletter, sent).due) == (READERS - 1, 1)
    return sent


def status(made, mailing):
    with made.parts.database.transaction() as session:
        assert books.faults(session, mailing) == []
        return books.status(session, mailing)


def fates(made, mailing):
    return [doubt.state for doubt in journey.in_doubt(made.parts, mailing)]


def do(made, statement):
    with made.parts.database.transaction() as session:
        session.execute(statement if not isinstance(statement, str) else text(statement))


def test_what_expires_while_it_waits_to_be_looked_for_stays_in_doubt(newsletter, in_doubt):
    """Nobody may read in the books that a reader never had what very likely lies in their inbox."""
    do(newsletter, EXPIRED)
    newsletter.sweep()
    found = status(newsletter, in_doubt)
    assert (found.state, found.uncertain, found.expired) == ("done", 1, 0)
    assert fates(newsletter, in_doubt) == ["uncertain"]


def test_what_was_never_handed_over_expires(newsletter, sink, sent):
    """A reader who was refused for now, and whom nobody asked again, has it for certain not."""
    sink.refuse = lambda recipient: "451 4.3.0 later" if recipient.startswith("reader1@") else None
    newsletter.deliver("urgent", seconds=10)
    do(newsletter, EXPIRED)
    newsletter.sweep()
    found = status(newsletter, sent)
    assert (found.state, found.uncertain, found.expired) == ("done", 0, 1)


def test_what_is_stopped_while_in_doubt_stays_in_doubt(newsletter, in_doubt):
    """A stop takes back what has not gone; of this nobody knows whether it has, and nobody may be told that it was spared them."""
    assert journey.stop(newsletter.parts, in_doubt) == 0
    newsletter.sweep()
    found = status(newsletter, in_doubt)
    assert (found.state, found.uncertain, found.cancelled) == ("stopped", 1, 0)


def test_who_leaves_while_in_doubt_stays_in_doubt(newsletter, in_doubt, tmp_path, database_urls):
    """By the pages' role too, which may otherwise cancel and nothing else."""
    pages = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True)
    with pages.parts.database.transaction() as session:
        mailbox = session.execute(text("SELECT mailbox_id FROM delivery WHERE state = 'deferred'")).scalar_one()
        assert deliveries.cancel(session, mailbox, reason="unsubscribed") == 1
    pages.close()
    found = status(newsletter, in_doubt)
    assert (found.uncertain, found.cancelled) == (1, 0)


@pytest.mark.parametrize("state", [DeliveryState.REJECTED, DeliveryState.EXPIRED])
def test_a_refusal_of_the_second_copy_says_nothing_of_the_first(newsletter, in_doubt, state):
    """Its reader may have the first; the refusal itself is kept beside it."""
    do(newsletter, "UPDATE delivery SET due_at = now() WHERE state = 'deferred'")
    newsletter.sweep()
    with newsletter.parts.database.transaction() as session:
        lease = shards.take(session, "urgent", owner="a test").lease
        [row] = deliveries.due(session, lease)
        assert deliveries.record(session, lease, [Result(row.id, state, code=550, reason="dead")]) == 1
        assert shards.end(session, lease)
    found = status(newsletter, in_doubt)
    assert (found.uncertain, found.rejected + found.expired) == (1, 0)
    with newsletter.parts.database.transaction() as session:
        kept = session.execute(text("SELECT code, reason FROM delivery WHERE state = 'uncertain'")).one()
    assert tuple(kept) == (550, "dead")


def test_stopped_while_it_goes_again_and_taken_by_the_journal_it_is_accepted(newsletter, in_doubt):
    """The second copy was taken, its worker died before it wrote that down, and meanwhile somebody stopped the alert."""
    do(newsletter, "UPDATE delivery SET due_at = now() WHERE state = 'deferred'")
    newsletter.sweep()
    with newsletter.parts.database.transaction() as session:
        lease = shards.take(session, "urgent", owner="a test").lease
        assert shards.announce(session, lease, first=0, upto=1)
    journey.stop(newsletter.parts, in_doubt)
    do(newsletter, "UPDATE shard SET lease_until = now() - interval '1 hour' WHERE state = 'open'")
    with newsletter.parts.database.transaction() as session:
        assert shards.take_stopped(session, owner="a test", marks=lambda *_: Marks((), (0,)))
    assert status(newsletter, in_doubt).accepted == READERS


def late(made):
    """Take the shard of a holder who has announced two messages and cannot say what became of them; return it and its rows."""
    with made.parts.database.transaction() as session:
        lost = shards.take(session, "urgent", owner="a test").lease
        rows = deliveries.due(session, lost)
        shards.announce(session, lost, first=0, upto=2)
    do(made, "UPDATE shard SET lease_until = now() - interval '1 hour'")
    with made.parts.database.transaction() as session:
        assert shards.take(session, "urgent", owner="another").lease.fence > lost.fence
    return lost, rows


def test_an_alert_of_which_its_holder_hears_late_does_not_go_again(newsletter, sent):
    """The database was away for longer than a lease, and no journal was there: who waited with the answers still has them."""
    lost, rows = late(newsletter)
    with newsletter.parts.database.transaction() as session:
        accepted = [Result(row.id, DeliveryState.ACCEPTED, code=250) for row in rows[:2]]
        assert deliveries.record(session, lost, accepted) == 2
    found = status(newsletter, sent)
    assert (found.accepted, found.due) == (2, READERS - 2)
    assert fates(newsletter, sent) == ["accepted", "accepted"]


def test_a_late_refusal_leaves_an_alert_to_its_new_holder(newsletter, sent):
    """It may have been asked again meanwhile: only that a server has it is certain for ever."""
    lost, rows = late(newsletter)
    with newsletter.parts.database.transaction() as session:
        refused = [Result(rows[0].id, DeliveryState.REJECTED, code=550)]
        never_in_doubt = [Result(rows[4].id, DeliveryState.ACCEPTED, code=250)]
        assert deliveries.record(session, lost, refused + never_in_doubt) == 0
    assert status(newsletter, sent).due == READERS


def test_what_expired_in_doubt_is_still_found_in_the_relays_log(newsletter, in_doubt, sink, tmp_path):
    """For a day the log may say what nobody heard."""
    do(newsletter, EXPIRED)
    newsletter.sweep()
    [message] = sink.messages_for("reader1@example.org")
    message_id = message.content.split(b"Message-ID: <")[1].split(b">")[0].decode()
    (tmp_path / "mail.log").write_text(
        f"Jun  1 08:00:00 mx postfix/cleanup[102]: 4bQk7y2Xz: message-id=<{message_id}>\n"
        "Jun  1 08:00:00 mx postfix/qmgr[99]: 4bQk7y2Xz: from=<a@sarand.example>, size=1, nrcpt=1 (queue active)\n"
    )
    looking = assembly.assemble(newsletter.settings.model_copy(update={"relay_log": tmp_path / "mail.log"}))
    looking.sweep()
    looking.close()
    assert status(newsletter, in_doubt).accepted == READERS


@pytest.mark.parametrize(("tries", "minutes"), [(0, 1), (1, 3), (3, 27), (9, 243)])
def test_each_time_its_worker_is_lost_an_alert_waits_longer(newsletter, sent, tries, minutes):
    """A message at which every worker dies must not go each minute for a day."""
    do(newsletter, f"UPDATE delivery SET tries = {tries}, first_tried = now()")
    late(newsletter)
    with newsletter.parts.database.transaction() as session:
        waits = "SELECT extract(epoch FROM due_at - outcome_at) / 60 FROM delivery WHERE state = 'deferred'"
        found = {round(one) for one in session.execute(text(waits)).scalars()}
    assert found == {minutes}


def test_who_came_into_doubt_last_is_looked_for_however_many_are_looked_for_in_vain(newsletter, sent):
    """Ten thousand doubts at a relay that has no log kept each newer one from it for a day: their alerts went twice."""
    do(newsletter, "UPDATE delivery SET state = 'uncertain', uncertain_at = now() - position * interval '1 minute'")
    with newsletter.parts.database.transaction() as session:
        since = session.execute(text("SELECT now() - interval '1 day'")).scalar_one()
        found = [one.id for one in deliveries.unsettled(session, since=since, limit=2)]
        last = session.execute(text("SELECT id FROM delivery ORDER BY uncertain_at DESC LIMIT 2")).scalars().all()
    assert found == last


WISHES = {
    "leaves": lambda made, _sent: do(made, CANCEL),
    "stops": lambda made, sent: journey.stop(made.parts, sent),
    "expires": lambda made, _sent: (do(made, EXPIRED), made.sweep()),
}
CANCEL = "UPDATE delivery SET state = 'cancelled', reason = 'unsubscribed', outcome_at = now() WHERE state = 'planned'"


@pytest.mark.parametrize("wish", WISHES)
def test_a_wish_while_the_answer_is_awaited_hides_no_doubt(newsletter, sink, sent, wish):
    """The server has the first message and hangs up; meanwhile its row was taken back. It is listed all the same."""
    begun = []

    def hang_up(recipient):
        if not begun:
            begun.append(recipient)
            WISHES[wish](newsletter, sent)
        return recipient == begun[0]

    sink.hang_up = hang_up
    newsletter.deliver("urgent", seconds=10)
    newsletter.sweep()
    assert fates(newsletter, sent) == ["uncertain"]
    assert (status(newsletter, sent).uncertain, status(newsletter, sent).due) == (1, 0)
