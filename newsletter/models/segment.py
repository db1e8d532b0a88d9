"""Parts of the readership, as data. Owned by `subscribers`."""

from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key


class Segment(Base):
    """A named set of conditions; who meets them is asked anew each time."""

    __tablename__ = "segment"

    id: Mapped[Key]
    key: Mapped[str] = mapped_column(unique=True)
    conditions: Mapped[dict[str, Any]]
    added_at: Mapped[datetime] = mapped_column(server_default=func.now())
