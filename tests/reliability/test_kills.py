"""SIGKILL: of workers, beat and web one by one and all at once, with the database, and with the loss of a journal."""

import shutil
import signal
import time

import pytest
from sqlalchemy import text

from newsletter import embedded
from newsletter.embedded import launching
from newsletter.journeys import mailing, publish
from tests import house
from tests.reliability import forms
from tests.reliability.auditor import audit
from tests.reliability.machine import Killer, free_port, wait_for

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1500)]
CONNECTIONS = 4
HOLD = (0.0, 0.4)


def everything(machine):
    """Start two workers of two children each, beat and web."""
    for name in ("worker-one", "worker-two"):
        machine.worker(name, "bulk,upkeep", children=2)
    machine.beat()
    machine.web(free_port())


def storm(estate, killer, machine, mailing_id, *, kills):
    """Kill until so many kills have caught mail on the wire, then let the rest go in peace."""
    made, relay = machine.made, estate.relay
    while len(caught(relay.record(), killer.kills)) < kills:
        for _ in range(5):
            machine.up()
            made.sweep()  # as a beat that never dies: after a kill a nudge is lost
            killer.strike()
            time.sleep(killer.dice.uniform(0.1, 0.5))
        assert not mailing.status(made.parts, mailing_id).over, "the mailing was over before the storm"
    relay.be(hold=(0.0, 0.01))
    wait_for(lambda: machine.up() or made.sweep() and mailing.status(made.parts, mailing_id).over, seconds=300, every=0.5)


def caught(record, kills):
    """Return the kills that fell between the end of a message and its answer, by the server's own record."""
    cut = [(message["port"], message["dot"], message["at"]) for message in record if message["cut"]]
    return [
        kill for kill in kills if any(port in kill.ports and dot <= kill.at <= at for port, dot, at in cut)
    ]


@forms.either
@pytest.mark.parametrize("log", [False, True], ids=["", "relay-log"])
def test_a_storm_of_kills_loses_nothing_and_doubles_nothing(estate, relay, figures, seed, form, log):
    """Power fails at the worst moments: nobody is forgotten, nobody has it twice, and who is in doubt is on a list."""
    readers, kills = forms.of(form, short=2400, full=20_000), forms.of(form, short=8, full=200)
    made = estate.product(connections=CONNECTIONS, relay_log=relay.log if log else None)
    composed = house.issue(made, estate.folder, addresses=house.addresses(readers))
    # Of what was on the wire when its sender died, the server keeps some and loses some: nobody can know.
    relay.be(hold=HOLD, forget=0.0 if log else 0.3)
    machine = estate.machine()
    everything(machine)
    killer = Killer(machine, relay, seed=seed)
    publish.send(made.parts, composed.issue)
    began = time.monotonic()
    storm(estate, killer, machine, composed.mailing, kills=kills)
    took = time.monotonic() - began
    if log:
        wait_for(lambda: made.sweep() and not mailing.status(made.parts, composed.mailing).uncertain, what="the log")
    found = audit(made, relay.record(), composed.mailing).sound()
    fatal = caught(relay.record(), killer.kills)
    figures(
        "1 log" if log else "1",
        "kills at the worst moment: nobody lost, nobody twice, who is in doubt is listed",
        kills=len(killer.kills),
        caught_one_on_the_wire=len(fatal),
        connections_cut=sum(len(kill.ports) for kill in fatal),
        seconds=round(took),
        **found.figures(),
    )
    assert len(machine.cli("mailings", "uncertain", str(composed.mailing))) == found.ever_in_doubt
    assert (found.state, found.planned, found.due) == ("done", readers, 0)
    assert found.ever_in_doubt <= sum(len(kill.ports) for kill in killer.kills)
    assert found.ever_in_doubt >= len(fatal), "a kill that caught one left no doubt: the test proved nothing"
