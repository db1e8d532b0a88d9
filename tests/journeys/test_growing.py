"""A large alert starts with its first readers and grows while they are told: nobody waits for a million rows."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from newsletter import database
from newsletter.delivery import planning
from newsletter.journeys import alert, drafting, expiring, growing, retracting
from newsletter.ledger import locks, mailings
from newsletter.operators import approval
from newsletter.operators.approval import Over
from newsletter.operators.night import Rule
from newsletter.operators.roles import Role
from newsletter.subscribers import suppression
from tests import house
from tests.journeys import nights
from tests.journeys.alerting import TEXT, read, recipients, status
from tests.journeys.zones import living, waking
from tests.operators.crew import Crew

FEW = planning.Portions(large=10, first=7, huge=30, next=20)


@pytest.fixture
def newsletter(newsletter):
    """Return a product for which sixty are many."""
    newsletter.parts = replace(newsletter.parts, portions=FEW)
    return newsletter


@pytest.fixture
def locked(newsletter, tmp_path):
    """Return an alert to sixty, locked."""
    house.add_readers(newsletter, tmp_path, house.addresses(60))
    (tmp_path / "alert.md").write_text(TEXT)
    number = drafting.draft(newsletter.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
    alert.lock(newsletter.parts, number)
    return number


def begun(made, number):
    """Release an alert, and die before its further readers have rows."""
    with made.parts.database.transaction() as session:
        manifest = locks.current(session, number)
        approval.add(session, Over(number, manifest.number, manifest.fingerprint), Rule.FEW, by=None)
        mailings.approve(session, number, start_at=None)
        planning.plan(session, number, now=database.now(session), portions=FEW)


def test_the_first_readers_are_told_before_the_others_have_rows(newsletter, locked, sink):
    """Two seconds are promised, and the rows of a million take a minute."""
    begun(newsletter, locked)
    assert newsletter.deliver("urgent", seconds=5) == 7
    found = status(newsletter, locked)
    assert (found.state, found.planned, found.growing) == ("sending", 7, True)


def test_who_is_awake_is_told_first_in_every_pass(tmp_path, database_urls, sink):
    """Whoever can act now must not wait for a million who sleep, only because these were imported first."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=1")
    made.parts = replace(made.parts, portions=planning.Portions(large=8, first=4, huge=8, next=4))
    awake, asleep = waking(made)
    living(made, tmp_path, {f"reader{n:02}@example.org": asleep if n < 10 else awake for n in range(20)})
    (tmp_path / "alert.md").write_text(TEXT)
    number = alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
    while made.deliver("urgent", seconds=5):
        pass
    order = [message.recipient for message in sink.messages]
    assert sorted(order[:10]) == [f"reader{n}@example.org" for n in range(10, 20)]
    assert status(made, number).accepted == 20
    made.close()


