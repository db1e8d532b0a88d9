"""How fast the wire is: so large is the next window made, and so much was too much where a refusal is about the pace."""

import time
from collections import deque

_SHORTEST = 0.05
"""A burst of milliseconds is no rate."""
_SECOND = 1.0


class Speed:
    """How many messages a second the wire has begun, told by the number that was begun before each window was asked for."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, int]] = deque()

    @property
    def known(self) -> bool:
        """Whether there was a step."""
        return bool(self._steps)

    def step(self, begun: int, *, now: float | None = None) -> float | None:
        """Return the rate since the last step, None at the first, and begin anew.

        begun   messages from the first on
        now     `time.monotonic()`, if it is not this moment
        """
        now = time.monotonic() if now is None else now
        rate = None
        if self._steps:
            at, before = self._steps[-1]
            rate = (begun - before) / max(_SHORTEST, now - at)
        self._steps.append((now, begun))
        while len(self._steps) > 1 and self._steps[1][0] <= now - _SECOND:
            self._steps.popleft()
        return rate

    def lately(self, begun: int, *, now: float | None = None) -> float:
        """Return the rate of the last second or a little more, however often windows were asked for in it.

        Where a budget is asked again and again most steps begin nothing, and the last of them says nothing of the pace. What was
        begun since then was begun in its window: an answer that is waited for does not make it slower.
        """
        if not self._steps:
            return 0.0
        now = time.monotonic() if now is None else now
        since, before = self._steps[0]
        until = min(now, self._steps[-1][0] + _SECOND)
        return (begun - before) / max(_SHORTEST, until - since)
