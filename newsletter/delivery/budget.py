"""How much a relay may be given now, and when all of a mailing will have gone: pure rules.

A relay has a pace (messages a second), an hour and a day. Lanes share the pace: a lane that wants nothing leaves its part to
the others. What an hour or a day holds cannot be lent and taken back, so bulk mail leaves the last fifth of it to service mail
and what is reserved to alerts. A window is granted and a promise is made by the same arithmetic (`Limits.room`).
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from newsletter.ledger.mailings import Lane

TRANSACTIONAL_SHARE = 0.2
URGENT_OVER_BULK = 0.9
SERVICE_KEEP = 0.02
"""Part of every quota that an alert too leaves to service mail: a confirmation must not wait for tomorrow."""
BURST_SECONDS = 0.25
PATIENCE_SECONDS = 2.0
"""A budget that holds nothing for longer than this gives its shard back, so that others are served meanwhile."""
SWEPT_SECONDS = 7.5
"""Within so long a shard that was given back and is due again has been found: the sweep's five seconds, and a busy machine."""
GRANT_SECONDS = 0.05
"""A quick pace is granted in pieces of so much: one by one each message costs a transaction, and two senders keep a core busy."""
LANE_BURST_SECONDS = 2.0
"""How much of its share a lane may save up while it waits for its turn: what it does not take in time is nobody's otherwise."""
ACTIVE = timedelta(seconds=3)
ASTRAY = timedelta(seconds=5)
"""Two who ask at once hold the clock's word of moments that differ by less; more is a clock that was set back."""
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LEARNED = timedelta(minutes=1)
"""How long a pace that a refusal taught is kept before it is raised a step."""
STEP = 1.5
HIGHEST = 1000.0
"""Messages a second from which a learned pace is forgotten."""
WORTH_A_WORD = timedelta(minutes=5)
"""From which a pause is told of."""
_FOREVER = timedelta(days=366)
BESIDE = {Lane.URGENT: Lane.BULK, Lane.BULK: Lane.URGENT}
"""What a lane shares a relay's pace with for hours. Service mail is short."""


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


def active_for(rate: float) -> timedelta:
    """Return how long a lane that asked counts as wanting something: until its next turn has come, however slow the pace is."""
    return max(ACTIVE, timedelta(seconds=2 / (rate * TRANSACTIONAL_SHARE)))


def tokens(rate: float, *, paid_until: datetime, now: datetime, burst: float) -> int:
    """Return how many messages a bucket holds.

    rate        messages a second
    paid_until  the moment up to which the rate is used up
    burst       messages that may go at once after a pause, at least 1
    """
    debt = max(0.0, (paid_until - now).total_seconds()) * rate
    return max(0, math.floor(max(1.0, burst) - debt + 1e-6))


def honest(rate: float, *, paid_until: datetime, now: datetime, burst: float) -> datetime:
    """Return up to when a rate can be used up: all that a bucket holds and no more.

    What lies further ahead was paid before the clock was set back, and nobody may wait for it to come round again.
    """
    most = now + timedelta(seconds=max(1.0, burst) / rate)
    return most if paid_until > most + ASTRAY else paid_until


def paid(rate: float, messages: int, *, paid_until: datetime, now: datetime) -> datetime:
    """Return up to when the rate is used up once so many more messages were granted."""
    return max(paid_until, now) + timedelta(seconds=messages / rate)


def worth(rate: float, want: int) -> int:
    """Return how many messages of a pace are worth a grant, where somebody wants so many: one, unless it is quick."""
    return max(1, min(want, int(rate * GRANT_SECONDS)))


def burst(rate: float) -> float:
    """Return how many messages a pace saves up while nobody asks: who asks for the next a moment late loses nothing of it.

    No second holds more than the pace all the same (`seconds`). A pace so slow that its shard is given back meanwhile saves up
    until a sweep finds the shard again.
    """
    if rate * PATIENCE_SECONDS < 1:
        return 1 + rate * SWEPT_SECONDS
    return max(2.0, rate * BURST_SECONDS)


def lane_burst(own: float) -> float:
    """Return how many messages of its share a lane saves up."""
    return max(burst(own), own * LANE_BURST_SECONDS)


def wait_for(messages: int, rate: float, *, paid_until: datetime, now: datetime, burst: float) -> float:
    """Return the seconds until the bucket holds so many messages, at most its burst; 0 when it does."""
    debt = max(0.0, (paid_until - now).total_seconds()) * rate
    return max(0.0, (debt + messages - max(1.0, burst)) / rate)


