"""A list of people comes in: streamed, sealed, written by COPY, in one transaction: all of it or nothing.

Batches of 10,000 rows are read, sealed and compared with what is there by one query each; new people are copied into the
tables, so that a million rows need a minute and no more memory than a thousand.
"""

import base64
import csv
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import available_timezones

from sqlalchemy import text

from newsletter.addresses import BadAddress, EmailAddress
from newsletter.database import Database, Session
from newsletter.models.consent import Basis, Consent
from newsletter.subscribers import tables
from newsletter.subscribers.subscriptions import Rhythm

COLUMNS = ("email", "name", "language", "time_zone", "postcode")
BATCH = 10_000
KEEP_REJECTS_SECONDS = 24 * 3600
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*").fullmatch
_POSTCODE = re.compile(r"[A-Za-z0-9 -]{2,12}").fullmatch
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]").search


Index = Callable[[str], list[tuple[int, bytes]]]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did. `rejects`: the file that names the rows not taken, or None."""

    read: int
    added: int
    changed: int
    unchanged: int
    rejected: int
    rejects: Path | None


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms the people of a list come in."""

    digest_id: int
    language: str
    rhythm: Rhythm
    basis: Basis
    had_to: int
    now: datetime


@dataclass(frozen=True, slots=True)
class Person:
    """A row that can be taken. Empty values say nothing; they never erase what is known."""

    row: int
    address: EmailAddress
    digests: list[tuple[int, bytes]]
    name: str
    language: str
    time_zone: str
    postcode: str

    @property
    def key(self) -> bytes:
        """The live digest of the address."""
        return self.digests[0][1]


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that cannot be taken: where and why, never what stood there."""

    row: int
    column: str
    reason: str


def import_csv(
    database: Database,
    stream: BinaryIO,
    *,
    terms: Terms,
    evidence: str,
    rejects: Path,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Import the people of a CSV file and return the counts. One transaction: all rows that can be taken, or none.

    evidence   where the permission can be shown; sealed and kept with the import
    rejects    folder for the file that names the rows not taken (0600, removed after 24 h)

    Raises tables.BadTable when the file has no column "email".
    """
    sweep_rejects(rejects)
    counts, refused = tables.Counts(), _Refused()
    with database.transaction() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(hashtext('subscribers.import'))"))
        import_id = _open_run(session, terms, evidence)
        run = _Run(session, terms, import_id, refused)
        for batch in _ahead(_parsed(tables.rows(stream, required=("email",), known=COLUMNS), session.vault.index)):
            counts = run.take(batch, counts)
            if progress:
                progress(counts.read)
        refused.store(session, import_id)
        session.execute(_CLOSE_RUN, {"id": import_id, **_columns(counts)})
        if dry_run:
            session.rollback()
    path = None if dry_run else refused.write(rejects, import_id)
    return ImportReport(**_columns(counts), rejects=path)


def _columns(counts: tables.Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in ("read", "added", "changed", "unchanged", "rejected")}


def _parsed(rows: Iterable[tuple[int, dict[str, str]]], index: Index) -> Iterator[list[Person | Reject]]:
    source = iter(rows)
    while batch := [read(number, values, index) for number, values in islice(source, BATCH)]:
        yield batch


def _ahead(batches: Iterator[list[Person | Reject]]) -> Iterator[list[Person | Reject]]:
    """Yield the batches while a thread parses the next one: the database takes half of the time, and waits for nobody."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch


def _open_run(session: Session, terms: Terms, evidence: str) -> int:
    import_id: int = session.execute(text("SELECT nextval(pg_get_serial_sequence('import_run', 'id'))")).scalar_one()
    sealed = session.vault.seal("import_run", "evidence", import_id, evidence)
    facts = {"id": import_id, "sealed": sealed, "basis": terms.basis, "digest": terms.digest_id, "now": terms.now}
    session.execute(_OPEN_RUN, facts)
    return import_id


_OPEN_RUN = text("""
    INSERT INTO import_run (id, evidence_sealed, basis, digest_id, at) OVERRIDING SYSTEM VALUE
    VALUES (:id, :sealed, :basis, :digest, :now)