def test_where_few_are_awake_others_fill_the_first_pass(newsletter, tmp_path, sink):
    """The wire must not idle after three messages; nor may a zone that nobody knows keep anybody from being told."""
    awake, asleep = waking(newsletter)
    living(newsletter, tmp_path, {f"reader{n:02}@example.org": awake if n > 56 else asleep for n in range(60)})
    with newsletter.parts.database.transaction() as session:
        session.execute(
            text("UPDATE subscriber SET time_zone = 'Atlantis/Port' WHERE time_zone <> :awake"), {"awake": awake}
        )
    (tmp_path / "alert.md").write_text(TEXT)
    number = drafting.draft(newsletter.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
    alert.lock(newsletter.parts, number)
    begun(newsletter, number)
    assert newsletter.deliver("urgent", seconds=5) == 7
    told = [message.recipient for message in sink.messages]
    assert {f"reader{n}@example.org" for n in (57, 58, 59)} <= set(told)
    growing.grow(newsletter.parts, number)
    while newsletter.deliver("urgent", seconds=5):
        pass
    assert status(newsletter, number).accepted == 60


def test_a_pass_that_finds_nobody_is_followed_by_the_last(newsletter, locked, tmp_path):
    """Twenty on the do-not-mail list in a row would be looked at for ever, and nobody behind them told."""
    begun(newsletter, locked)
    with newsletter.parts.database.transaction() as session:
        left = text(f"SELECT mailbox_id FROM subscriber ORDER BY mailbox_id OFFSET {FEW.first}")
        for mailbox in session.execute(left).scalars().all():
            suppression.add(session, mailbox, reason=suppression.Reason.DEAD, now=database.now(session))
    with newsletter.parts.database.transaction() as session:
        assert not planning.grow(session, locked, now=database.now(session), portions=FEW)
    assert status(newsletter, locked).excluded == {"suppressed": 53}


def test_only_the_largest_have_a_pass_between():
    """Fifty thousand by themselves take as long as two hundred thousand at once."""
    portions = planning.PORTIONS
    assert (portions.beginning(10_000), portions.beginning(40_000)) == (None, 2_000)
    assert portions.after(2_000, 40_000) is None
    assert portions.after(2_000, 1_000_000) == 50_000
    assert portions.after(52_000, 1_000_000) is None


def test_everybody_is_told_once_and_the_books_hold(newsletter, locked, sink):
    """Passes must neither overlap nor leave a gap."""
    alert.release(newsletter.parts, locked)
    while newsletter.deliver("urgent", seconds=5):
        pass
    found = status(newsletter, locked)
    assert (found.state, found.audience, found.planned, found.accepted) == ("done", 60, 60, 60)
    assert recipients(sink, back=False) == sorted(house.addresses(60))


def test_the_sweep_adds_readers_where_whoever_released_it_died(newsletter, locked, sink):
    """A terminal closed at the wrong moment must not leave 993,000 people untold."""
    begun(newsletter, locked)
    newsletter.deliver("urgent", seconds=5)
    newsletter.sweep()
    newsletter.deliver("urgent", seconds=5)
    assert status(newsletter, locked).accepted == 60


def test_who_is_left_out_is_counted_once(newsletter, locked, sink):
    """An audience that does not add up hides who was not told."""
    with newsletter.parts.database.transaction() as session:
        mailbox = session.execute(text("SELECT max(mailbox_id) FROM subscriber")).scalar_one()
        suppression.add(session, mailbox, reason=suppression.Reason.DEAD, now=database.now(session))
    alert.release(newsletter.parts, locked)
    newsletter.deliver("urgent", seconds=5)
    found = status(newsletter, locked)
    assert (found.audience, found.planned, found.excluded) == (60, 59, {"suppressed": 1})


def test_a_stop_ends_the_adding_too(newsletter, locked, sink):
    """What is stopped must not come back as rows that somebody sends."""
    begun(newsletter, locked)
    alert.stop(newsletter.parts, locked)
    growing.grow(newsletter.parts, locked)
    newsletter.sweep()
    newsletter.deliver("urgent", seconds=5)
    found = status(newsletter, locked)
    assert (found.state, found.planned, found.cancelled, sink.messages) == ("stopped", 7, 7, [])


def test_two_who_add_readers_at_once_add_them_once(newsletter, locked, sink):
    """The sweep of another machine comes at the same moment."""
    begun(newsletter, locked)
    parts = newsletter.parts
    with parts.database.transaction() as session:
        assert mailings.alone(session, locked)
        growing.grow(parts, locked)
    assert status(newsletter, locked).planned == 7
    growing.grow(parts, locked)
    assert status(newsletter, locked).planned == 60


def test_whose_rows_are_not_written_are_asked_about_and_told_of(newsletter, locked, sink, database_urls):
    """Growing failed at each sweep: nothing was due, so nobody was asked, and of fifty-three without it nobody ever heard."""
    made, member = newsletter, Crew(newsletter.parts.database, newsletter.parts.database).member(Role.SENDER)
    begun(made, locked)
    made.deliver("urgent", seconds=5)
    ends = (
        "UPDATE mailing SET planned_at = now() - interval '23 hours', expires_at = now() + {}::interval WHERE id = %s"
    )
    house.by_owner(database_urls, ends.format("'10 minutes'"), locked)
    with made.parts.database.transaction() as session:
        assert mailings.alone(session, locked)
        assert expiring.ask(made.parts) == 1
        made.deliver("transactional")
        assert "53" in str(read(sink.messages_for(member.address)[-1]))
        house.by_owner(database_urls, "UPDATE mailing SET asked_at = NULL WHERE id = %s", locked)
        house.by_owner(database_urls, ends.format("'-1 minutes'"), locked)
        assert expiring.ask(made.parts) == 1
        assert expiring.ask(made.parts) == 0
    assert nights.calls(made)[-1][1]["unreached"] == 53


def test_an_audience_that_has_moved_is_refused_before_the_first_row(newsletter, locked, tmp_path):
    """Nobody of another list than the approved one is told, the first readers neither."""
    house.add_readers(newsletter, tmp_path, [f"late{number}@example.org" for number in range(5)])
    with pytest.raises(planning.CountMoved):
        alert.release(newsletter.parts, locked)
    assert status(newsletter, locked).planned == 0


def test_a_worker_halts_where_the_audience_moves_while_it_grows(newsletter, locked, sink, tmp_path):
    """The rows that came late are looked at like the first."""
    begun(newsletter, locked)
    house.add_readers(newsletter, tmp_path, [f"late{number}@example.org" for number in range(5)])
    growing.grow(newsletter.parts, locked)
    newsletter.deliver("urgent", seconds=5)
    found = status(newsletter, locked)
    assert (found.state, found.halted is not None, sink.messages) == ("paused", True, [])


def test_a_retraction_of_many_grows_in_the_order_in_which_the_alert_went(newsletter, locked, sink):
    """Who was told first has had longest to act on what was wrong."""
    alert.release(newsletter.parts, locked)
    newsletter.deliver("urgent", seconds=5)
    told = [message.recipient for message in sink.messages]
    retracting.retract(newsletter.parts, locked)
    newsletter.deliver("urgent", seconds=5)
    assert recipients(sink, back=True) == sorted(told)
    with newsletter.parts.database.transaction() as session:
        pairs = session.execute(
            text("""
            SELECT a.shard_id, b.shard_id FROM delivery a JOIN delivery b USING (mailbox_id)
            WHERE a.mailing_id = :alert AND b.mailing_id <> :alert ORDER BY a.shard_id, a.position
        """),
            {"alert": locked},
        ).all()
    assert [later for _, later in pairs] == sorted(later for _, later in pairs)
