"""One mailbox's row in a mailing, and the shards that workers lease. Owned by `ledger`."""

from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    UniqueConstraint,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key, one_of
from newsletter.models.mailing import Lane


class DeliveryState(StrEnum):
    """What became of one delivery. `uncertain`: a server may have taken it."""

    PLANNED = "planned"
    DEFERRED = "deferred"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNCERTAIN = "uncertain"


class ShardState(StrEnum):
    """Open shards may be leased; ended ones have nothing left to send."""

    OPEN = "open"
    ENDED = "ended"


class Shard(Base):
    """What a worker leases: ≤ 2,000 deliveries of one provider group.

    The fence grows with every lease; whoever holds an older one can no longer open a window or write an outcome.
    Deliveries at positions below `announced` may have been on the wire.
    """

    __tablename__ = "shard"

    id: Mapped[Key]
    mailing_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("mailing.id", ondelete="CASCADE"))
    lane: Mapped[str]
    provider: Mapped[str]
    size: Mapped[int] = mapped_column(Integer)
    retry: Mapped[bool] = mapped_column(server_default="false")
    state: Mapped[str] = mapped_column(server_default=ShardState.OPEN)
    not_before: Mapped[datetime] = mapped_column(server_default=func.now())
    # How long it waits once the first tranche of its mailing has ended; not leased before that. None: it waits for none.
    tranche_pause: Mapped[timedelta | None]
    owner: Mapped[str | None]
    fence: Mapped[int] = mapped_column(server_default="0")
    lease_until: Mapped[datetime | None]
    leased_at: Mapped[datetime | None]
    announced: Mapped[int] = mapped_column(Integer, server_default="0")
    accepted: Mapped[int] = mapped_column(Integer, server_default="0")
    rejected: Mapped[int] = mapped_column(Integer, server_default="0")
    cancelled: Mapped[int] = mapped_column(Integer, server_default="0")
    expired: Mapped[int] = mapped_column(Integer, server_default="0")
    uncertain: Mapped[int] = mapped_column(Integer, server_default="0")
    moved: Mapped[int] = mapped_column(Integer, server_default="0")

    __table_args__ = (
        CheckConstraint(one_of("state", ShardState), name="state_is_known"),
        CheckConstraint("size BETWEEN 0 AND 2000", name="size_is_bounded"),
        CheckConstraint("announced BETWEEN 0 AND size", name="announced_within_size"),
        Index("shards_to_lease", "lane", "not_before", "retry", postgresql_where="state = 'open'"),
        Index(None, "mailing_id"),
    )


class PausedLane(Base):
    """A lane of which nothing may be handed over until the row is gone."""

    __tablename__ = "paused_lane"

    lane: Mapped[str] = mapped_column(primary_key=True)
    paused_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (CheckConstraint(one_of("lane", Lane), name="lane_is_known"),)


class Delivery(Base):
    """One mailbox's row in a mailing. `month` is the mailing's, so uniqueness holds within one partition."""

    __tablename__ = "delivery"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    month: Mapped[date] = mapped_column(Date)
    mailing_id: Mapped[int]
    variant_id: Mapped[int]
    mailbox_id: Mapped[int]
    subscriber_id: Mapped[int | None]
    # What makes a second mail of the same mailing to the same mailbox lawful: "" for all but notices.
    occasion: Mapped[str] = mapped_column(server_default="")
    shard_id: Mapped[int | None]
    position: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(server_default=DeliveryState.PLANNED)
    reason: Mapped[str | None]
    due_at: Mapped[datetime | None]
    first_tried: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    # The reply in numbers only: its text may repeat the address.
    code: Mapped[int | None] = mapped_column(SmallInteger)
    enhanced: Mapped[str | None]
    outcome_at: Mapped[datetime | None]
    # Set when a server may have taken it, and kept whatever follows: what was in doubt stays listed.
    uncertain_at: Mapped[datetime | None]

    __table_args__ = (
        PrimaryKeyConstraint("month", "id"),
        UniqueConstraint("month", "mailing_id", "mailbox_id", "occasion", name="one_delivery_a_mailbox"),
        CheckConstraint(one_of("state", DeliveryState), name="state_is_known"),
        CheckConstraint("state <> 'cancelled' OR reason IS NOT NULL", name="cancelled_for_a_reason"),
        CheckConstraint("state <> 'deferred' OR due_at IS NOT NULL", name="deferred_until_when"),
        Index("deliveries_of_a_shard", "shard_id", "position"),
        Index("deliveries_of_a_mailbox", "mailbox_id", "mailing_id"),
        # By time and not by state: a condition on the state would have every outcome touch every index.
        Index("deliveries_to_retry", "due_at", postgresql_where="due_at IS NOT NULL"),
        Index("deliveries_in_doubt", "mailing_id", postgresql_where="uncertain_at IS NOT NULL"),
        {"postgresql_partition_by": "RANGE (month)"},
    )


class DeliveryCount(Base):
    """What is left of a mailing's rows once their time is over: how many there were of each state and of each return."""

    __tablename__ = "delivery_count"

    mailing_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    what: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
