"""A relay that refuses, vanishes, hangs at every stage, asks to come again, or is very slow."""

import threading
import time

import pytest
from sqlalchemy import text

from newsletter.journeys import alert, mailing, publish
from tests import house
from tests.reliability import forms
from tests.reliability.auditor import audit
from tests.reliability.machine import Relay, attempts_at, hurry, wait_for

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1500)]
STAGES = ("rcpt", "data", "body", "dot", "250")
UNREACHABLE = "relay unreachable"
MEANWHILE = 2
"""Sessions which may have been on their way when it went."""
BEGUN = ("body", "dot", "250")
"""Stages at which the message has been begun, so that nobody can know."""


def status(made, mailing_id):
    return mailing.status(made.parts, mailing_id)


def ends(made, mailing_id, *, seconds=200):
    """Bring a mailing to its end, letting the time between attempts pass."""

    def over():
        now = status(made, mailing_id)
        if now.due and now.due == now.deferred:
            hurry(made)
        made.sweep()
        return now.over

    wait_for(over, seconds=seconds, every=0.2)


def drafted(made, folder):
    """Return a new mailing to everybody."""
    (folder / "text.md").write_text("# The well runs dry\n\nCome and help.\n")
    return mailing.draft(made.parts, str(folder / "text.md"), digest_key=house.DIGEST).mailing


@forms.both_wires
def test_a_session_that_breaks_at_any_stage_costs_its_message_alone(estate, relay, figures, form):
    """Closed or half open: before the message it goes again, within it or after the dot it is in doubt, and nobody else is."""
    made = estate.product(connections=4)
    house.add_readers(made, estate.folder, house.addresses(forms.of(form, short=120, full=1000)))
    machine = estate.machine()
    machine.worker("worker", "bulk,upkeep", children=1)
    seen = {}
    for stage in STAGES:
        for how in ("close", "silent"):
            sent = drafted(made, estate.folder)
            silence = 0.3 if form == forms.SHORT else 3
            before = relay.be(stage=stage, how=how, every=30, silence=silence, seed=sent).get("broken", 0)
            publish.release(made.parts, sent)
            ends(made, sent)
            found = audit(made, relay.record(), sent).sound()
            broken = relay.be(stage="")["broken"] - before
            seen[f"{stage} {how}"] = f"{broken} broken, {found.ever_in_doubt} in doubt"
            assert broken > 0
            assert found.ever_in_doubt == (broken if stage in BEGUN else 0), (stage, how, found)
            assert found.accepted + found.uncertain == found.planned
    figures(f"2 {relay.wire[:4]}", "sessions closed or half open at every stage", **seen)


class Knocks:
    """Counts who asks for a relay that is away, where it cannot count itself: it refuses connections, or gets none.

    A refused connection is told of in the workers' log; one into the hole stays with its own port until it is given up.
    """

    def __init__(self, relay, machine):
        self._relay, self._machine = relay, machine
        self._ports, self._ended = set(), threading.Event()

    def __enter__(self):
        # Sessions that were on their way when it went, and what the hole is filled with.
        self._before = attempts_at(self._relay.port)
        self._connects, self._logged = self._relay.be()["connects"], self._machine.logged(UNREACHABLE)
        self._looking = threading.Thread(target=self._look, daemon=True)
        self._looking.start()
        return self

    def _look(self):
        while not self._ended.wait(0.2):
            self._ports |= attempts_at(self._relay.port)

    def __exit__(self, *_):
        self._ended.set()
        self._looking.join()
        counted = {
            "sink": self._relay.be()["connects"] - self._connects,
            "log": self._machine.logged(UNREACHABLE) - self._logged,
            "hole": len(self._ports - self._before),
        }
        self.seen = max(counted.values())


AWAY = [
    pytest.param("no", 25, marks=pytest.mark.short, id="no-short"),
    *[pytest.param(how, 65, id=how) for how in ("no", "hangup", "silent", "hole")],
]


def test_a_slow_relay_that_was_away_has_its_pace_again(estate, relay, figures):
    """At a slow pace a session that could not be opened left the others waiting for ever, on a lease that never ran out."""
    made = estate.product(relay_url=f"{relay.url}?connections=8&rate=14")
    composed = house.issue(made, estate.folder, addresses=house.addresses(600))
    machine = estate.machine()
    machine.worker("worker", "bulk,upkeep", children=2)
    machine.beat()
    publish.send(made.parts, composed.issue)
    wait_for(lambda: relay.taken > 60)
    relay.be(listening="no")
    time.sleep(8)
    before = relay.be(listening="yes")["taken"]
    wait_for(lambda: relay.taken > before + 14 * 5, seconds=90, what="five seconds of its pace after its return")
    wait_for(lambda: status(made, composed.mailing).over or (made.sweep() and hurry(made)), seconds=200, every=0.5)
    found = audit(made, relay.record(), composed.mailing).sound()
    figures("2 paced", "a relay of fourteen a second is away", **found.figures())
    assert (found.state, found.accepted + found.uncertain) == ("done", 600)


