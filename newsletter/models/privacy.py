"""What was erased, what readers asked for by a fresh link, and who took the list out. Owned by `subscribers`."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key, one_of, personal


class Asking(StrEnum):
    """What a reader asks for on their own page."""

    EXPORT = "export"
    ERASE = "erase"


class Erasure(Base):
    """That somebody was erased. mark: a keyed digest of what named them here, worth nothing without the keys. Only ever added.

    kept   whether a fingerprint of the address stays, so that no list brings them back
    """

    __tablename__ = "erasure"

    id: Mapped[Key]
    mark: Mapped[bytes] = mapped_column(unique=True)
    kept: Mapped[bool]
    by_whom: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class PrivacyWish(Base):
    """What a page asks a worker to do for its reader, since no page may read or erase by itself.

    reader_key   the public half of a key that lives in the page's request alone
    proof        these words under the countersign of a mailed link (docs/adr/0028): good for this wish alone. None: from before
    parcel       what was asked for, sealed to that key: nobody else can open it, we neither
    refused      the id of the sentence that says why it was not done
    """

    __tablename__ = "privacy_wish"

    id: Mapped[Key]
    asking: Mapped[str]
    subscriber_id: Mapped[int]
    may_come_back: Mapped[bool] = mapped_column(server_default="false")
    reader_key: Mapped[bytes | None]
    proof: Mapped[bytes | None]
    parcel: Mapped[bytes | None] = mapped_column(info=personal("subscribers"))
    refused: Mapped[str | None]
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    done_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(one_of("asking", Asking), name="asking_is_known"),
        CheckConstraint("asking <> 'export' OR reader_key IS NOT NULL", name="an_export_has_a_key"),
        Index("privacy_wishes_to_do", "id", postgresql_where="done_at IS NULL"),
    )


class ListExport(Base):
    """That somebody asked for the list, for what reason, who agreed, and whether it was taken."""

    __tablename__ = "list_export"

    id: Mapped[Key]
    asked_by: Mapped[int] = mapped_column(BigInteger, ForeignKey("operator.id"))
    digest_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("digest.id"))
    reason: Mapped[str]
    people: Mapped[int]
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    approved_by: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("operator.id"))
    approved_at: Mapped[datetime | None]
    taken_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("approved_by <> asked_by", name="approved_by_another"),
        CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="an_approval_has_its_moment"),
    )
