"""How much a relay may be given now, and when all of a mailing will have gone: pure rules.

A relay has a pace (messages a second), an hour and a day. Lanes share the pace: a lane that wants nothing leaves its part to
the others. Of the day bulk mail may use neither what is reserved for alerts nor the little that service mail needs.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from newsletter.ledger.mailings import Lane

TRANSACTIONAL_SHARE = 0.2
URGENT_OVER_BULK = 0.9
SERVICE_KEEP = 0.02
"""Part of every quota that only service mail may use: a confirmation must not wait for tomorrow."""
BURST_SECONDS = 0.25
ACTIVE = timedelta(seconds=3)
LEARNED = timedelta(minutes=1)
"""How long a pace that a refusal taught is kept before it is raised a step."""
STEP = 1.5
HIGHEST = 1000.0
"""Messages a second from which a learned pace is forgotten."""
_FOREVER = timedelta(days=366)


def share(lane: Lane, active: Iterable[Lane]) -> float:
    """Return which part of a relay's pace a lane gets while these lanes want something (itself included)."""
    others = set(active) - {lane}
    if not others:
        return 1.0
    if lane is Lane.TRANSACTIONAL:
        return TRANSACTIONAL_SHARE
    rest = 1.0 - (TRANSACTIONAL_SHARE if Lane.TRANSACTIONAL in others else 0.0)
    if {Lane.URGENT, Lane.BULK} <= {lane, *others}:
        return rest * (URGENT_OVER_BULK if lane is Lane.URGENT else 1 - URGENT_OVER_BULK)
    return rest


def tokens(rate: float, *, paid_until: datetime, now: datetime, burst: float) -> int:
    """Return how many messages a bucket holds.

    rate        messages a second
    paid_until  the moment up to which the rate is used up
    burst       messages that may go at once after a pause, at least 1
    """
    debt = max(0.0, (paid_until - now).total_seconds()) * rate
    return max(0, math.floor(max(1.0, burst) - debt + 1e-6))


def paid(rate: float, messages: int, *, paid_until: datetime, now: datetime) -> datetime:
    """Return up to when the rate is used up once so many more messages were granted."""
    return max(paid_until, now) + timedelta(seconds=messages / rate)


def wait_for_one(rate: float, *, paid_until: datetime, now: datetime, burst: float) -> float:
    """Return the seconds until the bucket holds a message; 0 when it does."""
    debt = max(0.0, (paid_until - now).total_seconds()) * rate
    return max(0.0, (debt + 1 - max(1.0, burst)) / rate)


def left(lane: Lane, *, limit: int, used: Mapping[Lane, int], reserve: int = 0) -> int:
    """Return how many messages of a quota a lane may still use.

    used      messages granted to each lane within the quota's time
    reserve   what bulk mail leaves to alerts, as far as alerts have not used it
    """
    free = limit - sum(used.values())
    if lane is not Lane.TRANSACTIONAL:
        free -= max(0, int(limit * SERVICE_KEEP) - used.get(Lane.TRANSACTIONAL, 0))
    if lane is Lane.BULK:
        free -= max(0, reserve - used.get(Lane.URGENT, 0))
    return max(0, free)


@dataclass(frozen=True, slots=True)
class Lesson:
    """A pace that a refusal taught: messages a second, kept up to a time and raised step by step when it is used after it."""

    rate: float
    until: datetime

    def at(self, now: datetime, *, usual: float | None = None) -> "Lesson | None":
        """Return what of the lesson holds now: all of it, a step more, or nothing. usual: the pace before it, None for any."""
        if now < self.until:
            return self
        raised = self.rate * STEP
        return Lesson(raised, now + LEARNED) if raised < (usual or HIGHEST) else None


