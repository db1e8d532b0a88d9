"""What did not go, and why: one row a refusal, of which the team is told once. Owned by `ledger`."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key


class Refusal(Base):
    """One refusal.

    number   the mailing's newest lock then: what was locked since is another matter
    why      an id of the catalogue, with its facts
    halted   the mailing is paused by it; else it is a draft again
    """

    __tablename__ = "refusal"

    id: Mapped[Key]
    mailing_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("mailing.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)
    why: Mapped[str]
    facts: Mapped[dict[str, Any]]
    halted: Mapped[bool]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    told_at: Mapped[datetime | None]

    __table_args__ = (
        Index("refusals_of", "mailing_id"),
        Index("refusals_untold", "at", postgresql_where="told_at IS NULL"),
    )
