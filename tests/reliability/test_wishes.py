"""People who leave, are suppressed, or say stop while the mail is under way; and an alert that overtakes a digest."""

import random
import threading
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from newsletter.addresses import EmailAddress
from newsletter.issues import digests
from newsletter.journeys import alert, mailing, publish, suppressing
from newsletter.ledger import deliveries
from newsletter.subscribers import people
from newsletter.subscribers.subscriptions import Rhythm
from tests import house
from tests.fakes.ports import free_port
from tests.reliability import forms
from tests.reliability.auditor import audit
from tests.reliability.machine import answers, hurry, wait_for

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1500)]
PROMISE = 0.5
"""Seconds after which nothing is handed over any more."""
SLACK = 0.25
"""What a busy machine adds between our last look at the clock and the server's first byte."""


HOLD = 0.1
"""How long the transaction of a wish stays open on a busy database."""
NEXT = text("SELECT mailbox_id FROM delivery WHERE state = 'deferred' AND due_at > now() ORDER BY due_at LIMIT 1")
SPREAD = text("UPDATE delivery SET due_at = now() + random() * :seconds * interval '1 second' WHERE state = 'deferred'")


def late(record, since):
    """Return by how many seconds the first byte of a message came after a moment, at most; 0.0 when none did."""
    return max((one["first"] - since for one in record if since < one["first"]), default=0.0)


