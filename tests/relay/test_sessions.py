"""How many sessions there are, and who opens them: where a relay dies, goes, ends them early, or bears few."""

import asyncio
import time
from dataclasses import replace

import pytest

from newsletter.relay.opening import Unreachable
from newsletter.relay.outcome import Accepted
from newsletter.relay.pool import Pool
from newsletter.relay.target import Relay
from tests.fakes import smtp
from tests.fakes.cargo import Batch
from tests.relay.test_pool import QUICK, envelopes, send


class Dying(smtp.Sink):
    """A relay that takes some messages and is gone: every session ends, and no other is welcome."""

    left: int = 40
    sessions: int = 0

    async def serve(self, reader, writer):
        self.sessions += 1
        if self.left <= 0:
            writer.write(b"554 5.3.2 no longer here\r\n")
            writer.close()
            return
        await super().serve(reader, writer)

    async def _data(self, reader, writer, sender, recipient):
        self.left -= 1
        if self.left <= 0:
            raise ConnectionResetError
        return await super()._data(reader, writer, sender, recipient)


def test_a_relay_that_dies_in_the_middle_is_not_asked_again_by_every_session():
    """Eight sessions with three tries each would be 24 knocks at a door that has just been shut."""
    with smtp.running(Dying()) as server:
        _, outcomes = send(f"{server.url}?connections=8", envelopes(400))
    assert server.sessions <= 16
    assert len(server.messages) == sum(isinstance(outcome, Accepted) for outcome in outcomes.values())


class Gone(smtp.Sink):
    """A server that cuts all sessions off at its `last` message and greets none that comes after; it counts these."""

    last: int = 30
    taken: int = 0
    asked: int = 0

    async def serve(self, reader, writer):
        if self.taken >= self.last:
            self.asked += 1
            await asyncio.sleep(30)
        await super().serve(reader, writer)

    async def _data(self, reader, writer, sender, recipient):
        self.taken += 1
        if self.taken >= self.last:
            raise ConnectionResetError
        return await super()._data(reader, writer, sender, recipient)


def test_a_relay_that_is_gone_for_all_sessions_is_asked_by_one_of_them():
    """Each of eight asked for itself whether it was only its own that had ended: eight connects where one tells."""

    async def main(url):
        pool = Pool(Relay.parse(url), helo="sender.example", manners=QUICK)
        try:
            assert not pool.doubted
            await pool.send(Batch(envelopes(400)))
            return pool.doubted
        finally:
            await pool.close()

    with smtp.running(Gone()) as server:
        assert asyncio.run(main(f"{server.url}?connections=8")), "who sends next asks alone, before eight do"
    assert server.taken >= 30
    assert server.asked == 1


class Following(Batch):
    """Gives one envelope, a second to whoever lost its session by that, and the others once that one asks for a new one."""

    def __init__(self, server, count):
        super().__init__(envelopes(count))
        self.server, self.given = server, 0

    def draw(self):
        if self.given > len(self.told) and not self.server.asked:
            return None
        self.given += 1
        return super().draw()

    async def more(self):
        while not self.server.asked:  # noqa: ASYNC110 (it is set in another thread)
            await asyncio.sleep(0.01)
        return not self.over


def test_who_has_its_first_session_yet_to_open_waits_for_whoever_lost_one():
    """Only they waited whose own session had ended: at a slow pace the others asked a relay that was away beside it."""

    async def main(url):
        pool = Pool(Relay.parse(url), helo="sender.example", manners=QUICK)
        await pool.send(Following(server, 8))
        await pool.close()

    with smtp.running(Gone()) as server:
        server.last = 1
        asyncio.run(main(f"{server.url}?connections=8"))
    assert (server.taken, server.asked) == (1, 1)


