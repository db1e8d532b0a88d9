"""Messages of the Common Alerting Protocol that came in, and what became of each. Owned by `campaigns`."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key, one_of


class Kind(StrEnum):
    """CAP's msgType."""

    ALERT = "Alert"
    UPDATE = "Update"
    CANCEL = "Cancel"
    ACK = "Ack"
    ERROR = "Error"


class Status(StrEnum):
    """Whether a message is meant; all but the first are not."""

    ACTUAL = "Actual"
    EXERCISE = "Exercise"
    SYSTEM = "System"
    TEST = "Test"
    DRAFT = "Draft"


class State(StrEnum):
    """What became of a message. Held: what it names is not known, and it waits for that."""

    APPLIED = "applied"
    HELD = "held"
    IGNORED = "ignored"


class CapMessage(Base):
    """A message as it came. Its sender is an authority's name for itself, printed in every message; not a person's address.

    refers_to    the messages it names, each "sender,identifier,sent"
    why          why it is held or ignored
    mailing_id   the alert's mailing, of the message that made it and of those that changed it
    """

    __tablename__ = "cap_message"

    id: Mapped[Key]
    identifier: Mapped[str]
    sender: Mapped[str]
    sent_at: Mapped[datetime]
    kind: Mapped[str]
    status: Mapped[str]
    document: Mapped[str]
    state: Mapped[str]
    why: Mapped[str | None]
    refers_to: Mapped[list[str]] = mapped_column(ARRAY(TEXT), server_default="{}")
    mailing_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("mailing.id"))
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("sender", "identifier"),
        CheckConstraint(one_of("kind", Kind), name="kind_is_known"),
        CheckConstraint(one_of("status", Status), name="status_is_known"),
        CheckConstraint(one_of("state", State), name="state_is_known"),
        CheckConstraint("(state = 'applied') = (why IS NULL)", name="what_is_not_applied_says_why"),
        CheckConstraint("state = 'applied' OR mailing_id IS NULL", name="only_what_is_applied_has_a_mailing"),
        CheckConstraint("status = 'Actual' OR state = 'ignored'", name="only_what_is_meant_is_applied"),
        Index(None, "mailing_id"),
        Index("cap_messages_held", "sent_at", postgresql_where="state = 'held'"),
        Index("cap_messages_by_age", "received_at"),
    )
