"""What came back about deliveries, one row for each fact. Owned by `ledger`."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key

FATES = ("failed", "delayed", "complaint")


class Returned(Base):
    """A report about one delivery that had been handed over. The delivery keeps its state: a relay did take it.

    Told twice it counts once. Of the words nothing is kept: they may repeat the address.
    """

    __tablename__ = "returned"

    id: Mapped[Key]
    mailing_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("mailing.id", ondelete="CASCADE"))
    mailbox_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("mailbox.id"))
    fate: Mapped[str]
    class_: Mapped[str | None] = mapped_column("class")
    code: Mapped[int | None] = mapped_column(SmallInteger)
    enhanced: Mapped[str | None]
    came_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("mailing_id", "mailbox_id", "fate", name="one_return_a_fate"),
        CheckConstraint(f"fate IN {FATES}", name="fate_is_known"),
        Index(None, "mailbox_id"),
    )
