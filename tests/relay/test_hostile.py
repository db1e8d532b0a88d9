"""A pool against a server that does everything wrong, audited by what that server knows it has said."""

import asyncio
import time
from contextlib import suppress

import pytest
import uvloop

from newsletter.relay.envelope import Envelope
from newsletter.relay.manners import Manners
from newsletter.relay.opening import Unreachable
from newsletter.relay.outcome import Accepted, Deferred, Rejected, Stage, Uncertain
from newsletter.relay.pool import Pool
from newsletter.relay.target import Relay
from tests.fakes import smtp
from tests.fakes.cargo import Hesitant
from tests.fakes.hostile import Hostile

MANNERS = Manners(
    connect=5,
    greeting=5,
    command=5,
    data=5,
    final_dot=5,
    goodbye=1,
    look=0.5,
    reconnects=10**9,
    messages=None,
    seconds=None,
)


def send(url, cargo, loop_factory):
    """Send a whole cargo, whatever dies on the way."""

    async def main():
        pool = Pool(Relay.parse(f"{url}?connections=8"), helo="sender.example", manners=MANNERS)
        while not cargo.over:
            told, begun = len(cargo.told), 0
            with suppress(Unreachable):
                begun = await pool.send(cargo)
            assert cargo.in_hand == set(), "drawn, and then neither told of nor withheld"
            assert begun == len(cargo.told) - told, "the count of what was begun is what was told"
        await pool.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def audit(server, cargo, recipients):
    """Compare what was told of each recipient with what the server knows."""
    assert sorted(cargo.told) == list(range(recipients)), "told once each, and nobody forgotten"
    for key, outcome in cargo.outcomes.items():
        name = f"reader{key}@example.org"
        taken, silent, unheard = server.answered[name, b"2"], server.silent[name], server.unheard[name]
        answers = taken + server.answered[name, b"4"] + server.answered[name, b"5"]
        assert taken <= 1, f"{name} has it twice"
        assert server.bodies[name] <= cargo.begun[key], f"{name}: on the wire though it was withheld"
        assert cargo.begun[key] == (outcome.stage is Stage.BODY if not isinstance(outcome, Accepted) else 1), (
            f"{name}: allowed to begin and not begun, or the other way round"
        )
        match outcome:
            case Accepted():
                assert taken == 1
            case Uncertain(stage=Stage.BODY):
                assert (answers, silent) == (0, 1) or (answers == 0 and unheard), (
                    f"{name}: the answer had arrived, or nothing was in doubt"
                )
            case Deferred(stage=Stage.BODY):
                assert taken == 0
                assert server.answered[name, b"4"] == 1 or unheard
            case Rejected(stage=Stage.BODY):
                assert taken == 0
                assert server.answered[name, b"5"] == 1
            case _:
                assert (taken, silent) == (0, 0), f"{name}: the message had gone out"


def storm(seed, recipients, loop_factory):
    server = Hostile(seed=seed)
    batch = (
        Envelope(key, f"b-{key}@bounces.example", f"reader{key}@example.org", b"Subject: x\r\n\r\n.a\r\n")
        for key in range(recipients)
    )
    cargo = Hesitant(batch, seed=seed)
    began = time.monotonic()
    with smtp.running(server):
        send(server.url, cargo, loop_factory)
    audit(server, cargo, recipients)
    kinds = [type(outcome).__name__ for outcome in cargo.outcomes.values()]
    print(
        f"seed {seed}, {loop_factory.__module__}: {recipients:,} recipients in {time.monotonic() - began:.0f} s; "
        + ", ".join(f"{kind} {kinds.count(kind):,}" for kind in ("Accepted", "Deferred", "Rejected", "Uncertain"))
        + f"; {sum(server.faults.values()):,} faults, {len(cargo.kept):,} withheld, "
        + f"{cargo.said['died asking']:,} died while it was asked whether they may begin"
    )
    assert len(server.faults) == 9, "every kind of fault was met"
    assert len(cargo.said) == 5, "and every answer to whether a message may begin"


@pytest.mark.parametrize("loop_factory", [asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_every_answer_is_recorded_once_whatever_the_server_does(loop_factory):
    """A reader told of as sent has it, one told of as not sent has not, and one in doubt is told of as in doubt."""
    storm(seed=0, recipients=2_000, loop_factory=loop_factory)


@pytest.mark.proof
@pytest.mark.parametrize("loop_factory", [asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("seed", range(1, 9))
def test_every_answer_is_recorded_once_in_twenty_thousand(seed, loop_factory):
    """The same, long enough for each fault to meet each moment."""
    storm(seed=seed, recipients=20_000, loop_factory=loop_factory)