""")
_CLOSE_RUN = text("""
    UPDATE import_run SET read = :read, added = :added, changed = :changed, unchanged = :unchanged, rejected = :rejected
    WHERE id = :id
""")


class _Run:
    """One import on its way through the batches."""

    def __init__(self, session: Session, terms: Terms, import_id: int, refused: "_Refused") -> None:
        self._session, self._terms, self._import_id, self._refused = session, terms, import_id, refused

    def take(self, batch: list[Person | Reject], counts: tables.Counts) -> tables.Counts:
        people: dict[bytes, Person] = {}
        repeated = 0
        for found in batch:
            if isinstance(found, Reject):
                self._refused.add(found)
            elif found.key in people:
                repeated += 1
            else:
                people[found.key] = found
        refused = len(batch) - repeated - len(people)
        known = {row.digest: row for row in self._known(people)}
        fresh = [person for key, person in people.items() if key not in known]
        self._add(fresh)
        changed, barred = self._compare([(people[bytes(key)], row) for key, row in known.items()])
        unchanged = repeated + len(known) - changed - barred
        return counts.plus(
            read=len(batch), added=len(fresh), changed=changed, unchanged=unchanged, rejected=refused + barred
        )

    def _known(self, people: dict[bytes, Person]) -> Iterator[Any]:
        key_id = next(iter(people.values())).digests[0][0] if people else 0
        facts = {"key": key_id, "digests": list(people), "digest": self._terms.digest_id}
        yield from self._session.execute(_KNOWN, facts)

    def _add(self, people: list[Person]) -> None:
        """Copy new people into the tables, with a permission and a subscription each."""
        if not people:
            return
        ids = self._session.execute(_NUMBERS, {"n": len(people)}).all()
        references = _references(self._session, len(people))
        seal, terms = self._session.vault.seal, self._terms
        domain_index = self._session.vault.domain_index
        copy = self._copy
        numbered = list(zip(people, ids, references, strict=True))
        copy(
            "mailbox (id, address_sealed, provider, domain_index)",
            ("int8", "bytea", "text", "bytea"),
            (
                (
                    i.mailbox,
                    seal("mailbox", "address", i.mailbox, p.address.wire),
                    p.address.provider,
                    domain_index(p.address.domain),
                )
                for p, i, _ in numbered
            ),
        )
        copy(
            "address_index (key_id, digest, mailbox_id)",
            ("int8", "bytea", "int8"),
            ((key_id, digest, i.mailbox) for p, i, _ in numbered for key_id, digest in p.digests),
        )
        copy(
            "subscriber (id, mailbox_id, reference, name_sealed, postcode_sealed, language, time_zone, created_at)",
            ("int8", "int8", "text", "bytea", "bytea", "text", "text", "timestamptz"),
            (
                (
                    i.subscriber,
                    i.mailbox,
                    reference,
                    seal("subscriber", "name", i.subscriber, p.name) if p.name else None,
                    seal("subscriber", "postcode", i.subscriber, p.postcode) if p.postcode else None,
                    p.language or terms.language,
                    p.time_zone or "UTC",
                    terms.now,
                )
                for p, i, reference in numbered
            ),
        )
        self._permit([(i.subscriber, i.event) for _, i, _ in numbered])

    def _permit(self, numbered: list[tuple[int, int]]) -> None:
        """Record the permission of each (subscriber, event) and open the subscription that rests on it."""
        terms, purpose = self._terms, f"digest:{self._terms.digest_id}"
        self._copy(
            "consent_event (id, subscriber_id, kind, basis, purpose, import_id, at)",
            ("int8", "int8", "text", "text", "text", "int8", "timestamptz"),
            (
                (event, subscriber, str(Consent.GRANTED), str(terms.basis), purpose, self._import_id, terms.now)
                for subscriber, event in numbered
            ),
        )
        self._copy(
            "subscription (subscriber_id, digest_id, rhythm, had_to, granted_by, started_at)",
            ("int8", "int8", "text", "int8", "int8", "timestamptz"),
            (
                (subscriber, terms.digest_id, str(terms.rhythm), terms.had_to, event, terms.now)
                for subscriber, event in numbered
            ),
        )

    def _copy(self, target: str, types: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
        raw: Any = self._session.connection().connection.driver_connection
        with raw.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)

    def _compare(self, pairs: list[tuple[Person, Any]]) -> tuple[int, int]:
        """Bring what is known up to date; return how many changed and how many may not be written to."""
        changed = barred = 0
        joining: list[Any] = []
        nameless: list[tuple[Person, Any]] = []
        updates: list[dict[str, Any]] = []
        for person, row in pairs:
            if row.suppressed or row.left_it:
                reason = "on the do-not-mail list" if row.suppressed else "has unsubscribed"
                self._refused.add(Reject(person.row, "email", reason))
                barred += 1
            elif row.subscriber_id is None:
                nameless.append((person, row))
                changed += 1
            else:
                update = self._difference(person, row)
                changed += bool(update or not row.subscribed)
                updates += [update] if update else []
                joining += [] if row.subscribed else [row.subscriber_id]
        if updates:
            self._session.execute(_UPDATE, updates)
        if nameless:
            joining += self._adopt(nameless)
        if joining:
            events = self._session.execute(_NUMBERS, {"n": len(joining)}).all()
            self._permit([(subscriber, i.event) for subscriber, i in zip(joining, events, strict=True)])
        return changed, barred

    def _adopt(self, pairs: list[tuple[Person, Any]]) -> list[int]:
        """Make a record for people whose mailbox was known and who were nobody's reader."""
        ids = self._session.execute(_NUMBERS, {"n": len(pairs)}).all()
        references = _references(self._session, len(pairs))
        rows = [
            {
                "id": i.subscriber,
                "mailbox": row.mailbox_id,
                "reference": reference,
                "name": self._session.vault.seal("subscriber", "name", i.subscriber, p.name) if p.name else None,
                "language": p.language or self._terms.language,
                "time_zone": p.time_zone or "UTC",
                "now": self._terms.now,
            }
            for (p, row), i, reference in zip(pairs, ids, references, strict=True)
        ]
        self._session.execute(_ADOPT, rows)
        return [i.subscriber for i in ids]

    def _difference(self, person: Person, row: Any) -> dict[str, Any] | None:
        """Return what the file says otherwise than the record; None when it says nothing new."""
        vault = self._session.vault
        known = {
            name: vault.unseal("subscriber", name, row.subscriber_id, sealed) if sealed else ""
            for name, sealed in (("name", row.name_sealed), ("postcode", row.postcode_sealed))
        }
        known |= {"language": row.language, "time_zone": row.time_zone}
        said = {name: getattr(person, name) for name in known}
        if all(not value or value == known[name] for name, value in said.items()):
            return None
        merged = {name: value or known[name] for name, value in said.items()}
        sealed = {
            name: vault.seal("subscriber", name, row.subscriber_id, merged[name]) if merged[name] else None
            for name in ("name", "postcode")
        }
        return merged | sealed | {"id": row.subscriber_id}


