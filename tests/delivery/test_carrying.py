"""One shard on its way: what stops it, what a slow relay does to it, and what is said of a message nobody answered for."""

import threading
import time
from contextlib import contextmanager

from sqlalchemy import text

from newsletter.journeys import alert, halting, publish
from newsletter.journeys import mailing as journey
from newsletter.ledger import books, deliveries
from newsletter.ledger.mailings import Lane
from tests import house

# A window's half second, and what a loaded machine adds to it.
STOP_SECONDS = 0.5 + 0.3


@contextmanager
def delivering(made, lane="bulk"):
    """Deliver a lane in a thread until the block ends."""
    halt = threading.Event()
    thread = threading.Thread(target=made.deliver, args=(lane,), kwargs={"seconds": 60, "until": halt.is_set})
    thread.start()
    try:
        yield halt
    finally:
        halt.set()
        thread.join(30)
        assert not thread.is_alive()


def wait_for(seen, *, seconds=20, every=0.01):
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(every)


def under_way(made, tmp_path, count=400):
    composed = house.issue(made, tmp_path, addresses=house.addresses(count))
    publish.send(made.parts, composed.issue)
    return composed.mailing


def status(made, mailing):
    with made.parts.database.transaction() as session:
        assert books.faults(session, mailing) == []
        return books.status(session, mailing)


def again_now(made):
    """The minutes until the next attempt pass."""
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE delivery SET due_at = now() - interval '1 second' WHERE state = 'deferred'"))
    made.sweep()


def test_a_stop_ends_a_mailing_within_half_a_second(newsletter, sink, tmp_path):
    """Whoever presses stop has seen a mistake that everyone is about to read."""
    sink.delay_seconds = lambda: 0.02
    mailing = under_way(newsletter, tmp_path)
    with delivering(newsletter):
        wait_for(lambda: len(sink.messages) > 20)
        journey.stop(newsletter.parts, mailing)
        stopped = time.monotonic()
        time.sleep(1.2)
    assert max(message.at for message in sink.messages) - stopped < STOP_SECONDS
    found = status(newsletter, mailing)
    assert found.state == "stopped"
    assert found.accepted == len(sink.messages) < 400
    assert found.accepted + found.cancelled == 400


def test_a_stop_reaches_a_message_that_waits_for_a_slow_relay(newsletter, sink, tmp_path):
    """A relay that takes a second for every command must not stretch the half second to three."""
    sink.command_seconds = 0.4
    mailing = under_way(newsletter, tmp_path, count=20)
    with delivering(newsletter):
        wait_for(lambda: len(sink.messages) >= 4)
        journey.stop(newsletter.parts, mailing)
        stopped = time.monotonic()
        time.sleep(2)
    assert max(message.at for message in sink.messages) - stopped < STOP_SECONDS
    assert status(newsletter, mailing).uncertain == 0


def test_a_relay_slower_than_a_window_still_gets_everything_once(newsletter, sink, tmp_path):
    """Some relays take longer for one message than a window lasts: permission is asked for again, not given up."""
    sink.command_seconds = 0.3
    mailing = under_way(newsletter, tmp_path, count=12)
    newsletter.deliver("bulk", seconds=30)
    assert sorted(message.recipient for message in sink.messages) == sorted(house.addresses(12))
    assert status(newsletter, mailing).state == "done"


def test_who_leaves_while_a_slow_relay_is_waited_for_gets_nothing_and_costs_nobody_else(newsletter, sink, tmp_path):
    """They are introduced already, and their window has closed: what is asked for anew must not go, and the others go once."""
    sink.command_seconds = 0.6
    sink.hang_up = lambda recipient: recipient.startswith("reader11@")
    mailing = under_way(newsletter, tmp_path, count=12)
    with delivering(newsletter):
        wait_for(lambda: len(sink.said) >= 8)
        with newsletter.parts.database.transaction() as session:
            left = session.execute(text("SELECT mailbox_id FROM delivery ORDER BY position OFFSET 1 LIMIT 3")).scalars()
            for mailbox in left.all():
                deliveries.cancel(session, mailbox, reason="left")
        wait_for(lambda: status(newsletter, mailing).over, seconds=30, every=0.2)
    found = status(newsletter, mailing)
    assert (found.state, found.accepted, found.cancelled, found.uncertain) == ("done", 8, 3, 1)
    assert len(sink.messages) == len({message.recipient for message in sink.messages}) == 9


