"""Cargoes of a pool: the simplest, and one that cannot make up its mind. And what one session sees of them."""

import asyncio
import random
from collections import Counter

from newsletter.relay.envelope import Envelope
from newsletter.relay.outcome import Accepted


class Batch:
    """Envelopes at hand, all of which may go but those that `begin` leaves out. Remembers what became of each by its key, and
    counts how often it was told.
    """

    def __init__(self, envelopes, *, begin=lambda _envelope: True, clear=lambda _envelope: True):
        self._envelopes = (envelope for envelope in envelopes if begin(envelope))
        self._again = []
        self.over = False
        self._clear = clear
        self.outcomes = {}
        self.told = []
        self.kept = []

    def draw(self):
        """Return one that was withheld, else the next one."""
        if self._again:
            return self._again.pop()
        drawn = next(self._envelopes, None)
        self.over = drawn is None
        return drawn

    async def more(self):
        """Nothing comes later."""
        return False

    def clear(self, envelope):
        """Return what the test says."""
        return self._clear(envelope)

    async def cleared(self, _envelope):
        """Whoever has to ask is let through."""
        return True

    def withheld(self, envelope):
        """Remember who was not begun, for another turn."""
        self.kept.append(envelope.key)
        self._again.append(envelope)
        self.over = False

    def done(self, envelope, outcome):
        """Remember what became of it."""
        self.outcomes[envelope.key] = outcome
        self.told.append(envelope.key)


class Hesitant(Batch):
    """By a seed lets a message begin, refuses it for now, or has to ask first and then says yes or no.

    begun     key → how often its message was allowed to begin
    in_hand   keys that were drawn, and neither told of nor withheld since
    said      what was said how often; "died asking": the session was over before there was an answer
    """

    def __init__(self, envelopes, *, seed):
        super().__init__(envelopes)
        self._dice = random.Random(seed)
        self.begun = Counter()
        self.in_hand = set()
        self.said = Counter()

    def draw(self):
        """Return one that was withheld, now and then, else the next one."""
        drawn = super().draw()
        if drawn is not None:
            assert drawn.key not in self.in_hand, "drawn twice"
            assert drawn.key not in self.outcomes, "drawn though it was told of"
            self.in_hand.add(drawn.key)
        return drawn

    def clear(self, envelope):
        """Say yes, mostly."""
        assert envelope.key in self.in_hand
        dice = self._dice.random()
        return self._let(envelope, "yes") if dice < 0.92 else self._let(envelope, "no") if dice < 0.94 else None

    async def cleared(self, envelope):
        """Think for some milliseconds; the session may not live to hear the answer."""
        try:
            await asyncio.sleep(self._dice.choice((0, 0.001, 0.005, 0.03)))
        except asyncio.CancelledError:
            self.said["died asking"] += 1
            raise
        return self._let(envelope, "yes, later" if self._dice.random() < 0.7 else "no, later")

    def _let(self, envelope, words):
        self.said[words] += 1
        may = words.startswith("yes")
        self.begun[envelope.key] += may
        return may

    def withheld(self, envelope):
        """Take it back, for another turn."""
        self.in_hand.remove(envelope.key)
        super().withheld(envelope)

    def done(self, envelope, outcome):
        """Remember what became of it."""
        self.in_hand.remove(envelope.key)
        super().done(envelope, outcome)


def envelope(key):
    """Return the envelope of a number."""
    return Envelope(key, f"b-{key}@bounces.example", f"reader{key}@example.org", b"Subject: %d\r\n\r\nbody\r\n" % key)


class Hands:
    """The load of one session: envelopes 1, 2, 3 … and a note of all that is asked and told, in order."""

    def __init__(self, *, clear=lambda _envelope: True, last=3):
        self.notes = []
        self.answer = asyncio.get_running_loop().create_future()
        self._clear = clear
        self._ahead = iter(range(2, last + 1))

    def draw(self):
        """Return the next one, while there is one."""
        key = next(self._ahead, None)
        return None if key is None else envelope(key)

    def clear(self, envelope):
        """Return what the test says."""
        self.notes.append(("may", envelope.key))
        return self._clear(envelope)

    async def cleared(self, envelope):
        """Wait for the test's answer."""
        try:
            return await self.answer
        except asyncio.CancelledError:
            self.notes.append(("not asked any more", envelope.key))
            raise

    def withheld(self, envelope):
        """Note it."""
        self.notes.append(("withheld", envelope.key))

    def back(self, envelope):
        """Note it."""
        self.notes.append(("back", envelope.key))

    def done(self, envelope, outcome, *, last):
        """Note it."""
        self.notes.append((type(outcome), outcome.stage if not isinstance(outcome, Accepted) else None, envelope.key))
