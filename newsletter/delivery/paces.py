"""How fast the lanes may go, at a relay and at a provider group behind it: token buckets in rows, shared by all workers.

One for all lanes together and one for each lane that wants something, whose share is `budget.share`. A provider that asked for
less has its own at each relay, with the same shares: it counts what one relay brings, and another relay has done it no harm.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from newsletter.database import Session
from newsletter.delivery import budget, seconds
from newsletter.delivery.budget import LEARNED, Lesson
from newsletter.delivery.seconds import Given
from newsletter.delivery.standing import SLOWEST
from newsletter.ledger.mailings import Lane
from newsletter.relay.target import Relay

ALL = "all"


@dataclass(frozen=True, slots=True)
class Held:
    """How many messages a bucket holds; if too few to be worth a grant, none and the seconds until it holds as many."""

    messages: int
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Where a pace holds, and how fast it is.

    provider   the group behind the relay; "" is the relay itself
    rate       messages a second
    burst      messages that may go at once after a pause; None: no second may hold more than its rate
    """

    relay: str
    provider: str
    rate: float
    burst: int | None = None

    def ask(self, session: Session, lane: Lane, want: int, *, now: datetime) -> Held:
        """Return what it holds for a lane that wants so many: the smaller of what is there for all and for this lane.

        Locks it for the transaction.
        """
        session.execute(_ASK, self._place | {"lanes": [ALL, str(lane)], "now": now})
        rows = self._rows(session)
        own = self._own(lane, rows, now)
        least = budget.worth(own, want)
        all_together = _Bucket(ALL, self.rate, rows[ALL].paid_until, self.burst or budget.burst(self.rate))
        mine = _Bucket(lane, own, rows[lane].paid_until, self.burst or budget.lane_burst(own))
        found = [self._forgiven(session, bucket, now).held(least, now) for bucket in (all_together, mine)]
        if self.burst is None:
            found.append(Held(*seconds.held(least, rows[ALL].given, rate=self.rate, now=now)))
        return min(found, key=lambda held: (held.messages, -held.wait))

    def _forgiven(self, session: Session, bucket: "_Bucket", now: datetime) -> "_Bucket":
        """Set a bucket right that a clock which was set back has left with more debt than it can have."""
        honest = budget.honest(bucket.rate, paid_until=bucket.paid_until, now=now, burst=bucket.burst)
        if honest == bucket.paid_until:
            return bucket
        session.execute(_FORGIVE, self._place | {"lane": bucket.lane, "until": honest})
        return replace(bucket, paid_until=honest)

    def pay(self, session: Session, lane: Lane, messages: int, *, now: datetime) -> None:
        """Count messages as granted."""
        self._count(session, lane, messages, lambda given: seconds.with_more(given, messages, now=now), now=now)

    def take_back(self, session: Session, lane: Lane, granted: Sequence[datetime], *, now: datetime) -> None:
        """Count messages as not begun that were granted then."""
        self._count(session, lane, -len(granted), lambda given: seconds.with_less(given, granted, now=now), now=now)

    def _count(
        self, session: Session, lane: Lane, messages: int, following: Callable[[Given], Given], *, now: datetime
    ) -> None:
        """Have the buckets pay, and write down what was given in the last second where that matters."""
        rows = self._rows(session)
        rates = {ALL: self.rate, str(lane): self._own(lane, rows, now)}
        facts = {
            "now": now,
            "all": ALL,
            "lanes": list(rates),
            "seconds": [messages / rate for rate in rates.values()],
            "given": following(rows[ALL].given) if self.burst is None and ALL in rows else None,
        }
        session.execute(_PAY, self._place | facts)

    @property
    def _place(self) -> dict[str, object]:
        return {"relay": self.relay, "provider": self.provider}

    def _rows(self, session: Session) -> dict[str, Any]:
        return {row.lane: row for row in session.execute(_PACES, self._place)}

    def _own(self, lane: Lane, rows: dict[str, Any], now: datetime) -> float:
        # Either way: who asked "later" than now did so before the clock was set back.
        lately = budget.active_for(self.rate)
        active = [Lane(name) for name, row in rows.items() if name != ALL and abs(now - row.asked_at) < lately]
        return self.rate * budget.share(lane, [*active, lane])


def given_lately(session: Session, relay: Relay, *, now: datetime) -> int:
    """Return how many messages all senders together were given at a relay in the last second; 0 where nobody counts them."""
    given = session.execute(_GIVEN, {"relay": relay.key, "lane": ALL}).scalar_one_or_none()
    return sum(messages for _, messages in seconds.counting(given or (), now=now))


@dataclass(frozen=True, slots=True)
class _Bucket:
    """The bucket of a lane, or of all of them together."""

    lane: str
    rate: float
    paid_until: datetime
    burst: float

    def held(self, least: int, now: datetime) -> Held:
        least = max(1, min(least, int(self.burst)))
        messages = budget.tokens(self.rate, paid_until=self.paid_until, now=now, burst=self.burst)
        if messages >= least:
            return Held(messages)
        wait = budget.wait_for(least, self.rate, paid_until=self.paid_until, now=now, burst=self.burst)
        return Held(0, max(0.01, wait))


