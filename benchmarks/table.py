"""How a figure is printed, and the median of several."""

from collections.abc import Callable
from statistics import median
from time import perf_counter


def row(what: str, figure: str) -> None:
    """Print one line of the table."""
    print(f"{what:<58} {figure:>26}", flush=True)


def seconds(act: Callable[[], object], *, times: int) -> float:
    """Return the median time of an act."""
    taken = []
    for _ in range(times):
        began = perf_counter()
        act()
        taken.append(perf_counter() - began)
    return median(taken)