@dataclass(frozen=True, slots=True)
class Limits:
    """What one relay bears for one lane, and what it was given by hour in the last day.

    rate            messages a second for this lane; None is unlimited, as in the next two
    hourly, daily   what the lane may use of an hour and of a day, all deductions made
    given           start of the hour → messages of this lane and of those that share its quota
    young           the most of today and of each day to come while the relay is new
    lesson          the pace that its refusals taught
    full_until      up to when it takes nothing, by its own word
    """

    rate: float | None
    hourly: int | None
    daily: int | None
    given: Mapping[datetime, int]
    young: tuple[int, ...] = ()
    lesson: Lesson | None = None
    full_until: datetime | None = None

    @property
    def unlimited(self) -> bool:
        """Whether nothing but this machine holds it up."""
        bounds = (self.rate, self.hourly, self.daily, self.lesson, self.full_until)
        return all(bound is None for bound in bounds) and not self.young

    def at(self, moment: datetime) -> "Limits":
        """Return the limits as they stand at a moment to come: what was learned is forgotten step by step."""
        if self.lesson is None and self.full_until is None:
            return self
        full = self.full_until if self.full_until and self.full_until > moment else None
        return replace(self, lesson=self.lesson and self.lesson.at(moment, usual=self.rate), full_until=full)

    @property
    def pace(self) -> float | None:
        """Messages a second now; None where there is no limit."""
        if self.full_until is not None:
            return 0.0
        if self.lesson is None:
            return self.rate
        return self.lesson.rate if self.rate is None else min(self.rate, self.lesson.rate)


@dataclass(frozen=True, slots=True)
class Promise:
    """When a mailing will have gone. by_day: the messages of each day, in order, the first is today."""

    ends_at: datetime
    by_day: tuple[int, ...]
    held_by: str | None


@dataclass(frozen=True, slots=True)
class Bearer:
    """One relay of an alert's, as a plan looks at it.

    name     host and port, no password
    daily    the whole of its day; None: it has none
    reserve  what of the day bulk mail leaves to alerts
    away     it does not answer
    bulk     digests go by it as well
    """

    name: str
    limits: Limits
    daily: int | None = None
    reserve: int = 0
    away: bool = False
    bulk: bool = True

    @property
    def left(self) -> int | None:
        """What is left of its day for an alert."""
        return None if self.limits.daily is None else max(0, self.limits.daily - sum(self.limits.given.values()))

    def pace(self, *, digest: bool) -> float | None:
        """Messages a second for an alert, beside a digest or alone; None: as fast as it takes them."""
        beside = [Lane.BULK] if digest and self.bulk else []
        return None if self.limits.pace is None else self.limits.pace * share(Lane.URGENT, beside)


Sentence = tuple[str, Mapping[str, object]]
"""An id of the catalogue with its facts."""


def plan(due: int, bearers: Sequence[Bearer], *, digest: bool) -> tuple[Sentence, ...]:
    """Return by which road an alert will travel, in sentences: lane, relays, pace, quota, reserve, and what goes beside it.

    due      how many it goes to
    digest   whether bulk mail goes at this moment
    """
    said: list[Sentence] = [("plan.lane", {})]
    for one in bearers:
        said += _borne(one, digest=digest)
    lefts = [one.left for one in bearers if not one.away]
    limited = [left for left in lefts if left is not None]
    if limited and len(limited) == len(lefts) and sum(limited) < due:
        said.append(("plan.short", {"missing": f"{due - sum(limited):,}"}))
    if not digest:
        return (*said, ("plan.alone", {}))
    shared = [one for one in bearers if one.bulk]
    slowed = any(one.limits.pace is not None for one in shared)
    return (*said, (f"plan.digest-{'shares' if slowed else 'behind' if shared else 'apart'}", {}))


def _borne(one: Bearer, *, digest: bool) -> list[Sentence]:
    """What one relay bears, and whether digests may use up its day."""
    if one.away:
        return [("plan.away", {"relay": one.name})]
    pace = one.pace(digest=digest)
    facts: dict[str, object] = {"relay": one.name}
    said: list[Sentence] = [("plan.free", facts) if pace is None else ("plan.pace", facts | {"pace": f"{pace:.3g}"})]
    if one.limits.hourly is not None:
        said.append(("plan.hourly", {"hourly": f"{one.limits.hourly:,}"}))
    if one.left is not None and one.daily is not None:
        said.append(("plan.day", {"left": f"{one.left:,}", "daily": f"{one.daily:,}"}))
        if one.bulk:
            kept = {"reserve": f"{one.reserve:,}"}
            said.append(("plan.reserve", kept) if one.reserve else ("plan.no-reserve", {}))
    return said


