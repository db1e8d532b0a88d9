"""What a digest can be about, and who wants to read of it. Owned by `subscribers`."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key, personal


class Topic(Base):
    """A subject that readers may choose. The key never changes; the name is what they see."""

    __tablename__ = "topic"

    id: Mapped[Key]
    key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    added_at: Mapped[datetime] = mapped_column(server_default=func.now())
    # The list whose tag it was, which can be undone; NULL: an operator's. Nobody chooses what was removed.
    import_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("import_run.id"))
    removed_at: Mapped[datetime | None]


class Interest(Base):
    """A topic that a reader chose. A change ends the row; choosing it again opens a new one."""

    __tablename__ = "interest"

    id: Mapped[Key]
    subscriber_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("subscriber.id", ondelete="CASCADE"))
    topic_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("topic.id"), info=personal("subscribers"))
    # What somebody wants to read of says much about them: it is kept only where they said so.
    granted_by: Mapped[int] = mapped_column(BigInteger, ForeignKey("consent_event.id"))
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="an_end_has_a_reason"),
        Index("one_live_interest", "subscriber_id", "topic_id", unique=True, postgresql_where="ended_at IS NULL"),
        Index(None, "subscriber_id"),
        Index("readers_of_a_topic", "topic_id", "subscriber_id", postgresql_where="ended_at IS NULL"),
    )
