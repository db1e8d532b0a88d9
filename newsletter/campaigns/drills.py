"""Drills: what is known of the urgent lane by trying it, and the lamp that says so.

A drill's mail needs no second person, since it goes to nobody but the team. That it does is sealed with the row, by keys that no
database holds, and looked at by the worker (`delivery.vouching`): so the kind is no way round an approval.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from newsletter.composer.message import Compiled
from newsletter.database import Session
from newsletter.errors import Conflict
from newsletter.ledger.books import Status
from newsletter.ledger.manifest import Version
from newsletter.models.drill import Drill
from newsletter.vault import CannotUnseal

PATIENCE = timedelta(minutes=10)
"""After so long a drill that has not arrived has failed: time for a mailbox that asks everyone to come again once."""
KEEPS = timedelta(minutes=30)
"""How long its mail is worth sending."""
GOOD_FOR = timedelta(hours=26)
"""How long a proof is believed: a morning, and two hours for one that comes late."""


class Fault(StrEnum):
    """Why a drill proves nothing; each is worded by the catalogue."""

    LATE = "late"
    HALTED = "halted"
    NOT_COMPOSED = "not-composed"


class BrokenTerms(Conflict):
    """What a drill may send was not sealed by us."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("drill.broken", mailing=mailing_id)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a drill may send, to whom and until when: as it was composed. mailboxes: by number."""

    mailing: int
    sender: str
    until: datetime
    mailboxes: tuple[int, ...]
    versions: tuple[Version, ...]

    def holds(self, compiled: Compiled, *, retraction: bool = False) -> bool:
        """Return whether a message is one of those that were composed; a drill takes nothing back."""
        return not retraction and any(version.is_of(compiled) for version in self.versions)


@dataclass(frozen=True, slots=True)
class DrillView:
    """A drill as others see it. reach None: not counted yet; quota None: no limit."""

    id: int
    asked_at: datetime
    mailing: int | None
    mailboxes: int
    reach: int | None
    quota: int | None
    accepted: int
    first_at: datetime | None
    ended_at: datetime | None
    fault: str | None

    @property
    def seconds(self) -> float | None:
        """From the command to the first message that was handed over."""
        return None if self.first_at is None else (self.first_at - self.asked_at).total_seconds()

    @property
    def enough(self) -> bool:
        """Whether there are readers to whom an alert would go, and today's quota takes it to all of them."""
        return bool(self.reach) and self.allowed

    @property
    def allowed(self) -> bool:
        """Whether today's quota takes an alert to all whom it would go to."""
        return self.quota is None or self.quota >= (self.reach or 0)


@dataclass(frozen=True, slots=True)
class Lamp:
    """What is known of the lane. ok None: it was never tried; what: an id of the catalogue; since: when it was proved last."""

    ok: bool | None
    what: str
    last: DrillView | None
    since: datetime | None


def lamp(last: DrillView | None, proved_at: datetime | None, *, now: datetime) -> Lamp:
    """Return what the last drill that ended says, and the last that proved the lane."""
    if last is None:
        return Lamp(None, "never", None, None)
    if last.fault is not None:
        return Lamp(False, "failed" if proved_at else "failed-first", last, proved_at)
    if proved_at is None or now - proved_at > GOOD_FOR:
        return Lamp(False, "stale", last, proved_at)
    return Lamp(last.enough, "proved", last, proved_at)


def judge(drill: DrillView, status: Status | None, *, now: datetime) -> tuple[bool, Fault | None]:
    """Return whether a drill is over, and why it proves nothing where it does not. status: of its mailing, if there is one."""
    late = now - drill.asked_at > PATIENCE
    if status is None:
        return late, Fault.NOT_COMPOSED
    if drill.reach is not None and status.accepted >= drill.mailboxes:
        return True, None
    if status.halted is not None:
        return True, Fault.HALTED
    return late or (status.over and status.accepted < drill.mailboxes), Fault.LATE


def claim(session: Session, *, day: date | None = None, now: datetime) -> int | None:
    """Begin a drill and return its number; None where this morning has one."""
    statement = insert(Drill).values(day=day, asked_at=now).on_conflict_do_nothing(index_elements=["day"])
    return session.execute(statement.returning(Drill.id)).scalar_one_or_none()


def claimed(session: Session, day: date) -> bool:
    """Return whether a morning has its drill."""
    return session.execute(select(Drill.id).where(Drill.day == day)).first() is not None


def send(session: Session, drill_id: int, terms: Terms) -> None:
    """Write down what a drill sends, under our seal."""
    sealed = session.vault.seal("drill", "terms", drill_id, json.dumps(asdict(terms), default=datetime.isoformat))
    _set(session, drill_id, mailing_id=terms.mailing, terms_sealed=sealed, mailboxes=len(terms.mailboxes))


def terms(session: Session, mailing_id: int) -> Terms:
    """Return what a drill's mailing may send. Raises BrokenTerms where we did not say so."""
    row = session.execute(select(Drill).where(Drill.mailing_id == mailing_id)).scalar_one_or_none()
    if row is None or row.terms_sealed is None:
        raise BrokenTerms(mailing_id)
    try:
        found = json.loads(session.vault.unseal("drill", "terms", row.id, row.terms_sealed))
    except CannotUnseal:
        raise BrokenTerms(mailing_id) from None
    if found["mailing"] != mailing_id:
        raise BrokenTerms(mailing_id)
    versions = tuple(Version(**one | {"blocks": tuple(one["blocks"])}) for one in found["versions"])
    until = datetime.fromisoformat(found["until"])
    return Terms(mailing_id, found["sender"], until, tuple(found["mailboxes"]), versions)


def measured(session: Session, drill_id: int, *, reach: int, quota: int | None) -> None:
    """Write down whom an alert would reach, and what today's quota allows."""
    _set(session, drill_id, reach=reach, quota=quota)


def running(session: Session) -> list[DrillView]:
    """Return the drills that have not ended; nobody else ends them until the transaction is over."""
    query = select(Drill).where(Drill.ended_at.is_(None)).order_by(Drill.id).with_for_update(skip_locked=True)
    return _views(session.execute(query).scalars())


def end(
    session: Session, drill_id: int, fault: Fault | None, *, accepted: int, first_at: datetime | None, now: datetime
) -> None:
    """Write down what became of a drill."""
    _set(session, drill_id, fault=fault, accepted=accepted, first_at=first_at, ended_at=now)


def get(session: Session, drill_id: int) -> DrillView:
    """Return a drill."""
    [found] = _views([session.get_one(Drill, drill_id, populate_existing=True)])
    return found


def looked_at(session: Session, *, now: datetime) -> Lamp:
    """Return the lamp."""
    ended = select(Drill).where(Drill.ended_at.is_not(None)).order_by(Drill.id.desc()).limit(1)
    proved = select(Drill.ended_at).where(Drill.ended_at.is_not(None), Drill.fault.is_(None))
    last = _views(session.execute(ended).scalars())
    proved_at = session.execute(proved.order_by(Drill.id.desc()).limit(1)).scalar_one_or_none()
    return lamp(last[0] if last else None, proved_at, now=now)


def _views(rows: Iterable[Drill]) -> list[DrillView]:
    return [
        DrillView(
            row.id,
            row.asked_at,
            row.mailing_id,
            row.mailboxes,
            row.reach,
            row.quota,
            row.accepted,
            row.first_at,
            row.ended_at,
            row.fault,
        )
        for row in rows
    ]


def _set(session: Session, drill_id: int, **facts: object) -> None:
    statement = update(Drill).where(Drill.id == drill_id).values(**facts)
    session.execute(statement.execution_options(synchronize_session=False))
