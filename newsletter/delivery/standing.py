"""What is known of a relay beside its URL: whether it answers, what its refusals taught, how old it is. Rows for all workers.

A row is one account at one relay (`Relay.key`). What was written before accounts were told apart stands under host:port alone
and holds for each account there until it has a row of its own. One under the host alone is of `delivery.needs`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from newsletter.database import Session
from newsletter.delivery.budget import ASTRAY, LEARNED, Lesson
from newsletter.delivery.warming import Warming
from newsletter.relay.target import Relay
from newsletter.relay.verdict import Limit

PROBE = timedelta(seconds=10)
"""A relay that did not answer is asked again so often, by one process."""
REFUSED = timedelta(seconds=50)
"""One that refused us is asked seldom: whoever knocks with a wrong password every ten seconds is locked out.

With the sweep that finds its mail it is in use again within a minute of its change of mind.
"""
LONGEST = timedelta(minutes=2)
"""Nobody closes a relay for so long: it was closed before the clock was set back."""
SLOWEST = 0.1
FULL = {Limit.ACCOUNT_DAY: timedelta(hours=1), Limit.ACCOUNT_HOUR: timedelta(minutes=10)}
"""How long bulk mail, and all else while another relay has room, stays away from one that has had enough of it."""
LONGEST_FULL = max(FULL.values()) + ASTRAY
"""Further ahead no relay is full: it said so before the clock was set back."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one relay.

    closed_since    since when it does not answer; None: it does
    refuses         it refuses us, which time alone does not mend; otherwise it is away for a while
    lesson          the pace that its refusals taught
    said_full       up to when it takes no bulk mail, by its own word, and nothing else that another could have: `full_until`
    warming         how far its warm-up is
    """

    closed_since: datetime | None = None
    refuses: bool = False
    lesson: Lesson | None = None
    said_full: datetime | None = None
    warming: Warming = field(default_factory=Warming)

    def full_until(self, now: datetime) -> datetime | None:
        """Return up to when it is full; None where it is not."""
        return self.said_full if self.said_full and now < self.said_full <= now + LONGEST_FULL else None


def of(session: Session, relay: Relay) -> Standing:
    """Return what is known of a relay."""
    return _standing(session.execute(_READ, _names(relay)).one_or_none())


def locked(session: Session, relay: Relay) -> Standing:
    """Return what is known of a relay and lock it to the end of the transaction: all who spend its budget pass here, one by one."""
    row = session.execute(_LOCK, _names(relay)).one_or_none()
    if row is None:
        _have(session, relay)
        row = session.execute(_LOCK, _names(relay)).one()
    return _standing(row)


def _names(relay: Relay) -> dict[str, object]:
    return {"relay": relay.key, "name": relay.name}


def _standing(row: Any) -> Standing:
    if row is None:
        return Standing()
    lesson = None if row.slowed_to is None else Lesson(row.slowed_to, row.slowed_until)
    warming = Warming(row.first_used_at, row.young_since, row.young_used)
    return Standing(row.closed_since, row.refuses, lesson, row.full_until, warming)


_READ = text("SELECT * FROM relay_state WHERE name IN (:relay, :name) ORDER BY name <> :relay LIMIT 1")
_LOCK = text("SELECT * FROM relay_state WHERE name = :relay FOR UPDATE")


def _have(session: Session, relay: Relay) -> None:
    session.execute(_HAVE, _names(relay))


_HAVE = text("""
    INSERT INTO relay_state (name, closed_until, closed_since, refuses, slowed_to, slowed_until, full_until, first_used_at,
        young_since, young_used)
    SELECT :relay, closed_until, closed_since, coalesce(refuses, false), slowed_to, slowed_until, full_until, first_used_at,
        young_since, coalesce(young_used, 0)
    FROM (SELECT) AS one LEFT JOIN relay_state ON name = :name
    ON CONFLICT (name) DO NOTHING
""")


def closed(session: Session, relay: Relay, *, probe: timedelta = PROBE, refuses: bool = False) -> None:
    """Remember that a relay did not answer, or refuses us where others do not, and when it is asked again."""
    _have(session, relay)
    session.execute(_CLOSED, _names(relay) | {"probe": probe, "refuses": refuses})


def all_away(session: Session, relays: Sequence[Relay]) -> bool:
    """Return whether none of these relays answers."""
    return all(of(session, relay).closed_since is not None for relay in relays)


def all_refuse(session: Session, relays: Sequence[Relay]) -> bool:
    """Return whether each of these relays refuses us: none is left to wait for."""
    return all(of(session, relay).refuses for relay in relays)


_CLOSED = text("""
    UPDATE relay_state SET closed_until = clock_timestamp() + :probe, closed_since = coalesce(closed_since, clock_timestamp()),
        refuses = :refuses
    WHERE name = :relay