@forms.either
def test_whoever_leaves_under_way_gets_no_more_after_half_a_second(estate, relay, figures, seed, form):
    """Leaving through the page of the mail, and the operator's suppression, reach what is already being sent."""
    readers, wishes = forms.of(form, short=2000, full=20_000), forms.of(form, short=24, full=400)
    made = estate.product(connections=4)
    composed = house.issue(made, estate.folder, addresses=house.addresses(readers))
    relay.be(hold=(0.0, 0.05))
    machine, port = estate.machine(), free_port()
    machine.worker("worker", "bulk,upkeep", children=2)
    machine.web(port)
    wait_for(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
    chosen = random.Random(seed).sample(range(readers), wishes)
    known = [acquainted(made, f"reader{number}@example.org") for number in chosen]
    publish.send(made.parts, composed.issue)
    wait_for(lambda: relay.taken > 50)
    granted = {}
    for turn, (number, person) in enumerate(zip(chosen, known, strict=True)):
        if turn % 4:
            token = made.parts.tokens.leave(person.id, 1, composed.mailing)
            assert answers(f"http://127.0.0.1:{port}/u/{token}", b"List-Unsubscribe=One-Click")
        else:
            suppressing.suppress(made.parts, person.reference, reason="never again")
        granted[f"reader{number}@example.org"] = time.monotonic()
    ended = mailing.status(made.parts, composed.mailing)
    relay.be(hold=(0.0, 0.0))
    wait_for(lambda: made.sweep() and mailing.status(made.parts, composed.mailing).over, seconds=300, every=0.5)
    record = relay.record()
    found = audit(made, record, composed.mailing).sound()
    lateness = max(late([one for one in record if one["to"] == who], when) for who, when in granted.items())
    figures(
        "10",
        "leaving and suppression reach mail under way",
        wishes=wishes,
        latest_seconds_after=round(lateness, 3),
        **found.figures(),
    )
    assert ended.due > 0, "all had gone before the last wish: the test proved nothing"
    assert 0 < found.cancelled <= wishes
    assert lateness <= PROMISE + SLACK


def acquainted(made, address):
    """Return what is known of an invented person."""
    with made.parts.database.transaction() as session:
        return people.find_by_address(session, EmailAddress.parse(address))


@forms.either
def test_whoever_leaves_between_two_attempts_keeps_nobody_else_waiting(estate, relay, figures, form):
    """Greylisted readers leave in the very moment in which the others are gathered for another attempt."""
    readers, wishes = forms.of(form, short=300, full=10_000), forms.of(form, short=30, full=300)
    made = estate.product(connections=4)
    composed = house.issue(made, estate.folder, addresses=house.addresses(readers))
    relay.be(grey=1.0)
    machine = estate.machine()
    machine.worker("worker", "bulk,upkeep", children=2)
    publish.send(made.parts, composed.issue)

    def status():
        return mailing.status(made.parts, composed.mailing)

    wait_for(lambda: made.sweep() and status().deferred == readers, seconds=300, every=0.3)
    time.sleep(1)
    with made.parts.database.transaction() as session:
        session.execute(SPREAD, {"seconds": wishes * HOLD})
    leaving = threading.Thread(target=leave, args=(made, wishes))
    leaving.start()
    while leaving.is_alive():
        made.sweep()
    leaving.join()
    wait_for(lambda: hurry(made) or (made.sweep() and status().over), seconds=200, every=0.3)
    found = audit(made, relay.record(), composed.mailing).sound()
    turns = machine.logged("shard does not end") + machine.logged("shard had another size")
    figures(
        "10 grey", "leaving while retries are gathered", wishes=wishes, shards_of_another_size=turns, **found.figures()
    )
    assert (found.state, found.due, turns) == ("done", 0, 0)
    assert 0 < found.cancelled <= wishes
    assert found.accepted + found.cancelled == readers


def leave(made, wishes):
    """Let people leave one by one, each a moment before their next attempt is due."""
    for _ in range(wishes):
        with made.parts.database.transaction() as session:
            if (mailbox := session.execute(NEXT).scalar_one_or_none()) is not None:
                deliveries.cancel(session, mailbox, reason="left")
                time.sleep(HOLD)


@forms.either
def test_pause_and_stop_take_half_a_second(estate, relay, figures, form):
    """For a mailing and for a lane, by the commands an operator types at night."""
    readers = forms.of(form, short=4000, full=40_000)
    made = estate.product(connections=4)
    composed = house.issue(made, estate.folder, addresses=house.addresses(readers))
    relay.be(hold=(0.0, 0.05))
    machine = estate.machine()
    machine.worker("worker", "bulk,upkeep", children=2)
    publish.send(made.parts, composed.issue)
    number, lateness = str(composed.mailing), {}

    def halted(*words):
        wait_for(lambda before=relay.taken: relay.taken > before + 100, what="mail under way")
        machine.cli(*words)
        since = time.monotonic()
        time.sleep(1.2)
        lateness[" ".join(words[:2])] = round(late(relay.record(), since), 3)

    if form == forms.FULL:
        halted("mailings", "pause", number)
        machine.cli("mailings", "resume", number)
        halted("lanes", "pause", "bulk")
        machine.cli("lanes", "resume", "bulk")
    halted("mailings", "stop", number)
    found = audit(made, relay.record(), composed.mailing).sound()
    figures(
        "10 stop", "pause and stop; seconds after the command in which mail still began", **lateness, **found.figures()
    )
    assert (found.state, found.due) == ("stopped", 0)
    assert found.cancelled > 0
    assert found.accepted + found.cancelled == readers
    assert max(lateness.values()) <= PROMISE + SLACK


@forms.either
def test_an_alert_overtakes_a_digest_under_way(estate, relay, figures, form):
    """Urgent means before everything else, also when a hundred thousand digests wait in front."""
    bulk, many = forms.of(form, short=8000, full=100_000), forms.of(form, short=300, full=1000)
    samples = forms.of(form, short=5, full=100)
    made = estate.product(connections=4)
    with made.parts.database.transaction() as session:
        for key in ("many", "few"):
            digests.add(session, key, name=key, languages=("en",), rhythm=Rhythm.WEEKLY)
    house.add_readers(made, estate.folder, [f"many{number}@example.org" for number in range(many)], digest="many")
    house.add_readers(made, estate.folder, [f"few{number}@example.org" for number in range(10)], digest="few")
    composed = house.issue(made, estate.folder, addresses=house.addresses(bulk))
    words = estate.folder / "alert.md"
    words.write_text("# Soldiers at the gate\n\nPlease call.\n")
    relay.be(hold=(0.0, 0.02))  # else the digest is over before the last alert
    machine = estate.machine()
    machine.worker("worker-bulk", "bulk,compose,upkeep", children=2)
    machine.worker("worker-prompt", "urgent,transactional,events")
    machine.beat()
    publish.send(made.parts, composed.issue)
    wait_for(lambda: relay.taken > bulk // 50)
    released = {}

    def sent(key):
        began = time.monotonic()
        number = alert.send(made.parts, [str(words)], digest_key=key)
        released[number] = began
        wait_for(lambda: mailing.status(made.parts, number).over, every=0.05)
        return number

    great = sent("many")
    for _ in range(samples):
        sent("few")
        time.sleep(0.1)
    due = mailing.status(made.parts, composed.mailing).due
    wait_for(lambda: made.sweep() and mailing.status(made.parts, composed.mailing).over, seconds=600, every=1)
    record = relay.record()
    for number in (*released, composed.mailing):
        audit(made, record, number).sound()
    alerts = by_mailing(made, record)
    waits = sorted(min(one["first"] for one in alerts[number]) - when for number, when in released.items())
    done = max(one["at"] for one in alerts[great])
    meanwhile = sum(released[great] < one["at"] < done for one in alerts[composed.mailing])
    p99 = waits[min(len(waits) - 1, int(len(waits) * 0.99))]
    figures(
        "12",
        "alerts released while a digest runs",
        digest=bulk,
        alerts=len(waits),
        first_on_the_wire_median=round(waits[len(waits) // 2], 2),
        p99=round(p99, 2),
        alert_of=many,
        done_in=round(done - released[great], 2),
        digest_meanwhile=f"{100 * meanwhile / bulk:.1f} %",
    )
    assert due > 0, "the digest had ended: the test proved nothing"
    assert p99 <= 2
    assert form == forms.SHORT or meanwhile <= 0.05 * bulk


def by_mailing(made, record):
    """Return the server's messages by the mailing their return path names."""
    found = {}
    for one in record:
        number, _ = made.parts.tokens.read_return_path(one["sender"].partition("@")[0], now=datetime.now(UTC))
        found.setdefault(number, []).append(one)
    return found
