"""The list leaves the house: one person with a code for few, two for many, a reason, a mail to everybody, and marks in the file."""

import csv
import os
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import IO

from newsletter import database, mailboxes
from newsletter.addresses import EmailAddress
from newsletter.composer.content import TeamContent
from newsletter.database import Session
from newsletter.errors import Conflict, Forbidden, Invalid
from newsletter.issues import digests
from newsletter.jobs import DELIVER
from newsletter.journeys import acting, team, unmasking
from newsletter.journeys.parts import Parts
from newsletter.ledger.mailings import Lane
from newsletter.operators import audit, people
from newsletter.operators.roles import May
from newsletter.operators.sessions import Factor
from newsletter.subscribers import listing
from newsletter.subscribers.listing import ExportView, Line

MAIL_KEEPS = timedelta(days=3)
LONGEST_REASON = 300
_AROUND = 20


class NoReason(Invalid):
    """Nobody takes the list out without saying what for, in a few words."""

    def __init__(self) -> None:
        super().__init__("export.no-reason", longest=LONGEST_REASON)


class NeedsAnother(Forbidden):
    """So many people are not taken out by one alone."""

    def __init__(self, export: int, people: int) -> None:
        super().__init__("export.needs-another", export=export, people=people)


class NotOneself(Forbidden):
    """Whoever asked for the list agrees to nothing, and nobody takes what another asked for."""

    def __init__(self, export: int) -> None:
        super().__init__("export.not-oneself", export=export)


class Over(Conflict):
    """It was taken already, or its hour is over."""

    def __init__(self, export: int) -> None:
        super().__init__("export.over", export=export)


class Unwritable(Conflict):
    """The list is written into a new file alone, and that could not be made."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__("export.unwritable", path=path, reason=why)


@dataclass(frozen=True, slots=True)
class Asked:
    """An export that waits. alone: its asker may take it by themselves. marked: a copy of it would say which one it is."""

    export: int
    people: int
    alone: bool
    marked: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """What was written."""

    export: int
    file: str
    people: int
    canaries: int


def ask(parts: Parts, *, by: int, reason: str, digest: str | None = None) -> Asked:
    """Write down that a data officer wants the list, and mail everybody where another must agree. Raises NotAllowed, NoReason."""
    reason = " ".join(reason.split())
    if not reason or len(reason) > LONGEST_REASON:
        raise NoReason
    parts.letterhead.require()
    with parts.database.transaction() as session:
        acting.require(session, by, May.PEOPLE)
        digest_id = digests.by_key(session, digest).id if digest else None
        now = database.now(session)
        count = listing.count(session, digest_id)
        number = listing.ask(session, by=by, digest_id=digest_id, reason=reason, people=count, now=now)
        alone = _alone(session, parts, count, by)
        audit.append(session, unmasking.ASKED, by=by, now=now, export=number, people=count, alone=alone)
        if not alone:
            _tell(session, parts, listing.get(session, number), "wanted", by=by)
    parts.nudger.nudge(DELIVER[Lane.TRANSACTIONAL])
    return Asked(number, count, alone, bool(parts.canaries))


def approve(parts: Parts, export: int, *, by: int, code: str) -> ExportView:
    """Agree, as another data officer, by the code of one's phone. Raises NotOneself, Over, WrongFactor, Locked, NotAllowed."""

    def before(session: Session) -> ExportView:
        found = listing.get(session, export)
        acting.require(session, by, May.PEOPLE)
        if found.asked_by == by:
            raise NotOneself(export)
        _in_time(session, found)
        return found

    def act(session: Session) -> ExportView:
        before(session)
        now = database.now(session)
        listing.approve(session, export, by=by, now=now)
        audit.append(session, "list.approved", by=by, now=now, export=export)
        return listing.get(session, export)

    return acting.by_factor(parts, by, Factor.TOTP, code, before=before, act=act)


def take(parts: Parts, export: int, path: str, *, by: int, code: str) -> Taken:
    """Write the list into a new file that only its owner can read, once, after everybody's mail is planned.

    Raises NotOneself, NeedsAnother, Over, Unwritable, WrongFactor, Locked, NotAllowed, NoSender.
    """
    parts.letterhead.require()

    def before(session: Session) -> ExportView:
        found = listing.get(session, export)
        acting.require(session, by, May.PEOPLE)
        if found.asked_by != by:
            raise NotOneself(export)
        _in_time(session, found)
        people_ = max(found.people, listing.count(session, found.digest_id))
        if found.approved_by is None and not _alone(session, parts, people_, by):
            raise NeedsAnother(export, found.people)
        return found

    def act(session: Session) -> ExportView:
        found = before(session)
        now = database.now(session)
        listing.take(session, export, now=now)
        _tell(session, parts, found, "taken", by=by)
        audit.append(session, "list.taken", by=by, now=now, export=export, approved_by=found.approved_by)
        return found

    with _new(path) as file:
        # Committed before a line is written: nobody has the file without the others being told.
        found = acting.by_factor(parts, by, Factor.TOTP, code, before=before, act=act)
        parts.nudger.nudge(DELIVER[Lane.TRANSACTIONAL])
        people_, canaries = _write(parts, found, file)
    return Taken(export, path, people_, canaries)


