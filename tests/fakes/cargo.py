"""The simplest cargo of a pool: envelopes at hand, all of which may go but those that `begin` leaves out."""


class Batch:
    """Remembers what became of each envelope by its key, and counts how often it was told."""

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
