"""An update never comes before the alert that it follows: whoever has that on the wire waits, and nobody else does."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from newsletter.delivery import following
from newsletter.journeys import alert
from newsletter.ledger import shards
from tests import house
from tests.delivery.test_carrying import delivering, wait_for
from tests.journeys import nights
from tests.journeys.alerting import power_fails, read, sent, status
from tests.journeys.alerting import wire as announce
from tests.journeys.test_translating import send_late

FALSE = "# It was a false alarm\n\nNobody is in danger.\n"
QUIET = "# Sarand is quiet\n\nEverybody is home.\n"
WRONG, RIGHT = "Lorries at Sarand", "It was a false alarm"


@pytest.fixture
def second(tmp_path, database_urls, sink, newsletter):
    """Another sender of the same mail, on another machine as far as anybody knows."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=4", home=tmp_path / "second")
    yield made
    made.close()


def update(made, tmp_path, number, words=FALSE):
    return alert.send(made.parts, nights.write(tmp_path, words, "better.md"), digest_key=house.DIGEST, updates=number)


def subjects(sink):
    """Return what each reader had, in its order."""
    had = {}
    for message in sink.messages:
        had.setdefault(message.recipient, []).append(read(message)["Subject"])
    return had


def who(made, number, *, upto):
    """Return the readers in the first positions of an alert's rows."""
    with made.parts.database.transaction() as session:
        rows = "SELECT mailbox_id FROM delivery WHERE mailing_id = :it AND position < :upto ORDER BY position"
        return list(session.execute(text(rows), {"it": number, "upto": upto}).scalars())


def due(made, number):
    """Return the mailboxes that an alert has still to reach."""
    with made.parts.database.transaction() as session:
        rows = "SELECT mailbox_id FROM delivery WHERE mailing_id = :it AND state = 'planned' ORDER BY position"
        return list(session.execute(text(rows), {"it": number}).scalars())


def taken(made, number):
    """Return how often the only shard of an alert was taken up."""
    with made.parts.database.transaction() as session:
        fence = "SELECT fence FROM shard WHERE mailing_id = :it"
        return session.execute(text(fence), {"it": number}).scalar_one()


def deliver_again(made):
    """As the sweep has it done, some seconds later."""
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE shard SET not_before = now() WHERE not_before > now()"))
    made.deliver("urgent")


def given_back(made, lease):
    """As when the holder has its last answer: it wrote that all announced were accepted."""
    with made.parts.database.transaction() as session:
        taken = "UPDATE delivery SET state = 'accepted', reason = NULL, outcome_at = now() WHERE shard_id = :it AND position < 2"
        session.execute(text(taken), {"it": lease.shard_id})
        shards.release(session, lease)


def test_whoever_has_the_alert_on_the_wire_gets_its_update_after_it(newsletter, second, tmp_path, words, sink):
    """A relay thinks for three seconds about "lorries", and another sender has hands for "a false alarm": read in that order."""
    sink.delay_seconds = lambda: 3.0
    number = sent(newsletter, tmp_path, words, 4)
    with delivering(newsletter, "urgent"):
        wait_for(lambda: sink.holding > 0)
        sink.delay_seconds = lambda: 0.0
        better = update(newsletter, tmp_path, number)
        with delivering(second, "urgent"):
            wait_for(lambda: status(newsletter, better).over)
    had = subjects(sink)
    assert len(had) == 4
    assert all(one in ([WRONG, RIGHT], [RIGHT]) for one in had.values()), had
    assert [WRONG, RIGHT] in had.values()


def test_all_others_have_it_at_once(newsletter, tmp_path, words, sink):
    """Two of forty are on a wire that hangs: thirty-eight are told within the two seconds of every alert, in one turn."""
    number = sent(newsletter, tmp_path, words, 40)
    lease = announce(newsletter, number, upto=2)
    on_the_wire = who(newsletter, number, upto=2)
    better = update(newsletter, tmp_path, number)
    looks = []
    sink.refuse = lambda _recipient: looks.append(taken(newsletter, better))
    asked = time.monotonic()
    newsletter.deliver("urgent")
    assert len(sink.messages) == 38
    assert sink.messages[0].at - asked < 2
    assert set(looks) == {1}, "no look at the two came before them"
    assert due(newsletter, better) == on_the_wire
    given_back(newsletter, lease)
    deliver_again(newsletter)
    found = status(newsletter, better)
    assert (found.state, found.accepted, len(sink.messages)) == ("done", 40, 40)


