"""What a worker leases: taking a shard, announcing a window, giving back, ending.

Leases compare clocks in SQL only. The fence grows with every lease; a worker that was frozen and comes back finds that its
fence is old, and can neither open a window nor write over what its successor wrote.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, TextClause, text
from sqlalchemy.orm import Session

from newsletter.ledger.mailings import AT_LEAST_ONCE
from newsletter.models.mailing import Kind, Lane

log = structlog.get_logger()

LEASE = timedelta(seconds=60)
DOUBT = timedelta(minutes=1)
"""How long what goes at least once waits when in doubt: time for a relay to write its log, and for a sweep to look there."""
LONGER, LONGEST = 3, 5
"""Each try before makes that so many times longer, up to so many: what is taken and never answered for comes a dozen times."""
AWAY = timedelta(seconds=30)
"""How long the machine of a vanished holder, which may have the journal, comes before others."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to send one shard, as long as `fence` is still the shard's.

    planned_at   when its mailing was planned; expires_at: until when it goes, as it was leased
    retry        it holds no first attempts
    """

    shard_id: int
    fence: int
    mailing_id: int
    kind: Kind
    lane: Lane
    provider: str
    size: int
    month: date
    digest_id: int | None
    had_to: int | None
    fingerprint: bytes
    planned_at: datetime
    expires_at: datetime | None = None
    retry: bool = False


@dataclass(frozen=True, slots=True)
class Marks:
    """What the journal of a vanished holder says, as positions in the shard.

    begun      bodies that were begun and not answered
    accepted   messages that a server took, whose outcome may not have been written
    """

    begun: tuple[int, ...]
    accepted: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """A lease, and the subscribers whom a vanished holder has handed the mail, or may have."""

    lease: Lease
    handed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """An open window.

    not_now   ids of rows in it that must not go: they were cancelled since, or their variant is held
    at        the database's time as it was opened
    """

    not_now: frozenset[int]
    at: datetime


def take(
    session: Session, lane: str, *, owner: str, marks: Callable[[int, int], Marks | None] = lambda _shard, _fence: None
) -> Taken | None:
    """Lease the next shard of a lane, or return None when nothing is due.

    marks   what the journal says of a shard under an earlier fence; None where there is no journal

    First attempts come before retries. A shard whose holder vanished is taken when its lease has run out; what that
    holder had announced and not answered is settled first.
    """
    return _take(session, _TAKE, {"lane": lane, "owner": owner}, marks)


def take_stopped(
    session: Session, *, owner: str, marks: Callable[[int, int], Marks | None] = lambda _shard, _fence: None
) -> Taken | None:
    """Lease a shard of a stopped or retracted mailing that nobody holds any more, to close its books; None when there is none.

    What its last holder had announced and not answered is settled: a stop takes no doubt away, and nothing goes again.
    """
    return _take(session, _TAKE_STOPPED, {"owner": owner}, marks, over=True)


def _take(
    session: Session,
    statement: TextClause,
    facts: dict[str, str],
    marks: Callable[[int, int], Marks | None],
    *,
    over: bool = False,
) -> Taken | None:
    found = session.execute(statement, facts | {"lease": LEASE, "away": AWAY}).one_or_none()
    if found is None:
        return None
    lease = _lease(found)
    if not found.announced:
        return Taken(lease)
    seen = marks(lease.shard_id, lease.fence - 1) or Marks(tuple(range(found.announced)), ())
    again = lease.kind in AT_LEAST_ONCE and not over
    return Taken(lease, _settle(session, lease, seen, again=again, since=found.leased_at))


def _lease(found: Row[Any]) -> Lease:
    return Lease(
        shard_id=found.id,
        fence=found.fence,
        mailing_id=found.mailing_id,
        kind=Kind(found.kind),
        lane=Lane(found.lane),
        provider=found.provider,
        size=found.size,
        month=found.month,
        digest_id=found.digest_id,
        had_to=found.had_to,
        fingerprint=bytes(found.fingerprint),
        planned_at=found.planned_at,
        expires_at=found.expires_at,
        retry=found.retry,
    )


CANCELLED, EXPIRED = (
    f"CASE WHEN d.uncertain_at IS NULL THEN '{state}' ELSE 'uncertain' END" for state in ("cancelled", "expired")
)
"""What a delivery that waits becomes when it is not to go (any more): what was in doubt once may have arrived, whatever we wish."""
_NOT_HELD = """NOT EXISTS (SELECT FROM tally t
        WHERE t.mailing_id = s.mailing_id AND t.provider = s.provider AND t.held_until > clock_timestamp())"""
# A lease that ran out is waited for a little longer where mail was announced: its machine may have the journal.
_NOBODY_S = """(s.lease_until IS NULL
        OR s.lease_until < clock_timestamp() - CASE WHEN s.announced = 0 THEN interval '0' ELSE :away END)
    AND s.state = 'open'"""
_FREE = f"""{_NOBODY_S} AND s.not_before <= clock_timestamp() AND s.tranche_pause IS NULL AND m.state = 'sending'
    AND s.lane NOT IN (SELECT lane FROM paused_lane) AND {_NOT_HELD}"""  # noqa: S608
# date_trunc in UTC: the session's time zone is UTC (database.py).
_COLUMNS = """s.id, s.fence, s.retry, s.mailing_id, m.kind, s.lane, s.provider, s.size, m.digest_id, m.had_to, m.fingerprint,
    m.planned_at, m.expires_at, date_trunc('month', m.created_at)::date AS month"""
_LEASE = f"""
    UPDATE shard s SET owner = :owner, fence = s.fence + 1, lease_until = clock_timestamp() + :lease,
        leased_at = clock_timestamp(), announced = 0
    FROM next, mailing m WHERE s.id = next.id AND m.id = s.mailing_id
    RETURNING {_COLUMNS}, next.announced, next.leased_at"""  # noqa: S608
_TAKE = text(f"""
    WITH next AS (
        SELECT s.id, s.announced, s.leased_at FROM shard s JOIN mailing m ON m.id = s.mailing_id
        WHERE s.lane = :lane AND {_FREE}
        ORDER BY s.retry, s.not_before, s.id LIMIT 1 FOR UPDATE OF s SKIP LOCKED
    ) {_LEASE}
