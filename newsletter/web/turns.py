"""Turns at what takes long: while a page waits for a worker it holds one of the threads that every other page needs too."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from newsletter.errors import NewsletterError
from newsletter.journeys.privacy import NotYet


class UnderWay(NewsletterError):
    """The same is being done for the same person."""

    status = 503

    def __init__(self) -> None:
        super().__init__("privacy.under-way")


class Turns:
    """Lets each person in once at a time, and a few altogether; whoever is not let in is told at once. Of one process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._served: set[int] = set()
        self._lock = Lock()

    @contextmanager
    def taken(self, whose: int) -> Iterator[None]:
        """Serve one person meanwhile. Raises UnderWay, NotYet."""
        with self._lock:
            if whose in self._served:
                raise UnderWay
            if len(self._served) >= self._most:
                raise NotYet
            self._served.add(whose)
        try:
            yield
        finally:
            with self._lock:
                self._served.discard(whose)