def left(lane: Lane, *, limit: int, used: Mapping[Lane, int], reserve: int = 0) -> int:
    """Return how many messages of a quota a lane may still use.

    used      messages granted to each lane within the quota's time
    reserve   what bulk mail leaves to alerts, as far as alerts have not used it

    Service mail finds a fifth of every quota, whatever digests go; an alert may use of it all but a fiftieth.
    """
    free = limit - sum(used.values())
    served = used.get(Lane.TRANSACTIONAL, 0)
    kept = max(0, int(limit * SERVICE_KEEP) - served)
    if lane is Lane.TRANSACTIONAL:
        return max(0, free)
    if lane is Lane.URGENT:
        return max(0, free - kept)
    fifth = max(0, int(limit * TRANSACTIONAL_SHARE) - served)
    return max(0, free - max(fifth, kept + max(0, reserve - used.get(Lane.URGENT, 0))))


def counted_since(now: datetime, span: timedelta) -> datetime:
    """Return the first minute of which some may lie within a quota's time: what is counted is never less than what went."""
    return _minute(now - span)


@dataclass(frozen=True, slots=True)
class Lesson:
    """A pace that a refusal taught: messages a second, kept up to a time and raised step by step when it is used after it."""

    rate: float
    until: datetime

    def at(self, now: datetime, *, usual: float | None = None) -> "Lesson | None":
        """Return what of the lesson holds now: all of it, a step more, or nothing. usual: the pace before it, None for any.

        One that would be kept for longer than any is was taught before the clock was set back: its time is over.
        """
        if now < self.until <= now + LEARNED + ASTRAY:
            return self
        raised = self.rate * STEP
        return Lesson(raised, now + LEARNED) if raised < (usual or HIGHEST) else None


