"""A session walked through everything at once: what it is told, what it may begin, and what stands on the wire."""

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from newsletter.relay.connection import Connection
from newsletter.relay.manners import Manners
from newsletter.relay.outcome import Accepted, Stage
from tests.fakes.cargo import Hands, envelope
from tests.fakes.line import Opened

PATIENT = Manners(command=60, data=60, final_dot=60, goodbye=1, look=5, messages=None, seconds=None)


class Fickle(Hands):
    """Answers as its mood is, and keeps books."""

    def __init__(self):
        super().__init__(last=10**6)
        self.mood = True
        self.drawn, self.begun, self.over = {1}, set(), []
        self.asked = None

    def draw(self):
        drawn = super().draw()
        self.drawn.add(drawn.key)
        return drawn

    def clear(self, envelope):
        assert self.asked is None, "one at a time"
        return self._let(envelope, self.mood)

    async def cleared(self, envelope):
        self.asked = asyncio.get_running_loop().create_future()
        try:
            return self._let(envelope, await self.asked)
        finally:
            self.asked = None

    def _let(self, envelope, may):
        if may:
            assert envelope.key not in self.begun, "begun twice"
            self.begun.add(envelope.key)
        return may

    def withheld(self, envelope):
        self.over.append((envelope.key, "withheld"))

    def back(self, envelope):
        self.over.append((envelope.key, "back"))

    def done(self, envelope, outcome, *, last):
        self.over.append((envelope.key, outcome))


class Session(RuleBasedStateMachine):
    """A session between a load that hesitates, a line that clogs and a server that says anything, in pieces, and hangs up."""

    @initialize(pipelining=st.booleans())
    def opened(self, pipelining):
        self.loop = asyncio.new_event_loop()
        opened = Opened(esmtp_extensions={"pipelining": ""} if pipelining else {})
        self.line = opened.transport
        self.to_answer, self.listening, self.on_the_wire, self.accepted = [], False, [], set()
        self.words = b""

        async def begin():
            self.load = Fickle()
            self.task = asyncio.create_task(Connection(opened, PATIENT).carry(self.load, envelope(1)))

        self.loop.run_until_complete(begin())
        self.breathe()

    def breathe(self):
        """Let the loop do what is due, and listen to what was said meanwhile."""
        for _ in range(4):
            self.loop.run_until_complete(asyncio.sleep(0))
        *lines, self.words = (self.words + self.line.taken()).split(b"\r\n")
        for line in lines:
            if not self.listening:
                self.to_answer.append(line[:4])
            elif line == b".":
                self.listening = False
                self.to_answer.append(b"message" if self.heard else b"lone dot")
            elif line.startswith(b"Subject"):
                self.heard = int(line.split()[1])
                self.on_the_wire.append(self.heard)

    @property
    def alive(self):
        return not self.line.is_closing() and not self.task.done()

    @precondition(lambda self: self.alive and self.to_answer)
    @rule(farewell=st.sampled_from([b""] * 5 + [b"421 bye\r\n", b"what?\r\n"]))
    def answer_all_well_at_once(self, farewell):
        words = b""
        while self.to_answer and not self.listening:
            words += self.answered(b"250") + b" well\r\n"
        self.hear(words + farewell)

    @precondition(lambda self: self.alive and self.to_answer)
    @rule(
        code=st.sampled_from([b"250"] * 9 + [b"451", b"550", b"421"]), lines=st.integers(1, 2), cut=st.integers(0, 12)
    )
    def answer(self, code, lines, cut):
        code = self.answered(code)
        words = (code + b"-well\r\n") * (lines - 1) + code + b" well\r\n"
        self.hear(words[:cut])
        self.hear(words[cut:])

    def answered(self, code):
        """Return the code of the next answer, and remember what it means."""
        what = self.to_answer.pop(0)
        if what == b"message" and code == b"250":
            self.accepted.add(self.heard)
        if what == b"DATA" and code == b"250":
            code, self.listening, self.heard = b"354", True, None
        return code

    def hear(self, words):
        if words and self.alive:
            self.loop.call_soon(self.line.say, words)
            self.breathe()

    @rule(mood=st.sampled_from([True, False, None, None, None]))
    def change_mood(self, mood):
        self.load.mood = mood

    @precondition(lambda self: self.alive and self.load.asked is not None)
    @rule(may=st.booleans(), death=st.sampled_from([None, None, "before", "behind"]))
    def decide(self, may, death):
        if death == "before":
            self.loop.call_soon(self.line.die)
        asked = self.load.asked
        self.loop.call_soon(lambda: asked.done() or asked.set_result(may))
        if death == "behind":
            self.loop.call_soon(lambda: self.alive and self.line.die())
        self.breathe()

    @precondition(lambda self: self.alive)
    @rule(clogged=st.booleans())
    def clog(self, clogged):
        self.loop.call_soon(self.line.clog if clogged else self.line.free)
        self.breathe()

    @precondition(lambda self: self.alive and len(self.load.drawn) > 3)
    @rule(how=st.sampled_from(["dies", "interrupted", "noise"]))
    def end(self, how):
        self.finish(how)

    def finish(self, how):
        if how == "interrupted":
            self.task.cancel()
        else:
            self.loop.call_soon(*((self.line.die,) if how == "dies" else (self.line.say, b"what?\r\n")))
        self.breathe()

    @invariant()
    def the_books_are_true(self):
        if not hasattr(self, "task"):
            return
        keys = [key for key, _ in self.load.over]
        assert len(keys) == len(set(keys)), "told twice"
        told = {key: what for key, what in self.load.over if not isinstance(what, str)}
        assert {key for key, what in told.items() if isinstance(what, Accepted)} == self.accepted
        at_the_body = {key for key, what in told.items() if getattr(what, "stage", Stage.BODY) is Stage.BODY}
        assert at_the_body <= self.load.begun
        assert set(self.on_the_wire) == self.load.begun, "what may begin is on the wire, and nothing else"
        if self.task.done():
            assert set(keys) == self.load.drawn, "nobody is forgotten"
            assert at_the_body == self.load.begun

    def teardown(self):
        if not hasattr(self, "task"):
            return
        if not self.task.done():
            self.finish("dies")
        self.the_books_are_true()
        assert self.task.done()
        self.loop.close()


def session():
    return (
        Session()
    )  # not the class: to digest one, hypothesis parses this file, which CPython 3.11 may fail at (gh-106905)


def test_whatever_happens_the_books_are_true():
    """Whatever a server and a network do, in any order, each message is told once and rightly."""
    run_state_machine_as_test(session, settings=settings(max_examples=150, stateful_step_count=60, deadline=None))