""")  # noqa: S608
_TAKE_STOPPED = text(f"""
    WITH next AS (
        SELECT s.id, s.announced, s.leased_at FROM shard s JOIN mailing m ON m.id = s.mailing_id
        WHERE {_NOBODY_S} AND m.state IN ('stopped', 'retracted') LIMIT 1 FOR UPDATE OF s SKIP LOCKED
    ) {_LEASE}
""")  # noqa: S608


def first_attempts_wait(session: Session, lane: Lane) -> bool:
    """Return whether a shard of first attempts could be leased in a lane at this moment."""
    return session.execute(_FIRST, {"lane": lane, "away": AWAY}).scalar_one_or_none() is not None


# As they are taken: one that somebody keeps locked cannot be, and whoever stood aside for it would do so again and again.
_FIRST = text(f"""
    SELECT s.id FROM shard s JOIN mailing m ON m.id = s.mailing_id WHERE s.lane = :lane AND NOT s.retry AND {_FREE}
    LIMIT 1 FOR SHARE OF s SKIP LOCKED
""")  # noqa: S608


def _settle(session: Session, lease: Lease, seen: Marks, *, again: bool, since: datetime) -> tuple[int, ...]:
    """Settle what a vanished holder, who took the shard at `since`, announced and did not record.

    A digest is sent at most once, so what a server may have becomes uncertain. An alert is sent at least once, with the
    same bytes, so that what arrives twice is shown once; it is due again after a minute, in which the relay's log is looked
    into. Returns the subscribers who have it or may have it.
    """
    facts = {
        "shard": lease.shard_id,
        "month": lease.month,
        "begun": list(seen.begun),
        "accepted": list(seen.accepted),
        "again": again,
        "doubt": DOUBT,
        "longer": LONGER,
        "longest": LONGEST,
        "since": since,
    }
    settled = session.execute(_SETTLE, facts).all()
    return tuple(row.subscriber_id for row in settled if row.subscriber_id and row.state in ("accepted", "uncertain"))


# A row deferred to a time after the lease was taken has had its answer; one cancelled after it may have been on the wire, and so
# may one that is uncertain since: it was to go again.
_SETTLE = text("""
    UPDATE delivery d SET
        state = CASE WHEN a.accepted THEN 'accepted' WHEN :again AND d.state IN ('planned', 'deferred') THEN 'deferred'
                     ELSE 'uncertain' END,
        reason = CASE WHEN a.accepted THEN 'journal' ELSE 'worker lost' END,
        due_at = CASE WHEN NOT a.accepted AND :again AND d.state IN ('planned', 'deferred')
                      THEN clock_timestamp() + CAST(:doubt AS interval) * power(:longer, least(d.tries, :longest)) END,
        outcome_at = clock_timestamp(),
        uncertain_at = CASE WHEN a.accepted THEN d.uncertain_at ELSE clock_timestamp() END,
        tries = d.tries + 1, first_tried = coalesce(d.first_tried, clock_timestamp())
    FROM (
        SELECT position, true AS accepted FROM unnest(CAST(:accepted AS int[])) AS position
        UNION ALL SELECT position, false FROM unnest(CAST(:begun AS int[])) AS position
    ) a
    WHERE d.month = :month AND d.shard_id = :shard AND d.position = a.position
      AND (d.state = 'planned' OR d.state = 'deferred' AND d.due_at <= :since
           OR d.state IN ('cancelled', 'expired') AND d.outcome_at > :since
           OR d.state = 'uncertain' AND d.outcome_at > :since AND a.accepted)
    RETURNING d.subscriber_id, d.state
