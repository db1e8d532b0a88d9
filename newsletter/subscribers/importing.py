"""A list of people comes in: streamed, sealed, written by COPY, in one transaction: all of it or nothing.

Batches of 10,000 rows are read, sealed and compared with what is there by a query or two; new people are copied into the
tables, so that a million rows need a minute and no more memory than ten thousand.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import text

from newsletter import mailboxes
from newsletter.database import Database, Session
from newsletter.errors import Invalid
from newsletter.models.consent import Basis, Consent
from newsletter.subscribers import consent, entries, references, tables
from newsletter.subscribers.entries import Index, Person, Reject
from newsletter.subscribers.rejects import Rejects, sweep
from newsletter.subscribers.subscriptions import Rhythm

BATCH = 10_000
FILLED = ("mailbox", "address_index", "subscriber", "consent_event", "subscription")
"""The tables an import fills."""


class NoEvidence(Invalid):
    """Nobody could show later why these people are written to."""

    def __init__(self) -> None:
        super().__init__("import.no-evidence")


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did. rejects: the file that names the rows not taken, or None; ignored: columns that say nothing to us."""

    read: int
    added: int
    changed: int
    unchanged: int
    rejected: int
    rejects: Path | None
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms the people of a list come in. had_to: the last cut of the digest and rhythm, 0 before the first."""

    digest_id: int
    language: str
    rhythm: Rhythm
    basis: Basis
    had_to: int
    now: datetime


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
    rejects    folder for the file that names the rows not taken (0600, removed after 24 h); a dry run writes it too

    The first row of an address counts; later ones are "unchanged". Raises tables.BadTable, tables.ImportBusy, NoEvidence,
    rejects.RejectsUnwritable.
    """
    if not evidence.strip():
        raise NoEvidence
    sweep(rejects)
    counts, refused = tables.Counts(), Rejects()
    table = tables.opened(stream, required=("email",), known=entries.COLUMNS)
    with database.transaction() as session:
        tables.claim(session)
        import_id = _open_run(session, terms, evidence)
        run = _Run(session, terms, import_id)
        for batch in _parsed(table.rows, session.vault.index):
            taken = run.take(batch)
            refused.add(taken.rejects)
            counts = counts.plus(**taken.counts(len(batch)))
            if progress:
                progress(counts.read)
        refused.store(session, import_id)
        session.execute(_CLOSE_RUN, {"id": import_id, **_columns(counts)})
        # Before the commit: a disk without room for the file means that nothing is imported.
        path = refused.write(rejects, import_id)
        if dry_run:
            session.rollback()
    return ImportReport(**_columns(counts), rejects=path, ignored=table.ignored)


def _columns(counts: tables.Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in ("read", "added", "changed", "unchanged", "rejected")}


def _parsed(rows: Iterable[tuple[int, dict[str, str]]], index: Index) -> Iterator[list[Person | Reject]]:
    source = iter(rows)
    while batch := [entries.read(number, values, index) for number, values in islice(source, BATCH)]:
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


@dataclass(slots=True)
class _Taken:
    """What became of one batch. `seen`: the readers it named."""

    added: int = 0
    changed: int = 0
    rejects: list[Reject] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)

    def counts(self, read: int) -> dict[str, int]:
        rejected = len(self.rejects)
        unchanged = read - self.added - self.changed - rejected
        return {
            "read": read,
            "added": self.added,
            "changed": self.changed,
            "unchanged": unchanged,
            "rejected": rejected,
        }


