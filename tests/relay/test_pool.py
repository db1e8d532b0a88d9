"""Connections and how envelopes are drawn through them, against real servers that behave and that do not."""

import asyncio
import time
from collections import Counter

import pytest
import uvloop

from newsletter import languages
from newsletter.relay.envelope import Envelope
from newsletter.relay.manners import Manners
from newsletter.relay.opening import Unreachable
from newsletter.relay.outcome import Accepted, Deferred, Rejected, Uncertain
from newsletter.relay.pool import Pool
from newsletter.relay.target import Relay
from tests.fakes import smtp
from tests.fakes.cargo import Batch

MESSAGE = b"Subject: x\r\n\r\n.a dot\r\n..two\r\ntext\r\n"
QUICK = Manners(
    connect=2,
    greeting=2,
    command=2,
    data=2,
    final_dot=2,
    goodbye=1,
    look=0.2,
    reconnects=2,
    messages=None,
    seconds=None,
)


def envelopes(count):
    return [Envelope(key, "news@example.org", f"reader{key}@example.org", MESSAGE) for key in range(count)]


def send(url, batch, *, begin=lambda _envelope: True, manners=QUICK):
    """Send a batch through a pool of its own and return (begun, outcomes by key)."""
    cargo = Batch(batch, begin=begin)

    async def main():
        pool = Pool(Relay.parse(url), helo="sender.example", manners=manners)
        try:
            return await pool.send(cargo)
        finally:
            await pool.close()

    begun = asyncio.run(main())
    assert len(cargo.told) == len(set(cargo.told)), "an outcome was told twice"
    return begun, cargo.outcomes


def test_everything_arrives_once_and_byte_for_byte():
    """What was composed is what a reader gets, dots and all."""
    with smtp.running(smtp.Sink()) as sink:
        begun, outcomes = send(f"{sink.url}?connections=4", envelopes(200))
    assert begun == 200
    assert all(isinstance(outcome, Accepted) for outcome in outcomes.values())
    assert Counter(m.recipient for m in sink.messages) == Counter(e.recipient for e in envelopes(200))
    assert {message.content for message in sink.messages} == {MESSAGE}


def test_what_may_not_begin_is_left_out_and_the_rest_goes():
    """A closed window stops the next message, not the one on the wire."""
    with smtp.running(smtp.Sink()) as sink:
        begun, outcomes = send(sink.url, envelopes(20), begin=lambda envelope: envelope.key % 2 == 0)
    assert begun == 10
    assert set(outcomes) == set(range(0, 20, 2))


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ({"MAIL": b"451 4.3.0 later\r\n"}, Deferred),
        ({"MAIL": b"550 5.7.1 not you\r\n"}, Rejected),
        ({"RCPT": b"450-4.2.0 grey\r\n450 4.2.0 listed\r\n"}, Deferred),
        ({"RCPT": b"550 5.1.1 unknown\r\n"}, Rejected),
        ({"DATA": b"451 4.3.0 later\r\n"}, Deferred),
        ({"DATA": b"554 5.5.1 no\r\n"}, Rejected),
        ({"BODY": b"451 4.3.0 later\r\n"}, Deferred),
        ({"BODY": b"552 5.3.4 too big\r\n"}, Rejected),
        ({"BODY": b"250 2.0.0 ok\r\n421 4.3.2 closing\r\n"}, Accepted),
        ({"BODY": b"hm\r\n"}, Uncertain),
        ({"MAIL": None}, Deferred),
        ({"RCPT": None}, Deferred),
        ({"DATA": None}, Deferred),
        ({"BODY": None}, Uncertain),
    ],
    ids=lambda value: (
        next(f"{verb} {said!r}"[:40] for verb, said in value.items()) if isinstance(value, dict) else None
    ),
)
def test_each_answer_at_each_stage_has_its_outcome(script, kind):
    """Before the body a broken line is "later"; after the final dot it is "perhaps", and never sent twice unasked."""
    with smtp.running(smtp.Scripted(script=script)) as server:
        _, outcomes = send(f"{server.url}?connections=1", envelopes(1))
    assert isinstance(outcomes[0], kind), outcomes


def test_a_server_that_goes_silent_after_the_dot_is_uncertain_in_time():
    """Ten minutes are the rule; in this test one second is, and the reader is listed, not forgotten."""
    patient = Manners(
        connect=2, greeting=2, command=2, data=2, final_dot=1, goodbye=1, look=0.1, messages=None, seconds=None
    )
    with smtp.running(smtp.Scripted(script={"BODY": b""})) as server:
        _, outcomes = send(f"{server.url}?connections=1", envelopes(1), manners=patient)
    assert isinstance(outcomes[0], Uncertain)


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ({"BANNER": b"554 go away\r\n"}, "greeting"),
        ({"BANNER": None}, "closed"),
        ({"BANNER": b""}, "silent"),
    ],
)
def test_a_relay_that_cannot_be_used_is_named_with_what_to_do(script, cause):
    """An operator at night needs the host, the reason, and that nothing was lost."""
    with smtp.running(smtp.Scripted(script=script)) as server, pytest.raises(Unreachable) as refusal:
        send(f"{server.url}?connections=1", envelopes(1))
    sentence = languages.say(refusal.value.message, **refusal.value.facts)
    assert str(server.port) in sentence
    assert "mail waits" in sentence
    assert refusal.value.cause == cause


