"""A list of people comes in: streamed, sealed, written by COPY, in one transaction: all of it or nothing.

Batches of 10,000 rows are read, sealed and compared with what is there by a query or two; new people are copied into the
tables, so that a million rows need a minute and no more memory than ten thousand. Who left elsewhere is barred before anybody
comes in.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import text

from newsletter import languages, mailboxes
from newsletter.database import Database, Session
from newsletter.errors import Invalid
from newsletter.models.consent import Basis
from newsletter.subscribers import (
    consent,
    entries,
    formats,
    grounds,
    luggage,
    meanwhile,
    overwriting,
    reach,
    references,
    suppression,
    tables,
    tagging,
    unproven,
)
from newsletter.subscribers.entries import Barred, Person, Reject, Seen
from newsletter.subscribers.formats import Format, Standing
from newsletter.subscribers.luggage import Luggage, Part
from newsletter.subscribers.reach import Reach
from newsletter.subscribers.rejects import Rejects, sweep
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.subscribers.tagging import Tags

BATCH = 10_000
FILLED = ("mailbox", "address_index", "subscriber", "consent_event", "subscription")
"""The tables an import fills."""
_TAGS_NAMED = 50


class NoEvidence(Invalid):
    """Nobody could show later why these people are written to."""

    def __init__(self) -> None:
        super().__init__("import.no-evidence")


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    suppressed  put on the do-not-mail list; they are in none of the other counts but `read`
    unproven    came in without evidence: nothing is sent to them before they say yes
    interests   topics that somebody reads of from now on
    altered     of the changed, people whose name, postcode, language or zone it wrote over; undoing it leaves these
    kept        people of whom it says another name, postcode, language or zone, which was not taken
    silent      were asked because of an earlier list, never answered, and are not asked again; of the rejected, or known readers
    rejects     the file that names the rows not taken, or None
    ignored     columns that say nothing to us
    strange     tags that are no topic of ours, by how many people have them; the most frequent ones
    """

    read: int
    added: int
    changed: int
    unchanged: int
    rejected: int
    rejects: Path | None
    ignored: tuple[str, ...] = ()
    number: int = 0
    suppressed: int = 0
    unproven: int = 0
    interests: int = 0
    altered: int = 0
    kept: int = 0
    silent: int = 0
    also: int = 0
    strange: Mapping[str, int] = field(default_factory=dict)
    reach: Reach | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms the people of a list come in.

    had_to    the last cut of the digest and rhythm, 0 before the first
    vouched   the operator's evidence holds for everybody; False: for those alone whose row shows when they asked
    tags      which tags become topics
    overwrite the list knows better than the record of a reader who is known; False: that is theirs, and stays
    """

    digest_id: int
    language: str
    rhythm: Rhythm
    basis: Basis
    had_to: int
    now: datetime
    vouched: bool = True
    tags: Tags = Tags.KNOWN
    overwrite: bool = False


def import_csv(database: Database, stream: BinaryIO, **more: Any) -> ImportReport:
    """Import the people of a CSV file that is open already, as `bring` does."""
    return bring(database, luggage.of_stream(stream), **more)


def bring(
    database: Database,
    brought: Luggage,
    *,
    terms: Terms,
    evidence: str,
    rejects: Path,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
    before_commit: Callable[[Session, ImportReport], None] = lambda _session, _report: None,
) -> ImportReport:
    """Import what was brought and return the counts. One transaction: all rows that can be taken, or none.

    before_commit   writes beside it what was done; a dry run takes that back as well
    evidence   where the permission can be shown; sealed and kept with the import. May be empty where rows show it themselves
    rejects    folder for the file that names the rows not taken (0600, removed after 24 h); a dry run writes it too

    The first row of an address counts; later ones are "unchanged". Raises tables.BadTable, tables.ImportBusy, NoEvidence,
    rejects.RejectsUnwritable.
    """
    if not evidence.strip() and (terms.vouched or not brought.proven):
        raise NoEvidence
    sweep(rejects)
    refused, unheard = Rejects(), meanwhile.begin(database)
    with database.transaction() as session:
        tables.claim(session)
        import_id = _open_run(session, terms, brought, evidence, unheard)
        run = _Run(session, terms, import_id, brought)
        asked_from = consent.asked_from(terms.basis)
        read = partial(entries.read, index=session.vault.index, lenient=brought.lenient, asked_from=asked_from)
        for part, barring in _turns(brought):
            for batch in _parsed(part, brought.kind, barring, read):
                refused.add(replace(one, part=part.name) if part.name else one for one in run.take(batch))
                if progress:
                    progress(run.counts.read)
        refused.store(session, import_id)
        report = run.report(ignored=_ignored(brought))
        session.execute(_CLOSE_RUN, {"id": import_id, **_columns(report)})
        # Before the commit: a disk without room for the file means that nothing is imported.
        path = refused.write(rejects, import_id)
        before_commit(session, report)
        if dry_run:
            session.rollback()
    if not dry_run:
        meanwhile.settle(database, import_id)
    return replace(report, rejects=path)


def _columns(report: ImportReport) -> dict[str, Any]:
    names = ("read", "added", "changed", "unchanged", "rejected", "suppressed", "unproven", "altered", "silent")
    return {name: getattr(report, name) for name in names} | {"reach": json.dumps(reach.as_data(report.reach))}


def _ignored(brought: Luggage) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in brought.parts for name in part.headings.ignored))


def _turns(brought: Luggage) -> Iterator[tuple[Part, bool]]:
    """Yield what is read, in order, and whether for those who left: first all of them, then who comes in."""
    for part in brought.parts:
        if part.standing is not Standing.SUBSCRIBED:
            yield part, True
    for part in brought.parts:
        if part.standing in (None, Standing.SUBSCRIBED):
            yield part, False


Found = Person | Barred | Reject


def _parsed(part: Part, kind: Format, barring: bool, read: Callable[..., Found]) -> Iterator[list[Found]]:
    source = _read(part, kind, barring, read)
    while batch := list(islice(source, BATCH)):
        yield batch


def _read(part: Part, kind: Format, barring: bool, read: Callable[..., Found]) -> Iterator[Found]:
    for number, values in part.open():
        said = part.standing or formats.standing(values, kind)
        if (said is not Standing.SUBSCRIBED) is not barring:
            continue
        yield entries.left(number, values, said) if barring else read(number, values)


def _open_run(session: Session, terms: Terms, brought: Luggage, evidence: str, unheard: int) -> int:
    import_id: int = session.execute(text("SELECT nextval(pg_get_serial_sequence('import_run', 'id'))")).scalar_one()
    said = evidence if evidence.strip() else f"the times of asking and confirming in the export ({brought.kind})"
    sealed = session.vault.seal("import_run", "evidence", import_id, said)
    facts = {"id": import_id, "sealed": sealed, "basis": terms.basis, "digest": terms.digest_id, "now": terms.now}
    session.execute(_OPEN_RUN, facts | {"source": brought.kind, "unheard": unheard})
    return import_id


_OPEN_RUN = text("""
    INSERT INTO import_run (id, evidence_sealed, basis, digest_id, at, source, unheard_after) OVERRIDING SYSTEM VALUE
    VALUES (:id, :sealed, :basis, :digest, :now, :source, :unheard)
