"""What a process makes once and keeps, however many threads ask for it first.

`functools.cache` lets all who come before it is made make it too: of a freshly started process of pages forty threads each read
every catalogue, and a crowd of 300 a second found it at that for ten seconds.
"""

from collections.abc import Callable
from functools import cache, wraps
from threading import RLock
from typing import ParamSpec, TypeVar, cast

Facts = ParamSpec("Facts")
Made = TypeVar("Made")


def once(make: Callable[Facts, Made]) -> Callable[Facts, Made]:
    """Keep what a function returns for the same hashable arguments; who comes while it is being made waits for it."""
    kept, making = cache(make), RLock()

    @cache
    @wraps(make)
    def waited_for(*facts: Facts.args, **named: Facts.kwargs) -> Made:
        with making:
            return kept(*facts, **named)  # type: ignore[arg-type]

    return cast(Callable[Facts, Made], waited_for)
