"""What those share who carry one shard through several relays at once."""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from newsletter.ledger.deliveries import Row


class Carries(Protocol):
    """One of those who carry a shard."""

    @property
    def kept(self) -> int:
        """How many were drawn and not begun."""

    @property
    def unwritten(self) -> int:
        """How many messages are out, or may be begun, of which nothing is written yet."""


class Load:
    """What is left of a shard, for all who carry it at once: each relay with a pace takes what it may begin, from the first on."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.ahead = deque(rows)
        self.carriers: list[Carries] = []

    @property
    def left(self) -> int:
        """How many nobody has begun: as told once all have come to their end."""
        return len(self.ahead) + sum(one.kept for one in self.carriers)

    @property
    def unwritten(self) -> int:
        """How many are out, or may be begun, of which nothing is written yet."""
        return sum(one.unwritten for one in self.carriers)

    def put_back(self, rows: Sequence[Row]) -> None:
        """Leave rows for another window, in the order of the shard."""
        left = sorted([*rows, *self.ahead], key=_position)
        self.ahead.clear()
        self.ahead.extend(left)


def _position(row: Row) -> int:
    return row.position
