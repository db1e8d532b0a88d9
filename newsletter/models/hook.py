"""What the organisation's hook is told: one row a call, written with the act it tells of. Owned by `operators`."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key


class HookCall(Base):
    """One call. due_at NULL: nothing is left to do, it was taken (done_at) or given up. fault: why it last failed, an id."""

    __tablename__ = "hook_call"

    id: Mapped[Key]
    event: Mapped[str]
    facts: Mapped[dict[str, Any]]
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())
    due_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    tries: Mapped[int] = mapped_column(Integer, server_default="0")
    done_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    fault: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("done_at IS NULL OR due_at IS NULL", name="done_is_not_due"),
        Index("hook_calls_due", "due_at", postgresql_where="due_at IS NOT NULL"),
    )
