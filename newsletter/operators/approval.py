"""What was said of an alert, row by row: added and read, never changed."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from newsletter import database
from newsletter.database import Session
from newsletter.errors import Conflict
from newsletter.models.approval import Approval
from newsletter.models.operator import Factor
from newsletter.operators import mandates
from newsletter.operators.night import Mandated, Rule, Word


class TooLate(Conflict):
    """What somebody gave their word for went, was ended or locked anew in the same moment: the database takes it no more."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.changed-meanwhile", mailing=mailing_id)


@dataclass(frozen=True, slots=True)
class Over:
    """What a word is about: one lock of one mailing. went: when it was planned; None: it has not, and mandates hold now or not."""

    mailing: int
    number: int
    fingerprint: bytes
    went: datetime | None = None


def add(
    session: Session,
    over: Over,
    rule: Rule,
    *,
    by: int | None,
    factor: Factor | None = None,
    assertion: str | None = None,
    mandate: int | None = None,
) -> int:
    """Add somebody's word and return its number; the database sets its time and refuses one that cannot be true.

    Raises TooLate: it has been looked at before whether it may be added, and it is no longer so.
    """
    row = Approval(
        mailing_id=over.mailing,
        lock_number=over.number,
        fingerprint=over.fingerprint,
        rule=rule,
        operator_id=by,
        factor=factor,
        assertion=assertion,
        mandate_id=mandate,
    )
    try:
        with session.begin_nested():
            session.add(row)
            session.flush()
    except IntegrityError:
        raise TooLate(over.mailing) from None
    return row.id


def of(session: Session, over: Over) -> list[Word]:
    """Return every word over one fingerprint, oldest first."""
    about = (Approval.mailing_id == over.mailing, Approval.fingerprint == over.fingerprint)
    found = session.execute(select(Approval).where(*about).order_by(Approval.id)).scalars().all()
    at = over.went or database.now(session)
    return [
        Word(
            Rule(row.rule),
            row.operator_id,
            Factor(row.factor) if row.factor else None,
            row.assertion,
            row.at,
            _mandated(session, row, at=at),
        )
        for row in found
    ]


def numbers(session: Session, mailing_ids: Collection[int]) -> dict[int, list[int]]:
    """Return the numbers of mailings' locks over which anybody has given their word, by mailing."""
    found = select(Approval.mailing_id, Approval.lock_number).where(Approval.mailing_id.in_(mailing_ids)).distinct()
    given: dict[int, list[int]] = {}
    for mailing_id, number in session.execute(found):
        given.setdefault(mailing_id, []).append(number)
    return given


def keyed(session: Session, mailing_ids: Collection[int]) -> set[int]:
    """Return those of some mailings over which any word was given by a passkey."""
    by_passkey = Approval.mailing_id.in_(mailing_ids), Approval.assertion.is_not(None)
    return set(session.execute(select(Approval.mailing_id).where(*by_passkey)).scalars())


def approved(session: Session, mailing_id: int, *, by: int | None = None) -> list[int]:
    """Return the numbers of a mailing's locks that somebody else than their author approved. by: one operator; None: anybody."""
    found = select(Approval.lock_number).where(Approval.mailing_id == mailing_id, Approval.rule == Rule.TWO).distinct()
    return list(session.execute(found if by is None else found.where(Approval.operator_id == by)).scalars())


def _mandated(session: Session, row: Approval, *, at: datetime) -> Mandated | None:
    if row.mandate_id is None:
        return None
    return mandates.used_for(session, row.mandate_id, row.mailing_id, at=at, before=(row.at, row.id))
