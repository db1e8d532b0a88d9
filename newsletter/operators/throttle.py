"""How often somebody may try to log in: counted before any password is looked at, per account, address and known device.

A device that has logged in before has a count of its own, so that strangers who hammer at an account cannot keep its owner out
on the night it matters (OWASP's "device cookies").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete, text

from newsletter.database import Session
from newsletter.errors import NewsletterError
from newsletter.models.operator import Throttle

WINDOW = timedelta(minutes=15)


class Door(StrEnum):
    """What attempts are counted by."""

    ACCOUNT = "account"
    ADDRESS = "address"
    DEVICE = "device"
    LINK = "link"


# An office shares one address; a person mistypes, but not ten times.
MOST = {Door.ACCOUNT: 10, Door.ADDRESS: 40, Door.DEVICE: 10, Door.LINK: 10}


class TooMany(NewsletterError):
    """Too many attempts; the same words whether the account exists or not."""

    status = 429

    def __init__(self, wait: timedelta) -> None:
        super().__init__("operator.too-many", minutes=max(1, -(-int(wait.total_seconds()) // 60)))


@dataclass(frozen=True, slots=True)
class Knock:
    """One thing an attempt counts against: a door and who stands there (never stored in clear)."""

    door: Door
    who: str


def wait(tries: int, since: datetime, *, most: int, now: datetime) -> timedelta:
    """Return how long the next attempt must wait; nothing while at most `most` were made in the window."""
    return timedelta(0) if tries <= most else max(timedelta(0), since + WINDOW - now)


def count(session: Session, knocks: Sequence[Knock], *, now: datetime) -> timedelta:
    """Count an attempt at each and return how long it must wait; commit before the password is looked at.

    Attempts that are refused count too, but do not begin a new window: who waits gets in.
    """
    longest = timedelta(0)
    # In one order, so that two attempts at once never wait for each other.
    for digest, door in sorted((_digest(session, knock), knock.door) for knock in knocks):
        facts = {"digest": digest, "now": now, "over": now - WINDOW}
        tries, since = session.execute(_COUNT, facts).one()
        longest = max(longest, wait(tries, since, most=MOST[door], now=now))
    return longest


_COUNT = text("""
    INSERT INTO login_throttle AS t (digest, tries, since) VALUES (:digest, 1, :now)
    ON CONFLICT (digest) DO UPDATE SET
        tries = CASE WHEN t.since <= :over THEN 1 ELSE t.tries + 1 END,
        since = CASE WHEN t.since <= :over THEN :now ELSE t.since END
    RETURNING tries, since
""")


def forget(session: Session, knocks: Sequence[Knock]) -> None:
    """Count from nothing again: somebody got in."""
    digests = [_digest(session, knock) for knock in knocks if knock.door is not Door.ADDRESS]
    session.execute(delete(Throttle).where(Throttle.digest.in_(digests)))


def clear(session: Session, *, now: datetime) -> int:
    """Remove counts whose window has passed; return how many."""
    gone = delete(Throttle).where(Throttle.since <= now - WINDOW)
    return int(session.execute(gone).rowcount)  # type: ignore[attr-defined]


def _digest(session: Session, knock: Knock) -> bytes:
    return session.vault.digest(f"throttle {knock.door}", knock.who)
