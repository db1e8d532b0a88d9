"""Messages of CAP that came in: kept as they came, once each, with what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session, defer

from newsletter.campaigns import cap
from newsletter.campaigns.cap import CapMessage, Kind, Reference, Status
from newsletter.campaigns.ordering import Noted, State, Why
from newsletter.errors import NotFound
from newsletter.models.cap import CapMessage as Row


class UnknownBulletin(NotFound):
    """There is no message of this number."""

    def __init__(self, bulletin_id: int) -> None:
        super().__init__("cap.unknown", number=bulletin_id)


@dataclass(frozen=True, slots=True)
class Bulletin:
    """A stored message as others see it. why: None for one that was applied; mailing_id: of the alert it belongs to."""

    id: int
    name: Reference
    kind: Kind
    status: Status
    state: State
    why: Why | None
    mailing_id: int | None
    received_at: datetime


def one_at_a_time(session: Session) -> None:
    """Wait for whoever takes a message in just now: what a message means depends on those before it."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('cap_message'))"))


def store(session: Session, message: CapMessage, document: str, noted: Noted, *, now: datetime) -> int:
    """Keep a message and what was decided; return its number. One that named nothing gives its place to this."""
    values = {
        "sent_at": message.sent,
        "kind": message.kind,
        "status": message.status,
        "document": document,
        "state": noted.state,
        "why": noted.why,
        "refers_to": [str(one) for one in noted.refers_to],
        "received_at": now,
    }
    new = postgresql.insert(Row).values(sender=message.sender, identifier=message.identifier, **values)
    kept = new.on_conflict_do_update(index_elements=["sender", "identifier"], set_=values)
    return session.execute(kept.returning(Row.id)).scalar_one()


def settle(session: Session, noted: Noted) -> None:
    """Write down what became of a message that was held."""
    changed = update(Row).where(*_is(noted.name)).values(state=noted.state, why=noted.why)
    session.execute(changed)


def apply(session: Session, name: Reference, mailing_id: int) -> None:
    """Write down that a message took effect, and on which alert's mailing."""
    changed = update(Row).where(*_is(name)).values(state=State.APPLIED, why=None, mailing_id=mailing_id)
    session.execute(changed)


def hand_on(session: Session, mailing_id: int, became: int) -> None:
    """Let what belonged to one alert belong to another: what comes later and names any of it means that."""
    session.execute(update(Row).where(Row.mailing_id == mailing_id).values(mailing_id=became))


def mailing_of(session: Session, name: Reference) -> int | None:
    """Return the mailing a message belongs to."""
    return session.execute(select(Row.mailing_id).where(*_is(name))).scalar_one_or_none()


def known(session: Session) -> list[Noted]:
    """Return what is remembered of every message, for `ordering`: some hundred bytes each, a few thousand in a year."""
    columns = (Row.sent_at, Row.sender, Row.identifier, Row.kind, Row.refers_to, Row.state, Row.why)
    return [
        Noted(Reference(sent, sender, identifier), Kind(kind), _references(refers), State(state), _why(why))
        for sent, sender, identifier, kind, refers, state, why in session.execute(select(*columns))
    ]


def held(session: Session) -> list[CapMessage]:
    """Return the messages that wait for another, in order of `sent`."""
    waiting = select(Row.document).where(Row.state == State.HELD).order_by(Row.sent_at, Row.id)
    return [cap.read(one.encode()) for one in session.execute(waiting).scalars()]


def message(session: Session, name: Reference) -> CapMessage:
    """Return a stored message by its name."""
    return cap.read(session.execute(select(Row.document).where(*_is(name))).scalar_one().encode())


def get(session: Session, bulletin_id: int) -> tuple[Bulletin, CapMessage]:
    """Return a stored message and what it says. Raises UnknownBulletin."""
    row = session.get(Row, bulletin_id)
    if row is None:
        raise UnknownBulletin(bulletin_id)
    return _view(row), cap.read(row.document.encode())


def by_name(session: Session, name: Reference) -> Bulletin | None:
    """Return the message of this sender and identifier, whatever its time."""
    same = select(Row).filter_by(sender=name.sender, identifier=name.identifier)
    row = session.execute(same).scalar_one_or_none()
    return _view(row) if row else None


def listed(session: Session, *, state: State | None = None, limit: int | None = 50) -> list[Bulletin]:
    """Return the messages that came last, newest first, of one state or all. limit None: every one."""
    newest = select(Row).order_by(Row.received_at.desc(), Row.id.desc()).limit(limit)
    found = newest.where(Row.state == state) if state else newest
    return [_view(row) for row in session.execute(found).scalars()]


def count(session: Session, state: State) -> int:
    """Return how many messages there are of a state."""
    return session.execute(select(func.count()).select_from(Row).where(Row.state == state)).scalar_one()


def cancels(session: Session, mailing_id: int | None = None) -> list[Bulletin]:
    """Return the cancels that took effect on an alert, of this one or of any, newest first.

    All of them: whoever wants those alone whose alert readers still have must not miss one behind others that are done with.
    """
    applied = select(Row).where(Row.kind == Kind.CANCEL, Row.state == State.APPLIED, Row.mailing_id.is_not(None))
    found = applied if mailing_id is None else applied.where(Row.mailing_id == mailing_id)
    light = found.order_by(Row.id.desc()).options(defer(Row.document))
    return [_view(row) for row in session.execute(light).scalars()]


def _is(name: Reference) -> tuple[ColumnElement[bool], ...]:
    return Row.sender == name.sender, Row.identifier == name.identifier


def _references(refers: Sequence[str]) -> tuple[Reference, ...]:
    return tuple(one for one in map(cap.reference, refers) if one)


def _why(why: str | None) -> Why | None:
    return Why(why) if why else None


def _view(row: Row) -> Bulletin:
    return Bulletin(
        id=row.id,
        name=Reference(row.sent_at, row.sender, row.identifier),
        kind=Kind(row.kind),
        status=Status(row.status),
        state=State(row.state),
        why=_why(row.why),
        mailing_id=row.mailing_id,
        received_at=row.received_at,
    )
