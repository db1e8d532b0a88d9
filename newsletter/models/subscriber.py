"""Who reads, what they asked for, and on what basis. Owned by `subscribers`."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CHAR, BigInteger, CheckConstraint, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key, one_of, personal


class Rhythm(StrEnum):
    """How often a reader takes a digest. EMERGENCIES: its alerts, and no issue."""

    EACH = "each"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    EMERGENCIES = "emergencies"


ISSUED = tuple(one for one in Rhythm if one is not Rhythm.EMERGENCIES)
"""The rhythms in which issues are cut."""


class Subscriber(Base):
    """A person's record. The reference stands in every footer, so that a person can be found without the address."""

    __tablename__ = "subscriber"

    id: Mapped[Key]
    mailbox_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("mailbox.id"), unique=True)
    reference: Mapped[str] = mapped_column(CHAR(8), unique=True, info=personal("subscribers"))
    name_sealed: Mapped[bytes | None] = mapped_column(info=personal("subscribers"))
    postcode_sealed: Mapped[bytes | None] = mapped_column(info=personal("subscribers"))
    language: Mapped[str] = mapped_column(server_default="en", info=personal("subscribers"))
    time_zone: Mapped[str] = mapped_column(server_default="UTC", info=personal("subscribers"))
    area: Mapped[str | None] = mapped_column(info=personal("subscribers"))
    # How mail to somebody at risk is to look (composer.styles), and that no name of theirs is kept.
    style: Mapped[str] = mapped_column(server_default="", info=personal("subscribers"))
    nameless: Mapped[bool] = mapped_column(server_default="false", info=personal("subscribers"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    # Until then neither issues nor ordinary mailings; alerts all the same.
    paused_until: Mapped[datetime | None] = mapped_column(info=personal("subscribers"))

    __table_args__ = (
        CheckConstraint("reference ~ '^[A-Z0-9]{8}$'", name="reference_is_eight_letters"),
        # As `languages.canonical` writes it: a segment looks for it by its index, and finds one spelling.
        CheckConstraint("language !~ '^[^-]*[A-Z]'", name="language_is_small"),
        CheckConstraint("style ~ '^d?f?m?t?$'", name="style_is_known"),
        CheckConstraint("NOT nameless OR name_sealed IS NULL", name="no_name_is_kept"),
        Index("subscribers_by_zone", "time_zone"),
        Index("styles_of_readers", "style", postgresql_where="style <> ''"),
        # With the number, so that a segment is counted from the index alone.
        Index("subscribers_by_language", "language", "id"),
        Index("subscribers_by_age", "created_at", "id"),
    )


class Subscription(Base):
    """A digest that a reader takes. `had_to` is the ready_seq up to which they have had its articles."""

    __tablename__ = "subscription"

    id: Mapped[Key]
    subscriber_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("subscriber.id", ondelete="CASCADE"))
    digest_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("digest.id"))
    rhythm: Mapped[str]
    had_to: Mapped[int] = mapped_column(server_default="0")
    # Mail without a basis is impossible by foreign key.
    granted_by: Mapped[int] = mapped_column(BigInteger, ForeignKey("consent_event.id"))
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None]

    __table_args__ = (
        CheckConstraint(one_of("rhythm", Rhythm), name="rhythm_is_known"),
        CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="an_end_has_a_reason"),
        Index("one_live_subscription", "subscriber_id", "digest_id", unique=True, postgresql_where="ended_at IS NULL"),
        Index(None, "subscriber_id"),
        Index(
            "readers_of_a_digest",
            "digest_id",
            "subscriber_id",
            postgresql_where="ended_at IS NULL",
            postgresql_include=["rhythm"],
        ),
    )
