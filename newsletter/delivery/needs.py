"""What comes first and found no session left at a relay: when that was, and whose turn it is there. A row for all workers.

It stands under the relay's host alone: a server counts the sessions of our address, by whichever port and account.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from newsletter import database
from newsletter.database import Session
from newsletter.ledger.mailings import Lane
from newsletter.relay.target import Relay

CROWDED = timedelta(seconds=10)
"""So long after somebody found no session left there, others hold back."""
TURNS = {Lane.URGENT: timedelta(seconds=4), Lane.TRANSACTIONAL: timedelta(seconds=2.5)}
"""So long the other of the two lanes leaves the room to this one: service mail has a fifth at least, and waits for five seconds."""
HEAD_START = timedelta(seconds=2)
"""So much later a lane has a turn again: the other may ask for its own before."""


@dataclass(frozen=True, slots=True)
class Need:
    """That somebody found no session left.

    at      when the last one did
    lane    whose turn it is
    since   when that began
    """

    at: datetime
    lane: Lane
    since: datetime

    def left(self, lane: Lane, now: datetime) -> timedelta:
        """Return how long a lane leaves the room to the other: zero where it need not."""
        nothing = timedelta(0)
        if lane is self.lane or not self.since <= now:
            return nothing
        return max(nothing, self.since + TURNS[self.lane] - now)

    def runs(self, lane: Lane, now: datetime) -> bool:
        """Return whether it is a lane's turn."""
        return lane is self.lane and self.since <= now < self.since + TURNS[lane]

    def again(self, lane: Lane, now: datetime) -> "Need":
        """Return what holds once a lane found no session either: its turn begins where the last one is over."""
        over = self.since + TURNS[self.lane] + (HEAD_START if lane is self.lane else timedelta(0)) <= now
        return Need(now, lane, now) if over or now < self.since else Need(now, self.lane, self.since)


def tell(session: Session, relay: Relay, lane: Lane) -> Need:
    """Remember that a lane that comes first found no session left at a relay; return what holds now."""
    session.execute(_HAVE, {"host": relay.host})
    row = session.execute(_LOCK, {"host": relay.host}).one()
    now = database.now(session)
    known = Need(row.crowded_at, Lane(row.crowded_lane), row.crowded_since) if row.crowded_lane else None
    need = known.again(lane, now) if known else Need(now, lane, now)
    session.execute(_TELL, {"host": relay.host, "at": need.at, "lane": need.lane, "since": need.since})
    return need


_HAVE = text("INSERT INTO relay_state (name) VALUES (:host) ON CONFLICT (name) DO NOTHING")
_LOCK = text("SELECT crowded_at, crowded_lane, crowded_since FROM relay_state WHERE name = :host FOR UPDATE")
_TELL = text("UPDATE relay_state SET crowded_at = :at, crowded_lane = :lane, crowded_since = :since WHERE name = :host")


def given(session: Session, relay: Relay, lane: Lane) -> None:
    """Begin the turn of a lane anew: the other gave its last session up for it just now."""
    session.execute(_GIVEN, {"host": relay.host, "lane": lane})


_GIVEN = text("UPDATE relay_state SET crowded_since = clock_timestamp() WHERE name = :host AND crowded_lane = :lane")


def tell_bulk(session: Session, relay: Relay) -> None:
    """Remember that bulk mail found no session left at a relay: nobody who works there heeds it, and what rests does."""
    session.execute(_HAVE, {"host": relay.host})
    session.execute(_TELL_BULK, {"host": relay.host})


_TELL_BULK = text("UPDATE relay_state SET bulk_crowded_at = clock_timestamp() WHERE name = :host")


def of_bulk(session: Session, relay: Relay, *, within: timedelta = CROWDED) -> bool:
    """Return whether bulk mail found no session left there of late."""
    return session.execute(_OF_BULK, {"host": relay.host, "within": within}).one_or_none() is not None


_OF_BULK = text("""
    SELECT 1 FROM relay_state
    WHERE name = :host AND bulk_crowded_at BETWEEN clock_timestamp() - :within AND clock_timestamp()
""")


def known(session: Session, relay: Relay, *, within: timedelta = CROWDED) -> tuple[Need | None, datetime]:
    """Return the need at a relay, None where the last one is longer ago, and the database's time."""
    row = session.execute(_KNOWN, {"host": relay.host, "within": within}).one()
    return (Need(row.crowded_at, Lane(row.crowded_lane), row.crowded_since) if row.crowded_lane else None), row.now


_KNOWN = text("""
    SELECT clock.now, crowded_at, crowded_lane, crowded_since
    FROM (SELECT clock_timestamp() AS now) AS clock
    LEFT JOIN relay_state ON name = :host AND crowded_at BETWEEN clock.now - :within AND clock.now
""")
