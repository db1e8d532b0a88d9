"""The one home of an address, and the blind index by which it is found. Owned by `mailboxes`."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key, personal


class Mailbox(Base):
    """An address, sealed; beside it only what sending needs in clear: which provider group serves it."""

    __tablename__ = "mailbox"

    id: Mapped[Key]
    address_sealed: Mapped[bytes | None] = mapped_column(info=personal("mailboxes"))
    provider: Mapped[str]
    domain_index: Mapped[bytes] = mapped_column(info=personal("mailboxes"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AddressIndex(Base):
    """A keyed digest of a normalised address. While two index keys live, every writer inserts both."""

    __tablename__ = "address_index"

    key_id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(primary_key=True, info=personal("mailboxes"))
    mailbox_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("mailbox.id", ondelete="CASCADE"))

    __table_args__ = (Index(None, "mailbox_id"),)


class KeyCheck(Base):
    """A known text sealed with each key the data was written under, so that a wrong key file is noticed at once."""

    __tablename__ = "key_check"

    purpose: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[int] = mapped_column(primary_key=True)
    proof: Mapped[bytes]