def test_a_paused_lane_hands_nothing_over_until_resumed(newsletter, sink, tmp_path):
    """When a relay is being moved, nothing may leave, whatever is scheduled; and nothing may be lost by it."""
    sink.delay_seconds = lambda: 0.02
    mailing = under_way(newsletter, tmp_path)
    with delivering(newsletter):
        wait_for(lambda: len(sink.messages) > 20)
        halting.pause(newsletter.parts, [Lane.BULK])
        paused = time.monotonic()
        time.sleep(1)
    assert max(message.at for message in sink.messages) - paused < STOP_SECONDS
    newsletter.sweep()
    assert newsletter.deliver("bulk", seconds=5) == 0
    halting.resume(newsletter.parts, [Lane.BULK])
    sink.delay_seconds = lambda: 0.0
    newsletter.deliver("bulk", seconds=30)
    assert status(newsletter, mailing).accepted == len(sink.messages) == 400


def test_stopping_everything_ends_what_is_under_way_and_holds_the_rest(newsletter, sink, tmp_path):
    """The night on which the wrong thing is going out and nobody knows which of them it is."""
    mailing = under_way(newsletter, tmp_path, count=10)
    house.add_articles(newsletter, tmp_path, "A second story")
    later = publish.compose(newsletter.parts, house.DIGEST)
    assert halting.stop(newsletter.parts, list(Lane)) == {mailing: 10}
    publish.send(newsletter.parts, later.issue)
    newsletter.sweep()
    assert newsletter.deliver("bulk", seconds=5) == 0
    assert [lane.paused_since is not None for lane in halting.listed(newsletter.parts)] == [True] * 3
    halting.resume(newsletter.parts, list(Lane))
    newsletter.deliver("bulk", seconds=5)
    assert (status(newsletter, mailing).state, status(newsletter, later.mailing).accepted) == ("stopped", 10)


def test_stopping_everything_in_the_middle_ends_it_within_half_a_second(newsletter, sink, tmp_path):
    """The word that is pressed in a panic must be as fast as the calm one."""
    sink.delay_seconds = lambda: 0.02
    mailing = under_way(newsletter, tmp_path)
    with delivering(newsletter):
        wait_for(lambda: len(sink.messages) > 20)
        halting.stop(newsletter.parts, list(Lane))
        stopped = time.monotonic()
        time.sleep(1.2)
    assert max(message.at for message in sink.messages) - stopped < STOP_SECONDS
    found = status(newsletter, mailing)
    assert (found.state, found.uncertain, found.due) == ("stopped", 0, 0)
    assert found.accepted == len(sink.messages) < 400


def test_a_mailing_paused_in_the_middle_goes_on_and_reaches_everyone_once(newsletter, sink, tmp_path):
    """Somebody looks twice at a sentence, finds it right, and goes on."""
    sink.delay_seconds = lambda: 0.02
    mailing = under_way(newsletter, tmp_path)
    with delivering(newsletter):
        wait_for(lambda: len(sink.messages) > 20)
        journey.pause(newsletter.parts, mailing)
        paused = time.monotonic()
        time.sleep(1)
    assert max(message.at for message in sink.messages) - paused < STOP_SECONDS
    assert status(newsletter, mailing).state == "paused"
    assert newsletter.deliver("bulk", seconds=5) == 0
    journey.resume(newsletter.parts, mailing)
    sink.delay_seconds = lambda: 0.0
    newsletter.deliver("bulk", seconds=30)
    assert sorted(message.recipient for message in sink.messages) == sorted(house.addresses(400))
    assert status(newsletter, mailing).state == "done"


