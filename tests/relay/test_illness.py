"""Relays that are ill: they end every session, never greet, or misunderstand; and how they are found well again."""

import asyncio
import time
from dataclasses import dataclass, replace

import pytest

from newsletter.relay.opening import Unreachable
from newsletter.relay.outcome import Accepted, Deferred, Rejected
from newsletter.relay.pool import Pool
from newsletter.relay.target import Relay
from tests.fakes import smtp
from tests.fakes.cargo import Batch
from tests.relay.test_pool import QUICK, envelopes, send


@dataclass
class Counted(smtp.Scripted):
    """A scripted server that counts its sessions, and may keep the first of them waiting for a greeting."""

    sessions: int = 0
    mute: int = 0

    async def serve(self, reader, writer):
        self.sessions += 1
        if self.sessions <= self.mute:
            await asyncio.sleep(60)
        await super().serve(reader, writer)


class Leaving(Counted):
    """A server that hangs up where its script says "421"."""

    async def _say(self, verb, usual, writer):
        await super()._say(verb, usual, writer)
        return not self.script.get(verb, b"").startswith(b"421")


CLOSING = {"MAIL": b"421 4.3.2 Service not available, closing transmission channel\r\n"}


def pooled(server, *, manners=QUICK, **how):
    """Send forty envelopes through a pool of eight; return the cargo and what was raised."""
    cargo = Batch(envelopes(40))

    async def main():
        pool = Pool(Relay.parse(f"{server.url}?connections=8"), helo="sender.example", manners=manners)
        try:
            await pool.send(cargo, **how)
        except Unreachable as error:
            return error
        finally:
            await pool.close()

    return cargo, asyncio.run(main())


def test_a_relay_that_ends_every_session_at_mail_is_ill_and_left_alone():
    """It greets and it knows EHLO, so it seems to answer; three hundred sessions in three seconds would not help it."""
    with smtp.running(Leaving(script=CLOSING)) as server:
        cargo, error = pooled(server)
        assert error is not None
        assert "421" in error.facts["reason"]
        assert server.sessions <= 3 * 8
        asked = server.sessions
        _, again = pooled(server, probing=True)
    assert again is not None
    assert server.sessions == asked + 1, "one session asks whether it is back"
    assert all(isinstance(outcome, Deferred) for outcome in cargo.outcomes.values())
    assert len(cargo.told) == len(set(cargo.told))


def test_one_message_at_which_sessions_end_makes_no_relay_ill():
    """A poison message must not keep the others from a relay that is well."""
    with smtp.running(Leaving(script=CLOSING)) as server:
        begun, outcomes = send(f"{server.url}?connections=8", envelopes(1))
    assert (begun, len(outcomes)) == (1, 1)


def test_a_relay_that_is_well_again_is_found_by_one_session_and_used_by_all():
    """A probe that went well is no reason to go on at an eighth of the pace."""
    with smtp.running(Counted()) as server:
        cargo, error = pooled(server, probing=True)
    assert error is None
    assert len(cargo.outcomes) == len(server.messages) == 40
    assert server.sessions > 1


def test_a_relay_that_never_greets_the_first_is_found_by_the_second():
    """Five minutes are its right; but it is well again for others meanwhile, and mail must flow within a minute of that."""
    manners = replace(QUICK, greeting=30, knock=0.2)

    async def main(url):
        pool = Pool(Relay.parse(url), helo="sender.example", manners=manners)
        began = time.monotonic()
        await pool.knock()
        await pool.close()
        return time.monotonic() - began

    with smtp.running(Counted(mute=2)) as server:
        assert asyncio.run(main(server.url)) < 5
    assert server.sessions == 3


def test_a_greeting_is_not_waited_for_where_another_session_had_its_own():
    """A relay that falls silent in the middle must not hold every sender for five minutes."""
    manners = replace(QUICK, greeting=30, prompt=0.3, reconnects=0)

    async def main(server):
        pool = Pool(Relay.parse(f"{server.url}?connections=1"), helo="sender.example", manners=manners)
        await pool.send(Batch(envelopes(1)))
        await pool.close()
        server.mute = 10
        began = time.monotonic()
        with pytest.raises(Unreachable):
            await pool.send(Batch(envelopes(1)))
        return time.monotonic() - began

    with smtp.running(Counted()) as server:
        assert asyncio.run(main(server)) < 5


@dataclass
class Literal(smtp.Sink):
    """A server that offers PIPELINING and DSN and understands neither. sessions: what was said in each."""

    extensions: tuple = ("PIPELINING", "DSN")

    async def serve(self, reader, writer):
        self.refuse = lambda _recipient: "501 5.5.4 Unsupported option: ORCPT" if "ORCPT" in self.said[-1] else None
        await super().serve(reader, writer)


def test_a_relay_that_misunderstands_is_spoken_to_plainly_in_a_new_session():
    """Standards §16, protocol: a firewall in between offers what it cannot do, and every reader would be refused for it."""
    with smtp.running(Literal()) as server:
        _, outcomes = send(f"{server.url}?connections=2", envelopes(60))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes.values()), outcomes
    assert len(server.messages) == 60
    assert sum("ORCPT" in line for line in server.said) <= 6, "and it is remembered"


def test_who_is_refused_plainly_too_is_told_so_once():
    """Else a broken address would open sessions without end."""
    script = {"RCPT": b"501 5.5.4 syntax\r\n"}
    with smtp.running(Counted(script=script)) as server:
        _, outcomes = send(f"{server.url}?connections=1", envelopes(3))
    assert all(isinstance(outcome, Rejected) for outcome in outcomes.values())
    assert (len(outcomes), server.sessions) == (3, 6)


def test_what_a_relay_offers_is_asked_anew_after_something_could_not_be_carried():
    """Its limit is raised without a restart: what is sent next must not be measured by the old one."""
    with smtp.running(smtp.Sink(extensions=("SIZE 20",))) as sink:

        async def main():
            pool = Pool(Relay.parse(f"{sink.url}?connections=1"), helo="sender.example", manners=QUICK)
            first, second = Batch(envelopes(1)), Batch(envelopes(1))
            await pool.send(first)
            sink.extensions = ("SIZE 2000",)
            await pool.send(second)
            await pool.close()
            return first.outcomes[0], second.outcomes[0]

        before, after = asyncio.run(main())
    assert (type(before), type(after)) == (Rejected, Accepted)
