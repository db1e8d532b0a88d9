"""Sessions with relays on other machines: the same conversation, through TLS."""

import asyncio

import pytest
import uvloop

from newsletter.relay.envelope import Envelope
from newsletter.relay.outcome import Accepted
from newsletter.relay.pool import Pool
from newsletter.relay.target import Relay
from tests.fakes import smtp
from tests.fakes.cargo import Batch
from tests.relay.test_opening import certified
from tests.relay.test_pool import QUICK

# A spelling of 127.0.0.1 that is not recognised as this machine, so the rules for other machines hold.
ELSEWHERE = "127.1"
LOOPS = pytest.mark.parametrize(
    "loop_factory", [asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


def send(url, batch, trust, loop_factory=uvloop.new_event_loop):
    """Send a batch with these certificates trusted; return the cargo."""
    cargo = Batch(batch)

    async def main():
        pool = Pool(Relay.parse(url), helo="sender.example", tls_context=trust, manners=QUICK)
        await pool.send(cargo)
        await pool.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    return cargo


def batch(count):
    message = b"Subject: x\r\n\r\n" + b"words and words\r\n" * 2000
    return [Envelope(key, "b-1@bounces.example", f"reader{key}@example.org", message) for key in range(count)]


@LOOPS
@pytest.mark.parametrize("always", [False, True], ids=["STARTTLS", "smtps"])
def test_everything_arrives_once_through_tls(always, loop_factory, tmp_path):
    """Readers' addresses cross the open internet in every session with a relay."""
    context, trust = certified(tmp_path, ELSEWHERE)
    with smtp.running(smtp.Sink(tls=context, always_tls=always)) as sink:
        url = f"{'smtps' if always else 'smtp'}://{ELSEWHERE}:{sink.port}?connections=3"
        cargo = send(url, batch(60), trust, loop_factory)
    assert all(isinstance(outcome, Accepted) for outcome in cargo.outcomes.values())
    assert sorted(message.recipient for message in sink.messages) == sorted(one.recipient for one in batch(60))
    assert {message.content for message in sink.messages} == {batch(1)[0].message}
