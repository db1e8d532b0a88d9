"""A digest that people can take, and a list that brings them in."""

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url, text

from newsletter.database import Database
from newsletter.subscribers import importing
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.importing import ImportReport, Terms
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.vault import Keyring, Vault
from tests.servers import Servers, Urls

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Lists:
    """Brings lists in and asks the tables what is there."""

    database: Database
    folder: Path
    digest_id: int

    def bring(self, csv: str | bytes, *, digest_id: int | None = None, **more: Any) -> ImportReport:
        """Import a CSV text."""
        data = csv if isinstance(csv, bytes) else csv.encode()
        return self.stream(io.BytesIO(data), digest_id=digest_id, **more)

    def stream(self, stream: Any, *, digest_id: int | None = None, **more: Any) -> ImportReport:
        """Import a CSV stream. `had_to`, `rhythm` … go to the terms, the rest to the import."""
        facts: dict[str, Any] = {
            "digest_id": digest_id or self.digest_id,
            "language": "en",
            "rhythm": Rhythm.WEEKLY,
            "basis": Basis.IMPORTED,
            "had_to": 0,
            "now": NOW,
            "overwrite": False,
            "vouched": True,
        }
        terms = Terms(**{name: more.pop(name, value) for name, value in facts.items()})
        evidence = more.pop("evidence", "paper forms")
        return importing.import_csv(self.database, stream, terms=terms, evidence=evidence, rejects=self.folder, **more)

    def ask(self, sql: str, **facts: Any) -> Any:
        """Return the rows of a question."""
        with self.database.transaction() as session:
            result = session.execute(text(sql), facts)
            return [tuple(row) for row in result] if result.returns_rows else result

    def one(self, sql: str, **facts: Any) -> Any:
        """Return the one value of a question."""
        ((value,),) = self.ask(sql, **facts)
        return value

    def digest(self, key: str, languages: str = "{en,fa}") -> int:
        """Make a digest; return its id."""
        sql = "INSERT INTO digest (key, name, languages) VALUES (:key, :key, CAST(:languages AS text[])) RETURNING id"
        return int(self.one(sql, key=key, languages=languages))

    def reader(self, number: int = 0) -> tuple[int, int]:
        """Return (subscriber, mailbox) of the reader who came in as the number-th."""
        return self.ask("SELECT id, mailbox_id FROM subscriber ORDER BY id OFFSET :n LIMIT 1", n=number)[0]  # type: ignore[no-any-return]


@pytest.fixture
def lists(database: Database, tmp_path: Path) -> Lists:
    """A database with one digest, "weekly"."""
    return begun(database, tmp_path / "rejects")


def begun(database: Database, folder: Path) -> Lists:
    """Make the digest of a fresh database."""
    made = Lists(database, folder, 0)
    return replace(made, digest_id=made.digest("weekly"))


@contextmanager
def for_many(servers: Servers, folder: Path) -> Iterator[tuple[Lists, Urls]]:
    """Make a database for more tests than one: what they bring in costs less than a database of their own for each."""
    with servers.database() as urls, closing(Database(urls.worker, Vault(Keyring.make()))) as database:
        yield begun(database, folder), urls


class Emptied:
    """A database that is lent to one test after another, each time as empty as at first but for the numbers of its rows."""

    def __init__(self, lists: Lists, owner: psycopg.Connection) -> None:
        self._lists, self._owner = lists, owner
        self._first = {table: self._rows(table) for table in self._filled()}

    @contextmanager
    def lent(self, folder: Path) -> Iterator[Lists]:
        """Lend it. folder: where the rejected rows of this test's lists go."""
        yield replace(self._lists, folder=folder)
        filled = self._filled()
        deletions = [sql.SQL("DELETE FROM {}").format(sql.Identifier(table)) for table in filled - self._first.keys()]
        # As a replica: no trigger keeps a record from going, no key asks for the order.
        self._owner.execute(sql.SQL("; ").join([sql.SQL("SET session_replication_role = replica"), *deletions]))
        for table, rows in self._first.items():
            assert self._rows(table) == rows, (
                f"the next test would find another {table}: this one needs its own database"
            )

    def _filled(self) -> set[str]:
        tables = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        return {name for (name,) in self._owner.execute(f"{tables} AND pg_relation_size(oid) > 0")}

    def _rows(self, table: str) -> list[Any]:
        return sorted(self._owner.execute(sql.SQL("TABLE {}").format(sql.Identifier(table))), key=str)


@pytest.fixture(scope="module")
def emptied(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emptied]:
    """A database with one digest, "weekly", for all tests of a file one after the other."""
    with for_many(servers, tmp_path_factory.mktemp("rejects")) as (lists, urls):
        url = make_url(urls.admin).set(drivername="postgresql").render_as_string(hide_password=False)
        with closing(psycopg.connect(url, autocommit=True)) as owner:
            yield Emptied(lists, owner)


@pytest.fixture
def reader(lists: Lists) -> tuple[int, int]:
    """(subscriber, mailbox) of Maryam, who takes the digest weekly."""
    lists.bring("email,name,language\nmaryam@example.org,Maryam,fa\n")
    return lists.reader()