@dataclass(frozen=True, slots=True)
class Limits:
    """What one relay bears for one lane.

    rate            messages a second; None is unlimited, as in the next two
    hourly, daily   messages of all lanes in any hour, in any day
    reserve         what bulk mail leaves of a day to alerts
    used            minute → lane → messages granted in the last day; only a promise needs it
    young           day of a relay's life, from 1 → the most that bulk mail gets while it is new
    first_used_at   when its life began, as far as its days have counted (`warming`); None: it has not yet
    lesson          the pace that its refusals taught
    full_until      up to when it takes nothing of this lane, by its own word
    beside          what bulk mail has due there beside an alert, or alerts beside bulk mail; only a promise needs it
    """

    lane: Lane = Lane.BULK
    rate: float | None = None
    hourly: int | None = None
    daily: int | None = None
    reserve: int = 0
    used: Mapping[datetime, Mapping[Lane, int]] = field(default_factory=dict)
    young: Mapping[int, int] = field(default_factory=dict)
    first_used_at: datetime | None = None
    lesson: Lesson | None = None
    full_until: datetime | None = None
    beside: int = 0

    @property
    def unlimited(self) -> bool:
        """Whether nothing but this machine holds it up."""
        return self.rate is None and self.lesson is None and self.full_until is None and not self.counts

    @property
    def counts(self) -> bool:
        """Whether what went in the last hour or day matters."""
        return self.hourly is not None or self.daily is not None or bool(self.young)

    def at(self, moment: datetime) -> "Limits":
        """Return the limits as they stand at a moment to come: what was learned is forgotten step by step."""
        if self.lesson is None and self.full_until is None:
            return self
        full = self.full_until if self.full_until and self.full_until > moment else None
        return replace(self, lesson=self.lesson and self.lesson.at(moment, usual=self.rate), full_until=full)

    @property
    def pace(self) -> float:
        """Messages a second now; infinite where there is no limit."""
        rate = math.inf if self.rate is None else self.rate
        return rate if self.lesson is None else min(rate, self.lesson.rate)

    def most(self, moment: datetime) -> int | None:
        """Return how many messages bulk mail gets at most on the relay's day; None once it is no longer new."""
        return self.young.get(max(1, 1 + (moment - (self.first_used_at or moment)) // DAY))

    def room(
        self, moment: datetime, hour: Mapping[Lane, int], day: Mapping[Lane, int]
    ) -> tuple[int | None, str | None]:
        """Return how many messages the lane may be given now, and which limit says so; None where nothing limits it.

        hour, day   messages granted to each lane in the hour and the day before the moment
        """
        if self.full_until is not None and self.full_until > moment:
            return 0, "full"
        rooms: list[tuple[int, str]] = []
        if self.hourly is not None:
            rooms.append((left(self.lane, limit=self.hourly, used=hour), "hourly"))
        if self.daily is not None:
            rooms.append((left(self.lane, limit=self.daily, used=day, reserve=self.reserve), self._day_held_by(day)))
        if (most := self.most(moment)) is not None:
            rooms.append((max(0, most - sum(day.values())), "warm-up"))
        return min(rooms, default=(None, None))

    def left_today(self, now: datetime) -> int | None:
        """Return how much of the day is left for the lane, whatever the pace and the hour; None where nothing limits it."""
        since, day = counted_since(now, DAY), Counter[Lane]()
        for minute, lanes in self.used.items():
            if minute >= since:
                day.update(lanes)
        return replace(self, hourly=None).room(now, {}, day)[0]

    def _day_held_by(self, used: Mapping[Lane, int]) -> str:
        """Return "reserve" where it alone holds bulk mail back."""
        assert self.daily is not None
        without = left(self.lane, limit=self.daily, used=used)
        reserved = self.lane is Lane.BULK and left(self.lane, limit=self.daily, used=used, reserve=self.reserve) == 0
        return "reserve" if reserved and without > 0 else "daily"


@dataclass(frozen=True, slots=True)
class Pause:
    """A while in which next to nothing goes. handed, reached: how many have gone as it begins and ends; why: what holds it."""

    handed: int
    reached: int
    since: datetime
    until: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Promise:
    """When a mailing will have gone. by_day: the messages of each day, in order, the first is today. pause: the longest."""

    ends_at: datetime
    by_day: tuple[int, ...]
    held_by: str | None
    pause: Pause | None = None


class _Course:
    """One relay on its way through a promise: what it was given counts in the hours and days that follow, minute by minute.

    What goes beside takes its share of the pace and its part of the quotas, as on the wire, until all of it has gone.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._credit = 0.0
        self._beside = float(limits.beside)
        spans = [HOUR] * (limits.hourly is not None) + [DAY] * (limits.daily is not None or bool(limits.young))
        self._sums = {span: Counter[Lane]() for span in (HOUR, DAY)}
        self._lately = {span: deque[tuple[datetime, Lane, int]]() for span in spans}
        for minute, lanes in sorted(limits.used.items()):
            for lane, number in lanes.items():
                self._count(minute, lane, number)

    def _count(self, minute: datetime, lane: Lane, number: int) -> None:
        for span, lately in self._lately.items():
            lately.append((minute, lane, number))
            self._sums[span][lane] += number

    def move_to(self, moment: datetime) -> None:
        """Forget what no quota counts any more, and the steps of a lesson that are over."""
        self.limits = self.limits.at(moment)
        for span, lately in self._lately.items():
            since = counted_since(moment, span)
            while lately and lately[0][0] < since:
                _, lane, number = lately.popleft()
                self._sums[span][lane] -= number

        self._room_beside, self._other = self._goes_beside(moment)
        self.pace = self.limits.pace - self._other if self._other else self.limits.pace

    def _goes_beside(self, moment: datetime) -> tuple[float, float]:
        """Return how much may go beside now, and how many messages a second of it; 0 where the relay has no pace to share."""
        if self._beside < 1 or self.limits.pace == math.inf:
            return 0.0, 0.0
        other = replace(self.limits, lane=BESIDE[self.limits.lane])
        room, _ = other.room(moment, self._sums[HOUR], self._sums[DAY])
        most = self._beside if room is None else min(self._beside, room)
        return most, self.limits.pace * share(other.lane, [self.limits.lane]) if most else 0.0

    def room(self, moment: datetime) -> tuple[int | None, str | None]:
        return self.limits.room(moment, self._sums[HOUR], self._sums[DAY])

    def takes(self, room: int | None, seconds: float) -> float:
        """Return how much of a room it takes in so many seconds; a part of a message is kept for the next step."""
        able = math.inf if self.pace == math.inf else math.floor(self._credit + self.pace * seconds + 1e-9)
        return able if room is None else min(room, able)

    def give(self, moment: datetime, number: int, seconds: float) -> None:
        if self.pace < math.inf:
            self._credit = min(1.0, max(0.0, self._credit + self.pace * seconds - number))
        beside = min(self._room_beside, self._other * seconds)
        self._beside -= beside
        if self.limits.counts and number:
            self._count(_minute(moment), self.limits.lane, number)
        if self.limits.counts and beside:
            self._count(_minute(moment), BESIDE[self.limits.lane], int(beside))

    def changes(self, moment: datetime) -> Iterator[datetime]:
        """Yield when it may go on at another pace, or with another room."""
        if self.limits.lesson:
            yield self.limits.lesson.until
        if self.limits.full_until:
            yield self.limits.full_until
        if self.limits.young:
            begun = self.limits.first_used_at or moment
            yield begun + ((moment - begun) // DAY + 1) * DAY
        if self._other:
            yield moment + min(HOUR, timedelta(seconds=self._room_beside / self._other))
        for span, lately in self._lately.items():
            if lately:
                yield lately[0][0] + span + MINUTE


def promise(due: int, relays: Iterable[Limits], *, now: datetime) -> Promise | None:
    """Return when so many messages will have been handed over, step by step; None where no limit is set.

    Relays that answer are taken to go on answering, and nothing to come beside what goes already: a plan, not a prophecy.
    """
    courses = [_Course(relay if relay.first_used_at else replace(relay, first_used_at=now)) for relay in relays]
    days: list[int] = []
    held, pauses, whole = Counter[str](), _Pauses(due, courses), due
    moment, end = now, now + _FOREVER
    while moment < end:
        for course in courses:
            course.move_to(moment)
        if moment == now and (not courses or any(course.limits.unlimited for course in courses)):
            return None
        rooms = [course.room(moment) for course in courses]
        until = _next_change(courses, [room for room, _ in rooms], moment, far=moment - now > 2 * DAY)
        seconds = (until - moment).total_seconds()
        took = 0
        for course, (room, why) in zip(courses, rooms, strict=True):
            able = course.takes(room, seconds)
            part = int(min(able, due - took))
            if part < due - took:
                held[why if why and able == room else "rate"] += int(seconds)
            took += part
            course.give(until - timedelta(microseconds=1), part, seconds)
        day = (moment.date() - now.date()).days
        days += [0] * (day + 1 - len(days))
        days[day] += took
        why = next((why for _, why in rooms if why), "rate")
        pauses.look(Pause(whole - due, whole - due + took, moment, until, why), last=took == due)
        if took == due:
            return Promise(_ended(courses, rooms, due, moment, until), tuple(days), _longest(held), pauses.worst())
        due -= took
        moment = until
    return Promise(end, tuple(days), _longest(held), pauses.worst())


class _Pauses:
    """The whiles in which next to nothing goes: less than a tenth of what the relays are able to, and little of all."""

    def __init__(self, whole: int, courses: Sequence[_Course]) -> None:
        self._little = whole / 20
        paces = [course.limits.pace for course in courses]
        self._able = 0.0 if math.inf in paces else sum(paces)
        self._found: list[Pause] = []

    def look(self, step: Pause, *, last: bool) -> None:
        """Take a step for a pause, or for the going on of one. last: few are left, which alone is none."""
        took, seconds = step.reached - step.handed, (step.until - step.since).total_seconds()
        self._able = max(self._able, took / seconds)
        if took and (took / seconds >= self._able / 10 or took > self._little):
            return
        if self._found and self._found[-1].until == step.since:
            self._found[-1] = replace(self._found[-1], until=step.until, reached=step.reached)
        elif not last:
            self._found.append(step)

    def worst(self) -> Pause | None:
        """Return the longest, if it is worth a word."""
        found = max(self._found, key=lambda one: one.until - one.since, default=None)
        return found if found and found.until - found.since >= WORTH_A_WORD else None


def _longest(held: Counter[str]) -> str | None:
    """Return the limit that held a mailing up for the longest time."""
    return held.most_common(1)[0][0] if held else None


def _ended(
    courses: Sequence[_Course],
    rooms: Sequence[tuple[int | None, str | None]],
    due: int,
    moment: datetime,
    until: datetime,
) -> datetime:
    """Return when the last of them goes, within a step: at once where a relay takes what its quota leaves at any pace."""
    at_once, pace = 0.0, 0.0
    for course, (room, _) in zip(courses, rooms, strict=True):
        if course.limits.pace == math.inf:
            at_once += math.inf if room is None else room
        elif room != 0:
            pace += course.pace
    if at_once >= due:
        return moment
    return min(until, moment + timedelta(seconds=(due - at_once) / pace)) if pace else until


def _next_change(courses: Iterable[_Course], rooms: Iterable[int | None], moment: datetime, *, far: bool) -> datetime:
    """Return up to when all go on alike: for a minute while a quota is being used up, for ten of them where it is days ahead."""
    changes = [change for course in courses for change in course.changes(moment) if change > moment]
    if any(rooms):
        changes.append(_minute(moment) + (10 * MINUTE if far else MINUTE))
    return min(changes, default=moment + HOUR)


def promise_to_group(
    promised: Promise | None, due: int, group: int, lessons: Iterable[Lesson], *, now: datetime
) -> Promise | None:
    """Return a promise that also keeps to the pace which one provider taught.

    promised   what the relays allow for all that is due; None where they have no limit
    group      how much of it is for that provider's readers
    lessons    what it taught at each relay that may be used
    """
    slow = promise(group, [Limits(lesson=lesson) for lesson in lessons], now=now) if group else None
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


def not_before(promised: Promise | None, due: int, until: datetime | None) -> Promise | None:
    """Return a promise that also waits for a provider whose readers are not written to until an hour; None: for none."""
    if until is None or (promised is not None and promised.ends_at >= until):
        return promised
    by_day, pause = (promised.by_day, promised.pause) if promised else ((due,), None)
    return Promise(until, by_day, "provider", pause)


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
