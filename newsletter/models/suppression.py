"""The addresses we must not write to, each with its reason. Owned by `subscribers`."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key, one_of


class Reason(StrEnum):
    """Why an address is on the do-not-mail list."""

    LEFT = "left"
    DEAD = "dead"
    QUOTA = "quota"
    COMPLAINT = "complaint"
    NEVER_AGAIN = "never again"


class Suppression(Base):
    """A reason not to write to a mailbox, until lifted. An imported one may have no subscriber: the mailbox is enough."""

    __tablename__ = "suppression"

    id: Mapped[Key]
    mailbox_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("mailbox.id"))
    reason: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    lifted_at: Mapped[datetime | None]
    lifted_why: Mapped[str | None]
    # Who said so: "reply" in the session, "report" afterwards; NULL: a person, or before this was kept.
    said_by: Mapped[str | None]
    lifted_by: Mapped[str | None]
    # The list that brought it, which can be undone.
    import_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("import_run.id"))

    __table_args__ = (
        CheckConstraint(one_of("reason", Reason), name="reason_is_known"),
        CheckConstraint("said_by IN ('reply', 'report')", name="said_by_is_known"),
        CheckConstraint("(lifted_at IS NULL) = (lifted_why IS NULL)", name="lifting_has_a_reason"),
        CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL)", name="somebody_lifts"),
        # As subscribers.suppression.MAY_LIFT; "before": lifted when this was not kept.
        CheckConstraint(
            "CASE lifted_by WHEN 'person' THEN reason IN ('left', 'dead', 'quota')"
            " WHEN 'operator' THEN reason IN ('dead', 'quota') WHEN 'arrival' THEN reason IN ('dead', 'quota')"
            " WHEN 'undone' THEN import_id IS NOT NULL"
            " ELSE lifted_by IS NULL OR lifted_by IN ('answered', 'before') END",
            name="lifted_by_who_may",
        ),
        Index(
            "one_live_suppression_a_reason",
            "mailbox_id",
            "reason",
            unique=True,
            postgresql_where="lifted_at IS NULL",
        ),
        Index("suppressions_of_an_import", "import_id", postgresql_where="import_id IS NOT NULL"),
    )


class SuppressionNaming(Base):
    """A further list that named an entry which another list had brought: undoing that one leaves it."""

    __tablename__ = "suppression_naming"

    suppression_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("suppression.id", ondelete="CASCADE"), primary_key=True
    )
    import_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("import_run.id"), primary_key=True)

    __table_args__ = (Index(None, "import_id"),)


class FullMailbox(Base):
    """A mailbox that was full: since when, how often on different days, and when last."""

    __tablename__ = "full_mailbox"

    mailbox_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("mailbox.id", ondelete="CASCADE"), primary_key=True)
    since: Mapped[datetime]
    times: Mapped[int]
    last_at: Mapped[datetime]
