"""What was locked, word for word: rows that are only ever added. Owned by `ledger`."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base


class Lock(Base):
    """One lock of a mailing. `manifest`: the canonical text that `fingerprint` is the SHA-256 of."""

    __tablename__ = "lock"

    mailing_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("mailing.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(unique=True)
    manifest: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
