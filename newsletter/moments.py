"""Moments on their way from PostgreSQL, which knows some that no datetime holds: "infinity", the year 20,000, the Ides of March.

Whoever may write a column of time may write one of these, and psycopg reads no row with it: by one operator's `enrolled_at` the
pages' role kept every mail from the team.
"""

from datetime import UTC, datetime

import psycopg
from psycopg.abc import AdaptContext
from psycopg.adapt import Buffer, Loader

EARLIEST, LATEST = datetime(2, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, tzinfo=UTC)
"""From these a zone and a pause lead to no moment that a datetime does not hold."""


class BoundedLoader(Loader):
    """Reads a moment as psycopg does, and what is before the earliest or after the latest as that."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        """Remember who reads it as a rule."""
        super().__init__(oid, context)
        self._usual = psycopg.adapters.get_loader(oid, self.format)(oid, context)  # type: ignore[misc]

    def load(self, data: Buffer) -> datetime:
        """Return the moment, aware."""
        try:
            found: datetime = self._usual.load(data)
        except psycopg.DataError:
            said = bytes(data)
            return EARLIEST if said.startswith(b"-") or said.endswith(b"BC") else LATEST
        return min(max(found, EARLIEST), LATEST)


def register(connection: psycopg.Connection[object]) -> None:
    """Have a connection read its moments so."""
    connection.adapters.register_loader("timestamptz", BoundedLoader)
