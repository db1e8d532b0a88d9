"""Who gets what, and who is left out for which reason."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from newsletter.journeys import alert, halting, publish, suppressing
from newsletter.ledger import books, mailings, planning
from newsletter.ledger.mailings import Lane
from tests import house


def test_the_audience_is_the_planned_and_the_excluded(newsletter, tmp_path):
    """Nobody may vanish from the books: who is not written to is counted with the reason."""
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(10))
    with newsletter.parts.database.transaction() as session:
        reference = session.execute(text("SELECT reference FROM subscriber ORDER BY id LIMIT 1")).scalar_one()
    suppressing.suppress(newsletter.parts, reference, reason="complaint")
    publish.send(newsletter.parts, composed.issue)
    with newsletter.parts.database.transaction() as session:
        found = books.status(session, composed.mailing)
        assert (found.audience, found.planned, found.excluded) == (10, 9, {"suppressed": 1})
        assert books.faults(session, composed.mailing) == []


def test_shards_hold_one_provider_group_and_at_most_two_thousand(newsletter, tmp_path):
    """A provider that slows us down must slow its own readers only."""
    readers = [f"r{number}@{'gmail.com' if number % 2 else 'example.org'}" for number in range(4200)]
    composed = house.issue(newsletter, tmp_path, addresses=readers)
    publish.send(newsletter.parts, composed.issue)
    with newsletter.parts.database.transaction() as session:
        found = session.execute(text("SELECT provider, size FROM shard ORDER BY provider, size")).all()
        mixed = session.execute(
            text(
                "SELECT count(*) FROM delivery d JOIN shard s ON s.id = d.shard_id JOIN mailbox m ON m.id = d.mailbox_id"
                " WHERE m.provider <> s.provider"
            )
        ).scalar_one()
    assert [tuple(row) for row in found] == [("google", 100), ("google", 2000), ("other", 100), ("other", 2000)]
    assert mixed == 0


def test_a_reader_is_never_sent_what_they_have_had(newsletter, sink, tmp_path):
    """Two issues, no story twice; a reader who joined between them gets both stories' newest only once."""
    first = house.issue(newsletter, tmp_path, addresses=["a@example.org"])
    publish.send(newsletter.parts, first.issue)
    newsletter.deliver("bulk", seconds=5)
    house.add_articles(newsletter, tmp_path, "The well runs dry", "The gate is shut")
    second = publish.compose(newsletter.parts, house.DIGEST)
    publish.send(newsletter.parts, second.issue)
    newsletter.deliver("bulk", seconds=5)
    bodies = [message.content.decode() for message in sink.messages]
    assert "well runs dry" in bodies[0]
    assert "gate is shut" in bodies[1]
    assert "well runs dry" not in bodies[1]


def test_what_came_as_an_alert_is_not_repeated_in_the_digest(newsletter, sink, tmp_path):
    """Whoever was woken at night need not read it again on Thursday; whoever joined later does."""
    house.add_readers(newsletter, tmp_path, ["a@example.org"])
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    alert.send(newsletter.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
    newsletter.deliver("urgent", seconds=5)
    house.add_readers(newsletter, tmp_path, ["b@example.org"])
    house.add_articles(newsletter, tmp_path, "The gate is shut")
    composed = publish.compose(newsletter.parts, house.DIGEST)
    publish.send(newsletter.parts, composed.issue)
    newsletter.deliver("bulk", seconds=5)
    digests = {message.recipient: message.content.decode() for message in sink.messages[1:]}
    assert "Soldiers at the gate" not in digests["a@example.org"]
    assert "Soldiers at the gate" in digests["b@example.org"]


def test_a_large_mailing_begins_with_two_hundred_spread_over_providers(newsletter, tmp_path):
    """A mistake seen by two hundred is a mistake; seen by a million it is a scandal. Every provider is tried by a few."""
    addresses = [f"r{n}@gmail.com" for n in range(1500)] + [f"r{n}@example.org" for n in range(900)] + ["x@outlook.com"]
    composed = house.issue(newsletter, tmp_path, addresses=addresses)
    patient = replace(newsletter.parts, tranche_pause=timedelta(minutes=15))
    publish.send(patient, composed.issue)
    with newsletter.parts.database.transaction() as session:
        found = session.execute(
            text("SELECT provider, size, not_before > now() AS later FROM shard ORDER BY later, provider")
        ).all()
        assert books.faults(session, composed.mailing) == []
    first = {row.provider: row.size for row in found if not row.later}
    assert first == {"google": 124, "microsoft": 1, "other": 74}
    assert sum(row.size for row in found) == 2401


def pass_by(made, *, minutes):
    """Let so many minutes pass for what waits for its time."""
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE shard SET not_before = not_before - make_interval(mins => :it)"), {"it": minutes})


def test_the_pause_after_the_first_tranche_runs_from_its_end_however_late_it_went(newsletter, tmp_path, sink):
    """A lane paused for twenty minutes is no look at two hundred readers: the other 2,800 must not go in the same second."""
    patient = replace(newsletter.parts, tranche_pause=timedelta(minutes=15))
    halting.pause(newsletter.parts, [Lane.BULK])
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(3000))
    publish.send(patient, composed.issue)
    pass_by(newsletter, minutes=20)
    halting.resume(newsletter.parts, [Lane.BULK])
    newsletter.sweep()
    assert newsletter.deliver("bulk", seconds=20) == 200
    for minutes in (14, 2):
        newsletter.sweep()
        assert newsletter.deliver("bulk", seconds=5) == 0
        pass_by(newsletter, minutes=minutes)
    assert newsletter.sweep().lanes == [Lane.BULK]
    newsletter.deliver("bulk", seconds=60)
    assert len(sink.messages) == 3000


