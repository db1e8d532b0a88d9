"""What a relay was given in the last hour and day, minute by minute, and what its quotas leave of it: rows.

They are read after `standing.locked` and written before the lock ends, so two workers never spend the same message.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import text

from newsletter.database import Session
from newsletter.delivery import budget, standing, warming
from newsletter.delivery.budget import DAY, HOUR, Limits
from newsletter.delivery.standing import Standing
from newsletter.ledger import shards
from newsletter.ledger.mailings import Lane
from newsletter.relay.target import Relay


@dataclass(frozen=True, slots=True)
class Used:
    """Messages granted to each lane in the last hour and in the last day."""

    hour: Mapping[Lane, int] = field(default_factory=dict)
    day: Mapping[Lane, int] = field(default_factory=dict)


def bearing(session: Session, relays: Mapping[Lane, Sequence[Relay]], lane: Lane, *, now: datetime) -> list[Limits]:
    """Return the limits of those relays of a lane that answer, for a promise; of all of them where none does.

    relays   of every lane: what is due in another is shared out among those that both use
    """
    there = [relay for relay in relays[lane] if standing.of(session, relay).closed_since is None] or relays[lane]
    beside = _beside(session, {**relays, lane: there}, lane)
    found = zip(there, limits(session, there, lane, now=now), strict=True)
    return [replace(bears, beside=beside.get(relay.key, 0)) for relay, bears in found]


def limits(session: Session, relays: Sequence[Relay], lane: Lane, *, now: datetime) -> list[Limits]:
    """Return what each of these relays bears for a lane, and what it was given."""
    found = []
    for relay in relays:
        bears = of(session, relay, standing.of(session, relay), lane, now=now)
        found.append(_with_history(session, relay, bears, now=now) if bears.counts else bears)
    return found


def _beside(session: Session, relays: Mapping[Lane, Sequence[Relay]], lane: Lane) -> dict[str, int]:
    """Return how much of the lane beside is due, shared out among the relays that both lanes use, by their keys."""
    if (other := budget.BESIDE.get(lane)) is None:
        return {}
    shared = {relay.key for relay in relays[lane]} & {relay.key for relay in relays[other]}
    return dict.fromkeys(shared, shards.due_in(session, other) // len(shared)) if shared else {}


def of(session: Session, relay: Relay, known: Standing, lane: Lane, *, now: datetime) -> Limits:
    """Return what a relay bears for a lane now."""
    young, began = _plan(session, relay, known, now=now) if lane is Lane.BULK else ({}, None)
    return Limits(
        lane=lane,
        rate=relay.rate,
        hourly=relay.hourly,
        daily=relay.daily,
        reserve=relay.reserve,
        young=young,
        first_used_at=began,
        lesson=known.lesson,
        full_until=known.full_until(now) if lane is Lane.BULK else None,
    )


def room(session: Session, relay: Relay, bears: Limits, *, now: datetime) -> tuple[int | None, str | None]:
    """Return what is left of the hour and of the day, and which limit is shortest; None is unlimited."""
    used = lately(session, relay, now=now) if bears.counts else Used()
    return bears.room(now, used.hour, used.day)


def _plan(session: Session, relay: Relay, known: Standing, *, now: datetime) -> tuple[dict[int, int], datetime | None]:
    """Return what a young relay gets today and on each day to come, nothing where it is near, and when its life began."""
    if relay.near:
        return {}, None
    plan = _whole_plan(session)
    began = warming.began(known.warming, plan, now=now)
    today = 1 + (now - (began or now)) // DAY
    return {day: most for day, most in plan.items() if day >= today}, began


def _whole_plan(session: Session) -> dict[int, int]:
    return {row.day: row.most for row in session.execute(_PLAN)}


_PLAN = text("SELECT day, most FROM warmup")


def warm_up(session: Session, relay: Relay, known: Standing, messages: int, *, now: datetime) -> None:
    """Count messages of bulk mail for the day of the plan that a young relay is at; less than none were given back."""
    standing.warmed(session, relay, warming.spent(known.warming, _whole_plan(session), messages, now=now))


def young(session: Session, relay: Relay, known: Standing, *, now: datetime) -> int | None:
    """Return how many messages of bulk mail a relay gets on this day of its life; None where it is warm, or near."""
    plan, began = _plan(session, relay, known, now=now)
    return Limits(young=plan, first_used_at=began).most(now)


def lately(session: Session, relay: Relay, *, now: datetime) -> Used:
    """Return what each lane was granted in the last hour and day; a minute that lies in them by a part counts whole."""
    facts = {
        "relay": relay.key,
        "name": relay.name,
        "hour": budget.counted_since(now, HOUR),
        "day": budget.counted_since(now, DAY),
    }
    rows = session.execute(_LATELY, facts).all()
    return Used({Lane(row.lane): int(row.hour) for row in rows}, {Lane(row.lane): int(row.day) for row in rows})


_LATELY = text("""
    SELECT lane, sum(used) AS day, coalesce(sum(used) FILTER (WHERE minute >= :hour), 0) AS hour
    FROM relay_use WHERE relay IN (:relay, :name) AND minute >= :day GROUP BY lane
""")


def _with_history(session: Session, relay: Relay, bears: Limits, *, now: datetime) -> Limits:
    used: dict[datetime, dict[Lane, int]] = defaultdict(dict)
    facts = {"relay": relay.key, "name": relay.name, "day": budget.counted_since(now, DAY)}
    for row in session.execute(_BY_MINUTE, facts):
        used[row.minute][Lane(row.lane)] = int(row.used)
    return replace(bears, used=used)


_BY_MINUTE = text("""
    SELECT minute, lane, sum(used) AS used FROM relay_use
    WHERE relay IN (:relay, :name) AND minute >= :day GROUP BY minute, lane
""")


def use(session: Session, relay: Relay, lane: Lane, messages: int, *, now: datetime) -> None:
    """Count messages as granted, where the hour or the day of this relay matters."""
    if _matters(relay):
        session.execute(_USE, {"relay": relay.key, "lane": lane, "used": messages, "now": now})


def _matters(relay: Relay) -> bool:
    return relay.hourly is not None or relay.daily is not None or not relay.near


_USE = text("""
    INSERT INTO relay_use (relay, minute, lane, used) VALUES (:relay, date_trunc('minute', CAST(:now AS timestamptz)), :lane, :used)
    ON CONFLICT (relay, minute, lane) DO UPDATE SET used = relay_use.used + excluded.used
""")


def give_back(session: Session, relay: Relay, lane: Lane, messages: int) -> None:
    """Take back messages that were granted and not begun, from the minutes in which they were; none goes below nothing."""
    if not _matters(relay):
        return
    rows = session.execute(_LAST, {"relay": relay.key, "lane": lane}).all()
    for row in rows:
        part = min(messages, row.used)
        session.execute(_LESS, {"relay": relay.key, "lane": lane, "minute": row.minute, "part": part})
        messages -= part
        if not messages:
            return


_LAST = text("""
    SELECT minute, used FROM relay_use WHERE relay = :relay AND lane = :lane AND used > 0 ORDER BY minute DESC LIMIT 5
""")
_LESS = text("UPDATE relay_use SET used = used - :part WHERE relay = :relay AND lane = :lane AND minute = :minute")


def forget(session: Session, *, now: datetime) -> int:
    """Remove what no quota counts any more; return how many minutes."""
    old = session.execute(text("DELETE FROM relay_use WHERE minute < :before"), {"before": now - timedelta(hours=26)})
    return int(old.rowcount)  # type: ignore[attr-defined]
