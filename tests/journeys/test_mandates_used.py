"""When a mandate lets an alert go: at once or not at all, by its holder, while it holds, and no more often than it says."""

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from newsletter.delivery.planning import CountMoved
from newsletter.errors import NewsletterError
from newsletter.journeys import alert, mandates
from newsletter.journeys.alert import NotEnough
from newsletter.journeys.mandates import BadMandate
from newsletter.ledger.mailings import State
from newsletter.operators import people
from newsletter.operators.audit import SHELL
from newsletter.operators.night import Fault, Rule
from newsletter.operators.roles import Role
from tests import house
from tests.journeys import nights
from tests.journeys.test_forging import attacker
from tests.journeys.test_mandates import BY_MANDATE, by_thumb, fresh, locked, refuses, sign, wish, words
from tests.journeys.test_mandates import crew as crew
from tests.journeys.test_mandates import holder as holder
from tests.journeys.test_mandates import made as made
from tests.journeys.test_mandates import mandate as mandate
from tests.journeys.test_mandates import signers as signers


def until_over(made, found):
    nights.ask(
        made, "SELECT pg_sleep(greatest(0, extract(epoch FROM :u - clock_timestamp()) + 0.1))", u=found.terms.until
    )


def wait_for_locks(made, count):
    """Return once so many wait for what another transaction holds."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    for _ in range(400):
        if nights.ask(made, waiting)[0][0] >= count:
            return
        nights.ask(made, "SELECT pg_sleep(0.05)")


def test_what_is_refused_at_night_goes_by_nobody_s_thumb_in_the_morning(
    made, tmp_path, crew, holder, signers, mandate, sink
):
    """The audience moved, so it did not go; the holder's word is not left lying about for whoever comes by."""
    colleague = crew.member(Role.SENDER, name="Lale Braun")
    number = locked(made, tmp_path, holder, 3)
    house.add_readers(made, tmp_path, ["late1@example.org", "late2@example.org"])
    with pytest.raises(CountMoved):
        by_thumb(made, number, mandate, holder)
    assert alert.standing(made.parts, number).state is State.LOCKED
    assert mandates.listed(made.parts)[0].mandate.used == 0, "what did not go is none of those that may"
    left = "UPDATE subscription SET ended_at = now(), end_reason = 'left' WHERE subscriber_id > 3 RETURNING 1"
    assert len(nights.ask(made, left)) == 2
    with pytest.raises(NotEnough) as refused:
        alert.release(made.parts, number, by=colleague.id)
    assert refused.value.fault is Fault.NOBODY
    made.deliver("urgent")
    assert sink.messages == []


@pytest.mark.parametrize("over", ["ended", "until"])
def test_a_word_that_was_left_lying_holds_no_longer_than_its_mandate(
    made, tmp_path, holder, signers, sink, database_urls, over
):
    """Whoever writes the holder's word past the desk, or has one of before, lets nothing go by it when the mandate is over."""
    number = locked(made, tmp_path, holder, 3)
    ends = nights.now(made) + (timedelta(seconds=6) if over == "until" else timedelta(hours=1))
    found = mandates.add(made.parts, wish(made, holder, until=ends))
    sign(made, found.id, *signers)
    with attacker(database_urls.worker) as worker:
        worker.execute(BY_MANDATE, (holder.id, "totp", None, found.id, number))
        worker.execute("UPDATE mailing SET state = 'approved' WHERE id = %s", (number,))
    assert alert.standing(made.parts, number).waits_for is None
    if over == "ended":
        mandates.end(made.parts, found.id)
    else:
        until_over(made, found)
    with pytest.raises(NotEnough) as refused:
        alert.release(made.parts, number, by=holder.id)
    assert refused.value.fault is Fault.MANDATE_OVER
    with attacker(database_urls.worker) as worker:
        worker.execute("UPDATE mailing SET start_at = now() WHERE id = %s", (number,))
    made.sweep()
    made.deliver("urgent")
    assert sink.messages == []
    assert any('"why":"mandate-over"' in act for act in nights.acts(made))


@pytest.mark.parametrize("over", ["ended", "until"])
def test_what_it_let_go_in_time_goes_on_when_it_is_over(made, tmp_path, holder, signers, sink, over):
    """Ending a mandate is no stop: what went by it while it held goes whole, and is stopped by a stop."""
    number = locked(made, tmp_path, holder, 3)
    ends = nights.now(made) + (timedelta(seconds=6) if over == "until" else timedelta(hours=1))
    found = mandates.add(made.parts, wish(made, holder, until=ends))
    sign(made, found.id, *signers)
    assert by_thumb(made, number, found.id, holder) is State.SENDING
    if over == "ended":
        mandates.end(made.parts, found.id)
    else:
        until_over(made, found)
    made.deliver("urgent")
    assert len(sink.messages) == 3


