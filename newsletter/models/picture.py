"""A picture of an article, fetched once and served by us. Owned by `issues`."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key


class Picture(Base):
    """What became of one address: a JPEG, or the reason why there is none. source: sha256 of the address."""

    __tablename__ = "picture"

    id: Mapped[Key]
    source: Mapped[bytes] = mapped_column(unique=True)
    name: Mapped[str | None]
    body: Mapped[bytes | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    fault: Mapped[str | None]
    fetched_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint(
            "(body IS NULL) = (name IS NULL) AND (body IS NULL) <> (fault IS NULL)", name="kept_or_dropped"
        ),
        Index("pictures_by_name", "name"),
    )
