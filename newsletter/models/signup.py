"""Wishes to join, from the form to their end: answered, or forgotten after a month. Owned by `subscribers`."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key, one_of, personal


class SignupState(StrEnum):
    """Where a wish to join stands.

    WAITING   nobody has looked at it
    ASKED     its owner was mailed a question
    BESIDE    its owner was asked lately by another one: whoever answers that answers this as well
    REFUSED   nothing can be written to what it names
    SETTLED   its owner said yes, and gets what it asked for
    """

    WAITING = "waiting"
    ASKED = "asked"
    BESIDE = "beside"
    REFUSED = "refused"
    SETTLED = "settled"


class Answer(StrEnum):
    """By what an owner of an address said yes."""

    LINK = "link"
    CODE = "code"
    REPLY = "reply"


class Signup(Base):
    """One form that was sent. pending: the digest of what its page was given; beside it a code is tried, for this wish."""

    __tablename__ = "signup"

    id: Mapped[Key]
    pending: Mapped[bytes] = mapped_column(unique=True)
    wish_sealed: Mapped[bytes] = mapped_column(info=personal("subscribers"))
    state: Mapped[str] = mapped_column(server_default=SignupState.WAITING)
    mailbox_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("mailbox.id", ondelete="CASCADE"))
    came_at: Mapped[datetime] = mapped_column(server_default=func.now())
    asked_at: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str | None]

    __table_args__ = (
        CheckConstraint(one_of("state", SignupState), name="state_is_known"),
        CheckConstraint(f"answered_by IS NULL OR {one_of('answered_by', Answer)}", name="answer_is_known"),
        CheckConstraint("(answered_at IS NULL) = (answered_by IS NULL)", name="an_answer_has_a_way"),
        CheckConstraint("state <> 'asked' OR asked_at IS NOT NULL", name="asked_at_some_time"),
        Index("signups_of_a_mailbox", "mailbox_id", postgresql_where="mailbox_id IS NOT NULL"),
        Index("signups_to_look_at", "id", postgresql_where="state = 'waiting'"),
        Index("signups_answered", "id", postgresql_where="answered_at IS NOT NULL AND state <> 'settled'"),
        Index("signups_by_age", "came_at"),
    )
