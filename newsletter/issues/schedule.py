"""Which numbers are due: pure. Clocks of people, in their own zone; the cut itself knows no clock (`cutting`)."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from newsletter.subscribers.subscriptions import Rhythm

HOUR = time(7, 0)


def due_since(rhythm: Rhythm, *, now: datetime, zone: str = "UTC") -> datetime:
    """Return the last moment at which an issue of this rhythm fell due, at or before `now` (aware).

    each: now; daily: 07:00; weekly: Thursday 07:00; monthly: the first, 07:00; all in `zone`.
    """
    local = now.astimezone(ZoneInfo(zone))
    if rhythm is Rhythm.EACH:
        return now
    today = datetime.combine(local.date(), HOUR, tzinfo=local.tzinfo)
    day = today if today <= local else datetime.combine(local.date() - timedelta(days=1), HOUR, tzinfo=local.tzinfo)
    match rhythm:
        case Rhythm.DAILY:
            found = day
        case Rhythm.WEEKLY:
            found = datetime.combine(day.date() - timedelta(days=(day.weekday() - 3) % 7), HOUR, tzinfo=local.tzinfo)
        case Rhythm.MONTHLY:
            found = datetime.combine(day.date().replace(day=1), HOUR, tzinfo=local.tzinfo)
    return found.astimezone(now.tzinfo)
