"""SIGKILL: of workers, beat and web one by one and all at once, with the database, and with the loss of a journal."""

import os
import shutil
import signal
import time
from contextlib import suppress

import pytest
from sqlalchemy import text

from newsletter import embedded
from newsletter.journeys import alert, mailing, publish
from tests import house
from tests.fakes.ports import free_port
from tests.reliability import forms
from tests.reliability.auditor import audit
from tests.reliability.machine import Killer, children_of, hurry, ports_of, wait_for

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1500)]
CONNECTIONS = 4
HOLD = (0.0, 0.4)


def everything(machine, lane="bulk", *, workers=2):
    """Start workers of two children each, beat and web."""
    for name in ("worker-one", "worker-two")[:workers]:
        machine.worker(name, f"{lane},upkeep", children=2)
    machine.beat()
    machine.web(free_port())


def storm(estate, killer, machine, mailing_id, *, kills, hurried=False):
    """Kill until so many kills have caught mail on the wire, then let the rest go in peace; `hurried`: retries at once."""
    made, relay = machine.made, estate.relay
    while len(caught(relay.record(), killer.kills)) < kills:
        for _ in range(3):
            machine.up()
            made.sweep()  # as a beat that never dies: after a kill a nudge is lost
            killer.strike()
            time.sleep(killer.dice.uniform(0.1, 0.5))
        assert not mailing.status(made.parts, mailing_id).over, "the mailing was over before the storm"
    relay.be(hold=(0.0, 0.01))
    time.sleep(HOLD[1])  # what was cut off is in the relay's log within that

    def over():
        machine.up()
        made.sweep()
        if hurried:
            hurry(made)
        return mailing.status(made.parts, mailing_id).over

    wait_for(over, seconds=300, every=0.5)


def caught(record, kills):
    """Return the kills that fell between the end of a message and its answer, by the server's own record."""
    cut = [(message["port"], message["dot"], message["at"]) for message in record if message["cut"]]
    return [kill for kill in kills if any(port in kill.ports and dot <= kill.at <= at for port, dot, at in cut)]


TOGETHER = 0.05
"""Seconds between the doubts of one killed child, which one statement settles; a next kill takes longer to have its own."""


def settled_at_once(made, mailing_id):
    """Return how many came into doubt by each child that was killed: those of one shard, settled together."""
    with made.parts.database.transaction() as session:
        found = session.execute(_DOUBTS, {"mailing": mailing_id}).all()
    counts, last = [], (0, 0.0)
    for shard, at in found:
        if shard != last[0] or at - last[1] > TOGETHER:
            counts.append(0)
        counts[-1] += 1
        last = (shard, at)
    return counts


_DOUBTS = text("""
    SELECT shard_id, CAST(extract(epoch FROM uncertain_at) AS float) FROM delivery
    WHERE mailing_id = :mailing AND uncertain_at IS NOT NULL ORDER BY shard_id, uncertain_at
""")


@pytest.mark.parametrize(
    ("form", "relay", "log"),
    [
        pytest.param(forms.SHORT, forms.PIPELINING, False, marks=pytest.mark.short, id="short"),
        pytest.param(forms.SHORT, forms.PIPELINING, True, marks=pytest.mark.short, id="short-log"),
        pytest.param(forms.FULL, forms.PIPELINING, False, id="full-pipelining"),
        pytest.param(forms.FULL, forms.SERIAL, False, id="full-serial"),
        pytest.param(forms.FULL, forms.PIPELINING, True, id="full-log"),
    ],
    indirect=["relay"],
)
def test_a_storm_of_kills_loses_nothing_and_doubles_nothing(estate, relay, figures, seed, form, log):
    """Power fails at the worst moments: nobody is forgotten, nobody has it twice, and who is in doubt is on a list."""
    readers, kills = forms.of(form, short=1500, full=20_000), forms.of(form, short=2 if log else 5, full=200)
    made = estate.product(connections=CONNECTIONS, relay_log=relay.log if log else None)
    composed = house.issue(made, estate.folder, addresses=house.addresses(readers))
    # Of what was on the wire when its sender died, the server keeps some and loses some: nobody can know.
    relay.be(hold=HOLD, forget=0.0 if log else 0.3)
    machine = estate.machine()
    everything(machine, workers=forms.of(form, short=1, full=2))
    killer = Killer(machine, relay, seed=seed)
    publish.send(made.parts, composed.issue)
    began = time.monotonic()
    storm(estate, killer, machine, composed.mailing, kills=kills)
    took = time.monotonic() - began
    if log:
        wait_for(lambda: made.sweep() and not mailing.status(made.parts, composed.mailing).uncertain, what="the log")
    found = audit(made, relay.record(), composed.mailing).sound()
    fatal = caught(relay.record(), killer.kills)
    most = max(settled_at_once(made, composed.mailing), default=0)
    figures(
        "1 log" if log else f"1 {relay.wire[:4]}",
        "kills with a message on the wire" + (", and a relay's log to look in" if log else ""),
        kills=len(killer.kills),
        caught_one_on_the_wire=len(fatal),
        connections_cut=sum(len(kill.ports) for kill in fatal),
        most_by_one_child=most,
        seconds=round(took),
        **found.figures(),
    )
    assert len(machine.cli("mailings", "uncertain", str(composed.mailing))) == found.ever_in_doubt
    assert (found.state, found.planned, found.due) == ("done", readers, 0)
    assert found.ever_in_doubt <= sum(len(kill.ports) for kill in killer.kills)
    assert most <= CONNECTIONS, "more in doubt than the killed child had connections"
    assert found.ever_in_doubt >= len(fatal), "a kill that caught one left no doubt: the test proved nothing"