@pytest.mark.proof
def test_an_update_of_an_update_waits_for_the_first_as_well(newsletter, tmp_path, words, sink):
    """The third says that all is well, while the first still hangs on a wire for two: of the second these never hear."""
    number = sent(newsletter, tmp_path, words, 6)
    lease = announce(newsletter, number, upto=2)
    on_the_wire = who(newsletter, number, upto=2)
    middle = update(newsletter, tmp_path, number)
    newsletter.deliver("urgent")
    last = update(newsletter, tmp_path, middle, QUIET)
    newsletter.deliver("urgent")
    assert due(newsletter, last) == on_the_wire
    given_back(newsletter, lease)
    deliver_again(newsletter)
    assert sorted(subjects(sink).values()) == [[RIGHT, "Sarand is quiet"]] * 4 + [["Sarand is quiet"]] * 2
    newsletter.sweep()
    assert (status(newsletter, middle).cancelled, status(newsletter, last).state) == (2, "done")


@pytest.mark.proof
def test_it_waits_for_a_language_of_the_alert_that_came_later(newsletter, tmp_path, words, sink):
    """Whoever waited for Persian has the wrong alert in Persian, and that on the wire: it is the one that counts for them."""
    house.add_readers(newsletter, tmp_path, house.addresses(3))
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE digest SET languages = '{en,fa}'"))
        session.execute(text("UPDATE subscriber SET language = 'fa' WHERE id = (SELECT min(id) FROM subscriber)"))
    number = alert.send(newsletter.parts, words, digest_key=house.DIGEST, later=["fa"])
    newsletter.deliver("urgent")
    persian = nights.write(tmp_path, "---\nlanguage: fa\n---\n\n# کامیون‌ها\n\nدر سراند.\n", "fa.md")
    language = send_late(newsletter, persian, number)
    lease = announce(newsletter, language, upto=1)
    better = update(newsletter, tmp_path, number)
    newsletter.deliver("urgent")
    assert due(newsletter, better) == who(newsletter, language, upto=1)
    given_back(newsletter, lease)
    deliver_again(newsletter)
    assert status(newsletter, better).state == "done"


def test_nobody_waits_longer_than_a_worker_s_lease(newsletter, tmp_path, words, sink):
    """Its machine is gone, with two on the wire and nobody to say so: the truth waits a minute at most, and for no sweep."""
    number = sent(newsletter, tmp_path, words, 6)
    announce(newsletter, number, upto=2)
    better = update(newsletter, tmp_path, number)
    newsletter.deliver("urgent", until=lambda: len(sink.messages) == 4)
    assert len(due(newsletter, better)) == 2
    power_fails(newsletter)
    deliver_again(newsletter)
    assert status(newsletter, better).state == "done"


def test_a_worker_killed_on_the_machine_is_not_waited_for(newsletter, tmp_path, words, sink):
    """Its journal lies unlocked there: the next turn finds out that it is dead, and its two readers are in doubt and told."""
    number = sent(newsletter, tmp_path, words, 6)
    lease = announce(newsletter, number, upto=2)
    better = update(newsletter, tmp_path, number)
    with newsletter.parts.database.transaction() as session:
        shards.reclaim(session, lease.shard_id, lease.fence, shards.Marks((0, 1), ()))
    newsletter.deliver("urgent")
    newsletter.sweep()
    assert status(newsletter, better).state == "done"
    assert status(newsletter, number).uncertain == 2


