"""A reader wants nothing for a while: no issue and no ordinary mailing until a day. Alerts come all the same."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from sqlalchemy import update
from sqlalchemy.orm import Session

from newsletter.errors import Invalid
from newsletter.models.subscriber import Subscriber
from newsletter.once import once

SHORTEST, LONGEST = timedelta(days=1), timedelta(days=366)
USUAL = timedelta(days=28)
"""How long a pause is where nobody chose a day."""


class BadPause(Invalid):
    """The day is not to come, or too far away."""

    def __init__(self) -> None:
        super().__init__("pause.bad-day", days=LONGEST.days)


def pause(session: Session, subscriber_id: int, *, until: datetime, now: datetime) -> bool:
    """Give a reader a rest; return False where they are gone. Raises BadPause.

    The caller cancels what is planned for them in the same transaction.
    """
    if not now < until <= now + LONGEST:
        raise BadPause
    return _write(session, subscriber_id, until)


def resume(session: Session, subscriber_id: int) -> bool:
    """End a reader's rest before its day; return False where they are gone. Safe to repeat."""
    return _write(session, subscriber_id, None)


def _write(session: Session, subscriber_id: int, until: datetime | None) -> bool:
    writing = update(Subscriber).where(Subscriber.id == subscriber_id).values(paused_until=until)
    return bool(session.execute(writing).rowcount)  # type: ignore[attr-defined]


def midnight(day: date, time_zone: str) -> datetime:
    """Return when a day begins where a reader lives. Raises BadPause where the calendar does not reach that."""
    try:
        return datetime.combine(day, time(), zone(time_zone)).astimezone(UTC)
    except OverflowError:
        raise BadPause from None


@once
def zones() -> tuple[str, ...]:
    """Return the time zones that people may choose, in the order of their names."""
    kept = ("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/")
    return ("UTC", *sorted(name for name in available_timezones() if name.startswith(kept)))


def zone(name: str) -> tzinfo:
    """Return a reader's time zone; where that is no place we know, UTC."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return UTC