class Closed(smtp.Sink):
    """A server that hangs up on whoever comes, once it is `away`; `asked` counts these."""

    away = False
    asked = 0
    writers = ()

    async def serve(self, reader, writer):
        self.loop, self.writers = asyncio.get_running_loop(), (*self.writers, writer)
        if self.away:
            self.asked += 1
            writer.close()
        else:
            await super().serve(reader, writer)


def test_a_relay_that_went_while_all_sessions_lay_idle_is_asked_by_one_of_them():
    """None of them had died under a message, so each asked for itself: eight connects where one tells."""
    closed = Closed(delay_seconds=lambda: 0.01)

    async def main(url):
        pool = Pool(Relay.parse(url), helo="sender.example", manners=QUICK)
        await pool.send(Batch(envelopes(80)))
        closed.away, sessions = True, len(closed.writers)
        for writer in closed.writers:
            closed.loop.call_soon_threadsafe(writer.transport.abort)
        await asyncio.sleep(0.2)
        with pytest.raises(Unreachable):
            await pool.send(Batch(envelopes(80)))
        await pool.close()
        return sessions

    with smtp.running(closed):
        assert asyncio.run(main(f"{closed.url}?connections=8")) == 8
    assert closed.asked == 1


class Brief(smtp.Sink):
    """A server that takes 0.15 s to greet, and ten messages a session."""

    async def serve(self, reader, writer):
        reader.taken = 0
        await asyncio.sleep(0.15)
        await super().serve(reader, writer)

    async def _data(self, reader, writer, sender, recipient):
        answer = await super()._data(reader, writer, sender, recipient)
        reader.taken += 1
        return answer if reader.taken < 10 else f"{answer}\r\n421 4.7.0 ten a session"


def test_a_relay_that_ends_sessions_early_has_them_opened_beside_each_other():
    """Each waited for the greetings of all others though the first had shown that the relay is well: a fifth of its speed."""
    with smtp.running(Brief()) as server:
        began = time.monotonic()
        _, outcomes = send(f"{server.url}?connections=8", envelopes(240), manners=replace(QUICK, reconnects=5))
        took = time.monotonic() - began
    assert len(outcomes) == 240
    assert len(server.messages) > 200, "but for those at whom two sessions in a row ended"
    assert took < 2.0, "sixteen greetings, one after the other, take 2.4 s"


class Small(smtp.Scripted):
    """A server that bears three sessions at once."""

    now = knocks = 0

    async def serve(self, reader, writer):
        self.now += 1
        self.knocks += 1
        try:
            if self.now > 3:
                writer.write(b"421 4.7.0 Error: too many concurrent connections\r\n")
                writer.close()
            else:
                await super().serve(reader, writer)
        finally:
            self.now -= 1


def test_a_relay_that_bears_few_sessions_is_not_asked_for_more_at_each_turn():
    """Each shard would knock on a full house again, and some relays block who does."""

    async def main(url):
        pool = Pool(Relay.parse(url), helo="sender.example", manners=QUICK)
        try:
            for _ in range(5):
                await pool.send(Batch(envelopes(40)))
            return pool.sessions
        finally:
            await pool.close()

    with smtp.running(Small()) as server:
        assert 1 <= asyncio.run(main(f"{server.url}?connections=8")) <= 3
        assert len(server.messages) == 200
        assert server.knocks <= 8 + 3


class Thoughtful(Small):
    """A server that thinks before it turns anybody away."""

    async def serve(self, reader, writer):
        if self.now >= 3:
            await asyncio.sleep(0.2)
        await super().serve(reader, writer)


def test_sessions_that_lie_idle_are_borne_as_well():
    """Those that had done with their mail when the next was turned away did not count: a third of the pace for a minute."""

    async def main(url):
        pool = Pool(Relay.parse(url), helo="sender.example", manners=QUICK)
        try:
            await pool.send(Batch(envelopes(8)))
            return pool.sessions
        finally:
            await pool.close()

    with smtp.running(Thoughtful()) as server:
        assert asyncio.run(main(f"{server.url}?connections=8")) == 3
