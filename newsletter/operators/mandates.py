"""Mandates: two people's word, given in the evening, that one may send at night. Rows that are added, signed and ended."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from newsletter.database import Session
from newsletter.errors import NotFound
from newsletter.models.approval import Approval, Mandate, MandateSignature
from newsletter.models.operator import Factor
from newsletter.operators.night import Mandated, Terms


class UnknownMandate(NotFound):
    """No mandate has this number."""

    def __init__(self, mandate_id: int) -> None:
        super().__init__("mandate.unknown", mandate=mandate_id)


@dataclass(frozen=True, slots=True)
class MandateView:
    """A mandate as others see it. used: how many alerts it has let go."""

    id: int
    terms: Terms
    fingerprint: bytes
    signers: tuple[int, ...]
    used: int
    ended_at: datetime | None

    @property
    def given(self) -> bool:
        """Whether two have given their word; whether it holds is asked of those who may give theirs now (`agreeing.still`)."""
        return len(self.signers) >= 2

    def over(self, *, now: datetime) -> bool:
        """Return whether it lets nothing go any more, whoever signs it."""
        return self.ended_at is not None or now >= self.terms.until or self.used >= self.terms.most_alerts


def add(session: Session, terms: Terms) -> int:
    """Store what is to be signed, and return its number."""
    row = Mandate(holder_id=terms.holder, terms=terms.text, fingerprint=_fingerprint(terms.text), until=terms.until)
    session.add(row)
    session.flush()
    return row.id


def _fingerprint(terms: str) -> bytes:
    return hashlib.sha256(terms.encode()).digest()


def get(session: Session, mandate_id: int) -> MandateView:
    """Return a mandate. Raises UnknownMandate."""
    row = session.get(Mandate, mandate_id, populate_existing=True)
    if row is None:
        raise UnknownMandate(mandate_id)
    return _view(session, row)


def take(session: Session, mandate_id: int) -> None:
    """Keep everybody else from using a mandate until the transaction is over: of two at once the second sees what the first used.

    Raises UnknownMandate.
    """
    free = select(Mandate.id).where(Mandate.id == mandate_id).with_for_update(key_share=True)
    if session.execute(free).first() is None:
        raise UnknownMandate(mandate_id)


def listed(session: Session, *, limit: int = 50) -> list[MandateView]:
    """Return the newest mandates."""
    query = select(Mandate).order_by(Mandate.id.desc()).limit(limit).execution_options(populate_existing=True)
    return [_view(session, row) for row in session.execute(query).scalars()]


def _view(session: Session, row: Mandate) -> MandateView:
    signers = tuple(signer for signer, *_ in _signatures(session, row.id))
    used = session.execute(select(func.count(func.distinct(Approval.mailing_id))).where(Approval.mandate_id == row.id))
    return MandateView(
        row.id, Terms.parse(row.terms), _fingerprint(row.terms), signers, used.scalar_one(), row.ended_at
    )


def sign(session: Session, mandate_id: int, *, signer: int, factor: Factor, assertion: str | None = None) -> bool:
    """Add somebody's signature; False where they have signed before. The database refuses one that cannot be true."""
    values = {"mandate_id": mandate_id, "signer_id": signer, "factor": factor, "assertion": assertion}
    made = insert(MandateSignature).values(values).on_conflict_do_nothing().returning(MandateSignature.signer_id)
    return session.execute(made).first() is not None


def end(session: Session, mandate_id: int, *, now: datetime) -> bool:
    """End a mandate: it lets nothing more go. False where it had ended. What it let go already is stopped by a stop."""
    open_ = (Mandate.id == mandate_id, Mandate.ended_at.is_(None))
    ended = update(Mandate).where(*open_).values(ended_at=now).execution_options(synchronize_session=False)
    return bool(session.execute(ended).rowcount)  # type: ignore[attr-defined]


def used_for(
    session: Session, mandate_id: int, mailing_id: int, *, at: datetime, before: tuple[datetime, int] | None = None
) -> Mandated:
    """Return a mandate as one release uses it.

    at       when the alert was planned, or now: one that ended later does not take back what it let go
    before   the moment and number of the word's row: only alerts that went by an earlier one count. None: it is not given yet.
             The moment is the database's; a number of their own whoever writes SQL may choose
    """
    row = session.get_one(Mandate, mandate_id, populate_existing=True)
    others: list[ColumnElement[bool]] = [Approval.mandate_id == mandate_id, Approval.mailing_id != mailing_id]
    if before is not None:
        others.append(tuple_(Approval.at, Approval.id) < before)
    used = session.execute(select(func.count(func.distinct(Approval.mailing_id))).where(*others)).scalar_one()
    ended = row.ended_at is not None and row.ended_at <= at
    # Worked out anew: what stands beside the terms is only what somebody wrote there.
    terms, signed = Terms.parse(row.terms), _signatures(session, mandate_id)
    return Mandated(terms, _fingerprint(row.terms), signed, used, ended, at)


def _signatures(session: Session, mandate_id: int) -> tuple[tuple[int, Factor, str | None, datetime], ...]:
    query = select(MandateSignature).where(MandateSignature.mandate_id == mandate_id)
    found = session.execute(query.order_by(MandateSignature.at, MandateSignature.signer_id)).scalars()
    return tuple((one.signer_id, Factor(one.factor), one.assertion, one.at) for one in found)
