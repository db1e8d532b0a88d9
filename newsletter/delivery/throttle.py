"""The relays' budgets in rows: who may be given how much now, who answers, who asked us to slow down.

They stand in PostgreSQL beside the window they are spent in, so they hold for all workers of all machines, and a restart or
a dead Redis neither doubles nor forgets a day's quota (docs/adr/0009). A relay without limits costs nothing here.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import text

from newsletter.database import Session
from newsletter.delivery import budget
from newsletter.ledger.mailings import Lane
from newsletter.relay.target import Relay

log = structlog.get_logger()

PROBE = timedelta(seconds=10)
"""A relay that did not answer is asked again so often, by one process."""
REFUSED = timedelta(minutes=1)
"""One that refused us is asked seldom: whoever knocks with a wrong password every ten seconds is locked out."""
SLOWEST = 0.1
FULL = timedelta(hours=1)
ALL = "all"


@dataclass(frozen=True, slots=True)
class Grant:
    """How many messages may be begun now; if none, how long to wait and what for."""

    messages: int
    wait_seconds: float = 0.0
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The relay for the next shard of a lane, or None and why. probe: it did not answer, and this is to learn if it does."""

    relay: Relay | None
    why: str | None = None
    probe: bool = False


def choose(session: Session, relays: Sequence[Relay], lane: Lane, *, chance: float, now: datetime) -> Choice:
    """Choose a relay by weight among those that answer and have some of their quota left.

    chance   0.0 … 1.0, the caller's dice

    A relay that did not answer is chosen again by one process every ten seconds, which learns whether it is back.
    """
    states = {row.name: row for row in session.execute(_STATES, {"relays": [relay.name for relay in relays]})}
    away = [relay for relay in relays if (state := states.get(relay.name)) and state.closed_until]
    whys = ["away"] if away else []
    able = []
    for relay in relays:
        if relay in away:
            continue
        if why := _spent(session, relay, states.get(relay.name), lane, now=now):
            whys.append(why)
        else:
            able.append(relay)
    for relay in away:
        if session.execute(_CLAIM, {"relay": relay.name, "probe": PROBE}).rowcount:  # type: ignore[attr-defined]
            return Choice(relay, probe=True)
    return Choice(_weighted(able, chance), None if able else min(whys, default=None))


def _weighted(able: Sequence[Relay], chance: float) -> Relay | None:
    point = chance * sum(relay.weight for relay in able)
    for relay in able:
        point -= relay.weight
        if point < 0:
            return relay
    return able[-1] if able else None


def _spent(session: Session, relay: Relay, state: Any, lane: Lane, *, now: datetime) -> str | None:
    if state and state.full_until and state.full_until > now and lane is Lane.BULK:
        return "full"
    room, why = _quota(session, relay, lane, now=now)
    return why if room == 0 else None


_STATE = text("SELECT * FROM relay_state WHERE name = :relay")
_STATES = text("SELECT * FROM relay_state WHERE name = ANY (:relays)")
_CLAIM = text("""
    UPDATE relay_state SET closed_until = clock_timestamp() + :probe WHERE name = :relay AND closed_until <= clock_timestamp()
""")


def closed(session: Session, relay: Relay, *, probe: timedelta = PROBE) -> None:
    """Remember that a relay did not answer, and when it is asked again."""
    session.execute(_CLOSED, {"relay": relay.name, "probe": probe})


def all_away(session: Session, relays: Sequence[Relay]) -> bool:
    """Return whether none of these relays answers."""
    states = session.execute(_STATES, {"relays": [relay.name for relay in relays]})
    return {relay.name for relay in relays} <= {row.name for row in states if row.closed_until}


_CLOSED = text("""
    INSERT INTO relay_state (name, closed_until, closed_since) VALUES (:relay, clock_timestamp() + :probe, clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET closed_until = excluded.closed_until,
        closed_since = coalesce(relay_state.closed_since, excluded.closed_since)
""")


def answered(session: Session, relay: Relay) -> None:
    """Remember that a relay answers again."""
    session.execute(_ANSWERED, {"relay": relay.name})


