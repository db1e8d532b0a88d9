"""The sweep finds what was left behind, and looks at nothing else."""

from datetime import timedelta
from itertools import count

from sqlalchemy import text

from newsletter import database
from newsletter.delivery import recovery
from newsletter.journeys import mailing, publish
from newsletter.ledger import tallies
from newsletter.ledger.tallies import Counts
from tests import house

READERS = 3_000
READ = text("""
    SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0) FROM pg_stat_xact_user_tables WHERE relname LIKE 'delivery%'
""")


def test_a_sweep_reads_no_delivery_that_is_done_with(newsletter, tmp_path, sink):
    """It comes every five seconds for ever: read from the first to the last, a year of a large list is a core's whole work."""
    issue = house.issue(newsletter, tmp_path, addresses=house.addresses(READERS))
    publish.send(newsletter.parts, issue.issue)
    asked = count()
    newsletter.deliver("bulk", seconds=60, until=lambda: next(asked) > READERS * 2 / 3)
    mailing.stop(newsletter.parts, issue.mailing)
    newsletter.sweep()
    assert mailing.status(newsletter.parts, issue.mailing).due == 0
    with newsletter.parts.database.transaction() as session:
        database.refresh_statistics(session, "delivery", "shard", "mailing")
    with newsletter.parts.database.transaction() as session:
        before = session.execute(READ).scalar_one()
        recovery.sweep(session, now=database.now(session))
        assert session.execute(READ).scalar_one() - before < READERS / 10


def test_a_mailing_that_is_past_its_time_is_given_up_and_no_other(newsletter, tmp_path, sink):
    """What waits of the one is over; the other goes on."""
    house.add_readers(newsletter, tmp_path, house.addresses(3))
    numbers = []
    for title in ("The well runs dry", "It rains"):
        house.add_articles(newsletter, tmp_path, title)
        composed = publish.compose(newsletter.parts, house.DIGEST)
        publish.send(newsletter.parts, composed.issue)
        numbers.append(composed.mailing)
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE mailing SET expires_at = now() WHERE id = :one"), {"one": numbers[0]})
        assert recovery.sweep(session, now=database.now(session)).expired == 3
    assert [mailing.status(newsletter.parts, one).due for one in numbers] == [0, 3]


def test_a_clock_that_is_set_back_holds_and_puts_off_nobody_for_longer(newsletter, tmp_path, sink):
    """An hour and a step of eight lasted for as long as the clock was set back beside, and the readers heard nothing."""
    issue = house.issue(newsletter, tmp_path, addresses=house.addresses(3))
    publish.send(newsletter.parts, issue.issue)
    with newsletter.parts.database.transaction() as session:
        now = database.now(session)
        before = now + timedelta(days=2)
        tallies.add(session, issue.mailing, "other", Counts(tried=1))
        assert tallies.hold(session, issue.mailing, "other", "policy", now=before)
        late = text("UPDATE delivery SET state = 'deferred', due_at = :due WHERE position = :place")
        for place, due in enumerate((before, now + timedelta(hours=9), now + timedelta(minutes=5))):
            session.execute(late, {"place": place, "due": due})
        recovery.sweep(session, now=now)
        assert tallies.held(session, issue.mailing)["other"] <= now + timedelta(hours=1, seconds=5)
        waiting = session.execute(text("SELECT due_at FROM delivery ORDER BY due_at")).scalars()
        assert [due - now for due in waiting] == [timedelta(0), timedelta(minutes=5), timedelta(hours=9)]