""")


def reclaim(session: Session, shard_id: int, fence: int, marks: Marks) -> Taken | None:
    """Settle the shard of a holder that is dead for certain, and give it back; None when it was not the holder any more."""
    found = session.execute(_RECLAIM, {"shard": shard_id, "fence": fence}).one_or_none()
    if found is None:
        return None
    lease = _lease(found)
    return Taken(lease, _settle(session, lease, marks, again=lease.kind in AT_LEAST_ONCE, since=found.leased_at))


# Due at once, but behind the others: a shard that ends whoever carries it must not keep its lane from them.
_RECLAIM = text(f"""
    UPDATE shard s SET fence = s.fence + 1, owner = NULL, lease_until = NULL, announced = 0,
        not_before = greatest(s.not_before, clock_timestamp())
    FROM mailing m WHERE s.id = :shard AND s.fence = :fence AND s.state = 'open' AND m.id = s.mailing_id
    RETURNING {_COLUMNS}, s.leased_at
""")  # noqa: S608


def announce(session: Session, lease: Lease, *, first: int, upto: int) -> Opened | None:
    """Open a window over positions first … upto - 1, or return None when nothing of this shard may go now.

    One transaction asks whether the fence is still ours, the mailing is being sent and not expired, its lane not paused and
    its content the approved one; it writes how far the wire may have come, and extends the lease. Rows whose variant is held
    are cancelled: what was taken back is not given again, and their reader has the rest of it with the next issue.
    """
    facts = {
        "shard": lease.shard_id,
        "fence": lease.fence,
        "fingerprint": lease.fingerprint,
        "upto": upto,
        "lease": LEASE,
    }
    found = session.execute(_ANNOUNCE, facts).one_or_none()
    if found is None:
        return None
    if found.started_at is None:
        session.execute(_STARTED, {"mailing": lease.mailing_id})
    window = {"month": lease.month, "shard": lease.shard_id, "mailing": lease.mailing_id, "first": first, "upto": upto}
    not_now = frozenset(session.execute(_NOT_NOW, window).scalars())
    if not_now:
        session.execute(_TAKEN_BACK, {"month": lease.month, "shard": lease.shard_id, "ids": sorted(not_now)})
    return Opened(not_now, found.at)


_ANNOUNCE = text(f"""
    UPDATE shard s SET announced = greatest(announced, :upto), lease_until = clock_timestamp() + :lease
    FROM mailing m
    WHERE s.id = :shard AND s.fence = :fence AND s.state = 'open'
      AND m.id = s.mailing_id AND m.state = 'sending' AND m.fingerprint = :fingerprint
      AND (m.expires_at IS NULL OR m.expires_at > clock_timestamp())
      AND s.lane NOT IN (SELECT lane FROM paused_lane) AND {_NOT_HELD}
    RETURNING m.started_at, clock_timestamp() AS at
