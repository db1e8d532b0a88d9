"""One session on its line: the server's pace, the one timer, and who is asked whether a message may begin."""

import asyncio
import socket
import time
from functools import wraps

import pytest
import uvloop

from newsletter.relay.connection import Connection
from newsletter.relay.envelope import Envelope
from newsletter.relay.manners import Manners
from newsletter.relay.outcome import Accepted, Deferred, Stage, Uncertain
from newsletter.relay.pool import Pool
from newsletter.relay.target import Relay
from tests.fakes import smtp
from tests.fakes.cargo import Batch, Hands, envelope
from tests.fakes.line import Opened

ENOUGH = b"250 ok\r\n250 ok\r\n354 go on\r\n"
KEPT = b"250 kept\r\n"
PATIENT = Manners(command=60, data=60, final_dot=60, goodbye=1, look=5, messages=None, seconds=None)
LOOPS = pytest.mark.parametrize(
    "loop_factory", [asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


def in_a_loop(test):
    """Run a test in an event loop of its own."""

    @wraps(test)
    def run(*args, **facts):
        asyncio.run(test(*args, **facts))

    return run


async def carrying(*, manners=PATIENT, **how):
    """Return a session that has introduced envelope 1: its line, its load, and the task that carries."""
    opened, load = Opened(), Hands(**how)
    task = asyncio.create_task(Connection(opened, manners).carry(load, envelope(1)))
    await asyncio.sleep(0)
    assert opened.transport.taken().startswith(b"MAIL FROM:<b-1@")
    return opened.transport, load, task


async def settled(task):
    """Wait for the end of a session, and a breath longer: what was cancelled has had its say."""
    async with asyncio.timeout(5):
        await asyncio.wait([task])
    await asyncio.sleep(0)
    await asyncio.sleep(0)


# The server's pace.


@in_a_loop
async def test_no_message_is_begun_while_the_one_before_has_not_left():
    """A server that answers without reading would have us keep a whole digest in memory, message by message."""
    line, load, task = await carrying()
    line.say(ENOUGH)
    assert b"body" in line.taken()
    line.clog()
    line.say(KEPT + ENOUGH)
    assert load.notes == [("may", 1), (Accepted, None, 1)], "the answer is heard, the next is not begun"
    assert line.taken() == b""
    line.free()
    assert load.notes[2:] == [("may", 2)]
    assert line.taken().startswith(b"Subject: 2")
    task.cancel()
    await settled(task)


@in_a_loop
async def test_a_message_that_waits_for_the_line_is_not_begun_when_it_dies():
    """Nothing of it was said, so it is no doubt but a later."""
    line, load, task = await carrying()
    line.say(ENOUGH)
    line.clog()
    line.say(KEPT + ENOUGH)
    line.die()
    await settled(task)
    assert load.notes[2:] == [(Deferred, Stage.DATA, 2)]


@in_a_loop
async def test_a_line_that_stays_clogged_is_given_up_in_time():
    """Who reads nothing for as long as an answer may take reads nothing any more; who reads slowly is waited for."""
    manners = Manners(command=60, data=60, final_dot=0.2, goodbye=1, look=0.02, messages=None, seconds=None)
    line, load, task = await carrying(manners=manners)
    line.say(ENOUGH)
    line.clog()
    line.say(KEPT + ENOUGH)
    for _ in range(6):
        await asyncio.sleep(0.1)
        line.unsent -= 1
    assert not task.done(), "it reads, slowly"
    await settled(task)
    assert load.notes[2:] == [(Deferred, Stage.DATA, 2)]


class Deaf(smtp.Sink):
    """A server that takes a message by its first bytes, and reads the rest of it when it has time."""

    async def serve(self, reader, writer):
        writer.write(b"220 deaf.test\r\n")
        await reader.readline()
        writer.write(b"250-deaf.test\r\n250 PIPELINING\r\n")
        for _ in range(3):
            await reader.readline()
        writer.transport.pause_reading()
        writer.write(ENOUGH)
        await asyncio.sleep(0.1)
        writer.write(KEPT + ENOUGH)
        await asyncio.sleep(0.3)
        self.said.append("reads")
        writer.transport.resume_reading()
        await smtp.until_dot(reader)
        for _ in range(3):
            await reader.readline()
        await smtp.until_dot(reader)
        writer.write(KEPT)
        await reader.readline()
        writer.close()


@LOOPS
def test_a_real_line_holds_one_message_at_a_time(loop_factory):
    """What the two loops call back-pressure, and when, is theirs to decide: the promise is ours."""
    message = b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 300_000
    server, begun = Deaf(), []

    def clear(envelope):
        begun.append((envelope.key, "reads" in server.said))
        return True

    cargo = Batch([Envelope(key, "news@example.org", "r@example.org", message) for key in (1, 2)], clear=clear)
    with smtp.running(server), asyncio.Runner(loop_factory=loop_factory) as runner:
        pool = Pool(Relay.parse(f"{server.url}?connections=1"), helo="sender.example", manners=PATIENT)
        runner.run(pool.send(cargo))
    assert begun == [(1, False), (2, True)]
    assert [type(outcome) for outcome in cargo.outcomes.values()] == [Accepted, Accepted]


# The one timer.


class Counting(asyncio.SelectorEventLoop):
    """Counts the timers that are set."""

    timers = 0

    def call_at(self, when, callback, *args, context=None):
        self.timers += 1
        return super().call_at(when, callback, *args, context=context)


def test_a_session_has_one_timer_however_many_messages():
    """A timer for each command would cost more than the command."""

    async def main():
        line, load, task = await carrying(last=500)
        line.say(ENOUGH)
        for _ in range(499):
            line.say(KEPT + ENOUGH)
        line.say(KEPT)
        await task
        return load

    with asyncio.Runner(loop_factory=Counting) as runner:
        load = runner.run(main())
        assert runner.get_loop().timers == 1
    assert sum(note[0] is Accepted for note in load.notes) == 500


QUICK = Manners(command=0.1, data=0.1, final_dot=0.1, goodbye=1, look=0.02, messages=None, seconds=None)


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([], (Deferred, Stage.MAIL, 1)),
        ([b"250 ok\r\n"], (Deferred, Stage.RCPT, 1)),
        ([b"250 ok\r\n250 ok\r\n"], (Deferred, Stage.DATA, 1)),
        ([ENOUGH], (Uncertain, Stage.BODY, 1)),
    ],
)
@in_a_loop
async def test_silence_is_noticed_whatever_is_awaited(answers, outcome):
    """The timer is one, and each answer has its own patience."""
    line, load, task = await carrying(manners=QUICK)
    for answer in answers:
        line.say(answer)
    began = asyncio.get_running_loop().time()
    await settled(task)
    assert asyncio.get_running_loop().time() - began < 1
    assert outcome in load.notes