_ANSWERED = text(
    "UPDATE relay_state SET closed_until = NULL, closed_since = NULL WHERE name = :relay AND closed_until IS NOT NULL"
)


def grant(session: Session, relay: Relay, lane: Lane, provider: str, want: int, *, now: datetime) -> Grant:
    """Grant up to `want` messages of a lane at a relay to a provider group, and count them as used."""
    room, why = _quota(session, relay, lane, now=now)
    if room == 0:
        return Grant(0, 60.0, why)
    want = want if room is None else min(want, room)
    for limit in (_by_provider(session, provider, now=now), _by_relay(session, relay, lane, now=now)):
        if limit is None:
            continue
        if limit.messages == 0:
            return limit
        want = min(want, limit.messages)
    if lane is Lane.URGENT:
        _warn_of_haste(session, relay, want, now=now)
    _pay(session, relay, lane, provider, want, now=now)
    return Grant(want)


def _warn_of_haste(session: Session, relay: Relay, want: int, *, now: datetime) -> None:
    """An alert may break the plan of a young relay; who runs it should know."""
    if (most := _warming(session, relay, now=now)) is None:
        return
    used = sum(_used(session, relay, since=now - timedelta(days=1)).values())
    if used <= most < used + want:
        log.warning("warm-up exceeded by an alert", relay=relay.name, most=most)


def _quota(session: Session, relay: Relay, lane: Lane, *, now: datetime) -> tuple[int | None, str | None]:
    """Return what is left of the hour and of the day for a lane, and which of them is shorter; None is unlimited."""
    rooms: list[tuple[int, str]] = []
    if relay.hourly is not None:
        used = _used(session, relay, since=now - timedelta(hours=1))
        rooms.append((budget.left(lane, limit=relay.hourly, used=used), "hourly"))
    if relay.daily is not None:
        used = _used(session, relay, since=now - timedelta(days=1))
        room = budget.left(lane, limit=relay.daily, used=used, reserve=relay.reserve)
        free = relay.daily - sum(used.values())
        rooms.append((room, "reserve" if room == 0 and free > 0 and relay.reserve and lane is Lane.BULK else "daily"))
    if lane is Lane.BULK and (most := _warming(session, relay, now=now)) is not None:
        rooms.append((max(0, most - sum(_used(session, relay, since=now - timedelta(days=1)).values())), "warm-up"))
    return min(rooms, default=(None, None))


def _warming(session: Session, relay: Relay, *, now: datetime) -> int | None:
    """Return how many messages a young relay gets today; None for one that is warm, or stands on this machine."""
    if relay.near:
        return None
    most = session.execute(_WARMING, {"relay": relay.name, "now": now}).scalar_one_or_none()
    return None if most is None else int(most)


# A relay that was never used is on its first day. One that an operator called warm is older than the plan.
_WARMING = text("""
    SELECT w.most FROM warmup w WHERE w.day = 1 + coalesce((
        SELECT floor(extract(epoch FROM CAST(:now AS timestamptz) - s.first_used_at) / 86400)
        FROM relay_state s WHERE s.name = :relay), 0)
""")


def warm(session: Session, name: str, *, now: datetime) -> None:
    """Call a relay warm: it was in use before we were."""
    session.execute(_BEGUN, {"relay": name, "at": now - timedelta(days=1000)})


_BEGUN = text("""
    INSERT INTO relay_state (name, first_used_at) VALUES (:relay, :at)
    ON CONFLICT (name) DO UPDATE SET first_used_at = least(relay_state.first_used_at, excluded.first_used_at)
""")


def _used(session: Session, relay: Relay, *, since: datetime) -> dict[Lane, int]:
    found = session.execute(_USED, {"relay": relay.name, "since": since})
    return {Lane(row.lane): int(row.used) for row in found}


_USED = text("""
    SELECT lane, sum(used) AS used FROM relay_use
    WHERE relay = :relay AND minute > date_trunc('minute', CAST(:since AS timestamptz)) GROUP BY lane
""")