""")  # noqa: S608
_STARTED = text("UPDATE mailing SET started_at = clock_timestamp() WHERE id = :mailing AND started_at IS NULL")
_NOT_NOW = text("""
    SELECT d.id FROM delivery d
    WHERE d.month = :month AND d.shard_id = :shard AND d.position >= :first AND d.position < :upto
      AND (d.state NOT IN ('planned', 'deferred')
           OR d.variant_id IN (SELECT id FROM variant WHERE mailing_id = :mailing AND held IS NOT NULL))
""")
# As of the moment of the lease, as deliveries.bar: it was never on the wire, and a crash later puts it in no doubt.
_TAKEN_BACK = text(f"""
    UPDATE delivery d SET state = {CANCELLED}, reason = v.held, due_at = NULL, outcome_at = s.leased_at
    FROM variant v, shard s
    WHERE d.month = :month AND d.id = ANY (CAST(:ids AS bigint[])) AND d.state IN ('planned', 'deferred')
      AND v.id = d.variant_id AND v.held IS NOT NULL AND s.id = :shard
""")  # noqa: S608


def extend(session: Session, lease: Lease) -> bool:
    """Keep the lease while slow answers are awaited; return whether it is still ours."""
    facts = {"shard": lease.shard_id, "fence": lease.fence, "lease": LEASE}
    return bool(session.execute(_EXTEND, facts).rowcount)  # type: ignore[attr-defined]


_EXTEND = text(
    "UPDATE shard SET lease_until = clock_timestamp() + :lease WHERE id = :shard AND fence = :fence AND state = 'open'"
)


def release(session: Session, lease: Lease, *, after: timedelta | None = timedelta(0)) -> None:
    """Give a shard back, to be taken again after a while, behind the others; None: it keeps its place.

    Only when every announced row has been answered or not begun.
    """
    facts = {"shard": lease.shard_id, "fence": lease.fence, "after": after}
    session.execute(_RELEASE, facts)


_RELEASE = text("""
    UPDATE shard SET owner = NULL, lease_until = NULL, announced = 0,
        not_before = coalesce(clock_timestamp() + CAST(:after AS interval), not_before)
    WHERE id = :shard AND fence = :fence AND state = 'open'
""")


def not_begun(session: Session, lease: Lease) -> None:
    """Forget that a mailing began when its first window, given back, found no relay, unless another shard's is out by now."""
    session.execute(_NOT_BEGUN, {"mailing": lease.mailing_id, "month": lease.month})


_NOT_BEGUN = text("""
    UPDATE mailing SET started_at = NULL WHERE id = :mailing AND started_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM delivery WHERE month = :month AND mailing_id = :mailing AND tries > 0)
      AND NOT EXISTS (SELECT FROM shard WHERE mailing_id = :mailing AND announced > 0)
""")


