"""What is known of the urgent lane by trying it: one row a drill. Owned by `campaigns`."""

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key


class Drill(Base):
    """One drill. The row comes first, so that a morning has one drill however many beats there are.

    day           the morning it belongs to; NULL where somebody asked for it
    terms_sealed  what it may send and to whom, sealed by the process that composed it: whoever writes rows has no such seal
    reach, quota  how many an alert of the largest digest goes to, and how much of the day's quota alerts have (NULL is no limit)
    first_at      when the first message was handed over
    fault         why the lane is not proved by it, an id
    """

    __tablename__ = "drill"

    id: Mapped[Key]
    day: Mapped[date | None] = mapped_column(unique=True)
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    mailing_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("mailing.id"), unique=True)
    terms_sealed: Mapped[bytes | None]
    mailboxes: Mapped[int] = mapped_column(Integer, server_default="0")
    reach: Mapped[int | None]
    quota: Mapped[int | None]
    accepted: Mapped[int] = mapped_column(Integer, server_default="0")
    first_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    fault: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("(mailing_id IS NULL) = (terms_sealed IS NULL)", name="sent_under_seal"),
        CheckConstraint("ended_at IS NULL OR fault IS NOT NULL OR first_at IS NOT NULL", name="proved_by_a_message"),
    )