def test_nobody_there_is_unreachable():
    """The most common fault of all."""
    with pytest.raises(Unreachable):
        send("smtp://127.0.0.1:9", envelopes(3))


def test_a_local_part_beyond_ascii_needs_a_relay_that_offers_it():
    """RFC 6531: without SMTPUTF8 that reader fails cleanly, and the others go."""
    reader = Envelope(1, "news@example.org", "jösé@example.org", MESSAGE)
    with smtp.running(smtp.Sink(extensions=("8BITMIME",))) as sink:
        _, outcomes = send(sink.url, [reader, *envelopes(1)])
    assert isinstance(outcomes[1], Rejected)
    assert isinstance(outcomes[0], Accepted)
    with smtp.running(smtp.Sink()) as sink:
        assert isinstance(send(sink.url, [reader])[1][1], Accepted)


def test_a_message_larger_than_the_relay_takes_is_refused_before_it_is_sent():
    """RFC 1870: a megabyte is not sent to hear no."""
    with smtp.running(smtp.Sink(extensions=("SIZE 20",))) as sink:
        _, outcomes = send(sink.url, envelopes(1))
    assert isinstance(outcomes[0], Rejected)
    assert sink.messages == []


def test_a_refused_reader_does_not_cost_the_next_one():
    """After an error the session is reset and goes on."""
    with smtp.running(smtp.Sink(refuse=lambda to: "550 5.1.1 no" if to.startswith("reader1@") else None)) as sink:
        _, outcomes = send(f"{sink.url}?connections=1", envelopes(4))
    assert [type(outcomes[key]).__name__ for key in range(4)] == ["Accepted", "Rejected", "Accepted", "Accepted"]


class Impatient(smtp.Sink):
    """A server that has heard enough in the middle of a message, says so, and closes with the rest unread."""

    async def _data(self, reader, writer, sender, recipient):
        writer.write(b"354 go on\r\n")
        await reader.readexactly(100_000)
        writer.write(b"552 5.3.4 too much\r\n")
        await writer.drain()
        raise ConnectionResetError


