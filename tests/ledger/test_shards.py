"""Leases, fences and windows: what a lost, frozen or doubled worker can and cannot do."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from newsletter.journeys import alert, publish
from newsletter.journeys import mailing as journey
from newsletter.ledger import books, deliveries, mailings, shards
from newsletter.ledger.deliveries import DeliveryState, Result
from tests import house


@pytest.fixture
def mailing(newsletter, tmp_path):
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(10))
    publish.send(newsletter.parts, composed.issue)
    return composed.mailing


def take(newsletter, lane="bulk"):
    with newsletter.parts.database.transaction() as session:
        taken = shards.take(session, lane, owner="a test")
        return taken and taken.lease


def forget_lease(newsletter):
    """The holder's machine lost its power a while ago."""
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE shard SET lease_until = now() - interval '1 hour'"))


def states(newsletter, mailing):
    with newsletter.parts.database.transaction() as session:
        assert books.faults(session, mailing) == []
        return books.status(session, mailing)


def test_a_shard_is_held_by_one_worker(newsletter, mailing):
    """Two holders would send everything twice."""
    assert take(newsletter) is not None
    assert take(newsletter) is None


def test_whoever_lost_the_fence_opens_no_window(newsletter, mailing):
    """A worker that was frozen for an hour wakes up believing it still holds its shard."""
    old = take(newsletter)
    forget_lease(newsletter)
    new = take(newsletter)
    with newsletter.parts.database.transaction() as session:
        assert shards.announce(session, old, first=0, upto=5) is None
        assert shards.announce(session, new, first=0, upto=5) is not None


def test_announced_and_unanswered_mail_of_a_digest_is_uncertain_the_rest_due(newsletter, mailing):
    """A digest is sent at most once; what was never announced was never on any wire."""
    lost = take(newsletter)
    with newsletter.parts.database.transaction() as session:
        shards.announce(session, lost, first=0, upto=4)
    forget_lease(newsletter)
    take(newsletter)
    found = states(newsletter, mailing)
    assert (found.uncertain, found.due) == (4, 6)