def end(session: Session, lease: Lease) -> bool:
    """End a shard of which nothing is left to send: sum its rows, and check that each has an outcome.

    Rows that wait for another attempt count as moved; `deliveries.gather` puts them into shards of their own. A size that is
    not the number of rows is set right and said aloud (an alert's is kept, and books.faults names it): nobody is lost by it, since
    a mailing's books count rows.
    Returns False, and changes nothing, when the shard is not ours any more or a row of it has no outcome yet.
    """
    facts = {"shard": lease.shard_id, "fence": lease.fence, "month": lease.month}
    found = session.execute(_END, facts).one_or_none()
    if found is not None and found.size != lease.size:
        log.error("shard had another size", shard=lease.shard_id, said=lease.size, rows=found.size)
    return found is not None


_END = text("""
    UPDATE shard s SET state = 'ended', size = c.all, announced = least(s.announced, c.all),
        owner = NULL, lease_until = NULL, accepted = c.accepted, rejected = c.rejected,
        cancelled = c.cancelled, expired = c.expired, uncertain = c.uncertain, moved = c.moved
    FROM (
        SELECT count(*) FILTER (WHERE state = 'accepted') AS accepted,
            count(*) FILTER (WHERE state = 'rejected') AS rejected,
            count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
            count(*) FILTER (WHERE state = 'expired') AS expired,
            count(*) FILTER (WHERE state = 'uncertain') AS uncertain,
            count(*) FILTER (WHERE state = 'deferred') AS moved,
            count(*) AS all
        FROM delivery WHERE month = :month AND shard_id = :shard
    ) c
    WHERE s.id = :shard AND s.fence = :fence AND s.state = 'open'
      AND c.accepted + c.rejected + c.cancelled + c.expired + c.uncertain + c.moved = c.all
    RETURNING s.size
""")


def put_off(session: Session, lease: Lease, *, after: timedelta) -> None:
    """Let nobody take a shard for a while, whoever holds it; what was announced in it stays to be settled."""
    session.execute(_PUT_OFF, {"shard": lease.shard_id, "fence": lease.fence, "after": after})


_PUT_OFF = text("""
    UPDATE shard SET not_before = clock_timestamp() + :after WHERE id = :shard AND fence = :fence AND state = 'open'
""")


def begin_rest(session: Session) -> int:
    """Begin the pause of what waits for a first tranche that has ended; return how many shards wait no longer than that.

    However late the tranche went: a lane that was paused, a relay that was away or a day that was used up shows nothing.
    """
    return int(session.execute(_BEGIN_REST).rowcount)  # type: ignore[attr-defined]


_BEGIN_REST = text("""
    UPDATE shard s SET not_before = greatest(s.not_before, clock_timestamp() + s.tranche_pause), tranche_pause = NULL
    FROM mailing m
    WHERE m.id = s.mailing_id AND m.state IN ('sending', 'paused') AND s.state = 'open' AND s.tranche_pause IS NOT NULL
      AND NOT EXISTS (
        SELECT FROM shard t WHERE t.mailing_id = s.mailing_id AND t.state = 'open' AND NOT t.retry AND t.tranche_pause IS NULL)
""")


def lanes_with_work(session: Session) -> list[str]:
    """Return the lanes in which a shard may be leased now."""
    return list(session.execute(_LANES, {"away": AWAY}).scalars())


def next_mailing(session: Session, lane: str) -> int | None:
    """Return of which mailing a lane's next shard is; None where nothing is due."""
    return session.execute(_NEXT, {"lane": lane, "away": AWAY}).scalar_one_or_none()


_NEXT = text(f"""
    SELECT s.mailing_id FROM shard s JOIN mailing m ON m.id = s.mailing_id WHERE s.lane = :lane AND {_FREE}
    ORDER BY s.retry, s.not_before, s.id LIMIT 1
""")  # noqa: S608