@pytest.mark.parametrize("loop_factory", [asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_last_words_are_heard_when_writing_fails(loop_factory):
    """The reset that kills our write must not take an answer along that is here already: no doubt where there is none."""
    large = Envelope(
        1, "news@example.org", "reader1@example.org", b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n" * 20_000_000
    )
    cargo = Batch([large])
    with smtp.running(Impatient()) as server, asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(Pool(Relay.parse(server.url), helo="sender.example", manners=QUICK).send(cargo))
    assert isinstance(cargo.outcomes[1], Rejected), cargo.outcomes
    assert cargo.outcomes[1].reply.enhanced == "5.3.4"


def test_who_is_not_cleared_costs_the_next_one_nothing():
    """The next envelope is ready before the last question is asked: when the answer is no, it must not vanish."""
    cargo = Batch(envelopes(30), clear=lambda envelope: envelope.key % 5 != 3 or envelope.key in cargo.kept)
    with smtp.running(smtp.Sink()) as sink, asyncio.Runner() as runner:
        pool = Pool(Relay.parse(f"{sink.url}?connections=2"), helo="sender.example", manners=QUICK)
        while not cargo.over:
            runner.run(pool.send(cargo))
    assert sorted(cargo.told) == list(range(30))
    assert sorted(set(cargo.kept) & {3, 8, 13, 18, 23, 28}) == [3, 8, 13, 18, 23, 28]
    assert len(sink.messages) == 30


class Rationing(smtp.Sink):
    """A server that takes one message a session, and says so at the next MAIL."""

    async def _data(self, reader, writer, sender, recipient):
        answer = await super()._data(reader, writer, sender, recipient)
        return f"{answer}\r\n421 4.7.0 one a session"


@pytest.mark.parametrize("renewed", [True, False])
def test_who_goes_again_in_another_session_is_asked_again_before_the_message(renewed):
    """The window was open when it was drawn and has closed with the session: nothing is handed over on the old permission."""
    order = []

    class Windowed(Batch):
        def clear(self, envelope):
            order.append(("may", envelope.key))
            return True if envelope.key == 0 else None

        async def cleared(self, envelope):
            order.append(("renewed", envelope.key))
            return renewed

    cargo = Windowed(envelopes(2))
    with smtp.running(Rationing()) as server, asyncio.Runner() as runner:
        pool = Pool(Relay.parse(f"{server.url}?connections=1"), helo="sender.example", manners=QUICK)
        begun = runner.run(asyncio.wait_for(pool.send(cargo), 20))
    assert order[:3] == [("may", 0), ("may", 1), ("renewed", 1)]
    assert [line for line in server.said if "reader1@" in line][:2] == ["RCPT TO:<reader1@example.org>"] * 2, (
        "it was introduced once more"
    )
    on_the_wire = [message.recipient for message in server.messages]
    if renewed:
        assert (begun, on_the_wire) == (2, ["reader0@example.org", "reader1@example.org"])
    else:
        assert cargo.told == [0]
        assert on_the_wire == ["reader0@example.org"]


def test_a_cargo_that_fails_to_take_back_is_heard_of():
    """A failure nobody hears would leave a session waiting for ever."""

    class Broken(Batch):
        def clear(self, envelope):
            return None

        async def cleared(self, envelope):
            return False

        def withheld(self, envelope):
            raise KeyError(envelope.key)

    with smtp.running(smtp.Sink()) as sink, asyncio.Runner() as runner:
        pool = Pool(Relay.parse(f"{sink.url}?connections=1"), helo="sender.example", manners=QUICK)
        with pytest.raises(KeyError):
            runner.run(asyncio.wait_for(pool.send(Broken(envelopes(3))), 10))


class InTurn(Batch):
    """Lets each be introduced as its turn comes, or not; remembers when that was."""

    def __init__(self, envelopes, *, may=lambda _envelope: True):
        super().__init__(envelopes)
        self.may, self.turns = may, []

    async def turn(self, envelope):
        self.turns.append(time.monotonic())
        return self.may(envelope)


def in_turn(sink, cargo):
    with asyncio.Runner() as runner:
        pool = Pool(Relay.parse(f"{sink.url}?connections=1"), helo="sender.example", manners=QUICK)
        begun = runner.run(asyncio.wait_for(pool.send(cargo, in_turn=True), 10))
        runner.run(pool.close())
    return begun


def test_who_goes_in_turn_is_not_introduced_behind_a_message_that_is_held():
    """The relay hears of it once it has answered that: a second later, of which it had its fourteen already."""
    heard = []
    cargo = InTurn(envelopes(6))
    with smtp.running(smtp.Sink(delay_seconds=lambda: 0.1, refuse=lambda _: heard.append(time.monotonic()))) as sink:
        assert in_turn(sink, cargo) == len(sink.messages) == len(cargo.turns) == 6
    assert max(at - turn for turn, at in zip(cargo.turns, heard, strict=True)) < 0.08


def test_who_has_no_turn_is_withheld_and_the_session_serves_the_others():
    """A day that is used up is no failure of anybody, and nothing is said of a message that waits."""
    cargo = InTurn(envelopes(6), may=lambda envelope: envelope.key % 2)
    cargo.withheld = lambda envelope: cargo.kept.append(envelope.key)
    with smtp.running(smtp.Sink()) as sink:
        assert in_turn(sink, cargo) == 3
    assert (cargo.kept, sorted(cargo.outcomes)) == ([0, 2, 4], [1, 3, 5])


def test_a_cargo_that_fails_at_a_turn_is_heard_of():
    """A database that is gone must end the call, and not leave a session waiting."""

    def fails(envelope):
        raise KeyError(envelope.key)

    with smtp.running(smtp.Sink()) as sink, pytest.raises(KeyError):
        in_turn(sink, InTurn(envelopes(3), may=fails))
    assert sink.messages == []


class Closing(smtp.Sink):
    """A server that is shutting down just as it asks for a message."""

    async def _data(self, reader, writer, sender, recipient):
        writer.write(b"354 go on\r\n421 4.3.2 shutting down\r\n")
        await writer.drain()
        raise ConnectionResetError


@pytest.mark.parametrize("loop_factory", [asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_who_is_asked_for_and_given_up_in_one_breath_is_told_of_and_not_begun(loop_factory):
    """A mark without a message would be a doubt about a mail that never was; and nobody may be forgotten."""
    asked = []
    cargo = Batch(envelopes(2), clear=lambda envelope: asked.append(envelope.key) or True)
    with smtp.running(Closing()) as server, asyncio.Runner(loop_factory=loop_factory) as runner:
        pool = Pool(Relay.parse(f"{server.url}?connections=1"), helo="sender.example", manners=QUICK)
        runner.run(pool.send(cargo))
    assert asked == []
    assert sorted(cargo.told + cargo.kept) == [0, 1]


def test_one_session_s_surprise_leaves_no_other_on_the_wire(tmp_path):
    """What is still under way when a shard is put down would be told to nobody."""
    cargo = Batch(envelopes(6))

    class Failing(Pool):
        opened = 0

        async def borrow(self, **_how):
            self.opened += 1
            if self.opened == 2:
                raise RuntimeError("no descriptor left")
            return await super().borrow()

    with smtp.running(smtp.Sink(delay_seconds=lambda: 0.2)) as sink, asyncio.Runner() as runner:
        pool = Failing(Relay.parse(f"{sink.url}?connections=3"), helo="sender.example", manners=QUICK)
        with pytest.raises(RuntimeError):
            runner.run(pool.send(cargo))
        assert len(cargo.told) == len(sink.messages) == 6 - len(cargo.kept)