def test_announced_and_unanswered_mail_of_an_alert_goes_again(newsletter, tmp_path):
    """People in danger are told twice rather than not at all; the Message-ID is the same, so it is shown once."""
    house.add_readers(newsletter, tmp_path, house.addresses(5))
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    mailing = alert.send(newsletter.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
    lost = take(newsletter, "urgent")
    with newsletter.parts.database.transaction() as session:
        shards.announce(session, lost, first=0, upto=4)
    forget_lease(newsletter)
    take(newsletter, "urgent")
    found = states(newsletter, mailing)
    assert (found.uncertain, found.due) == (0, 5)


def test_a_late_answer_turns_uncertain_into_accepted_and_nothing_else(newsletter, mailing):
    """The one thing an old holder still knows better than its successor."""
    lost = take(newsletter)
    with newsletter.parts.database.transaction() as session:
        shards.announce(session, lost, first=0, upto=2)
        rows = deliveries.due(session, lost)
    forget_lease(newsletter)
    take(newsletter)
    with newsletter.parts.database.transaction() as session:
        late = [
            Result(rows[0].id, DeliveryState.ACCEPTED, code=250),
            Result(rows[5].id, DeliveryState.REJECTED, code=550),
        ]
        assert deliveries.record(session, lost, late) == 1
    found = states(newsletter, mailing)
    assert (found.accepted, found.uncertain, found.rejected) == (1, 1, 0)


def test_a_changed_content_opens_no_window(newsletter, mailing):
    """Only the approved bytes may leave: whoever edits the database changes the fingerprint, not the mail."""
    lease = take(newsletter)
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE mailing SET fingerprint = sha256('something else')"))
        assert shards.announce(session, lease, first=0, upto=5) is None


def test_a_held_article_stays_in_the_house(newsletter, mailing):
    """A withdrawn story stops at once, in every version that carries it."""
    lease = take(newsletter)
    with newsletter.parts.database.transaction() as session:
        article = session.execute(text("SELECT articles[1] FROM variant")).scalar_one()
        assert mailings.hold(session, article, why="withdrawn") == 1
        opened = shards.announce(session, lease, first=0, upto=10)
        assert opened is not None
        assert len(opened.not_now) == 10
        found = session.execute(text("SELECT state, reason, tries, first_tried, outcome_at FROM delivery")).all()
        leased = session.execute(text("SELECT leased_at FROM shard")).scalar_one()
        assert set(found) == {("cancelled", "withdrawn", 0, None, leased)}, "never tried, and in doubt after no crash"
        assert shards.end(session, lease)


def test_a_shard_does_not_end_while_a_row_is_due(newsletter, mailing):
    """A shard that ended too early would lose readers silently."""
    lease = take(newsletter)
    with newsletter.parts.database.transaction() as session:
        assert not shards.end(session, lease)


def test_first_attempts_never_wait_behind_retries(newsletter, mailing, tmp_path, database_urls):
    """Ten thousand greylisted messages must not delay tonight's news."""
    house.by_owner(database_urls, "UPDATE shard SET retry = true, not_before = now() - interval '1 day'")
    house.add_articles(newsletter, tmp_path, "Newer")
    second = publish.compose(newsletter.parts, house.DIGEST)
    publish.send(newsletter.parts, second.issue)
    assert take(newsletter).mailing_id == second.mailing


def test_a_shard_that_ends_its_workers_goes_behind_the_others(newsletter, mailing, tmp_path):
    """A version that cannot be stamped must not keep the lane from every mailing released after it."""
    lost = take(newsletter)
    house.add_articles(newsletter, tmp_path, "Newer")
    second = publish.compose(newsletter.parts, house.DIGEST)
    publish.send(newsletter.parts, second.issue)
    with newsletter.parts.database.transaction() as session:
        assert shards.reclaim(session, lost.shard_id, lost.fence, shards.Marks((), ()))
    assert take(newsletter).mailing_id == second.mailing
    assert take(newsletter).mailing_id == mailing


def test_a_stop_waits_for_no_row_that_a_worker_is_writing(newsletter, mailing):
    """Two who wait for each other's rows end one of them: the rest of a stopped mailing would have stayed due for ever."""
    with newsletter.parts.database.transaction() as writing:
        writing.execute(text("UPDATE delivery SET tries = 1 WHERE id = (SELECT max(id) FROM delivery)"))
        with newsletter.parts.database.transaction() as session:
            stopped = mailings.get(session, mailing)
            assert deliveries.cancel_all(session, stopped, reason="stopped") == 9
    with newsletter.parts.database.transaction() as session:
        assert deliveries.cancel_all(session, stopped, reason="stopped", waiting=True) == 1


def test_a_stop_that_died_half_way_is_finished_by_the_sweep(newsletter, mailing):
    """The mailing was stopped, the command was killed before it had cancelled the rows: nobody may stay due for ever."""
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE mailing SET state = 'stopped'"))
        # One of them waits for a second attempt, outside any shard that is open.
        session.execute(text("UPDATE delivery SET state = 'deferred', due_at = now(), tries = 1 WHERE position = 0"))
    assert states(newsletter, mailing).due == 10
    newsletter.sweep()
    found = states(newsletter, mailing)
    assert (found.due, found.cancelled) == (0, 10)
    with newsletter.parts.database.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM shard WHERE state = 'open'")).scalar_one() == 0


def test_a_stop_takes_no_doubt_away(newsletter, mailing):
    """A worker died with mail announced, and then the mailing was stopped: who may have it is listed, not called cancelled."""
    lease = take(newsletter)
    with newsletter.parts.database.transaction() as session:
        shards.announce(session, lease, first=0, upto=3)
    journey.stop(newsletter.parts, mailing)
    newsletter.sweep()
    assert states(newsletter, mailing).uncertain == 0, "its holder may still live"
    forget_lease(newsletter)
    newsletter.sweep()
    found = states(newsletter, mailing)
    assert (found.uncertain, found.cancelled, found.due) == (3, 7, 0)


def test_a_shard_that_does_not_end_rests_also_when_its_journal_gives_it_back(newsletter, mailing):
    """Taken at once by whoever looks next, it would keep every worker busy with nothing, and its lane from others."""
    lease = take(newsletter)
    with newsletter.parts.database.transaction() as session:
        shards.put_off(session, lease, after=timedelta(minutes=1))
        assert shards.reclaim(session, lease.shard_id, lease.fence, shards.Marks((), ())) is not None
    assert take(newsletter) is None


def test_a_mailing_whose_sibling_is_on_the_wire_has_begun(newsletter, tmp_path):
    """One's first window found no session, another's was out and unwritten: the clock began anew behind it, or never."""
    composed = house.issue(newsletter, tmp_path, addresses=["ann@gmail.com", "bob@outlook.com"])
    publish.send(newsletter.parts, composed.issue)
    mine, sibling = take(newsletter), take(newsletter)
    with newsletter.parts.database.transaction() as session:
        assert shards.announce(session, mine, first=0, upto=1)
        assert shards.announce(session, sibling, first=0, upto=1)
    began = states(newsletter, composed.mailing).started_at
    for lease, left in ((mine, began), (sibling, None)):
        with newsletter.parts.database.transaction() as session:
            shards.release(session, lease)
            shards.not_begun(session, lease)
        assert states(newsletter, composed.mailing).started_at == left