_KNOWN = text("""
    SELECT i.digest, i.mailbox_id, s.id AS subscriber_id, s.name_sealed, s.postcode_sealed, s.language, s.time_zone,
        EXISTS (SELECT FROM suppression p WHERE p.mailbox_id = i.mailbox_id AND p.lifted_at IS NULL) AS suppressed,
        EXISTS (SELECT FROM subscription l WHERE l.subscriber_id = s.id AND l.digest_id = :digest
            AND l.ended_at IS NULL) AS subscribed,
        EXISTS (SELECT FROM subscription e WHERE e.subscriber_id = s.id AND e.digest_id = :digest
            AND e.end_reason = 'unsubscribed') AND NOT EXISTS (
            SELECT FROM subscription l WHERE l.subscriber_id = s.id AND l.digest_id = :digest AND l.ended_at IS NULL
        ) AS left_it
    FROM unnest(CAST(:digests AS bytea[])) AS wanted(digest)
    JOIN address_index i ON i.key_id = :key AND i.digest = wanted.digest
    LEFT JOIN subscriber s ON s.mailbox_id = i.mailbox_id
""")
_NUMBERS = text("""
    SELECT nextval(pg_get_serial_sequence('mailbox', 'id')) AS mailbox,
        nextval(pg_get_serial_sequence('subscriber', 'id')) AS subscriber,
        nextval(pg_get_serial_sequence('consent_event', 'id')) AS event
    FROM generate_series(1, :n)
""")
_UPDATE = text("""
    UPDATE subscriber SET name_sealed = :name, postcode_sealed = :postcode, language = :language, time_zone = :time_zone
    WHERE id = :id
""")
_ADOPT = text("""
    INSERT INTO subscriber (id, mailbox_id, reference, name_sealed, language, time_zone, created_at) OVERRIDING SYSTEM VALUE
    VALUES (:id, :mailbox, :reference, :name, :language, :time_zone, :now)
""")


