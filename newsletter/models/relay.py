"""What is known of a relay beside its URL: what it took and when, whether it answers, how fast it lets us. Owned by `delivery`."""

from datetime import datetime

from sqlalchemy import ARRAY, BIGINT, CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, one_of
from newsletter.models.mailing import Lane


class RelayState(Base):
    """One account at one relay (host:port, and a digest of the user name). A closed one is asked again by whoever claims the probe.

    refuses                     it is closed because it refuses us, which time alone does not mend
    slowed_to, slowed_until     messages a second, as its refusals taught us
    full_until                  it said that the day's quota is used up
    crowded_at                  when an alert or a service mail last found no session left there; in a row of the host alone, like
    crowded_lane, crowded_since whose turn it is there, and since when (`delivery.needs`)
    bulk_crowded_at             when bulk mail last found none
    first_used_at               where its warm-up would have begun, had every day since counted (`delivery.warming`)
    young_since, young_used     the day of the warm-up that it is at, and what bulk mail used of it
    """

    __tablename__ = "relay_state"

    name: Mapped[str] = mapped_column(primary_key=True)
    closed_until: Mapped[datetime | None]
    closed_since: Mapped[datetime | None]
    refuses: Mapped[bool] = mapped_column(server_default="false")
    slowed_to: Mapped[float | None]
    slowed_until: Mapped[datetime | None]
    full_until: Mapped[datetime | None]
    crowded_at: Mapped[datetime | None]
    crowded_lane: Mapped[str | None]
    crowded_since: Mapped[datetime | None]
    bulk_crowded_at: Mapped[datetime | None]
    first_used_at: Mapped[datetime | None]
    young_since: Mapped[datetime | None]
    young_used: Mapped[int] = mapped_column(BIGINT, server_default="0")


class RelayPace(Base):
    """The token bucket of one lane at one relay, or of all lanes together ("all").

    provider     the group behind the relay that asked for less; empty for the relay itself
    paid_until   the moment up to which its rate is used up: ahead of the clock by what was granted (GCRA)
    asked_at     when the lane last wanted something: lanes that want nothing share what they leave
    given        of all lanes together: (hundredth of a second since 1970, messages) in the last second (`delivery.seconds`)
    """

    __tablename__ = "relay_pace"

    relay: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True, server_default="")
    lane: Mapped[str] = mapped_column(primary_key=True)
    paid_until: Mapped[datetime]
    asked_at: Mapped[datetime]
    given: Mapped[list[list[int]]] = mapped_column(ARRAY(BIGINT), server_default="{}")


class RelayUse(Base):
    """How many messages a lane was granted at a relay in one minute; kept for a day and a bit."""

    __tablename__ = "relay_use"

    relay: Mapped[str] = mapped_column(primary_key=True)
    minute: Mapped[datetime] = mapped_column(primary_key=True)
    lane: Mapped[str] = mapped_column(primary_key=True)
    used: Mapped[int]

    __table_args__ = (CheckConstraint(one_of("lane", Lane), name="lane_is_known"), Index("uses_by_minute", "minute"))


class Warmup(Base):
    """How many messages of bulk mail a relay gets on each day of its life; after the last day as many as it bears."""

    __tablename__ = "warmup"

    day: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    most: Mapped[int]

    __table_args__ = (CheckConstraint("day >= 1 AND most >= 1", name="is_a_plan"),)


class ProviderPace(Base):
    """A provider group that asked us to slow down at one relay: messages a second, halved at each refusal, raised step by step."""

    __tablename__ = "provider_pace"

    relay: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    rate: Mapped[float]
    changed_at: Mapped[datetime]
