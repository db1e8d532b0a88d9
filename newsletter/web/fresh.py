"""Answers that are the same for everyone, kept for half a second: a page that all open at once asks the database twice a second.

No longer, because what is taken back must be gone from every page within the second.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from fastapi import Response

SECONDS = 0.5
MOST = 256


class Fresh:
    """The newest answers of one process. Not for answers that hold anything of a visitor: no cookie, no token, no form."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[Hashable, tuple[float, Response]] = OrderedDict()

    def get(self, key: Hashable) -> Response | None:
        """Return an answer that is fresh, or None. A copy: the guard dresses each."""
        at, answer = self._kept.get(key, (-SECONDS, None))
        if answer is None or self._clock() - at >= SECONDS:
            return None
        return Response(bytes(answer.body), answer.status_code, media_type=answer.headers["content-type"])

    def put(self, key: Hashable, answer: Response) -> None:
        """Keep an answer."""
        self._kept[key] = (self._clock(), answer)
        self._kept.move_to_end(key)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