@dataclass(frozen=True, slots=True)
class _Bucket:
    rate: float
    paid_until: datetime
    burst: float

    def grant(self, why: str, now: datetime) -> Grant:
        held = budget.tokens(self.rate, paid_until=self.paid_until, now=now, burst=self.burst)
        if held:
            return Grant(held)
        wait = budget.wait_for_one(self.rate, paid_until=self.paid_until, now=now, burst=self.burst)
        return Grant(0, max(wait, 0.01), why)


def _by_relay(session: Session, relay: Relay, lane: Lane, *, now: datetime) -> Grant | None:
    """The smaller of what the relay has for all and what it has for this lane."""
    rate = _rate(session, relay, now=now)
    if rate is None:
        return None
    session.execute(_ASK, {"relay": relay.name, "lanes": [ALL, str(lane)], "now": now})
    rows = {row.lane: row for row in session.execute(_PACES, {"relay": relay.name})}
    active = [Lane(name) for name, row in rows.items() if name != ALL and now - row.asked_at < budget.ACTIVE]
    own = rate * budget.share(lane, [*active, lane])
    burst = float(relay.ahead or 0)
    total = _Bucket(rate, rows[ALL].paid_until, burst or rate * budget.BURST_SECONDS).grant("rate", now)
    mine = _Bucket(own, rows[lane].paid_until, burst or own * budget.BURST_SECONDS).grant("rate", now)
    return min(total, mine, key=lambda found: (found.messages, -found.wait_seconds))


def _rate(session: Session, relay: Relay, *, now: datetime) -> float | None:
    """The slower of what the URL says and what refusals taught; a lesson is forgotten step by step."""
    state = session.execute(_STATE, {"relay": relay.name}).one_or_none()
    if state is None or state.slowed_to is None:
        return relay.rate
    known = budget.Lesson(state.slowed_to, state.slowed_until)
    lesson = known.at(now, usual=relay.rate)
    if lesson != known:
        facts = {"rate": lesson and lesson.rate, "until": lesson and lesson.until}
        session.execute(_LESSON, {"relay": relay.name} | facts)
    return relay.rate if lesson is None else min(lesson.rate, relay.rate or lesson.rate)


_LESSON = text("UPDATE relay_state SET slowed_to = :rate, slowed_until = :until WHERE name = :relay")
_ASK = text("""
    INSERT INTO relay_pace (relay, lane, paid_until, asked_at)
    SELECT :relay, lane, CAST(:now AS timestamptz), CAST(:now AS timestamptz) FROM unnest(CAST(:lanes AS text[])) AS lane
    ON CONFLICT (relay, lane) DO UPDATE SET asked_at = excluded.asked_at
""")
_PACES = text("SELECT lane, paid_until, asked_at FROM relay_pace WHERE relay = :relay ORDER BY lane FOR UPDATE")


def _by_provider(session: Session, provider: str, *, now: datetime) -> Grant | None:
    row = session.execute(_PROVIDER, {"provider": provider}).one_or_none()
    if row is None:
        return None
    known = budget.Lesson(row.rate, row.changed_at + budget.LEARNED)
    if (lesson := known.at(now)) is None:
        session.execute(text("DELETE FROM provider_pace WHERE provider = :provider"), {"provider": provider})
        return None
    if lesson != known:
        facts = {"provider": provider, "rate": lesson.rate, "now": now}
        session.execute(
            text("UPDATE provider_pace SET rate = :rate, changed_at = :now WHERE provider = :provider"), facts
        )
    return _Bucket(lesson.rate, row.paid_until, lesson.rate * budget.BURST_SECONDS).grant("provider", now)


def lessons(session: Session) -> dict[str, budget.Lesson]:
    """Return the pace that each provider taught which refused because of ours."""
    found = session.execute(text("SELECT provider, rate, changed_at FROM provider_pace"))
    return {row.provider: budget.Lesson(row.rate, row.changed_at + budget.LEARNED) for row in found}


_PROVIDER = text("SELECT * FROM provider_pace WHERE provider = :provider FOR UPDATE")