def test_what_its_hour_overtakes_while_it_is_planned_is_refused(made, tmp_path, holder, signers, sink, database_urls):
    """A thumb in its last second: it was planned, and halted by the worker, while its holder went to sleep over “it goes”."""
    number = locked(made, tmp_path, holder, 3)
    found = mandates.add(made.parts, wish(made, holder, until=nights.now(made) + timedelta(seconds=8)))
    sign(made, found.id, *signers)
    fresh(made, holder)
    refusals = []

    def release():
        try:
            code = holder.code(nights.now(made))
            mandates.release_by_code(made.parts, number, mandate=found.id, by=holder.id, code=code)
        except NewsletterError as refused:
            refusals.append(refused)

    # Its rows are being written when the hour strikes.
    with attacker(database_urls.owner) as held:
        held.execute("LOCK TABLE shard IN SHARE MODE")
        thread = threading.Thread(target=release)
        thread.start()
        wait_for_locks(made, 1)
        until_over(made, found)
        held.rollback()
    thread.join(timeout=60)
    assert [one.fault for one in refusals] == [Fault.MANDATE_OVER]
    assert alert.standing(made.parts, number).state is State.LOCKED
    assert mandates.listed(made.parts)[0].mandate.used == 0
    made.deliver("urgent")
    assert sink.messages == []
    assert not any('"alert.refused"' in act for act in nights.acts(made)), (
        "refused to who pressed, and not halted later"
    )


def test_who_signed_and_left_signs_no_more(made, tmp_path, holder, signers, mandate):
    """Disabled at midnight, they let nothing go at two."""
    number = locked(made, tmp_path, holder, 3)
    with made.parts.database.transaction() as session:
        people.disable(session, signers[0].id, by=SHELL, now=nights.now(made))
    refuses(Fault.MANDATE_UNSIGNED, made, number, mandate, holder)


def test_codes_sign_no_mandate_for_parts_of_a_large_digest(made, tmp_path, crew, holder, signers):
    """Three alerts to five thousand each are fifteen thousand: who signs that, or writes that they did, shows a passkey."""
    house.add_readers(made, tmp_path, house.addresses(6))
    found = mandates.add(made.parts, wish(made, holder, most_readers=3))
    with pytest.raises(BadMandate) as weak:
        sign(made, found.id, signers[0])
    assert (weak.value.message, weak.value.facts["count"]) == ("mandate.needs-passkey", 6)


def test_two_at_once_are_one_where_one_is_allowed(made, tmp_path, crew, holder, signers, sink, database_urls):
    """Two tabs, two passkeys' signatures, one mandate for one alert: whoever comes second finds it used."""
    phone = nights.phone_of(crew, made, holder)
    found = mandates.add(made.parts, wish(made, holder, most_alerts=1))
    sign(made, found.id, *signers)
    both = [locked(made, tmp_path, holder, 3, words(made, place=place)) for place in ("Gate 1", "Gate 2")]
    refusals = []

    def release(number):
        mine = nights.signature(made, phone, number, Rule.MANDATE, mandate=found.fingerprint)
        try:
            mandates.release_by_passkey(made.parts, number, mandate=found.id, by=holder.id, assertion=mine)
        except NewsletterError as refused:
            refusals.append(refused.fault)

    threads = [threading.Thread(target=release, args=(number,)) for number in both]
    # Neither may write its word while somebody holds the row: before the mend both had been judged by then.
    with attacker(database_urls.worker) as held:
        held.execute("SELECT FROM mandate WHERE id = %s FOR UPDATE", (found.id,))
        for thread in threads:
            thread.start()
        wait_for_locks(made, 2)
        held.rollback()
    for thread in threads:
        thread.join(timeout=60)
    made.deliver("urgent")
    assert refusals == [Fault.MANDATE_USED]
    assert len(sink.messages) == 3


@pytest.fixture
def berlin():
    """A machine in Berlin."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    del os.environ["TZ"]
    os.environ.update({} if before is None else {"TZ": before})
    time.tzset()


@pytest.mark.parametrize(
    ("evening", "ends"),
    [
        ("2026-03-28T22:00", "2026-03-29T06:00"),
        ("2026-10-24T20:00", "2026-10-25T07:00"),
        ("2026-10-25T20:00", "2026-10-26T07:00"),
        ("2026-07-01T05:59", "2026-07-01T06:00"),
        ("2026-07-01T06:00", "2026-07-02T06:00"),
    ],
)
@pytest.mark.parametrize("written", ["08:00", "date"])
def test_eight_o_clock_is_eight_on_the_night_the_clock_changes(berlin, evening, ends, written):
    """Whoever holds it until eight is not left without at seven, nor has it until nine. Hours here are UTC."""
    now, over = (datetime.fromisoformat(f"{one}+00:00") for one in (evening, ends))
    said = written if written == "08:00" else f"{over:%Y-%m-%d}T08:00"
    assert mandates.until(said, now=now) == over
    assert mandates.until(said, now=now.astimezone(), zone=ZoneInfo("Europe/Berlin")) == over


def test_on_a_page_it_is_the_hour_that_pages_show(berlin):
    """UTC, wherever the machine stands."""
    now = datetime(2026, 10, 24, 20, tzinfo=UTC)
    assert mandates.until("08:00", now=now, zone=UTC) == datetime(2026, 10, 25, 8, tzinfo=UTC)