""")


def probe(session: Session, relay: Relay, *, patient: bool) -> bool:
    """Return whether this process is the one to learn if a relay answers again: one in ten seconds.

    patient   it will wait for a word of the relay, and nobody else asks until it has said that it still does
    """
    _have(session, relay)
    claimed = session.execute(_CLAIM, _names(relay) | {"probe": HOLD if patient else PROBE, "longest": LONGEST})
    return bool(claimed.rowcount)  # type: ignore[attr-defined]


_CLAIM = text("""
    UPDATE relay_state SET closed_until = clock_timestamp() + :probe
    WHERE name = :relay AND NOT (closed_until BETWEEN clock_timestamp() AND clock_timestamp() + :longest)
""")


def hold(session: Session, relay: Relay, *, mine: bool) -> bool:
    """Close a relay that keeps whoever asks it waiting, for as long as another word may take; return whether this process asks on.

    mine   this process holds it closed already; otherwise only who comes first may
    """
    _have(session, relay)
    held = session.execute(_HOLD, _names(relay) | {"hold": HOLD, "mine": mine, "longest": LONGEST})
    return bool(held.rowcount)  # type: ignore[attr-defined]


HOLD = timedelta(seconds=30)
"""How long it is one process's to ask a relay that is silent; it says again and again that it still does (`Manners.knock`)."""
_HOLD = text("""
    UPDATE relay_state SET closed_until = clock_timestamp() + :hold, closed_since = coalesce(closed_since, clock_timestamp())
    WHERE name = :relay AND (:mine OR closed_until IS NULL
        OR NOT (closed_until BETWEEN clock_timestamp() AND clock_timestamp() + :longest))
""")


def answered(session: Session, relay: Relay) -> None:
    """Remember that a relay answers again."""
    session.execute(_ANSWERED, _names(relay))


_ANSWERED = text(
    "UPDATE relay_state SET closed_until = NULL, closed_since = NULL, refuses = false"
    " WHERE name = :relay AND closed_until IS NOT NULL"
)


def warmed(session: Session, relay: Relay, warming: Warming) -> None:
    """Remember how far a relay's warm-up is. Its row is locked."""
    facts = {"began": warming.began, "since": warming.since, "used": warming.used}
    session.execute(_WARMED, _names(relay) | facts)


_WARMED = text("""
    UPDATE relay_state SET first_used_at = :began, young_since = :since, young_used = :used WHERE name = :relay
""")


def warm(session: Session, relay: Relay, *, now: datetime) -> None:
    """Call a relay warm: it was in use before we were."""
    locked(session, relay)
    warmed(session, relay, Warming(now - timedelta(days=1000)))


def slow(session: Session, relay: Relay, *, observed: float, now: datetime) -> None:
    """A relay refused because of our pace: half of it from now on, raised step by step. Once in ten seconds at most.

    observed   messages a second that were too many
    """
    known = locked(session, relay).lesson
    lately = known is not None and abs(now + LEARNED - known.until) <= timedelta(seconds=10)
    if not lately:
        rate = known.rate if known else min(relay.rate or observed, observed)
        _write(session, relay, Lesson(max(SLOWEST, rate / 2), now + LEARNED))


def pace(session: Session, relay: Relay, known: Standing, *, now: datetime) -> float | None:
    """Return the slower of what the URL says and what refusals taught; a lesson is forgotten step by step. The row is locked."""
    if known.lesson is None:
        return relay.rate
    lesson = known.lesson.at(now, usual=relay.rate)
    if lesson != known.lesson:
        _write(session, relay, lesson)
    return relay.rate if lesson is None else min(lesson.rate, relay.rate or lesson.rate)


def _write(session: Session, relay: Relay, lesson: Lesson | None) -> None:
    facts = {"rate": lesson and lesson.rate, "until": lesson and lesson.until}
    session.execute(_LESSON, _names(relay) | facts)


_LESSON = text("UPDATE relay_state SET slowed_to = :rate, slowed_until = :until WHERE name = :relay")


def fill(session: Session, relay: Relay, limit: Limit, *, now: datetime) -> None:
    """A relay said that it has had enough of the day or the hour: it is left in peace for a while, and asked again."""
    _have(session, relay)
    session.execute(_FILL, _names(relay) | {"until": now + FULL[limit], "longest": now + LONGEST_FULL})


_FILL = text("""
    UPDATE relay_state SET full_until = CASE WHEN full_until <= :longest THEN greatest(full_until, :until) ELSE :until END
    WHERE name = :relay
""")
