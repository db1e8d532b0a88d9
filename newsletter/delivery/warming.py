"""The plan by which a relay that is new becomes a known sender: day by day of mail, not of the calendar. Pure.

Providers get to know a sender by what it sends. A day of the plan has gone when bulk mail used half of what it allowed; the plan
begins with the first bulk mail, and a day that was hardly used is had again with the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

DAY = timedelta(days=1)
ENOUGH = 0.5
"""Which part of a day's allowance is to be used for the next to be larger."""


@dataclass(frozen=True, slots=True)
class Warming:
    """How far a relay is.

    began   when its plan would have begun, had every day since counted; None: it has not
    since   when the day began that it is at; None: days were counted by the calendar so far
    used    messages of bulk mail on that day
    """

    began: datetime | None = None
    since: datetime | None = None
    used: int = 0


def began(known: Warming, plan: Mapping[int, int], *, now: datetime) -> datetime | None:
    """Return when the plan would have begun for today to be the day that it is; None: it begins with the next bulk mail.

    plan   day, from 1 → the most that bulk mail gets
    """
    if known.began is None or known.since is None or now < known.since + DAY:
        return known.began
    day = 1 + (known.since - known.began) // DAY
    if day not in plan:
        return known.began
    return now - DAY * (day if known.used >= plan[day] * ENOUGH else day - 1)


def spent(known: Warming, plan: Mapping[int, int], messages: int, *, now: datetime) -> Warming:
    """Return how far a relay is once so many messages of bulk mail more were granted; less than none were given back."""
    start = began(known, plan, now=now) or now
    if known.since is None:
        return Warming(start, start + max(0, (now - start) // DAY) * DAY, max(0, messages))
    if now < known.since + DAY:
        return Warming(start, known.since, max(0, known.used + messages))
    return Warming(start, now, max(0, messages))