def test_waiting_asks_the_database_a_few_times_a_second_and_then_the_sweep(newsletter, tmp_path, words, sink):
    """A wire may hang for ten minutes: a turn looks for some eight seconds, and leaves its process to others."""
    number = sent(newsletter, tmp_path, words, 2)
    announce(newsletter, number, upto=2)
    better = update(newsletter, tmp_path, number)
    began = time.monotonic()
    newsletter.deliver("urgent")
    assert 4 < time.monotonic() - began < 15
    assert 2 < taken(newsletter, better) <= 25
    assert sink.messages == []
    time.sleep(1)
    assert "urgent" in newsletter.sweep().lanes


@pytest.mark.parametrize(("waited", "rest"), [(0, 0.2), (10, 1), (600, 10)])
def test_the_longer_a_wire_hangs_the_seldomer_it_is_asked(waited, rest):
    """Most answer within a second, and then the truth is due at once; one that hangs for ten minutes keeps no sender busy."""
    planned = datetime(2026, 11, 27, 2, 10, tzinfo=UTC)
    assert following.rest(planned, now=planned + timedelta(seconds=waited)) == timedelta(seconds=rest)


@pytest.mark.proof
def test_who_waits_is_due_and_may_still_be_stopped_or_run_out_of_time(newsletter, tmp_path, words, sink):
    """The books count them as due all the while; whatever ends the update ends it for them."""
    number = sent(newsletter, tmp_path, words, 6)
    announce(newsletter, number, upto=2)
    better = update(newsletter, tmp_path, number)
    newsletter.deliver("urgent")
    found = status(newsletter, better)
    assert (found.state, found.accepted, found.due) == ("sending", 4, 2)
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE mailing SET expires_at = now() WHERE id = :it"), {"it": better})
    newsletter.sweep()
    deliver_again(newsletter)
    newsletter.sweep()
    found = status(newsletter, better)
    assert (found.accepted, found.expired, found.due) == (4, 2, 0)


def test_a_window_that_is_being_opened_is_waited_for(newsletter, tmp_path, words, sink):
    """Its worker asked a moment before the update was released and hears later: whoever is in it has the alert first."""
    number = sent(newsletter, tmp_path, words, 5)
    with newsletter.parts.database.transaction() as session:
        lease = shards.take(session, "urgent", owner="elsewhere:1").lease
    opened, answer = threading.Event(), threading.Event()

    def worker():
        with newsletter.parts.database.transaction() as session:
            assert shards.announce(session, lease, first=0, upto=2)
            opened.set()
            answer.wait(10)

    # Begun before, so that what is not yet committed holds the shard alone.
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE mailing SET started_at = now() WHERE id = :it"), {"it": number})
    thread = threading.Thread(target=worker)
    thread.start()
    opened.wait(10)
    better = update(newsletter, tmp_path, number)
    threading.Timer(0.3, answer.set).start()
    newsletter.deliver("urgent")
    thread.join()
    assert due(newsletter, better) == who(newsletter, number, upto=2)


def test_who_waits_comes_first_in_the_next_turn(newsletter, tmp_path, words, sink):
    """At fourteen a second the rest of a large list takes an hour: who has just read the wrong alert does not wait for that."""
    sink.delay_seconds = lambda: 0.05
    number = sent(newsletter, tmp_path, words, 40)
    lease = announce(newsletter, number, upto=2)
    better = update(newsletter, tmp_path, number)
    place = place_of(newsletter, better)
    newsletter.deliver("urgent", until=lambda: len(sink.messages) >= 8)
    assert place_of(newsletter, better) == place
    given_back(newsletter, lease)
    sink.messages.clear()
    newsletter.deliver("urgent", until=lambda: len(sink.messages) >= 4)
    assert not set(who(newsletter, number, upto=2)) & set(due(newsletter, better))
    assert len(due(newsletter, better)) > 8


def place_of(made, number):
    """Return since when the only shard of an alert could be taken: they are taken in that order."""
    with made.parts.database.transaction() as session:
        since = "SELECT not_before FROM shard WHERE mailing_id = :it AND owner IS NULL"
        return session.execute(text(since), {"it": number}).scalar_one()
