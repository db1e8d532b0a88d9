"""The locks of a mailing: what was fixed, word for word, and whether it still is."""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from newsletter.errors import Conflict
from newsletter.ledger import mailings
from newsletter.ledger.mailings import Kind, MailingView, State
from newsletter.ledger.manifest import Manifest
from newsletter.models.lock import Lock


class NotLocked(Conflict):
    """The mailing is not locked, so there is nothing that could be approved or released."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.not-locked", mailing=mailing_id)


class Broken(Conflict):
    """What is stored of a lock is not what was locked: somebody changed it past the program."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.lock-broken", mailing=mailing_id)


def next_number(session: Session, mailing_id: int) -> int:
    """Return the number a mailing's next lock has."""
    last = select(func.coalesce(func.max(Lock.number), 0)).where(Lock.mailing_id == mailing_id)
    return int(session.execute(last).scalar_one()) + 1


def add(session: Session, manifest: Manifest) -> bytes:
    """Store a lock, fix its mailing by it, and return the fingerprint. Raises WrongState."""
    fingerprint = manifest.fingerprint
    session.add(
        Lock(mailing_id=manifest.mailing, number=manifest.number, fingerprint=fingerprint, manifest=manifest.text)
    )
    session.flush()
    mailings.move(session, manifest.mailing, State.LOCKED, fingerprint=fingerprint)
    return fingerprint


_VOID = "void"


def unlock(session: Session, mailing_id: int) -> None:
    """Make a draft of what was locked or approved, and whatever was said of it void for ever. Raises WrongState.

    Its newest lock is one of nothing, and only the newest lets anything go.
    """
    mailings.unlock(session, mailing_id)
    number = next_number(session, mailing_id)
    text = json.dumps({_VOID: True, "mailing": mailing_id, "number": number})
    fingerprint = hashlib.sha256(text.encode()).digest()
    session.add(Lock(mailing_id=mailing_id, number=number, fingerprint=fingerprint, manifest=text))
    session.flush()


def newest(session: Session, mailing_id: int) -> int:
    """Return the number of a mailing's newest lock; 0 where there was none."""
    return next_number(session, mailing_id) - 1


def current(session: Session, mailing_id: int) -> Manifest:
    """Return what a mailing is locked as. Raises NotLocked, Broken, UnknownMailing."""
    view = mailings.get(session, mailing_id)
    if view.state is State.DRAFT or view.fingerprint is None:
        raise NotLocked(mailing_id)
    return of(session, mailing_id, view.fingerprint)


def of(session: Session, mailing_id: int, fingerprint: bytes) -> Manifest:
    """Return the lock of a mailing with this fingerprint, checked against it. Raises Broken."""
    query = select(Lock.manifest).where(Lock.mailing_id == mailing_id, Lock.fingerprint == fingerprint)
    text = session.execute(query).scalar_one_or_none()
    if text is None or hashlib.sha256(text.encode()).digest() != fingerprint:
        raise Broken(mailing_id)
    manifest = _read(text)
    if manifest is None or manifest.mailing != mailing_id:
        raise Broken(mailing_id)
    return manifest


def _read(text: str) -> Manifest | None:
    """Return what a text locks; None where it is of nothing, or none of ours: a worker's password writes any."""
    try:
        return Manifest.parse(text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def gone(session: Session, mailing: MailingView) -> Manifest:
    """Return as what an alert went: what anybody may be shown of it. Raises Broken.

    A lock that was added later is none of it, whatever stands in the mailing: both moments are set by the database's clock.
    """
    manifest = of(session, mailing.id, mailing.fingerprint or b"")
    if mailing.planned_at is None or at(session, mailing.id, manifest.number) > mailing.planned_at:
        raise Broken(mailing.id)
    return manifest


def written_at(session: Session, mailing: MailingView) -> datetime | None:
    """Return the moment that the mails of an alert say which is locked or has gone; None: it is not, or nobody can tell."""
    try:
        return of(session, mailing.id, mailing.fingerprint or b"").written_at
    except Broken:
        return None


def at(session: Session, mailing_id: int, number: int) -> datetime:
    """Return when a lock was added, by the database's clock."""
    query = select(Lock.at).where(Lock.mailing_id == mailing_id, Lock.number == number)
    return session.execute(query).scalar_one()


def most(session: Session, mailing_id: int, numbers: Sequence[int]) -> int:
    """Return for how many the largest of some locks of a mailing is; one that is none lets nothing go, and does not count."""
    query = select(Lock.manifest).where(Lock.mailing_id == mailing_id, Lock.number.in_(numbers))
    return max((_count(text) for text in session.execute(query).scalars()), default=0)


def _count(text: str) -> int:
    try:
        return int(json.loads(text)["count"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 0


@dataclass(frozen=True, slots=True)
class Before:
    """A lock of before with which one is compared. between: how many locks lie between the two, those of nothing aside."""

    manifest: Manifest
    between: int


def before(session: Session, mailing_id: int, number: int, *, read: Collection[int]) -> Before | None:
    """Return the newest of the locks before one that somebody has read, else the first of them; None for the first lock.

    read   their numbers: of what lies between nobody knows whether they saw it
    """
    query = select(Lock.number, Lock.manifest).where(Lock.mailing_id == mailing_id, Lock.number < number)
    rows = session.execute(query.order_by(Lock.number)).all()
    found = [(one, manifest) for one, text in rows if (manifest := _read(text))]
    if not found:
        return None
    place = max((place for place, (one, _) in enumerate(found) if one in read), default=0)
    return Before(found[place][1], len(found) - place - 1)


def to_come(session: Session, mailing: MailingView) -> int:
    """Return how many readers of an alert have no rows yet."""
    if not mailing.growing or mailing.kind is not Kind.ALERT:
        return 0
    return max(0, current(session, mailing.id).count - mailings.planned(session, mailing.id))
