"""Who lets a later language go, and in which order it goes: as for the alert itself."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from newsletter.journeys import alert, translating
from newsletter.ledger.mailings import State
from newsletter.operators.night import Fault, Night
from newsletter.operators.roles import Role
from tests.journeys.test_translating import FEW, late, sent
from tests.journeys.test_translating import files as files
from tests.journeys.test_translating import readers as readers
from tests.journeys.zones import living, waking
from tests.operators.crew import Crew


def test_one_person_sends_to_few_in_all_languages_together(newsletter, readers, files, sink):
    """An alert cut into its languages is one alert: piece by piece it must not pass the second person by."""
    newsletter.parts = replace(newsletter.parts, house=replace(newsletter.parts.house, rules=Night(few=5)))
    number = sent(newsletter, [files["en"]], later=["fa", "ar"])
    assert len(sink.messages) == 5
    author = Crew(newsletter.parts.database, newsletter.parts.database).member(Role.SENDER)
    second = late(newsletter, [files["fa"]], number, by=author.id)
    found = alert.standing(newsletter.parts, second)
    assert (found.state, found.locked.count, found.locked.together) == (State.LOCKED, 5, 10)
    assert found.waits_for.fault is Fault.TOGETHER
    with pytest.raises(alert.NotEnough) as refused:
        alert.release(newsletter.parts, second)
    assert refused.value.fault is Fault.TOGETHER
    with pytest.raises(alert.NotEnough):
        alert.may_release(newsletter.parts, second)
    newsletter.deliver("urgent")
    assert len(sink.messages) == 5
    newsletter.parts = replace(newsletter.parts, house=replace(newsletter.parts.house, rules=Night(few=10)))
    alert.release(newsletter.parts, second)
    newsletter.deliver("urgent")
    assert len(sink.messages) == 10
    assert alert.would_lock(newsletter.parts, translating.draft(newsletter.parts, [files["ar"]], of=number)) == 15


def test_a_language_that_comes_later_goes_first_to_those_awake(newsletter, sink, files, readers, tmp_path):
    """Whoever waited half the night for their language and can act now must not wait behind all who sleep."""
    awake, asleep = waking(newsletter)
    with newsletter.parts.database.transaction() as session:
        # All others: at some hours the zone they have anyway is the one that is awake.
        session.execute(text("UPDATE subscriber SET time_zone = :asleep"), {"asleep": asleep})
    living(newsletter, tmp_path, {f"wait{n}@example.org": asleep if n < 9 else awake for n in range(14)}, language="ar")
    number = sent(newsletter, [files["en"]], later=["ar"])
    newsletter.parts = replace(newsletter.parts, portions=FEW)
    later = translating.draft(newsletter.parts, [files["ar"]], of=number)
    alert.lock(newsletter.parts, later)
    alert.release(newsletter.parts, later)
    with newsletter.parts.database.transaction() as session:
        zones = session.execute(
            text("""
            SELECT time_zone FROM delivery d JOIN subscriber s ON s.id = d.subscriber_id
            WHERE d.mailing_id = :later ORDER BY d.shard_id, d.position
        """),
            {"later": later},
        )
        found = list(zones.scalars())
    assert found == [awake] * 5 + [asleep] * (len(found) - 5)
    assert len(found) > 10