def due(session: Session, lanes: Iterable[str]) -> int:
    """Return how many deliveries of these lanes could be begun now."""
    return int(session.execute(_DUE, {"lanes": list(lanes), "away": AWAY}).scalar_one())


GROWTH = timedelta(minutes=2)
"""How long it may take to write the rows of a million; where it takes longer, something is wrong, and others go on."""


def lacks_hands(session: Session, lane: str, *, growth: timedelta = GROWTH) -> bool:
    """Return whether a lane could do with a sender of another, or with the processor that it takes.

    So it is while somebody sends in it and leaves shards that others could take now, and while further readers of an alert get
    their rows, for as long as that may take (`growth`). A lane in which nobody sends, since its workers are gone or its relay
    is, wants no hands from another.
    """
    return bool(session.execute(_LACKS_HANDS, {"lane": lane, "away": AWAY, "growth": growth}).scalar_one())


_LACKS_HANDS = text(f"""
    SELECT EXISTS (SELECT FROM mailing WHERE lane = :lane AND state = 'sending' AND growing
            AND planned_at > clock_timestamp() - CAST(:growth AS interval))
        OR EXISTS (SELECT FROM shard WHERE lane = :lane AND state = 'open' AND lease_until > clock_timestamp())
        AND EXISTS (SELECT FROM shard s JOIN mailing m ON m.id = s.mailing_id WHERE s.lane = :lane AND {_FREE})
""")  # noqa: S608


def any_open(session: Session, mailing_id: int) -> bool:
    """Return whether a shard of a mailing has not ended."""
    return bool(session.execute(_ANY_OPEN, {"mailing": mailing_id}).scalar_one())


_ANY_OPEN = text("SELECT EXISTS (SELECT FROM shard WHERE mailing_id = :mailing AND state = 'open')")


def left(session: Session, mailing_id: int) -> int:
    """Return how many deliveries the open shards of a mailing hold: at least as many as could be begun now."""
    return int(session.execute(_LEFT, {"mailing": mailing_id}).scalar_one())


_LEFT = text("SELECT coalesce(sum(size), 0) FROM shard WHERE mailing_id = :mailing AND state = 'open'")
_DUE = text(f"""
    SELECT count(*) FROM shard s JOIN mailing m ON m.id = s.mailing_id
    JOIN delivery d ON d.shard_id = s.id AND d.mailing_id = m.id AND d.state IN ('planned', 'deferred')
    WHERE s.lane = ANY (:lanes) AND {_FREE}
""")  # noqa: S608

_LANES = text(f"SELECT DISTINCT s.lane FROM shard s JOIN mailing m ON m.id = s.mailing_id WHERE {_FREE}")  # noqa: S608


def due_in(session: Session, lane: Lane) -> int:
    """Return how many deliveries of a lane go now or soon, at most: shards are counted whole until they end."""
    return int(session.execute(_DUE_IN, {"lane": lane}).scalar_one())


_DUE_IN = text("""
    SELECT coalesce(sum(s.size), 0) FROM shard s JOIN mailing m ON m.id = s.mailing_id
    WHERE s.lane = :lane AND s.state = 'open' AND s.not_before <= clock_timestamp() AND s.tranche_pause IS NULL
      AND m.state = 'sending' AND s.lane NOT IN (SELECT lane FROM paused_lane)
""")


def due_by_provider(session: Session, mailing_id: int) -> dict[str, int]:
    """Return how many deliveries of a mailing are due, by provider group, whether they may begin now or later."""
    return {row.provider: row.number for row in session.execute(_BY_PROVIDER, {"mailing": mailing_id})}


_BY_PROVIDER = text("""
    SELECT s.provider, count(*) AS number FROM mailing m
    JOIN delivery d ON d.month = date_trunc('month', m.created_at)::date AND d.mailing_id = m.id
    JOIN shard s ON s.id = d.shard_id
    WHERE m.id = :mailing AND d.state IN ('planned', 'deferred') GROUP BY s.provider
""")
