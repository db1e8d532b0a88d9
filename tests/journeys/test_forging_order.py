"""The order in which things were done, as whoever has a worker's password would have it: by it alerts and mandates are counted."""

import pytest
from psycopg import errors

from newsletter.issues import digests
from newsletter.journeys import mailing
from newsletter.operators.night import REPEATED
from newsletter.subscribers.subscriptions import Rhythm
from tests import house
from tests.journeys import nights
from tests.journeys.test_forging import APPROVE, MORE, attacker, audited, refused
from tests.journeys.test_mandates import BY_MANDATE, SEND, locked, words
from tests.journeys.test_mandates import crew as crew
from tests.journeys.test_mandates import holder as holder
from tests.journeys.test_mandates import made as made
from tests.journeys.test_mandates import mandate as mandate
from tests.journeys.test_mandates import signers as signers

ROWS = MORE.replace("'other', 9", "'other', 2")


def test_few_are_not_fewer_for_going_last_first(made, tmp_path, holder, sink, database_urls):
    """Each adds up what was planned before it: all are called planned at once, and the last goes while the others are empty."""
    numbers = [locked(made, tmp_path, holder, 2) for _ in range(REPEATED + 2)]
    for number in numbers:
        with attacker(database_urls.worker) as worker:
            worker.execute(APPROVE, ("few", None, None, None, number))
            worker.execute("UPDATE mailing SET state = 'approved' WHERE id = %s", (number,))
            worker.execute("UPDATE mailing SET state = 'sending', planned_at = now() WHERE id = %s", (number,))
            worker.execute("SELECT deliveries_of_month(date_trunc('month', now())::date)")
    for number in reversed(numbers):
        with attacker(database_urls.worker) as worker:
            worker.execute(ROWS, {"alert": number})
            worker.execute("UPDATE mailing SET planned = 2, audience = 2 WHERE id = %s", (number,))
        made.deliver("urgent")
    reached = [one for one in sink.messages if one.recipient in house.addresses(2)]
    assert len(reached) == 2 * REPEATED
    assert [mailing.status(made.parts, number).state for number in numbers[REPEATED:]] == ["paused", "paused"]
    assert all("few-repeated" in one for one in audited(made))


@pytest.mark.parametrize("state", ["draft", "locked", "approved"])
def test_what_has_not_gone_was_not_planned(made, tmp_path, holder, database_urls, state):
    """Whoever may still change an alert's words and readers must not say already when it went."""
    number = locked(made, tmp_path, holder, 2)
    with attacker(database_urls.worker) as worker:
        if state != "locked":
            worker.execute("UPDATE mailing SET state = %s WHERE id = %s", (state, number))
        worker.execute("UPDATE mailing SET planned_at = now() WHERE id = %s", (number,))
        with pytest.raises(errors.IntegrityConstraintViolation):
            worker.commit()
    assert nights.ask(made, "SELECT planned_at FROM mailing WHERE id = :id", id=number) == [(None,)]


def test_words_by_a_mandate_count_in_the_order_in_which_they_were_said(
    made, tmp_path, holder, mandate, sink, database_urls
):
    """Its holder writes four, each with a lower number than the one before: none came before any other, and two were signed for."""
    numbers = [locked(made, tmp_path, holder, written=words(made, place=f"Gate {place}")) for place in range(4)]
    numbered = BY_MANDATE.replace("approval (", "approval (id, ").replace(
        "SELECT id, 1", "OVERRIDING SYSTEM VALUE SELECT %s, id, 1"
    )
    with attacker(database_urls.worker) as worker:
        for place, number in enumerate(numbers):
            worker.execute(numbered, (1000 - place, holder.id, "totp", None, mandate, number))
            worker.execute(SEND, {"alert": number})
    made.sweep()
    for _ in numbers:
        made.deliver("urgent")
    assert [mailing.status(made.parts, number).state for number in numbers] == ["done", "done", "paused", "paused"]
    assert len(sink.messages) == 8
    assert all("mandate-used" in one for one in audited(made))


def test_no_digest_takes_the_name_of_another(made, database_urls):
    """A mandate names its digest by the key: that of twenty readers must not become that of a million overnight."""
    with made.parts.database.transaction() as session:
        digests.add(session, "press", name="The press", languages=("en",), rhythm=Rhythm.WEEKLY)
    with attacker(database_urls.worker) as worker:
        refused(worker, "UPDATE digest SET key = 'old' WHERE key = 'press'")
        refused(worker, "UPDATE digest SET id = DEFAULT WHERE key = 'press'")
        renamed = "UPDATE digest SET name = 'Press', languages = '{en,fa}', rhythm = 'daily' WHERE key = 'press'"
        assert worker.execute(renamed).rowcount == 1
