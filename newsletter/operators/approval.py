"""What was said of an alert, row by row: added and read, never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from newsletter.database import Session
from newsletter.models.approval import Approval, Mandate, MandateSignature
from newsletter.models.operator import Factor
from newsletter.operators.night import Mandated, Rule, Terms, Word


@dataclass(frozen=True, slots=True)
class Over:
    """What a word is about: one lock of one mailing."""

    mailing: int
    number: int
    fingerprint: bytes


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
    """Add somebody's word and return its number; the database sets its time and refuses one that cannot be true."""
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
    session.add(row)
    session.flush()
    return row.id


def of(session: Session, over: Over) -> list[Word]:
    """Return every word over one fingerprint, oldest first."""
    about = (Approval.mailing_id == over.mailing, Approval.fingerprint == over.fingerprint)
    found = session.execute(select(Approval).where(*about).order_by(Approval.id)).scalars().all()
    return [
        Word(
            Rule(row.rule),
            row.operator_id,
            Factor(row.factor) if row.factor else None,
            row.assertion,
            row.at,
            _mandated(session, row.mandate_id, before=row.id) if row.mandate_id else None,
        )
        for row in found
    ]


def _mandated(session: Session, mandate_id: int, *, before: int) -> Mandated:
    row = session.get_one(Mandate, mandate_id)
    earlier = (Approval.mandate_id == mandate_id, Approval.id < before)
    used = session.execute(select(func.count(func.distinct(Approval.mailing_id))).where(*earlier)).scalar_one()
    return Mandated(Terms.parse(row.terms), bytes(row.fingerprint), _signers(session, mandate_id), used, _ended(row))


def _signers(session: Session, mandate_id: int) -> tuple[tuple[int, Factor, str | None], ...]:
    query = select(MandateSignature).where(MandateSignature.mandate_id == mandate_id).order_by(MandateSignature.at)
    found: Sequence[MandateSignature] = session.execute(query).scalars().all()
    return tuple((one.signer_id, Factor(one.factor), one.assertion) for one in found)


def _ended(row: Mandate) -> bool:
    return row.ended_at is not None


def since(session: Session, mailing_id: int) -> datetime | None:
    """Return when somebody first gave their word for a mailing in its present form."""
    return session.execute(select(func.min(Approval.at)).where(Approval.mailing_id == mailing_id)).scalar_one_or_none()