def test_who_is_asked_to_end_gives_back_and_leaves_nothing_in_doubt(newsletter, sink, tmp_path):
    """A deployment in the middle of a digest must cost nothing but seconds."""
    sink.delay_seconds = lambda: 0.05
    mailing = under_way(newsletter, tmp_path)
    with delivering(newsletter) as halt:
        wait_for(lambda: len(sink.messages) > 20)
        halt.set()
        began = time.monotonic()
    assert time.monotonic() - began < 5
    found = status(newsletter, mailing)
    assert (found.uncertain, found.accepted, found.due) == (0, len(sink.messages), 400 - len(sink.messages))
    sink.delay_seconds = lambda: 0.0
    newsletter.deliver("bulk", seconds=30)
    assert status(newsletter, mailing).accepted == len(sink.messages) == 400
    assert list((tmp_path / "home" / "journals").iterdir()) == []


def test_a_digest_in_doubt_does_not_go_again_and_is_listed(newsletter, sink, tmp_path):
    """The server kept it and died before it said so: twice would be worse than a line in a list."""
    sink.hang_up = lambda recipient: recipient.startswith("reader1@")
    mailing = under_way(newsletter, tmp_path, count=5)
    newsletter.deliver("bulk", seconds=20)
    again_now(newsletter)
    newsletter.deliver("bulk", seconds=20)
    found = status(newsletter, mailing)
    assert (found.state, found.accepted, found.uncertain) == ("done", 4, 1)
    assert len(sink.messages_for("reader1@example.org")) == 1
    [doubt] = journey.in_doubt(newsletter.parts, mailing)
    assert (len(doubt.reference), doubt.state) == (8, "uncertain")
    with newsletter.parts.database.transaction() as session:
        had = session.execute(text("SELECT count(*) FROM subscription WHERE had_to > 0")).scalar_one()
    assert had == 5, "the next digest would repeat these articles"


def test_an_alert_in_doubt_goes_again_with_the_same_bytes(newsletter, sink, tmp_path):
    """People in danger are told twice rather than not at all; mail programs show the same message once."""
    dropped = []
    sink.hang_up = lambda recipient: recipient.startswith("reader1@") and not dropped and not dropped.append(1)
    house.add_readers(newsletter, tmp_path, house.addresses(5))
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    mailing = alert.send(newsletter.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
    newsletter.deliver("urgent", seconds=20)
    assert status(newsletter, mailing).due == 1
    time.sleep(1.1)  # another second stands on the clock
    again_now(newsletter)
    newsletter.deliver("urgent", seconds=20)
    assert (status(newsletter, mailing).accepted, status(newsletter, mailing).due) == (5, 0)
    first, second = sink.messages_for("reader1@example.org")
    assert first.content == second.content
    [doubt] = journey.in_doubt(newsletter.parts, mailing)
    assert doubt.state == "accepted", "it stays listed: the reader may have had it twice"


def test_what_has_expired_is_not_sent(newsletter, sink, tmp_path):
    """An alert of yesterday, held up by a dead relay, would call people to a place where nothing happens any more."""
    house.add_readers(newsletter, tmp_path, house.addresses(3))
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    mailing = alert.send(newsletter.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE mailing SET expires_at = now() - interval '1 minute' WHERE kind = 'alert'"))
    newsletter.deliver("urgent", seconds=5)
    newsletter.sweep()
    time.sleep(1)  # it rests, since its first window was refused
    newsletter.deliver("urgent", seconds=5)
    newsletter.sweep()
    assert sink.messages == []
    assert (status(newsletter, mailing).state, status(newsletter, mailing).expired) == ("done", 3)