def _pay(session: Session, relay: Relay, lane: Lane, provider: str, messages: int, *, now: datetime) -> None:
    """Count messages as used everywhere; fewer than none gives them back."""
    rate = _rate(session, relay, now=now)
    if rate is not None:
        session.execute(_PAY, {"relay": relay.name, "lane": ALL, "seconds": messages / rate, "now": now})
        active = session.execute(_ACTIVE, {"relay": relay.name, "since": now - budget.ACTIVE}).scalars()
        own = rate * budget.share(lane, [*map(Lane, active), lane])
        session.execute(_PAY, {"relay": relay.name, "lane": lane, "seconds": messages / own, "now": now})
    if not relay.near:
        session.execute(_BEGUN, {"relay": relay.name, "at": now})
    session.execute(_PAY_PROVIDER, {"provider": provider, "messages": messages, "now": now})
    if relay.hourly is not None or relay.daily is not None or not relay.near:
        session.execute(_USE, {"relay": relay.name, "lane": lane, "used": messages, "now": now})


_PAY = text("""
    UPDATE relay_pace SET paid_until = greatest(paid_until, CAST(:now AS timestamptz)) + make_interval(secs => :seconds)
    WHERE relay = :relay AND lane = :lane
""")
_ACTIVE = text("SELECT lane FROM relay_pace WHERE relay = :relay AND lane <> 'all' AND asked_at > :since")
_PAY_PROVIDER = text("""
    UPDATE provider_pace SET paid_until = greatest(paid_until, CAST(:now AS timestamptz)) + make_interval(secs => :messages / rate)
    WHERE provider = :provider
""")
_USE = text("""
    INSERT INTO relay_use (relay, minute, lane, used) VALUES (:relay, date_trunc('minute', CAST(:now AS timestamptz)), :lane, :used)
    ON CONFLICT (relay, minute, lane) DO UPDATE SET used = relay_use.used + excluded.used
""")


def refund(session: Session, relay: Relay, lane: Lane, provider: str, messages: int, *, now: datetime) -> None:
    """Take back what was granted and not begun: a window that closed early must cost neither a part of the pace nor of the day."""
    if messages > 0:
        _pay(session, relay, lane, provider, -messages, now=now)


def slow_relay(session: Session, relay: Relay, *, observed: float, now: datetime) -> None:
    """A relay refused because of our pace: half of it from now on, raised step by step. Once in ten seconds at most."""
    facts = {
        "relay": relay.name,
        "rate": min(relay.rate or observed, observed),
        "now": now,
        "until": now + budget.LEARNED,
    }
    session.execute(_SLOW_RELAY, facts | {"slowest": SLOWEST})


_SLOW_RELAY = text("""
    INSERT INTO relay_state (name, slowed_to, slowed_until) VALUES (:relay, greatest(:slowest, :rate / 2), :until)
    ON CONFLICT (name) DO UPDATE
    SET slowed_to = greatest(:slowest, coalesce(relay_state.slowed_to, :rate) / 2), slowed_until = :until
    WHERE relay_state.slowed_until IS NULL OR relay_state.slowed_until < CAST(:now AS timestamptz) + interval '50 seconds'
""")


def fill_relay(session: Session, relay: Relay, *, now: datetime) -> None:
    """A relay said that the day's quota is used up: bulk mail asks again in an hour."""
    session.execute(_FILL, {"relay": relay.name, "until": now + FULL})


_FILL = text("""
    INSERT INTO relay_state (name, full_until) VALUES (:relay, :until) ON CONFLICT (name) DO UPDATE SET full_until = :until
""")


def slow_provider(session: Session, provider: str, *, observed: float, now: datetime) -> None:
    """A provider refused because of our pace: half of it from now on. Once in ten seconds at most."""
    facts = {"provider": provider, "rate": max(SLOWEST * 2, observed), "now": now, "slowest": SLOWEST}
    session.execute(_SLOW_PROVIDER, facts)