def read(number: int, values: dict[str, str], index: Index) -> Person | Reject:
    """Return the person of a row, or why it cannot be taken."""
    for column, value in values.items():
        if len(value) > 320 or (value and not value.isprintable() and _UNFIT(value)):
            return Reject(number, column, "holds characters that cannot be read, or is too long")
    try:
        address = EmailAddress.parse(values["email"])
    except BadAddress as error:
        return Reject(number, "email", _WHY.get(error.problem, "is no e-mail address"))
    language, zone, postcode = (values.get(name, "") for name in ("language", "time_zone", "postcode"))
    if language and not _LANGUAGE(language):
        return Reject(number, "language", "is no language tag such as en or fa")
    if zone and zone not in _zones():
        return Reject(number, "time_zone", "is no time zone such as Europe/London")
    if postcode and not _POSTCODE(postcode):
        return Reject(number, "postcode", "is no postcode")
    digests = index(address.normal)
    return Person(number, address, digests, values.get("name", ""), language, zone, postcode.upper())


_WHY = {"empty": "is empty", "too-long": "is too long", "domain": "has no valid mail domain after the @"}


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _references(session: Session, count: int) -> list[str]:
    """Return fresh references of eight letters and digits: 40 random bits each, none of them in use."""
    fresh: set[str] = set()
    while len(fresh) < count:
        drawn = {base64.b32encode(os.urandom(5)).decode("ascii") for _ in range(count - len(fresh))}
        used = session.execute(
            text("SELECT reference FROM subscriber WHERE reference = ANY (CAST(:drawn AS bpchar[]))"),
            {"drawn": list(drawn)},
        )
        fresh |= drawn - set(used.scalars())
    return list(fresh)


class _Refused:
    """The rows not taken; in memory the first 100,000, since a file of nothing else is no list."""

    LIMIT = 100_000

    def __init__(self) -> None:
        self._rejects: list[Reject] = []

    def add(self, reject: Reject) -> None:
        if len(self._rejects) < self.LIMIT:
            self._rejects.append(reject)

    def store(self, session: Session, import_id: int) -> None:
        if self._rejects:
            rows = [{"import": import_id, "row": r.row, "column": r.column, "reason": r.reason} for r in self._rejects]
            session.execute(_REJECT, rows)

    def write(self, folder: Path, import_id: int) -> Path | None:
        """Write the file for the operator: row, column and reason."""
        if not self._rejects:
            return None
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"import-{import_id}.csv"
        with open(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8", newline=""
        ) as file:
            writer = csv.writer(file)
            writer.writerow(("row", "column", "reason"))
            writer.writerows((reject.row, reject.column, reject.reason) for reject in self._rejects)
        return path


_REJECT = text(
    "INSERT INTO import_reject (import_id, row, column_name, reason) VALUES (:import, :row, :column, :reason)"
)


def sweep_rejects(folder: Path, *, now_seconds: float | None = None) -> int:
    """Remove reject files older than 24 hours; return how many."""
    limit = (time.time() if now_seconds is None else now_seconds) - KEEP_REJECTS_SECONDS
    removed = 0
    for path in folder.glob("import-*.csv") if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < limit:
                path.unlink()
                removed += 1
    return removed
