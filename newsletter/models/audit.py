"""Who did what: rows that are only ever added, each with a digest over the one before. Owned by `operators`."""

from datetime import date, datetime

from sqlalchemy import BigInteger, Date, func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base


class Audit(Base):
    """One act. The numbers have no gap; `content` is the canonical text that `digest` covers, and holds time and actor.

    A trigger refuses a row that does not continue the chain, and any UPDATE, DELETE or TRUNCATE, whoever asks.
    """

    __tablename__ = "audit"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    content: Mapped[str]
    digest: Mapped[bytes]


class AuditMail(Base):
    """A day on which the head was mailed: claimed before the mail is written, so that two beats send one."""

    __tablename__ = "audit_mail"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    number: Mapped[int]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