_ASK = text("""
    INSERT INTO relay_pace (relay, provider, lane, paid_until, asked_at)
    SELECT :relay, :provider, lane, CAST(:now AS timestamptz), CAST(:now AS timestamptz)
    FROM unnest(CAST(:lanes AS text[])) AS lane ORDER BY lane
    ON CONFLICT (relay, provider, lane) DO UPDATE SET asked_at = excluded.asked_at
""")
_PACES = text("""
    SELECT lane, paid_until, asked_at, given FROM relay_pace WHERE relay = :relay AND provider = :provider ORDER BY lane FOR UPDATE
""")
_GIVEN = text("SELECT given FROM relay_pace WHERE relay = :relay AND provider = '' AND lane = :lane")
_FORGIVE = text("""
    UPDATE relay_pace SET paid_until = :until WHERE relay = :relay AND provider = :provider AND lane = :lane
""")
_PAY = text("""
    UPDATE relay_pace p
    SET paid_until = greatest(p.paid_until, CAST(:now AS timestamptz)) + make_interval(secs => w.seconds),
        given = CASE WHEN p.lane = :all THEN coalesce(CAST(:given AS bigint[]), p.given) ELSE p.given END
    FROM unnest(CAST(:lanes AS text[]), CAST(:seconds AS float8[])) AS w (lane, seconds)
    WHERE p.relay = :relay AND p.provider = :provider AND p.lane = w.lane
""")


def taught(session: Session, relay: Relay, provider: str, *, now: datetime) -> Pace | None:
    """Return the pace that a provider taught at a relay, None where it taught none; a lesson is forgotten step by step."""
    where = {"relay": relay.key, "provider": provider}
    row = session.execute(_TAUGHT, where).one_or_none()
    if row is None:
        return None
    known = _lesson(row)
    if (lesson := known.at(now)) is None:
        session.execute(_UNLEARN, where)
        return None
    if lesson != known:
        session.execute(_RELEARN, where | {"rate": lesson.rate, "now": now})
    return Pace(relay.key, provider, lesson.rate)


def _lesson(row: Any) -> Lesson:
    return Lesson(row.rate, row.changed_at + LEARNED)


_TAUGHT = text("SELECT * FROM provider_pace WHERE relay = :relay AND provider = :provider FOR UPDATE")
_UNLEARN = text("DELETE FROM provider_pace WHERE relay = :relay AND provider = :provider")
_RELEARN = text("""
    UPDATE provider_pace SET rate = :rate, changed_at = :now WHERE relay = :relay AND provider = :provider
""")


def taught_at(session: Session, relays: Sequence[Relay], provider: str) -> set[str]:
    """Return at which of these relays, by their keys, a provider taught a pace."""
    facts = {"relays": [relay.key for relay in relays], "provider": provider}
    return set(session.execute(_TAUGHT_AT, facts).scalars())


_TAUGHT_AT = text("SELECT relay FROM provider_pace WHERE relay = ANY (:relays) AND provider = :provider")


def slow(session: Session, relay: Relay, provider: str, *, observed: float, now: datetime) -> None:
    """A provider refused because of our pace: half of it from now on, at this relay. Once in ten seconds at most."""
    facts = {"relay": relay.key, "provider": provider, "rate": max(SLOWEST * 2, observed), "now": now}
    session.execute(_SLOW, facts | {"slowest": SLOWEST})


_SLOW = text("""
    INSERT INTO provider_pace (relay, provider, rate, changed_at) VALUES (:relay, :provider, :rate / 2, :now)
    ON CONFLICT (relay, provider) DO UPDATE SET rate = greatest(:slowest, provider_pace.rate / 2), changed_at = :now
    WHERE NOT provider_pace.changed_at BETWEEN CAST(:now AS timestamptz) - interval '10 seconds'
        AND CAST(:now AS timestamptz) + interval '10 seconds'
""")


def lessons(session: Session, relays: Sequence[Relay]) -> dict[str, list[Lesson]]:
    """Return the paces that a provider taught, one for each relay; without those that another relay may still reach at will."""
    found: dict[str, dict[str, Lesson]] = defaultdict(dict)
    keys = {relay.key for relay in relays}
    for row in session.execute(text("SELECT * FROM provider_pace WHERE relay = ANY (:relays)"), {"relays": list(keys)}):
        found[row.provider][row.relay] = _lesson(row)
    return {provider: list(by.values()) for provider, by in found.items() if by.keys() == keys}


def forget(session: Session, *, now: datetime) -> None:
    """Remove the buckets of providers that have long been at their usual pace."""
    session.execute(
        text("DELETE FROM relay_pace WHERE provider <> '' AND asked_at < :before"), {"before": now - timedelta(days=1)}
    )
