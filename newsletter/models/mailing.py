"""One sending of one content to one audience, and the compiled bytes of its variants. Owned by `ledger`."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key, one_of


class Kind(StrEnum):
    """What a mailing is; it decides the lane, the patience and what happens to uncertain outcomes."""

    DIGEST = "digest"
    MAILING = "mailing"
    ALERT = "alert"
    RETRACTION = "retraction"
    NOTICE = "notice"
    TEST = "test"
    DRILL = "drill"


ORDINARY = frozenset({Kind.DIGEST, Kind.MAILING})
"""What a reader who paused, or takes emergencies only, does not get."""


class Lane(StrEnum):
    """The priority a mailing travels with."""

    URGENT = "urgent"
    TRANSACTIONAL = "transactional"
    BULK = "bulk"


class State(StrEnum):
    """Where a mailing stands. `ledger.mailings.MOVES` holds the legal moves."""

    DRAFT = "draft"
    LOCKED = "locked"
    APPROVED = "approved"
    SENDING = "sending"
    PAUSED = "paused"
    DONE = "done"
    STOPPED = "stopped"
    RETRACTED = "retracted"
    CANCELLED = "cancelled"


class Mailing(Base):
    """One sending. The counters are sums of its shards', kept when a shard ends; the books are checked against them."""

    __tablename__ = "mailing"

    id: Mapped[Key]
    kind: Mapped[str]
    lane: Mapped[str]
    digest_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("digest.id"))
    rhythm: Mapped[str | None]
    subject: Mapped[str] = mapped_column(server_default="")
    content: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    state: Mapped[str] = mapped_column(server_default=State.DRAFT)
    fingerprint: Mapped[bytes | None]
    # A reader who was handed this mailing has had the digest's articles up to here.
    had_to: Mapped[int | None]
    start_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    planned_at: Mapped[datetime | None]
    # Its first readers have rows; the others' are being written.
    growing: Mapped[bool] = mapped_column(server_default="false")
    audience: Mapped[int] = mapped_column(server_default="0")
    planned: Mapped[int] = mapped_column(server_default="0")
    excluded: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    # The alert that this one follows and replaces; the alert that this one takes back.
    updates: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("mailing.id"))
    retracts: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("mailing.id"))
    # The alert of which this one is a further language, written later.
    translates: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("mailing.id"))
    # When the team was asked what to do with an alert that would expire before all have it.
    asked_at: Mapped[datetime | None]
    # What was promised of it as it was let go, as `delivery.promises` writes it.
    promised: Mapped[dict[str, Any] | None]
    # Why it was paused by itself; an operator who lets it go on clears it.
    halted: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint(one_of("kind", Kind), name="kind_is_known"),
        CheckConstraint(one_of("lane", Lane), name="lane_is_known"),
        CheckConstraint(one_of("state", State), name="state_is_known"),
        CheckConstraint(
            "state IN ('draft', 'cancelled') OR fingerprint IS NOT NULL", name="released_content_has_a_fingerprint"
        ),
        CheckConstraint("kind <> 'retraction' OR state <> 'cancelled'", name="a_retraction_stays"),
        CheckConstraint(
            "translates IS NULL OR (kind = 'alert' AND updates IS NULL AND translates <> id)",
            name="a_later_language_is_an_alert",
        ),
        Index("later_languages", "translates", postgresql_where="translates IS NOT NULL"),
        Index("one_retraction", "retracts", unique=True, postgresql_where="retracts IS NOT NULL"),
        Index("alerts_of_a_digest", "digest_id", "planned_at", postgresql_where="kind = 'alert'"),
        Index("mailings_under_way", "state", postgresql_where="state IN ('approved', 'sending', 'paused')"),
    )


class Tally(Base):
    """What refusals say of a mailing in one provider group, while it goes.

    in_a_row    first attempts refused for what the message is or how we speak, since one was answered otherwise
    standstill  first attempts refused for good with words of a moment, of an account asleep or of a full mailbox
    """

    __tablename__ = "tally"

    mailing_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("mailing.id", ondelete="CASCADE"), primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    tried: Mapped[int] = mapped_column(server_default="0")
    dead: Mapped[int] = mapped_column(server_default="0")
    policy: Mapped[int] = mapped_column(server_default="0")
    sender: Mapped[int] = mapped_column(server_default="0")
    complaints: Mapped[int] = mapped_column(server_default="0")
    content: Mapped[int] = mapped_column(server_default="0")
    protocol: Mapped[int] = mapped_column(server_default="0")
    in_a_row: Mapped[int] = mapped_column(server_default="0")
    standstill: Mapped[int] = mapped_column(server_default="0")
    held_until: Mapped[datetime | None]


class Block(Base):
    """A compiled piece of a message, stored once however many variants join it."""

    __tablename__ = "block"

    id: Mapped[Key]
    digest: Mapped[bytes] = mapped_column(unique=True)
    data: Mapped[bytes]


class Variant(Base):
    """One of several messages of a mailing: the constants of its headers and the blocks it joins.

    body_sealed   the blocks of a mail that names one of the team, instead of those that stand in clear and are shared;
                  emptied once it is over (`ledger.personal.TEAM_KEPT`)
    """

    __tablename__ = "variant"

    id: Mapped[Key]
    mailing_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("mailing.id", ondelete="CASCADE"))
    number: Mapped[int]
    language: Mapped[str]
    # Of which style it is, for readers at risk; "": for everyone else.
    style: Mapped[str] = mapped_column(server_default="")
    head: Mapped[bytes]
    blocks: Mapped[list[int]] = mapped_column(ARRAY(BIGINT))
    body_sealed: Mapped[bytes | None]
    articles: Mapped[list[int]] = mapped_column(ARRAY(BIGINT), server_default="{}")
    held: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("mailing_id", "number"),
        CheckConstraint("body_sealed IS NULL OR cardinality(blocks) = 0", name="sealed_or_shared"),
        Index("sealed_variants", "mailing_id", postgresql_where="body_sealed IS NOT NULL"),
    )


class VariantGroup(Base):
    """Which readers get which variant: those of one edition and style who have had the same articles and alerts."""

    __tablename__ = "variant_group"

    mailing_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("mailing.id", ondelete="CASCADE"), primary_key=True)
    language: Mapped[str] = mapped_column(primary_key=True)
    style: Mapped[str] = mapped_column(primary_key=True, server_default="")
    had_to: Mapped[int] = mapped_column(primary_key=True)
    had_alerts: Mapped[list[int]] = mapped_column(ARRAY(BIGINT), primary_key=True)
    # NULL: nothing is new for them.
    variant_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("variant.id", ondelete="CASCADE"))
