"""What a worker leases: taking a shard, announcing a window, giving back, ending.

Leases compare clocks in SQL only. The fence grows with every lease; a worker that was frozen and comes back finds that its
fence is old, and can neither open a window nor write over what its successor wrote.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from newsletter.models.mailing import Kind, Lane

LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to send one shard, as long as `fence` is still the shard's."""

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


@dataclass(frozen=True, slots=True)
class Opened:
    """An open window. `not_now`: ids of rows in it that must not go (cancelled since, or their variant is held)."""

    not_now: frozenset[int]


def take(session: Session, lane: str, *, owner: str) -> Lease | None:
    """Lease the next shard of a lane, or return None when nothing is due.

    First attempts come before retries. A shard whose holder vanished is taken when its lease has run out; what that
    holder had announced and not answered is settled first (`_SETTLE`).
    """
    found = session.execute(_TAKE, {"lane": lane, "owner": owner, "lease": LEASE}).one_or_none()
    if found is None:
        return None
    lease = Lease(
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
    )
    if found.announced:
        _settle(session, lease, found.announced)
    return lease


# date_trunc in UTC: the session's time zone is UTC (database.py).
_TAKE = text("""
    WITH next AS (
        SELECT s.id FROM shard s JOIN mailing m ON m.id = s.mailing_id
        WHERE s.lane = :lane AND s.state = 'open' AND s.not_before <= clock_timestamp() AND m.state = 'sending'
          AND (s.lease_until IS NULL OR s.lease_until < clock_timestamp())
        ORDER BY s.retry, s.not_before, s.id LIMIT 1 FOR UPDATE OF s SKIP LOCKED
    )
    UPDATE shard s SET owner = :owner, fence = s.fence + 1, lease_until = clock_timestamp() + :lease
    FROM next, mailing m WHERE s.id = next.id AND m.id = s.mailing_id
    RETURNING s.id, s.fence, s.mailing_id, m.kind, s.lane, s.provider, s.size, s.announced, m.digest_id, m.had_to,
        m.fingerprint, date_trunc('month', m.created_at)::date AS month
""")


def _settle(session: Session, lease: Lease, announced: int) -> None:
    """Settle what a vanished holder announced and did not answer: a server may have taken it.

    A digest is sent at most once, so it becomes uncertain. An alert is sent at least once, with the same Message-ID, so
    that what arrives twice is shown once.
    """
    again = lease.kind in (Kind.ALERT, Kind.NOTICE)
    facts = {"shard": lease.shard_id, "month": lease.month, "announced": announced}
    session.execute(_AGAIN if again else _UNCERTAIN, facts)


_UNCERTAIN = text("""
    UPDATE delivery SET state = 'uncertain', reason = 'worker lost', outcome_at = clock_timestamp(), due_at = NULL
    WHERE month = :month AND shard_id = :shard AND position < :announced AND state IN ('planned', 'deferred')
""")
_AGAIN = text("""
    UPDATE delivery SET tries = tries + 1, reason = 'worker lost'
    WHERE month = :month AND shard_id = :shard AND position < :announced AND state IN ('planned', 'deferred')
""")


def announce(session: Session, lease: Lease, *, first: int, upto: int) -> Opened | None:
    """Open a window over positions first … upto - 1, or return None when nothing of this shard may go now.

    One transaction asks whether the fence is still ours, the mailing is being sent and its content is the approved one;
    it writes how far the wire may have come, and extends the lease.
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
    return Opened(frozenset(session.execute(_NOT_NOW, window).scalars()))


_ANNOUNCE = text("""
    UPDATE shard s SET announced = greatest(announced, :upto), lease_until = clock_timestamp() + :lease
    FROM mailing m
    WHERE s.id = :shard AND s.fence = :fence AND s.state = 'open'
      AND m.id = s.mailing_id AND m.state = 'sending' AND m.fingerprint = :fingerprint
    RETURNING m.started_at
""")
_STARTED = text("UPDATE mailing SET started_at = clock_timestamp() WHERE id = :mailing AND started_at IS NULL")
_NOT_NOW = text("""
    SELECT d.id FROM delivery d
    WHERE d.month = :month AND d.shard_id = :shard AND d.position >= :first AND d.position < :upto
      AND (d.state NOT IN ('planned', 'deferred')
           OR d.variant_id IN (SELECT id FROM variant WHERE mailing_id = :mailing AND held IS NOT NULL))
""")


def extend(session: Session, lease: Lease) -> bool:
    """Keep the lease while slow answers are awaited; return whether it is still ours."""
    facts = {"shard": lease.shard_id, "fence": lease.fence, "lease": LEASE}
    return bool(session.execute(_EXTEND, facts).rowcount)  # type: ignore[attr-defined]


_EXTEND = text(
    "UPDATE shard SET lease_until = clock_timestamp() + :lease WHERE id = :shard AND fence = :fence AND state = 'open'"
)


def release(session: Session, lease: Lease, *, after: timedelta = timedelta(0)) -> None:
    """Give a shard back, to be taken again after a while. Only when every announced row has been answered or not begun."""
    facts = {"shard": lease.shard_id, "fence": lease.fence, "after": after}
    session.execute(_RELEASE, facts)


_RELEASE = text("""
    UPDATE shard SET owner = NULL, lease_until = NULL, announced = 0, not_before = clock_timestamp() + :after
    WHERE id = :shard AND fence = :fence AND state = 'open'
""")


def end(session: Session, lease: Lease) -> bool:
    """End a shard of which nothing is left to send: sum its rows, and check that the sums are its size.

    Rows that wait for another attempt count as moved; `deliveries.gather` puts them into shards of their own.
    Returns False, and changes nothing, when the shard is not ours any more.
    """
    facts = {"shard": lease.shard_id, "fence": lease.fence, "month": lease.month}
    return bool(session.execute(_END, facts).rowcount)  # type: ignore[attr-defined]


_END = text("""
    UPDATE shard s SET state = 'ended', owner = NULL, lease_until = NULL, accepted = c.accepted, rejected = c.rejected,
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
      AND c.accepted + c.rejected + c.cancelled + c.expired + c.uncertain + c.moved = c.all AND c.all = s.size
""")


def lanes_with_work(session: Session) -> list[str]:
    """Return the lanes in which a shard may be leased now."""
    return list(session.execute(_LANES).scalars())


_LANES = text("""
    SELECT DISTINCT s.lane FROM shard s JOIN mailing m ON m.id = s.mailing_id
    WHERE s.state = 'open' AND s.not_before <= clock_timestamp() AND m.state = 'sending'
      AND (s.lease_until IS NULL OR s.lease_until < clock_timestamp())
""")


def newest_lease(session: Session, lane: str) -> datetime | None:
    """Return until when the lane's newest lease holds, for the lifeboat: is anybody at work?"""
    found = session.execute(
        text("SELECT max(lease_until) FROM shard WHERE lane = :lane AND state = 'open'"), {"lane": lane}
    )
    return found.scalar_one_or_none()