""")
_CLOSE_RUN = text("""
    UPDATE import_run SET read = :read, added = :added, changed = :changed, unchanged = :unchanged, rejected = :rejected,
        suppressed = :suppressed, unproven = :unproven, altered = :altered, silent = :silent,
        reach = CAST(:reach AS jsonb)
    WHERE id = :id
""")


@dataclass(slots=True)
class _Taken:
    """What became of one batch. seen, named: its readers; new: those it made; changed: others of whom anything is new.

    subscribed  of its readers, those who take the digest already; also: those of them of whom its proof is kept besides
    altered   of the changed, those whose record it overwrote; kept: those whose record it did not
    silent    those who were asked before and are not asked again
    """

    added: int = 0
    unproven: int = 0
    altered: int = 0
    kept: int = 0
    silent: int = 0
    also: int = 0
    changed: set[int] = field(default_factory=set)
    rejects: list[Reject] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    named: list["Pair"] = field(default_factory=list)
    subscribed: list["Pair"] = field(default_factory=list)
    new: set[int] = field(default_factory=set)
    interests: int = 0
    strange: Counter[str] = field(default_factory=Counter)


Pair = tuple[int, Person]


class _Run:
    """One import on its way through the batches."""

    def __init__(self, session: Session, terms: Terms, import_id: int, brought: Luggage) -> None:
        self._session, self._terms, self._import_id = session, terms, import_id
        self._source = str(brought.kind)
        self._seen = Seen()
        self._tagging = tagging.Tagging(session, terms.tags, import_id=import_id, basis=terms.basis, now=terms.now)
        self.counts = tables.Counts()
        self._suppressed = self._unproven = self._interests = self._altered = self._kept = self._silent = self._also = 0
        self._strange = Counter[str]()

    def report(self, *, ignored: tuple[str, ...]) -> ImportReport:
        """Return what was done, with how many may be mailed now: whoever left meanwhile may not."""
        tables.count_freely(self._session)
        meanwhile.heed(self._session, self._import_id, now=self._terms.now)
        counts = self.counts
        return ImportReport(
            read=counts.read,
            added=counts.added,
            changed=counts.changed,
            unchanged=counts.unchanged,
            rejected=counts.rejected,
            rejects=None,
            ignored=ignored,
            number=self._import_id,
            suppressed=self._suppressed,
            unproven=self._unproven,
            interests=self._interests,
            altered=self._altered,
            kept=self._kept,
            silent=self._silent,
            also=self._also,
            strange=dict(self._strange.most_common(_TAGS_NAMED)),
            reach=reach.now(self._session),
        )

    def take(self, batch: list[Found]) -> list[Reject]:
        """Bring a batch in; return the rows that cannot be taken. Somebody may sign up meanwhile: then it is compared once more."""
        people: dict[bytes, Person] = {}
        rejects, barred = list[Reject](), list[Barred]()
        for found in batch:
            if isinstance(found, Person):
                people.setdefault(found.key, found)
            elif isinstance(found, Reject):
                rejects.append(found)
            else:
                barred.append(found)
        suppressed = self._bar(barred) if barred else 0
        taken = mailboxes.retried(self._session, lambda: self._merge(people)) if people else _Taken()
        self._tag(taken)
        self._seen.update(taken.seen)
        rejects += taken.rejects
        self._count(len(batch), taken, suppressed, len(rejects))
        return rejects

    def _count(self, read: int, taken: _Taken, suppressed: int, rejected: int) -> None:
        changed = len(taken.changed)
        self.counts = self.counts.plus(
            read=read,
            added=taken.added,
            changed=changed,
            unchanged=read - taken.added - changed - suppressed - rejected,
            rejected=rejected,
        )
        self._suppressed += suppressed
        self._unproven += taken.unproven
        self._interests += taken.interests
        self._altered += taken.altered
        self._kept += taken.kept
        self._silent += taken.silent
        self._also += taken.also
        self._strange += taken.strange

    def _bar(self, barred: list[Barred]) -> int:
        words = [suppression.Brought(one.address, formats.SUPPRESSED[one.standing], one.at) for one in barred]
        return suppression.bring(self._session, words, import_id=self._import_id, now=self._terms.now)

    def _merge(self, people: dict[bytes, Person]) -> _Taken:
        boxes = mailboxes.find_all(self._session, [person.keys for person in people.values()])
        taken = _Taken()
        newcomers, joining, known = self._compare([(people[key], box) for key, box in boxes.items()], taken)
        fresh = [person for key, person in people.items() if key not in boxes]
        made = mailboxes.make_all(self._session, [(person.address, person.keys) for person in fresh]) if fresh else ()
        mailboxes.revive_all(self._session, [(box, person.address) for person, box in newcomers])
        newcomers += zip(fresh, made, strict=True)
        added = self._add(newcomers)
        self._permit(joining + added, taken)
        self._stand_by(taken.subscribed, taken)
        taken.named, taken.new = known + added, {number for number, _ in added}
        taken.added = len(newcomers)
        taken.seen += [number for number, _ in added]
        return taken

    def _compare(
        self, pairs: list[tuple[Person, int]], taken: _Taken
    ) -> tuple[list[tuple[Person, int]], list[Pair], list[Pair]]:
        """Bring what is known up to date.

        Return (people of a known mailbox who are nobody's reader, readers who join, all readers the batch names).
        """
        known = {person_box[1]: person_box[0] for person_box in pairs}
        facts = {"boxes": list(known), "digest": self._terms.digest_id, "purposes": self._purposes}
        nameless, joining, named, updates = [], list[Pair](), list[Pair](), []
        for row in self._session.execute(_KNOWN, facts) if known else ():
            person = known[row.mailbox_id]
            if row.suppressed or row.withdrawn:
                reason = "on the do-not-mail list" if row.suppressed else "has unsubscribed"
                taken.rejects.append(Reject(person.row, "email", reason))
            elif row.subscriber_id is None and row.silent and not self._proven(person):
                taken.silent += 1
                taken.rejects.append(Reject(person.row, "email", "was asked before and did not answer"))
            elif row.subscriber_id is None:
                nameless.append((person, row.mailbox_id))
            elif row.subscriber_id not in self._seen:
                if update := overwriting.difference(self._session, person, row):
                    updates.append(update)
                silent = row.silent and not row.subscribed and not self._proven(person)
                taken.silent += silent
                taken.subscribed += [(row.subscriber_id, person)] if row.subscribed else []
                joining += [] if row.subscribed or silent else [(row.subscriber_id, person)]
                named.append((row.subscriber_id, person))
                taken.seen.append(row.subscriber_id)
        if self._terms.overwrite:
            taken.altered = len(updates)
            taken.changed |= overwriting.apply(self._session, updates)
        else:
            taken.kept = len(updates)
        return nameless, joining, named

    @property
    def _purposes(self) -> list[str]:
        return [consent.of_digest(self._terms.digest_id), consent.EVERYTHING]

    def _proven(self, person: Person) -> bool:
        """A time that lies ahead is a mistake, and shows nothing."""
        return self._terms.vouched or (person.since is not None and person.since <= self._terms.now)

    def _since(self, person: Person) -> datetime:
        return min(person.since or self._terms.now, self._terms.now)

    def _add(self, newcomers: list[tuple[Person, int]]) -> list[Pair]:
        """Copy new readers into their table; return their numbers."""
        if not newcomers:
            return []
        ids = grounds.numbers(self._session, "subscriber", len(newcomers))
        drawn = references.fresh(self._session, len(newcomers))
        seal, terms = self._session.vault.seal, self._terms
        rows = (
            (
                number,
                box,
                reference,
                seal("subscriber", "name", number, person.name) if person.name else None,
                seal("subscriber", "postcode", number, person.postcode) if person.postcode else None,
                person.language or languages.canonical(terms.language),
                person.time_zone or "UTC",
                person.area or None,
                self._since(person),
            )
            for number, reference, (person, box) in zip(ids, drawn, newcomers, strict=True)
        )
        said = "name_sealed, postcode_sealed, language, time_zone, area, created_at"
        types = ("int8", "int8", "text", "bytea", "bytea", "text", "text", "text", "timestamptz")
        mailboxes.copy_rows(self._session, f"subscriber (id, mailbox_id, reference, {said})", types, rows)
        return list(zip(ids, (person for person, _ in newcomers), strict=True))

    def _permit(self, joining: list[Pair], taken: _Taken) -> None:
        """Record the permission of each and open the subscription that rests on it; who has none to show waits for a question."""
        proven = [pair for pair in joining if self._proven(pair[1])]
        if len(proven) < len(joining):
            self._wait([pair for pair in joining if not self._proven(pair[1])], taken)
        if not proven:
            return
        session, terms = self._session, self._terms
        events = self._grant(proven)
        rhythm = str(terms.rhythm)
        mailboxes.copy_rows(
            session,
            "subscription (subscriber_id, digest_id, rhythm, had_to, granted_by, started_at)",
            ("int8", "int8", "text", "int8", "int8", "timestamptz"),
            (
                (number, terms.digest_id, rhythm, terms.had_to, event, self._since(person))
                for event, (number, person) in zip(events, proven, strict=True)
            ),
        )
        taken.changed.update(number for number, _ in proven)

    def _grant(self, proven: list[Pair]) -> list[int]:
        """Keep what the list shows of each, with its proof; return the events."""
        terms, readers = self._terms, [number for number, _ in proven]
        facts: dict[str, Any] = {"basis": terms.basis, "purpose": self._purposes[0], "import_id": self._import_id}
        events = grounds.grant(self._session, readers, now=terms.now, **facts)
        found = zip(events, (person.proof for _, person in proven), strict=True)
        consent.keep_details(
            self._session, ((event, {"source": self._source, **said}) for event, said in found if said)
        )
        return events

    def _stand_by(self, subscribed: list[Pair], taken: _Taken) -> None:
        """Keep what the list says of readers who take the digest already, so that it outlives the undoing of another."""
        proven = {number: person for number, person in subscribed if self._proven(person)}
        self._name(number for number, _ in subscribed if number not in proven)
        thin = grounds.thin(self._session, proven, purpose=self._purposes[0]) if proven else ()
        if thin:
            self._grant([(number, proven[number]) for number in sorted(thin)])
            taken.also = len(thin)

    def _wait(self, waiting: list[Pair], taken: _Taken) -> None:
        taken.unproven += len(waiting)
        taken.changed |= self._name(number for number, _ in waiting)

    def _name(self, readers: Iterable[int]) -> set[int]:
        return unproven.name(self._session, readers, digest_id=self._terms.digest_id, import_id=self._import_id)

    def _tag(self, taken: _Taken) -> None:
        """Give readers their topics, where it can be shown that they asked for mail. New readers are counted as added alone."""
        tagged = {number: person.tags for number, person in taken.named if person.tags and self._proven(person)}
        if tagged:
            chosen, taken.interests, taken.strange = self._tagging.give(tagged)
            taken.changed |= chosen
        taken.changed -= taken.new


# Aggregates, each one look-up by index: see `consent.said_no`.
_KNOWN = text(f"""
    SELECT known.mailbox_id, s.id AS subscriber_id, s.name_sealed, s.postcode_sealed, s.nameless, s.language, s.time_zone,
        (SELECT count(*) FROM suppression p WHERE p.mailbox_id = known.mailbox_id AND p.lifted_at IS NULL) > 0 AS suppressed,
        (SELECT count(*) FROM subscription l WHERE l.subscriber_id = s.id AND l.digest_id = :digest
            AND l.ended_at IS NULL) > 0 AS subscribed,
        (SELECT count(*) FROM stayed_silent u WHERE u.mailbox_id = known.mailbox_id) > 0 AS silent,
        {consent.said_no("s.id", "CAST(:purposes AS text[])")} AS withdrawn
    FROM unnest(CAST(:boxes AS bigint[])) AS known (mailbox_id)
    LEFT JOIN subscriber s ON s.mailbox_id = known.mailbox_id
""")  # noqa: S608
