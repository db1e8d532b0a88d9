"""The one database: engine, sessions that carry the vault, and the only clock.

Senders and doors ask `now` of PostgreSQL, so that machines whose clocks differ still agree on leases and cuts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import psycopg
import sqlalchemy
from psycopg import errors as refusals
from sqlalchemy import Engine, event, orm, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError, SQLAlchemyError

from newsletter import arrays, moments
from newsletter.errors import Conflict, NotFound
from newsletter.vault import Vault


class DatabaseUnreachable(NotFound):
    """No PostgreSQL answers where the settings say it is."""

    def __init__(self, where: str) -> None:
        super().__init__("database.unreachable", where=where)


class NotMigrated(Conflict):
    """The database has not the tables this version works with."""

    def __init__(self, where: str) -> None:
        super().__init__("database.not-migrated", where=where)


class DiskFull(Conflict):
    """PostgreSQL has no room left to write."""

    def __init__(self, where: str) -> None:
        super().__init__("database.disk-full", where=where)


_NAME = "newsletter "


class Session(orm.Session):
    """A session that carries the vault, so that SQL which stores personal data can seal it."""

    vault: Vault


class HeldUp(Exception):
    """Another transaction holds what this one wants for longer than it waits, or was faster by a moment: to be had again.

    cause   what stood in its way, with no value of any row: "lock", or the constraint's name
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


_HELD_UP = (refusals.LockNotAvailable, refusals.UniqueViolation, refusals.ForeignKeyViolation)


FAILURES = (DatabaseUnreachable, DiskFull, NotMigrated, SQLAlchemyError)
"""Whatever may keep somebody's wish from being written: away, full, being upgraded, read-only after a failover, or locked."""


PASSING = (DatabaseUnreachable, DiskFull, OperationalError)
"""What passes: it restarts, somebody makes room on its disk, another transaction lets go of its rows."""


def held_up(error: BaseException) -> bool:
    """Return whether something failed for rows alone that somebody else holds: all others can be had."""
    return isinstance(getattr(error, "orig", None) or error, (refusals.LockNotAvailable, refusals.DeadlockDetected))


def fails_all(error: BaseException) -> bool:
    """Return whether all else fails as well, as while the database is away; rows that somebody holds are one's own matter."""
    return isinstance(error, (*PASSING, NotMigrated)) and not held_up(error)


class Database:
    """An engine and the vault. Made once per process, after any fork."""

    def __init__(self, url: str, vault: Vault) -> None:
        self.vault = vault
        self.engine: Engine = sqlalchemy.create_engine(
            url,
            # One beyond the pool would be opened and closed for each transaction, just when there is least time for it.
            pool_size=15,
            max_overflow=0,
            pool_pre_ping=True,
            hide_parameters=True,  # what a statement that failed was about is nobody's business
            connect_args={
                "connect_timeout": 5,
                "options": "-c timezone=UTC -c lock_timeout=20s",
                # So that nobody makes a key live that some process does not know yet (`others`).
                "application_name": f"{_NAME}{vault.label}",
            },
        )
        event.listen(self.engine, "connect", _adapt)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Open a session, commit at the end, roll back on any error. Never hold one open while mail is on the wire."""
        with Session(self.engine, expire_on_commit=False) as session:
            session.vault = self.vault
            try:
                with session.begin():
                    yield session
            except OperationalError as error:
                if isinstance(error.orig, refusals.DiskFull):
                    raise DiskFull(where(self.engine)) from error
                if error.connection_invalidated or "connection" in str(error.orig).lower():
                    raise DatabaseUnreachable(where(self.engine)) from error
                raise
            except ProgrammingError as error:
                if isinstance(error.orig, refusals.UndefinedTable | refusals.UndefinedColumn):
                    raise NotMigrated(where(self.engine)) from error
                raise

    @contextmanager
    def impatient(self, milliseconds: int = 500) -> Iterator[Session]:
        """Open a session as `transaction` does that waits so long at most for what another holds. Raises HeldUp."""
        try:
            with self.transaction() as session:
                session.execute(text(f"SET LOCAL lock_timeout = {milliseconds:d}"))
                yield session
        except _HELD_UP as error:  # COPY goes past SQLAlchemy
            raise HeldUp(_cause(error)) from error
        except DBAPIError as error:
            if isinstance(error.orig, _HELD_UP):
                raise HeldUp(_cause(error.orig)) from error
            raise

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _adapt(connection: psycopg.Connection[Any], _record: object) -> None:
    arrays.register(connection)
    moments.register(connection)


def _cause(error: psycopg.Error) -> str:
    return error.diag.constraint_name or (
        "lock" if isinstance(error, refusals.LockNotAvailable) else type(error).__name__
    )


def now(session: orm.Session) -> datetime:
    """Return the database's time of this moment, aware, in UTC."""
    moment = cast(datetime, session.execute(text("SELECT clock_timestamp()")).scalar_one())
    return moment.astimezone(UTC)


def others(session: orm.Session) -> list[tuple[str, str]]:
    """Return (role, label of its vault) of every other connection of ours to this database."""
    query = text("""
        SELECT usename, application_name FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND starts_with(application_name, :name)
    """)
    found = session.execute(query, {"name": _NAME})
    return [(str(role), str(name).removeprefix(_NAME)) for role, name in found]


def refresh_statistics(session: orm.Session, *tables: str) -> None:
    """Let PostgreSQL look at tables that have just been filled: its plans are only as good as what it knows."""
    session.execute(text("SELECT refresh_statistics(:tables)"), {"tables": list(tables)})


def where(engine: Engine) -> str:
    """Return "host:port/name" of an engine: what an operator needs, without user or password."""
    return f"{engine.url.host}:{engine.url.port}/{engine.url.database}"


def ask(database: Database, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a question about the server itself (its version, its roles), never about data."""
    with database.transaction() as session:
        return [tuple(row) for row in session.execute(text(sql))]