@pytest.mark.parametrize(("listening", "away"), AWAY)
def test_a_relay_that_is_away_is_asked_seldom_and_found_again(estate, relay, figures, listening, away):
    """Refusing, hanging up, silent or black-holed: mail waits, and flows again within a minute of its return."""
    made = estate.product(connections=4)
    composed = house.issue(made, estate.folder, addresses=house.addresses(10_000 if away >= 60 else 3_000))
    relay.be(hold=(0.0, 0.02))
    machine = estate.machine()
    machine.worker("worker", "bulk,upkeep", children=2)
    machine.beat()
    publish.send(made.parts, composed.issue)
    wait_for(lambda: relay.taken > 200)
    relay.be(listening="no")  # whoever is connected is cut off
    relay.be(listening=listening)
    time.sleep(1)
    before = relay.be()
    with Knocks(relay, machine) as knocks:
        time.sleep(away)
    if listening in ("no", "hangup"):
        relay.be(listening="no")
    relay.be(listening="yes")  # sessions that were never greeted never are: it is well for others alone
    back = time.monotonic()
    wait_for(lambda: relay.taken > before["taken"], seconds=120, what="mail after its return")
    returned = time.monotonic() - back
    wait_for(lambda: status(made, composed.mailing).over or (made.sweep() and hurry(made)), seconds=200, every=0.5)
    found = audit(made, relay.record(), composed.mailing).sound()
    figures(
        f"2 {listening}",
        "the relay is away",
        seconds_away=away,
        asked_meanwhile=knocks.seen,
        seconds_until_back=round(returned, 1),
        **found.figures(),
    )
    assert found.state == "done"
    assert found.ever_in_doubt <= 2 * 4, "one a connection, when it went"
    assert knocks.seen <= away / 10 + MEANWHILE, "it is asked once in ten seconds, and by nobody else"
    assert knocks.seen > 0, "nobody asked: the test proved nothing"
    assert returned <= 60


@pytest.mark.parametrize("listening", [pytest.param("silent", marks=pytest.mark.short), "hole"])
def test_one_relay_of_two_falls_silent_and_the_other_takes_all(estate, relay, figures, seed, listening):
    """A digest stood still for good and an alert waited a minute: whoever asked the silent one had readers in hand."""
    other = Relay(estate.folder / "other", wire="pipelining")
    try:
        other.be(pipelining=True, seed=seed)
        made = estate.product(connections=4, relay_url=f"{other.url}?connections=4 {relay.url}?connections=4")
        house.add_readers(made, estate.folder, house.addresses(600))
        other.be(listening="no")
        other.be(listening=listening)
        machine = estate.machine()
        machine.worker("worker", "urgent,transactional,bulk,upkeep", children=2)
        machine.beat()
        digest = drafted(made, estate.folder)
        publish.release(made.parts, digest)
        wait_for(lambda: status(made, digest).accepted > 0, seconds=60, what="mail of the digest")
        (estate.folder / "alert.md").write_text("# Leave the valley\n\nThe dam is breaking.\n")
        began = time.monotonic()
        told = alert.send(made.parts, [str(estate.folder / "alert.md")], digest_key=house.DIGEST)
        wait_for(lambda: status(made, told).accepted > 0, seconds=60, every=0.05, what="the alert's first")
        first = time.monotonic() - began
        wait_for(lambda: all(status(made, one).over for one in (digest, told)), seconds=120, every=0.2)
        found = [audit(made, relay.record(), one).sound() for one in (digest, told)]
        figures(
            f"2 {listening} of two",
            "one relay of two is silent from the start",
            alert_first_after=round(first, 1),
            **{f"accepted_{one.planned}": one.accepted for one in found},
        )
        assert all(one.accepted == one.planned == 600 for one in found)
        assert first < 10, "two children, each of which may ask the silent one for two seconds"
    finally:
        other.stop()


@forms.either
def test_greylisting_delays_everybody_and_loses_nobody(estate, relay, figures, form):
    """A server that takes nothing at first sight is asked again, not before it makes sense, and once."""
    readers = forms.of(form, short=400, full=20_000)
    made = estate.product(connections=4)
    composed = house.issue(made, estate.folder, addresses=house.addresses(readers))
    relay.be(grey=2.0)
    machine = estate.machine()
    machine.worker("worker", "bulk,upkeep", children=2)
    publish.send(made.parts, composed.issue)
    wait_for(lambda: made.sweep() and status(made, composed.mailing).deferred == readers, seconds=300, every=0.3)
    with made.parts.database.transaction() as session:
        waits = session.execute(text("SELECT min(due_at - outcome_at), max(due_at - outcome_at) FROM delivery")).one()
    time.sleep(2)
    ends(made, composed.mailing)
    found = audit(made, relay.record(), composed.mailing).sound()
    asked = relay.be()["greylisted"]
    figures(
        "3",
        "greylisting",
        asked_to_come_again=asked,
        minutes=f"{waits[0].seconds / 60:.1f} to {waits[1].seconds / 60:.1f}",
        **found.figures(),
    )
    assert (found.state, found.accepted, found.ever_in_doubt, asked) == ("done", readers, 0, readers)
    assert waits[0].seconds >= 230, "four minutes, less what the outcome waited to be written"


@forms.on_both_wires
def test_a_very_slow_relay_gets_its_time(estate, relay, figures):
    """Seconds for each answer, longer than a window and than a turn: nothing is given up, nothing goes twice."""
    readers = 16
    made = estate.product(connections=4)
    composed = house.issue(made, estate.folder, addresses=house.addresses(readers))
    hold = (20.0, 40.0)
    relay.be(slow=1.0, hold=hold)
    machine = estate.machine()
    machine.worker("worker", "bulk,upkeep", children=2)
    began = time.monotonic()
    publish.send(made.parts, composed.issue)
    wait_for(lambda: made.sweep() and status(made, composed.mailing).over, seconds=1400, every=0.5)
    found = audit(made, relay.record(), composed.mailing).sound()
    took = round(time.monotonic() - began)
    figures(
        f"4 {relay.wire[:4]}",
        "a very slow relay",
        seconds_held=f"{hold[0]:g} to {hold[1]:g}",
        seconds=took,
        **found.figures(),
    )
    assert (found.state, found.accepted, found.ever_in_doubt) == ("done", readers, 0)