class _Seen:
    """Which readers the file has named already: one bit each, since their numbers are dense; 125 kB for a million."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def __contains__(self, number: int) -> bool:
        return number >> 3 < len(self._bits) and bool(self._bits[number >> 3] & 1 << (number & 7))

    def update(self, numbers: Sequence[int]) -> None:
        self._bits.extend(bytes(max(0, (max(numbers, default=0) >> 3) + 1 - len(self._bits))))
        for number in numbers:
            self._bits[number >> 3] |= 1 << (number & 7)


class _Run:
    """One import on its way through the batches."""

    def __init__(self, session: Session, terms: Terms, import_id: int) -> None:
        self._session, self._terms, self._import_id = session, terms, import_id
        self._seen = _Seen()

    def take(self, batch: list[Person | Reject]) -> _Taken:
        """Bring a batch in. Somebody may sign up meanwhile: then the batch is compared once more."""
        people: dict[bytes, Person] = {}
        rejects = []
        for found in batch:
            if isinstance(found, Reject):
                rejects.append(found)
            else:
                people.setdefault(found.key, found)
        taken = mailboxes.retried(self._session, lambda: self._merge(people))
        self._seen.update(taken.seen)
        taken.rejects = rejects + taken.rejects
        return taken

    def _merge(self, people: dict[bytes, Person]) -> _Taken:
        boxes = mailboxes.find_all(self._session, [person.keys for person in people.values()])
        taken = _Taken()
        newcomers, joining = self._compare([(people[key], box) for key, box in boxes.items()], taken)
        fresh = [person for key, person in people.items() if key not in boxes]
        made = mailboxes.make_all(self._session, [(person.address, person.keys) for person in fresh]) if fresh else ()
        newcomers += zip(fresh, made, strict=True)
        added = self._add(newcomers)
        self._permit(joining + added)
        taken.added = len(newcomers)
        taken.seen += added
        return taken

    def _compare(self, pairs: list[tuple[Person, int]], taken: _Taken) -> tuple[list[tuple[Person, int]], list[int]]:
        """Bring what is known up to date; return (people of a known mailbox who are nobody's reader, readers who join)."""
        known = {person_box[1]: person_box[0] for person_box in pairs}
        facts = {"boxes": list(known), "digest": self._terms.digest_id, "purposes": self._purposes}
        nameless, joining, updates = [], [], []
        for row in self._session.execute(_KNOWN, facts) if known else ():
            person = known[row.mailbox_id]
            if row.suppressed or row.withdrawn:
                reason = "on the do-not-mail list" if row.suppressed else "has unsubscribed"
                taken.rejects.append(Reject(person.row, "email", reason))
            elif row.subscriber_id is None:
                nameless.append((person, row.mailbox_id))
            elif row.subscriber_id not in self._seen:
                update = _difference(self._session, person, row)
                updates += [update] if update else []
                joining += [] if row.subscribed else [row.subscriber_id]
                taken.changed += bool(update or not row.subscribed)
                taken.seen.append(row.subscriber_id)
        if updates:
            columns = zip(*updates, strict=True)
            self._session.execute(_UPDATE, dict(zip(_UPDATED, map(list, columns), strict=True)))
        return nameless, joining

    @property
    def _purposes(self) -> list[str]:
        return [consent.of_digest(self._terms.digest_id), consent.EVERYTHING]

    def _add(self, newcomers: list[tuple[Person, int]]) -> list[int]:
        """Copy new readers into their table; return their numbers."""
        if not newcomers:
            return []
        ids = _numbers(self._session, "subscriber", len(newcomers))
        drawn = references.fresh(self._session, len(newcomers))
        seal, terms = self._session.vault.seal, self._terms
        rows = (
            (
                number,
                box,
                reference,
                seal("subscriber", "name", number, person.name) if person.name else None,
                seal("subscriber", "postcode", number, person.postcode) if person.postcode else None,
                person.language or terms.language,
                person.time_zone or "UTC",
                terms.now,
            )
            for number, reference, (person, box) in zip(ids, drawn, newcomers, strict=True)
        )
        target = "subscriber (id, mailbox_id, reference, name_sealed, postcode_sealed, language, time_zone, created_at)"
        types = ("int8", "int8", "text", "bytea", "bytea", "text", "text", "timestamptz")
        mailboxes.copy_rows(self._session, target, types, rows)
        return ids

    def _permit(self, subscribers: list[int]) -> None:
        """Record the permission of each and open the subscription that rests on it."""
        if not subscribers:
            return
        session, terms = self._session, self._terms
        facts = (str(Consent.GRANTED), str(terms.basis), consent.of_digest(terms.digest_id), self._import_id, terms.now)
        granted = list(zip(_numbers(session, "consent_event", len(subscribers)), subscribers, strict=True))
        mailboxes.copy_rows(
            session,
            "consent_event (id, subscriber_id, kind, basis, purpose, import_id, at)",
            ("int8", "int8", "text", "text", "text", "int8", "timestamptz"),
            ((*pair, *facts) for pair in granted),
        )
        rhythm = str(terms.rhythm)
        mailboxes.copy_rows(
            session,
            "subscription (subscriber_id, digest_id, rhythm, had_to, granted_by, started_at)",
            ("int8", "int8", "text", "int8", "int8", "timestamptz"),
            ((number, terms.digest_id, rhythm, terms.had_to, event, terms.now) for event, number in granted),
        )


def _difference(session: Session, person: Person, row: Any) -> tuple[Any, ...] | None:
    """Return what the file says otherwise than the record (as in _UPDATED); None when it says nothing new."""
    vault, number = session.vault, row.subscriber_id
    known = {
        name: vault.unseal("subscriber", name, number, sealed) if sealed else ""
        for name, sealed in (("name", row.name_sealed), ("postcode", row.postcode_sealed))
    }
    known |= {"language": row.language, "time_zone": row.time_zone}
    said = {name: getattr(person, name) for name in known}
    if row.nameless:
        said["name"] = ""
    if all(not value or value == known[name] for name, value in said.items()):
        return None
    merged = {name: value or known[name] for name, value in said.items()}
    name, postcode = (
        vault.seal("subscriber", column, number, merged[column]) if merged[column] else None
        for column in ("name", "postcode")
    )
    return number, name, postcode, merged["language"], merged["time_zone"]


# Withdrawn: the last word they said about this digest, or about everything, was no.
# Aggregates, each one look-up by index: an EXISTS the planner may turn into a hash of everybody, again for each batch, and
# ORDER BY … LIMIT 1 into a walk backwards through all events, while tables just filled have no statistics.
_KNOWN = text("""
    SELECT known.mailbox_id, s.id AS subscriber_id, s.name_sealed, s.postcode_sealed, s.nameless, s.language, s.time_zone,
        (SELECT count(*) FROM suppression p WHERE p.mailbox_id = known.mailbox_id AND p.lifted_at IS NULL) > 0 AS suppressed,
        (SELECT count(*) FROM subscription l WHERE l.subscriber_id = s.id AND l.digest_id = :digest
            AND l.ended_at IS NULL) > 0 AS subscribed,
        coalesce((SELECT (array_agg(e.kind ORDER BY e.id DESC))[1] = 'withdrawn' FROM consent_event e
            WHERE e.subscriber_id = s.id AND e.purpose = ANY (CAST(:purposes AS text[]))), false) AS withdrawn
    FROM unnest(CAST(:boxes AS bigint[])) AS known (mailbox_id)
    LEFT JOIN subscriber s ON s.mailbox_id = known.mailbox_id
""")
_UPDATED = ("ids", "names", "postcodes", "languages", "zones")
_UPDATE = text("""
    UPDATE subscriber s
    SET name_sealed = u.name, postcode_sealed = u.postcode, language = u.language, time_zone = u.zone
    FROM unnest(CAST(:ids AS bigint[]), CAST(:names AS bytea[]), CAST(:postcodes AS bytea[]),
        CAST(:languages AS text[]), CAST(:zones AS text[])) AS u (id, name, postcode, language, zone)
    WHERE s.id = u.id
""")


def _numbers(session: Session, table: str, count: int) -> list[int]:
    """Return numbers for new rows: a seal is bound to its row, so the number comes first."""
    drawn = text("SELECT array_agg(nextval((SELECT pg_get_serial_sequence(:table, 'id')))) FROM generate_series(1, :n)")
    numbers: list[int] = session.execute(drawn, {"table": table, "n": count}).scalar_one()
    return numbers