_SLOW_PROVIDER = text("""
    INSERT INTO provider_pace (provider, rate, paid_until, changed_at) VALUES (:provider, :rate / 2, :now, :now)
    ON CONFLICT (provider) DO UPDATE SET rate = greatest(:slowest, provider_pace.rate / 2), changed_at = :now
    WHERE provider_pace.changed_at < CAST(:now AS timestamptz) - interval '10 seconds'
""")


def limited(session: Session, relay: Relay, provider: str) -> bool:
    """Return whether windows of this relay and provider group must ask for a grant."""
    # Whatever is abroad has a first day, which is remembered from its first window on.
    if relay.limited or not relay.near:
        return True
    return bool(session.execute(_LESSONS, {"relay": relay.name, "provider": provider}).scalar_one())


_LESSONS = text("""
    SELECT EXISTS (SELECT FROM relay_state WHERE name = :relay AND slowed_to IS NOT NULL)
        OR EXISTS (SELECT FROM provider_pace WHERE provider = :provider)
""")


def limits(session: Session, relays: Sequence[Relay], lane: Lane, *, now: datetime) -> list[budget.Limits]:
    """Return what each relay bears for a lane, for a promise."""
    return [_limits(session, relay, lane, now=now) for relay in relays]


def _limits(session: Session, relay: Relay, lane: Lane, *, now: datetime) -> budget.Limits:
    given: dict[datetime, int] = defaultdict(int)
    counted = None if lane is not Lane.BULK else lane
    for row in session.execute(_BY_HOUR, {"relay": relay.name, "since": now - timedelta(days=1), "lane": counted}):
        given[row.hour] += int(row.used)
    none: Mapping[Lane, int] = {}
    state = session.execute(_STATE, {"relay": relay.name}).one_or_none()
    slowed = state is not None and state.slowed_to is not None
    return budget.Limits(
        rate=relay.rate,
        hourly=None if relay.hourly is None else budget.left(lane, limit=relay.hourly, used=none),
        daily=None if relay.daily is None else budget.left(lane, limit=relay.daily, used=none, reserve=relay.reserve),
        given=given,
        young=_plan(session, relay, now=now) if lane is Lane.BULK else (),
        lesson=budget.Lesson(state.slowed_to, state.slowed_until) if state and slowed else None,
        full_until=state.full_until if state and lane is Lane.BULK else None,
    )


def _plan(session: Session, relay: Relay, *, now: datetime) -> tuple[int, ...]:
    """Return what a young relay gets today and on each day of its plan that is to come."""
    if relay.near:
        return ()
    return tuple(int(most) for most in session.execute(_PLAN, {"relay": relay.name, "now": now}).scalars())


_PLAN = text("""
    SELECT w.most FROM warmup w WHERE w.day >= 1 + coalesce((
        SELECT floor(extract(epoch FROM CAST(:now AS timestamptz) - s.first_used_at) / 86400)
        FROM relay_state s WHERE s.name = :relay), 0) ORDER BY w.day
""")
_BY_HOUR = text("""
    SELECT date_trunc('hour', minute) AS hour, sum(used) AS used FROM relay_use
    WHERE relay = :relay AND minute > :since AND (CAST(:lane AS text) IS NULL OR lane = :lane) GROUP BY 1
""")


def forget(session: Session, *, now: datetime) -> int:
    """Remove what no quota counts any more; return how many minutes."""
    old = session.execute(text("DELETE FROM relay_use WHERE minute < :before"), {"before": now - timedelta(hours=26)})
    return int(old.rowcount)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Known:
    """What an operator sees of a relay. left: what a lane may still be given, held_by: the limit that says so."""

    away_since: datetime | None
    slowed_to: float | None
    full_until: datetime | None
    left: int | None
    held_by: str | None


def known(session: Session, relay: Relay, lane: Lane, *, now: datetime) -> Known:
    """Return what is known of a relay, for one lane."""
    state = session.execute(_STATE, {"relay": relay.name}).one_or_none()
    room, why = _quota(session, relay, lane, now=now)
    full = state.full_until if state and state.full_until and state.full_until > now else None
    return Known(state.closed_since if state else None, state.slowed_to if state else None, full, room, why)