@pytest.mark.parametrize(
    ("answers", "outcome"), [(b"", (Deferred, Stage.MAIL, 1)), (ENOUGH, (Uncertain, Stage.BODY, 1))]
)
@in_a_loop
async def test_an_answer_that_drips_has_no_more_time_than_one_that_does_not_come(answers, outcome):
    """A byte now and then would hold a session, and a reader in doubt, for as long as the server likes."""
    line, load, task = await carrying(manners=QUICK)
    line.say(answers)
    began = time.monotonic()
    while not task.done() and time.monotonic() - began < 3:
        line.say(b"2")
        await asyncio.sleep(0.02)
    assert task.done()
    assert outcome in load.notes


@in_a_loop
async def test_each_answer_has_its_own_time():
    """A server that thinks about each command is slow, not gone."""
    slow = Manners(command=1, data=1, final_dot=1, goodbye=1, look=0.05, messages=None, seconds=None)
    line, load, task = await carrying(manners=slow, last=1)
    for answer in (b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n", KEPT):
        await asyncio.sleep(0.5)
        line.say(answer)
    await settled(task)
    assert load.notes[-1] == (Accepted, None, 1)


@in_a_loop
async def test_a_session_that_has_just_said_that_it_is_there_is_not_asked_again():
    """Whoever is drawn and given up without a message would wait a round trip each time, and be given up for that."""
    opened = Opened()
    session = Connection(opened, Manners(idle=0.1, goodbye=1))
    await asyncio.sleep(0.2)
    asking = asyncio.create_task(session.still_there())
    await asyncio.sleep(0.01)
    assert opened.transport.taken() == b"NOOP\r\n"
    opened.transport.say(b"250 here\r\n")
    assert await asking
    assert await session.still_there()
    assert opened.transport.taken() == b""
    session.abort()


@in_a_loop
async def test_the_server_s_patience_is_not_ours():
    """While we ask whether a message may begin it is the server that waits: our own timer must not end the session for it."""
    line, load, task = await carrying(manners=QUICK, clear=lambda envelope: None if envelope.key == 1 else True)
    line.say(ENOUGH)
    await asyncio.sleep(0.3)
    assert not task.done()
    load.answer.set_result(True)
    await asyncio.sleep(0)
    assert b"body" in line.taken()
    await settled(task)  # and from then on the server's silence counts again
    assert load.notes[1:] == [(Uncertain, Stage.BODY, 1), (Deferred, Stage.MAIL, 2)]


# A session that dies while somebody is asked.


async def dies(line, task):
    line.die()


async def says_farewell(line, task):
    line.say(b"421 4.3.2 shutting down\r\n")


async def is_interrupted(line, task):
    task.cancel()


@pytest.mark.parametrize("ending", [dies, says_farewell, is_interrupted])
@in_a_loop
async def test_a_session_that_ends_while_it_is_asked_tells_of_both_and_begins_nothing(ending):
    """The answer comes too late: a message begun on it would be a doubt, and the next envelope would be forgotten."""
    line, load, task = await carrying(clear=lambda _envelope: None)
    line.say(ENOUGH)
    await asyncio.sleep(0)
    await ending(line, task)
    await settled(task)
    assert load.notes[0] == ("may", 1)
    assert sorted(load.notes[1:], key=str) == sorted(
        [(Deferred, Stage.DATA, 1), ("back", 2), ("not asked any more", 1)], key=str
    )
    assert line.taken() == b""
    assert line.is_closing()


@in_a_loop
async def test_an_answer_that_comes_in_the_moment_of_death_begins_nothing():
    """Both are in the queue of the loop: the session's end has come first, so the yes is nobody's."""
    line, load, task = await carrying(clear=lambda _envelope: None)
    line.say(ENOUGH)
    await asyncio.sleep(0)
    load.answer.set_result(True)
    line.die()
    await settled(task)
    assert [note for note in load.notes if note[-1] == 2] == [("back", 2)]
    assert [note[0] for note in load.notes if note[-1] == 1][:2] == ["may", Deferred]
    assert line.taken() == b""


class Stubborn(Hands):
    """Does not hear that nobody wants to know any more."""

    async def cleared(self, envelope):
        try:
            return await self.answer
        except asyncio.CancelledError:
            return True


@in_a_loop
async def test_a_yes_to_a_question_that_was_taken_back_begins_nothing():
    """Whoever is asked may be in the middle of something that cannot be broken off."""
    opened, load = Opened(), Stubborn(clear=lambda _envelope: None)
    task = asyncio.create_task(Connection(opened, PATIENT).carry(load, envelope(1)))
    await asyncio.sleep(0)
    opened.transport.say(ENOUGH)
    await asyncio.sleep(0)
    opened.transport.taken()
    opened.transport.die()
    await settled(task)
    assert load.notes == [("may", 1), (Deferred, Stage.DATA, 1), ("back", 2)]
    assert opened.transport.taken() == b""


@in_a_loop
async def test_who_is_refused_later_gives_the_next_one_back():
    """A reader who left while a slow relay was waited for: nothing of the mail is said, and the next reader goes elsewhere."""
    line, load, task = await carrying(clear=lambda _envelope: None)
    line.say(ENOUGH)
    await asyncio.sleep(0)
    load.answer.set_result(False)
    await settled(task)
    assert load.notes == [("may", 1), ("withheld", 1), ("back", 2)]
    assert line.taken() == b""
    assert line.is_closing(), "whatever came next would be read as the message"


class Nagling(smtp.Sink):
    """Writes each answer by itself, and lets the kernel keep the next until we have acknowledged the one before."""

    async def serve(self, reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        await super().serve(reader, writer)


@LOOPS
def test_a_server_that_waits_for_our_acknowledgement_gets_it_at_once(loop_factory):
    """Each message took 40 ms for nothing, twenty a second through a session: the kernel's patience, not the server's."""
    server = Nagling()
    cargo = Batch([Envelope(key, "news@example.org", "r@example.org", b"Subject: x\r\n\r\nx\r\n") for key in range(60)])
    with smtp.running(server), asyncio.Runner(loop_factory=loop_factory) as runner:
        pool = Pool(Relay.parse(f"{server.url}?connections=1"), helo="sender.example", manners=PATIENT)
        began = time.monotonic()
        runner.run(pool.send(cargo))
        spent = time.monotonic() - began
    assert len(server.messages) == 60
    assert spent < 1.2, "two seconds and more where the kernel waits"