def promise(due: int, relays: Iterable[Limits], *, now: datetime) -> Promise | None:
    """Return when so many messages will have been handed over, step by step; None where no limit is set.

    Relays that answer are taken to go on answering, and nothing else to be sent: a plan, not a prophecy.
    """
    limits = [relay.at(now) for relay in relays]
    if not limits or any(relay.unlimited for relay in limits):
        return None
    given = [dict(relay.given) for relay in limits]
    days: list[int] = []
    held: str | None = None
    moment, end = now, now + _FOREVER
    while due > 0 and moment < end:
        until = _next_change(limits, moment)
        seconds = (until - moment).total_seconds()
        took, pace = 0, 0.0
        for relay, history in zip(limits, given, strict=True):
            room, why = _room(relay, history, moment, seconds, day=(moment - now).days)
            part = due - took if room is None else min(room, due - took)
            hour = _hour(moment)
            history[hour] = history.get(hour, 0) + part
            took += part
            pace += 0.0 if room == 0 else math.inf if relay.pace is None else relay.pace
            held = why if part == room and part < due else held
        day = (moment.date() - now.date()).days
        days += [0] * (day + 1 - len(days))
        days[day] += took
        due -= took
        if due == 0:
            return Promise(min(until, moment + timedelta(seconds=took / pace)), tuple(days), held)
        moment = until
        limits = [relay.at(moment) for relay in limits]
    return Promise(end, tuple(days), held)


def promise_to_group(
    promised: Promise | None, due: int, group: int, lesson: Lesson, *, now: datetime
) -> Promise | None:
    """Return a promise that also keeps to the pace which one provider taught.

    promised   what the relays allow for all that is due; None where they have no limit
    group      how much of it is for that provider's readers
    """
    slow = promise(group, [Limits(None, None, None, {}, lesson=lesson)], now=now) if group else None
    if slow is None or (promised is not None and promised.ends_at >= slow.ends_at):
        return promised
    # The others' readers wait for nobody: by each evening all of them have it that the relays allow.
    fast = promised.by_day if promised else (due,)
    by_day, gone, gone_fast, gone_slow = list[int](), 0, 0, 0
    for day, number in enumerate(slow.by_day):
        gone_slow += number
        gone_fast += fast[day] if day < len(fast) else 0
        by_day.append(min(gone_fast, due - group + gone_slow) - gone)
        gone += by_day[-1]
    return Promise(slow.ends_at, tuple(by_day), "provider")


def left_today(relays: Iterable[Limits], *, now: datetime) -> int | None:
    """Return how much of their day's quota relays have left, whatever their pace; None where nothing limits the day."""
    left = 0
    for relay in relays:
        unhurried = replace(relay.at(now), rate=None, hourly=None, lesson=None)
        room, _ = _room(unhurried, unhurried.given, now, 0.0, day=0)
        if room is None:
            return None
        left += room
    return left


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _next_change(limits: Iterable[Limits], moment: datetime) -> datetime:
    """Return up to when every relay goes on at the same pace: an hour's end at most, sooner where a lesson is being forgotten."""
    changes = [_hour(moment) + timedelta(hours=1)]
    for relay in limits:
        changes += [relay.lesson.until] if relay.lesson else []
        changes += [relay.full_until] if relay.full_until else []
    return min(changes)


def _room(
    relay: Limits, given: Mapping[datetime, int], moment: datetime, seconds: float, *, day: int
) -> tuple[int | None, str | None]:
    """Return how much a relay takes in so many seconds, and which limit says so; None where nothing limits it."""
    hour = _hour(moment)
    rooms: list[tuple[int, str]] = []
    if (pace := relay.pace) is not None:
        rooms.append((math.floor(pace * seconds), "rate" if relay.full_until is None else "full"))
    if relay.hourly is not None:
        rooms.append((max(0, relay.hourly - given.get(hour, 0)), "hourly"))
    lately = sum(number for start, number in given.items() if start > hour - timedelta(hours=24))
    if relay.daily is not None:
        rooms.append((max(0, relay.daily - lately), "daily"))
    if day < len(relay.young):
        rooms.append((max(0, relay.young[day] - lately), "warm-up"))
    return min(rooms, default=(None, None))
