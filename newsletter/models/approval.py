"""Who let an alert go, and by what they proved it: rows that are only ever added. Owned by `operators`."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key, one_of
from newsletter.models.operator import Factor


class Rule(StrEnum):
    """Under which rule an alert may go. What each asks for stands in `operators.night`."""

    TWO = "two"
    FEW = "few"
    ALONE = "alone"
    MANDATE = "mandate"


class Approval(Base):
    """One person's word for one fingerprint.

    operator_id  None: somebody at the command line without a name
    assertion    what their passkey signed over the fingerprint, as the browser sent it (JSON)
    at           set by the database: nobody writes a row of yesterday
    """

    __tablename__ = "approval"

    id: Mapped[Key]
    mailing_id: Mapped[int] = mapped_column(BigInteger)
    lock_number: Mapped[int] = mapped_column(Integer)
    fingerprint: Mapped[bytes]
    rule: Mapped[str]
    operator_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("operator.id"))
    factor: Mapped[str | None]
    assertion: Mapped[str | None]
    mandate_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("mandate.id"))
    at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        ForeignKeyConstraint(["mailing_id", "lock_number"], ["lock.mailing_id", "lock.number"]),
        CheckConstraint(one_of("rule", Rule), name="rule_is_known"),
        CheckConstraint(f"factor IS NULL OR {one_of('factor', Factor)}", name="factor_is_known"),
        CheckConstraint(
            "rule NOT IN ('two', 'mandate') OR (operator_id IS NOT NULL AND factor IS NOT NULL)",
            name="signed_by_somebody",
        ),
        CheckConstraint("(rule = 'mandate') = (mandate_id IS NOT NULL)", name="a_mandate_is_named"),
        Index(None, "mailing_id"),
    )


class Mandate(Base):
    """Two people's word, given in the evening, that one may send at night. `terms`: the canonical text that they sign."""

    __tablename__ = "mandate"

    id: Mapped[Key]
    holder_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("operator.id"))
    terms: Mapped[str]
    fingerprint: Mapped[bytes] = mapped_column(unique=True)
    until: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class MandateSignature(Base):
    """One operator's word for a mandate. Only ever added; nobody signs for themselves."""

    __tablename__ = "mandate_signature"

    mandate_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("mandate.id"), primary_key=True)
    signer_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("operator.id"), primary_key=True)
    factor: Mapped[str]
    assertion: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (CheckConstraint(one_of("factor", Factor), name="factor_is_known"),)
