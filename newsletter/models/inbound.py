"""What came in and is not of the books: letters for the operator, notices that wait, the self-test. Owned by `bounces`."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key, personal


class Reply(Base):
    """A person's mail, kept until somebody has dealt with it. digest: keyed, of the whole message, so that it is kept once."""

    __tablename__ = "reply"

    id: Mapped[Key]
    digest: Mapped[bytes] = mapped_column(unique=True)
    mailbox_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("mailbox.id"))
    letter_sealed: Mapped[bytes] = mapped_column(info=personal("bounces"))
    came_at: Mapped[datetime] = mapped_column(server_default=func.now())
    done_at: Mapped[datetime | None]
    # They left by it; it said more, so somebody should read it.
    left_at: Mapped[datetime | None]

    __table_args__ = (Index(None, "mailbox_id"), Index("replies_to_read", "id", postgresql_where="done_at IS NULL"))


class Arrival(Base):
    """A notice that a page took in and a worker deals with. The row outlives its body: what was seen once is not taken twice."""

    __tablename__ = "arrival"

    id: Mapped[Key]
    # The sender's own name for it.
    name: Mapped[str] = mapped_column(unique=True)
    body_sealed: Mapped[bytes | None] = mapped_column(info=personal("bounces"))
    came_at: Mapped[datetime] = mapped_column(server_default=func.now())
    done_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("done_at IS NULL OR body_sealed IS NULL", name="what_is_done_is_emptied"),
        Index("arrivals_to_do", "id", postgresql_where="done_at IS NULL"),
        Index("arrivals_by_age", "came_at"),
    )


class InboundTest(Base):
    """The self-test of a bounce domain: the probe asked last, and when one came back."""

    __tablename__ = "inbound_test"

    domain: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    asked_at: Mapped[datetime]
    passed_at: Mapped[datetime | None]