def test_nothing_follows_a_first_tranche_of_which_a_part_has_not_gone(newsletter, tmp_path, sink):
    """One provider's share waits for a relay that is away: what it would have shown, nobody has seen yet."""
    patient = replace(newsletter.parts, tranche_pause=timedelta(minutes=15))
    addresses = [f"r{n}@gmail.com" for n in range(1500)] + [f"r{n}@example.org" for n in range(1500)]
    composed = house.issue(newsletter, tmp_path, addresses=addresses)
    publish.send(patient, composed.issue)
    with newsletter.parts.database.transaction() as session:
        held = "UPDATE shard SET not_before = now() + interval '1 day' WHERE id = (SELECT min(id) FROM shard)"
        session.execute(text(held))
    for _ in range(2):
        newsletter.deliver("bulk", seconds=10)
        newsletter.sweep()
        pass_by(newsletter, minutes=20)
    assert len(sink.messages) == 100


def test_a_small_mailing_to_known_readers_needs_no_tranche(newsletter, tmp_path, sink):
    """Three hundred who had it last week wait for nobody; three hundred strangers do."""
    patient = replace(newsletter.parts, tranche_pause=timedelta(minutes=15))
    first = house.issue(newsletter, tmp_path, addresses=house.addresses(300))
    publish.send(patient, first.issue)
    newsletter.deliver("bulk", seconds=10)
    assert len(sink.messages) == 200, "they were never mailed before"
    newsletter.sweep()
    pass_by(newsletter, minutes=16)
    newsletter.deliver("bulk", seconds=10)
    house.add_articles(newsletter, tmp_path, "A second story")
    second = publish.compose(newsletter.parts, house.DIGEST)
    publish.send(patient, second.issue)
    newsletter.deliver("bulk", seconds=10)
    assert len(sink.messages) == 600


def test_an_alert_never_waits_for_a_tranche(newsletter, tmp_path, sink):
    """Fifteen minutes are a long time for people in danger."""
    patient = replace(newsletter.parts, tranche_pause=timedelta(minutes=15))
    house.add_readers(newsletter, tmp_path, house.addresses(300))
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    alert.send(patient, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
    newsletter.deliver("urgent", seconds=10)
    assert len(sink.messages) == 300


@pytest.mark.parametrize(
    ("written", "known", "worth"),
    [(4_999, -1, False), (5_000, -1, True), (40_000, 1_000_000, False), (40_000, 300_000, True)],
)
def test_statistics_are_looked_at_where_the_rows_are_news(written, known, worth):
    """Unlooked at, a million rows are joined one by one; looked at for nothing, an alert waits."""
    assert planning.news(written, known=known) is worth


def test_for_an_alert_the_other_months_are_not_looked_at(newsletter, tmp_path):
    """Of a list of a million there are ten million rows of other months, on which nobody in danger waits."""
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(3))
    with newsletter.parts.database.transaction() as session:
        bulk = mailings.get(session, composed.mailing)
        planning.look(session, replace(bulk, lane=Lane.URGENT), written=5_000)
        assert _looked_at(session) == {planning.month_of(session, bulk)}
        planning.look(session, bulk, written=5_000)
        assert "delivery" in _looked_at(session)


def _looked_at(session):
    """Return which tables of deliveries PostgreSQL has statistics of."""
    tables = "relname ~ '^delivery' AND relkind IN ('r', 'p')"
    return set(session.execute(text(f"SELECT relname FROM pg_class WHERE {tables} AND reltuples >= 0")).scalars())
