"""Who asked for a fresh link to the address on file. Owned by `subscribers`."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, SmallInteger, func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key


class FreshLink(Base):
    """One link asked for by a button, and when a worker mailed it.

    key_id   which key countersigned it; None: it was not mailed
    proof    a digest of that countersign, by which a page knows it; None as well where it went before this was kept
    """

    __tablename__ = "fresh_link"

    id: Mapped[Key]
    subscriber_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("subscriber.id", ondelete="CASCADE"))
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    done_at: Mapped[datetime | None]
    key_id: Mapped[int | None] = mapped_column(SmallInteger)
    proof: Mapped[bytes | None]

    __table_args__ = (
        Index(None, "subscriber_id"),
        Index("fresh_links_to_mail", "id", postgresql_where="done_at IS NULL"),
    )