@pytest.mark.parametrize(
    ("form", "log"),
    [
        pytest.param(forms.SHORT, False, marks=pytest.mark.short, id="short"),
        pytest.param(forms.FULL, False, id="full"),
        pytest.param(forms.FULL, True, id="full-log"),
    ],
)
def test_an_alert_in_a_storm_reaches_everybody(estate, relay, figures, seed, form, log):
    """People in danger are told twice rather than not at all, the same to the last byte; once where the relay's log is read."""
    readers, kills = forms.of(form, short=1500, full=10_000), forms.of(form, short=4, full=60)
    made = estate.product(connections=CONNECTIONS, relay_log=relay.log if log else None)
    house.add_readers(made, estate.folder, house.addresses(readers))
    (estate.folder / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    relay.be(hold=HOLD, forget=0.0 if log else 0.3)
    machine = estate.machine()
    everything(machine, "urgent")
    killer = Killer(machine, relay, seed=seed)
    sent = alert.send(made.parts, [str(estate.folder / "alert.md")], digest_key=house.DIGEST)
    storm(estate, killer, machine, sent, kills=kills, hurried=True)
    found = audit(made, relay.record(), sent).sound()
    figures(
        "1 alert",
        "an alert among kills" + (": the relay's log knows it" if log else ": it goes again, with the same bytes"),
        kills=len(killer.kills),
        **found.figures(),
    )
    assert (found.state, found.accepted, found.uncertain) == ("done", readers, 0)
    assert found.ever_in_doubt >= len(caught(relay.record(), killer.kills)) > 0
    assert found.repeated == 0 if log else found.ever_in_doubt >= found.repeated > 0


@forms.either
def test_everything_killed_at_once_with_the_database_goes_on_where_it_stood(breakable, own_servers, figures, form):
    """The power of the house fails, again and again: what the next start finds is enough."""
    readers, rounds = forms.of(form, short=600, full=20_000), forms.of(form, short=1, full=6)
    made, relay = breakable.product(connections=CONNECTIONS), breakable.relay
    composed = house.issue(made, breakable.folder, addresses=house.addresses(readers))
    # The one kill of the short form has to catch a message on the wire.
    relay.be(hold=(0.0, 0.3 if form == forms.SHORT else 0.05), forget=0.3)
    machine = breakable.machine()
    everything(machine, workers=forms.of(form, short=1, full=2))
    publish.send(made.parts, composed.issue)
    cut = 0
    for turn in range(rounds):
        goal = readers * (turn + 1) // (rounds + 1)
        wait_for(lambda goal=goal: relay.be().get("taken", 0) > goal and relay.be()["holding"], seconds=200)
        cut += kill_all(machine, relay, own_servers)
        embedded.start(own_servers)
        machine.up()
    relay.be(hold=(0.0, 0.0))
    wait_for(
        lambda: machine.up() or (made.sweep() and mailing.status(made.parts, composed.mailing).over),
        seconds=200,
        every=0.5,
    )
    found = audit(made, relay.record(), composed.mailing).sound()
    figures(
        "1 all",
        "workers, beat, web, PostgreSQL and Redis killed at once",
        rounds=rounds,
        connections_cut=cut,
        **found.figures(),
    )
    assert (found.state, found.planned) == ("done", readers)
    assert 0 < found.uncertain <= cut


def kill_all(machine, relay, home):
    """Kill every process of the house but the mail server; return how many connections to it were cut."""
    pids = [pid for name in machine.processes for pid in machine.group(name)]
    cut = sum(len(ports_of(pid, relay.port)) for pid in pids)
    for server in embedded.status(home).pids.values():
        pids += [server, *children_of(server)]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return cut


def test_a_lost_journal_of_one_of_two_machines_costs_its_windows_and_no_double(estate, relay, figures):
    """One host burns down with its disk: what it announced and did not record is in doubt; the other one's mail is not."""
    readers = 40_000
    made = estate.product(connections=CONNECTIONS)
    composed = house.issue(made, estate.folder, addresses=house.addresses(readers))
    relay.be(hold=(0.0, 0.01), forget=0.3)
    lost, other = (
        estate.machine(name, NEWSLETTER_HOME=str(estate.folder / f"{name}-home")) for name in ("lost", "other")
    )
    for machine in (lost, other):
        machine.worker("worker", "bulk,upkeep", children=2)
    publish.send(made.parts, composed.issue)
    wait_for(
        lambda: (
            made.sweep()
            and sum(len(ports_of(pid, relay.port)) for pid in lost.group("worker")) >= CONNECTIONS
            and relay.taken > readers // 8
        ),
        every=0.2,
    )
    children = lost.group("worker")[1:]
    lost.signal(signal.SIGKILL)
    shutil.rmtree(estate.folder / "lost-home")
    began = time.monotonic()
    wait_for(lambda: made.sweep() and mailing.status(made.parts, composed.mailing).over, seconds=200, every=0.5)
    found = audit(made, relay.record(), composed.mailing).sound()
    figures(
        "1 home",
        "one of two machines lost with its journal",
        children_lost=len(children),
        seconds_until_all_was_done=round(time.monotonic() - began),
        **found.figures(),
    )
    assert (found.state, found.planned) == ("done", readers)
    assert 0 < found.uncertain <= len(children) * (250 + 500)