def _alone(session: Session, parts: Parts, people_: int, by: int) -> bool:
    """Whether somebody may take so many by themselves, after what they were shown and took alone lately: a long list in parts."""
    now = database.now(session)
    lately = unmasking.count(session, by, now=now) + listing.taken_alone(session, by, now=now)
    return people_ + lately <= parts.export_alone


def _in_time(session: Session, found: ExportView) -> None:
    if found.taken_at is not None or database.now(session) - found.since > listing.GOOD_FOR:
        raise Over(found.id)


@contextmanager
def _new(path: str) -> Iterator[IO[str]]:
    """Make a file that was not there, 0600; it goes again where nothing is written into it."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Unwritable(path, error.strerror or type(error).__name__) from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise


def _write(parts: Parts, found: ExportView, file: IO[str]) -> tuple[int, int]:
    """Write everybody, and our own addresses marked for this one export; return how many of both."""
    out, written = csv.writer(file), 0
    out.writerow(listing.COLUMNS)
    with parts.database.transaction() as session:
        boxes = {one: mailboxes.find(session, one) for one in parts.canaries}
        there = listing.holds(session, found.digest_id, [box for box in boxes.values() if box])
        ours = {box: one for one, box in boxes.items() if box and box in there}
        strange = {
            listing.invented(parts.database.vault, found.id, one): one for one in boxes if boxes[one] not in there
        }
        held: list[Line] = []
        for batch in listing.lines(session, found.digest_id):
            out.writerows(astuple(line) for line in held)
            held = _marked(parts, found.id, batch, ours)
            written += len(held)
            for reference in [one for one in strange if one < held[-1].reference]:
                _hide(parts, found.id, held, reference, strange.pop(reference))
        for reference, canary in strange.items() if held else ():
            _hide(parts, found.id, held, reference, canary)
        out.writerows(astuple(line) for line in held)
    return written, len(parts.canaries)


def _marked(parts: Parts, export: int, batch: list[tuple[int, Line]], ours: Mapping[int, EmailAddress]) -> list[Line]:
    lines = [line for _, line in batch]
    places = {place: ours[box] for place, (box, _) in enumerate(batch) if box in ours}
    for place, canary in places.items():
        known = replace(lines[place], email=listing.marked(parts.database.vault, export, canary).wire)
        # Not in the likeness of one another: two nameless lines side by side would both stand out.
        lines[place] = listing.alike(known, _near(lines, place, but=places))
    return lines


def _hide(parts: Parts, export: int, lines: list[Line], reference: str, canary: EmailAddress) -> None:
    """Put a line in that is nobody's, where it would stand by its reference and in the likeness of those around it."""
    place = bisect_left(lines, reference, key=lambda line: line.reference)
    email = listing.marked(parts.database.vault, export, canary).wire
    like = lines[min(place, len(lines) - 1)]
    line = replace(like, email=email, reference=reference, name="", postcode="")
    lines.insert(place, listing.alike(line, _near(lines, place)))


def _near(lines: list[Line], place: int, *, but: Collection[int] = ()) -> list[Line]:
    around = range(max(0, place - _AROUND), min(len(lines), place + _AROUND))
    return [lines[one] for one in around if one not in but]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an address of ours was seen. export None: in the list itself, or nowhere."""

    export: ExportView | None
    listed: bool


def whose(parts: Parts, written: str, *, by: int | None) -> Origin:
    """Return of which export an address is that turned up elsewhere. One audit row. Raises BadAddress, NotAllowed."""
    found = EmailAddress.parse(written)
    with parts.database.transaction() as session:
        who = acting.officer(session, by)
        taken = {one.id: one for one in listing.taken(session)}
        export = listing.came_from(session.vault, taken, parts.canaries, found)
        audit.append(session, "canary.looked-up", by=who, now=database.now(session), export=export)
    return Origin(taken.get(export or 0), any(one.normal == found.normal for one in parts.canaries))


def _tell(session: Session, parts: Parts, found: ExportView, what: str, *, by: int) -> None:
    """Mail every operator, in the transaction of what it tells."""
    everyone = people.active(session)
    name = people.by_id(session, by).name
    facts = {"export": found.id, "people": found.people, "who": name, "reason": found.reason}
    said = (f"{what}-text", f"{what}-otherwise", "marked" if parts.canaries else "unmarked")

    def write(language: str) -> TeamContent:
        return TeamContent(
            subject=team.say(f"list-{what}-subject", language, export=found.id),
            title=team.say(f"list-{what}-title", language),
            paragraphs=tuple(team.say(f"list-{one}", language, **facts) for one in said),
            code=f"newsletter subscribers export approve {found.id}" if what == "wanted" else "",
        )

    now = database.now(session)
    team.tell(session, parts, everyone, write, expires_at=now + MAIL_KEEPS, now=now)
