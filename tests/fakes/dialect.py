"""PostgreSQL as SQLAlchemy speaks it, with one memory for what it has worked out, however many databases a process opens.

Each test has a database of its own, and with it an engine that would compile each statement anew: a tenth of a suite's time. One
that runs for long, as those of a worker and of the pages do, compiles each once. This does so for all of a process.
"""

from typing import Any

from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import Engine

_COMPILED: dict[Any, Any] = {}


class OneForAll(PGDialect_psycopg):
    """Equal to any other: by its dialect a compiled statement is looked up."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return type(other) is OneForAll

    def __hash__(self) -> int:
        return hash(OneForAll)

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        """Give an engine what others have compiled."""
        engine.update_execution_options(compiled_cache=_COMPILED)
