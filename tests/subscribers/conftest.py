"""A digest that people can take, and a list that brings them in."""

import io
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from newsletter.database import Database
from newsletter.subscribers import importing
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.importing import ImportReport, Terms
from newsletter.subscribers.subscriptions import Rhythm

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
    made = Lists(database, tmp_path / "rejects", 0)
    return Lists(database, tmp_path / "rejects", made.digest("weekly"))


@pytest.fixture
def reader(lists: Lists) -> tuple[int, int]:
    """(subscriber, mailbox) of Maryam, who takes the digest weekly."""
    lists.bring("email,name,language\nmaryam@example.org,Maryam,fa\n")
    return lists.reader()
