"""The rows of a mailing: reading a shard's, recording what became of them, cancelling, trying again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, Text, and_, case, cast, func, null, or_, select, text, update
from sqlalchemy.orm import Session

from newsletter import mailboxes
from newsletter.ledger.mailings import ORDINARY, Kind, MailingView
from newsletter.ledger.shards import CANCELLED, EXPIRED, Lease
from newsletter.models.delivery import Delivery, Shard
from newsletter.models.delivery import DeliveryState as DeliveryState
from newsletter.models.mailing import Variant

DUE = (DeliveryState.PLANNED, DeliveryState.DEFERRED)
RETRY_BATCH = 20_000


class Row(NamedTuple):
    """One delivery that is due, at its position in the shard."""

    id: int
    position: int
    variant_id: int
    mailbox_id: int
    subscriber_id: int | None
    occasion: str
    tries: int
    first_tried: datetime | None


class Result(NamedTuple):
    """What became of one delivery. `code` and `enhanced` of the reply, never its text: that may repeat the address.

    in_doubt   a server may have taken it, whatever the state says is to follow
    """

    id: int
    state: DeliveryState
    code: int | None = None
    enhanced: str | None = None
    reason: str | None = None
    due_at: datetime | None = None
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a mailing's rows reach.

    planned     what all its shards of first attempts hold; for a shard of retries, which says nothing of that, all its rows if more
    here        rows of one shard
    strangers   those of them that are another mailing's
    """

    planned: int
    here: int
    strangers: int


def extent(session: Session, lease: Lease) -> Extent:
    """Return for how many a mailing has room, and how many rows the leased shard holds, whatever became of them."""
    facts = {"mailing": lease.mailing_id, "month": lease.month, "shard": lease.shard_id}
    return Extent(*session.execute(_EXTENT, facts).one())


_EXTENT = text("""
    SELECT greatest(
            (SELECT coalesce(sum(size), 0) FROM shard WHERE mailing_id = :mailing AND NOT retry),
            CASE WHEN (SELECT retry FROM shard WHERE id = :shard)
                THEN (SELECT count(*) FROM delivery WHERE month = :month AND mailing_id = :mailing) END
        ),
        count(*), count(*) FILTER (WHERE mailing_id <> :mailing)
    FROM delivery WHERE month = :month AND shard_id = :shard
""")


def due(session: Session, lease: Lease) -> list[Row]:
    """Return the rows of a leased shard that are still to be sent, in order."""
    statement = (
        select(
            Delivery.id,
            Delivery.position,
            Delivery.variant_id,
            Delivery.mailbox_id,
            Delivery.subscriber_id,
            Delivery.occasion,
            Delivery.tries,
            Delivery.first_tried,
        )
        .where(
            Delivery.month == lease.month,
            Delivery.shard_id == lease.shard_id,
            # A row that was put off under an earlier lease waits for its time.
            or_(
                Delivery.state == DeliveryState.PLANNED,
                and_(Delivery.state == DeliveryState.DEFERRED, Delivery.due_at <= func.clock_timestamp()),
            ),
        )
        .order_by(Delivery.position)
    )
    return list(map(Row._make, session.execute(statement)))


def record(session: Session, lease: Lease, results: Sequence[Result]) -> int:
    """Write outcomes in one fenced statement and return how many rows took theirs.

    A row cancelled or expired while its message was on the wire becomes accepted, since it was handed over, or uncertain, also
    where it would have gone again. A holder that lost its lease can only turn what is in doubt, also while it waits to go again,
    into the "accepted" it knows. A refusal of a second copy says nothing of the first, so that what was in doubt stays so.
    """
    facts = {
        "month": lease.month,
        "shard": lease.shard_id,
        "fence": lease.fence,
        "ids": [result.id for result in results],
        "states": [str(result.state) for result in results],
        "codes": [result.code for result in results],
        "enhanced": [result.enhanced for result in results],
        "reasons": [result.reason for result in results],
        "due": [result.due_at for result in results],
        "doubts": [result.in_doubt for result in results],
    }
    return int(session.execute(_RECORD, facts).rowcount)  # type: ignore[attr-defined]


_RECORD = text("""
    UPDATE delivery d SET state = CASE WHEN r.state IN ('rejected', 'expired') AND d.uncertain_at IS NOT NULL
            OR r.in_doubt AND d.state IN ('cancelled', 'expired') THEN 'uncertain'
        ELSE r.state END, code = r.code, enhanced = r.enhanced, reason = r.reason,
        due_at = CASE WHEN d.state IN ('planned', 'deferred') THEN r.due_at END,
        tries = d.tries + 1, first_tried = coalesce(d.first_tried, clock_timestamp()), outcome_at = clock_timestamp(),
        uncertain_at = CASE WHEN r.in_doubt THEN clock_timestamp() ELSE d.uncertain_at END
    FROM unnest(CAST(:ids AS bigint[]), CAST(:states AS text[]), CAST(:codes AS smallint[]), CAST(:enhanced AS text[]),
                CAST(:reasons AS text[]), CAST(:due AS timestamptz[]), CAST(:doubts AS boolean[]))
         AS r(id, state, code, enhanced, reason, due_at, in_doubt)
    WHERE d.month = :month AND d.id = r.id
      AND (d.state IN ('planned', 'deferred') AND d.shard_id = :shard
             AND EXISTS (SELECT FROM shard WHERE id = :shard AND fence = :fence)
           OR (d.state IN ('cancelled', 'expired', 'uncertain')
             OR d.state IN ('planned', 'deferred') AND d.uncertain_at IS NOT NULL) AND r.state = 'accepted'
           OR d.state IN ('cancelled', 'expired') AND r.in_doubt)
""")


def bar(session: Session, lease: Lease, reasons: dict[int, str]) -> int:
    """Cancel rows of a leased shard before it is sent; `reasons` by delivery id. Return how many."""
    facts = {"month": lease.month, "ids": list(reasons), "reasons": list(reasons.values())}
    return int(session.execute(_BAR, facts).rowcount) if reasons else 0  # type: ignore[attr-defined]


# As of the moment of the lease: before anything was announced, so that a crash later puts none of these in doubt.
_BAR = text(f"""
    UPDATE delivery d SET state = {CANCELLED}, reason = r.reason, due_at = NULL, outcome_at = s.leased_at
    FROM unnest(CAST(:ids AS bigint[]), CAST(:reasons AS text[])) AS r(id, reason), shard s
    WHERE s.id = d.shard_id AND d.month = :month AND d.id = r.id AND d.state IN ('planned', 'deferred')
""")  # noqa: S608


NEWSLETTER = ORDINARY | {Kind.ALERT, Kind.RETRACTION}
"""What a reader gets because they take a digest, and no more once they left it."""
UNASKED = "m.kind = 'notice' AND m.lane = 'bulk'"
"""SQL for a question because of a list, which nobody asked for: who leaves everything is not asked."""


def cancel(
    session: Session, mailbox_id: int, *, reason: str, digest_id: int | None = None, kinds: Iterable[str] = NEWSLETTER
) -> int:
    """Cancel everything not yet handed over to a mailbox, of one digest or of all; return how many rows.

    kinds   by themselves all newsletter mail: service mail (confirmations, goodbyes) is none, and a person who leaves still
            gets the answer they asked for. What they did not ask for, a question because of a list, goes with all of it

    Called in the transaction of the wish it follows. Only what is inside an open window (≤ 0.5 s) still goes.
    """
    facts = {"mailbox": mailbox_id, "reason": reason, "digest": digest_id, "kinds": sorted(kinds)}
    facts["unasked"] = digest_id is None and kinds is NEWSLETTER
    return int(session.execute(_CANCEL, facts).rowcount)  # type: ignore[attr-defined]


_CANCEL = text(f"""
    UPDATE delivery d SET state = {CANCELLED}, reason = :reason, due_at = NULL, outcome_at = clock_timestamp()
    FROM mailing m
    WHERE d.mailbox_id = :mailbox AND d.state IN ('planned', 'deferred') AND m.id = d.mailing_id
      AND m.state IN ('sending', 'paused')
      AND (m.kind = ANY(CAST(:kinds AS text[])) AND (CAST(:digest AS bigint) IS NULL OR m.digest_id = :digest)
           OR :unasked AND {UNASKED})
""")  # noqa: S608


def cancel_asked(session: Session, mailbox_ids: Iterable[int], occasions: Iterable[str], *, reason: str) -> int:
    """Cancel notices of some occasions that were not yet handed over to some mailboxes; return how many."""
    facts = {"boxes": list(mailbox_ids), "occasions": list(occasions), "reason": reason}
    return int(session.execute(_CANCEL_ASKED, facts).rowcount)  # type: ignore[attr-defined]


_CANCEL_ASKED = text(f"""
    UPDATE delivery d SET state = {CANCELLED}, reason = :reason, due_at = NULL, outcome_at = clock_timestamp()
    WHERE mailbox_id = ANY (CAST(:boxes AS bigint[])) AND occasion = ANY (CAST(:occasions AS text[]))
      AND state IN ('planned', 'deferred')
""")  # noqa: S608


def cancel_unlike(session: Session, mailbox_id: int, serving: Mapping[Kind, Sequence[str]], *, reason: str) -> int:
    """Cancel what is not yet handed over to a mailbox and shows more than its reader asked for; return how many rows.

    serving   the styles of versions that may go to them, by kind of mailing
    """
    facts = {"mailbox": mailbox_id, "reason": reason}
    cancelled = 0
    for kind, styles in serving.items():
        found = session.execute(_CANCEL_UNLIKE, facts | {"kind": str(kind), "styles": list(styles)})
        cancelled += int(found.rowcount)  # type: ignore[attr-defined]
    return cancelled


_CANCEL_UNLIKE = text(f"""
    UPDATE delivery d SET state = {CANCELLED}, reason = :reason, due_at = NULL, outcome_at = clock_timestamp()
    FROM mailing m, variant v
    WHERE d.mailbox_id = :mailbox AND d.state IN ('planned', 'deferred') AND m.id = d.mailing_id AND m.kind = :kind
      AND m.state IN ('sending', 'paused') AND v.id = d.variant_id AND v.style <> ALL (CAST(:styles AS text[]))
""")  # noqa: S608


def cancel_all(session: Session, mailing: MailingView, *, reason: str, waiting: bool = False) -> int:
    """Cancel what is left of a mailing; return how many of its readers have it for certain not. Who is in doubt stays so.

    waiting   also rows that a worker is writing at this moment. First pass them over, then ask again in a transaction of
              its own: two who wait for each other's rows would end one of them, and leave the rest due for ever.
    """
    left = (Delivery.month == mailing.month, Delivery.mailing_id == mailing.id, Delivery.state.in_(DUE))
    free = select(Delivery.id).where(*left).with_for_update(skip_locked=not waiting)
    cancelled = case((Delivery.uncertain_at.is_(None), DeliveryState.CANCELLED), else_=DeliveryState.UNCERTAIN)
    ended = (
        update(Delivery)
        .where(Delivery.month == mailing.month, Delivery.id.in_(free))
        .values(state=cancelled, reason=reason, due_at=None, outcome_at=text("clock_timestamp()"))
        .returning(Delivery.state)
        .cte()
    )
    spared = select(func.count()).where(ended.c.state == DeliveryState.CANCELLED)
    return session.execute(spared).scalar_one()


def cancel_shard(session: Session, lease: Lease) -> int:
    """Cancel what is left of a shard whose mailing was stopped; return how many rows."""
    facts = {"month": lease.month, "shard": lease.shard_id}
    return int(session.execute(_CANCEL_SHARD, facts).rowcount)  # type: ignore[attr-defined]


# Why a mailing ended before its time: another follows it, or somebody stopped it.
_WHY = """CASE WHEN EXISTS (
            SELECT FROM mailing u JOIN mailing o ON o.id = d.mailing_id
            WHERE u.updates = coalesce(o.translates, o.id) AND u.planned_at IS NOT NULL)
        THEN 'superseded' ELSE 'stopped' END"""
_CANCEL_SHARD = text(f"""
    UPDATE delivery d SET state = {CANCELLED}, reason = {_WHY}, due_at = NULL, outcome_at = clock_timestamp()
    WHERE month = :month AND shard_id = :shard AND state IN ('planned', 'deferred')
""")  # noqa: S608


def cancel_retries(session: Session) -> int:
    """Cancel what waits for another attempt in mailings that were stopped; return how many rows."""
    return int(session.execute(_CANCEL_RETRIES).rowcount)  # type: ignore[attr-defined]


# A deferred row has a time: by that alone the few are found among all rows of all months.
_CANCEL_RETRIES = text(f"""
    UPDATE delivery d SET state = {CANCELLED}, reason = {_WHY}, due_at = NULL, outcome_at = clock_timestamp()
    FROM mailing m, shard s
    WHERE d.state = 'deferred' AND d.due_at IS NOT NULL AND s.id = d.shard_id AND s.state = 'ended'
      AND m.id = d.mailing_id AND m.state IN ('stopped', 'retracted')
""")  # noqa: S608


def gather(session: Session, *, now: datetime) -> int:
    """Put deferred rows whose time has come into shards of their own; return how many rows.

    First attempts never wait behind retries: a retry shard is leased, and opens a window, only when the lane has no first attempt.
    Two sweeps at once gather no row twice: neither takes what the other holds, or has just moved.
    """
    return int(session.execute(_GATHER, {"now": now, "limit": RETRY_BATCH}).scalar_one())


# The owner's: whoever has a worker's password moves no row into another shard. Rows are locked before they are counted: one that
# a wish or a stop is just cancelling is left to the next sweep, or its shard would be one larger than its rows.
_GATHER = text("SELECT gather_retries(:now, :limit)")


def bring_forward(session: Session, *, beyond: datetime, now: datetime) -> None:
    """Let what is due beyond a moment be due now: no step leads there, so the clock was set back since."""
    session.execute(text("UPDATE delivery SET due_at = :now WHERE due_at > :beyond"), {"beyond": beyond, "now": now})


def expire(session: Session, *, now: datetime) -> int:
    """Give up what is left of mailings that are past their time; return how many rows.

    What waits to be looked for in the relay's log, or to go again because nobody knows whether it arrived, stays in doubt.
    """
    past = session.execute(_PAST, {"now": now}).all()
    gone: list[Any] = [session.execute(_EXPIRE, {"mailing": one.id, "month": one.month}) for one in past]
    return sum(int(one.rowcount) for one in gone)


# One by one, by its shards: joined to all deliveries there are these are read from the first to the last, every five seconds.
_PAST = text("""
    SELECT id, date_trunc('month', created_at)::date AS month FROM mailing
    WHERE state IN ('sending', 'paused') AND expires_at <= :now ORDER BY id
""")
_EXPIRE = text(f"""
    UPDATE delivery d SET state = {EXPIRED}, due_at = NULL, outcome_at = clock_timestamp()
    FROM shard s WHERE s.mailing_id = :mailing AND d.month = :month AND d.shard_id = s.id AND d.state IN ('planned', 'deferred')
""")  # noqa: S608


def handed(mailing: MailingView) -> Select[Any]:
    """Return the query for everyone who has a mailing, or may have it: the audience of what takes it back.

    Rows: mailbox_id, subscriber_id, provider, number (of the variant they had), place (in the order in which it went), time_zone
    and excluded (NULL). What was in doubt once counts,
    whatever became of it.
    """
    arrived = (DeliveryState.ACCEPTED, DeliveryState.UNCERTAIN)
    columns: tuple[Any, ...] = (Delivery.mailbox_id, Delivery.subscriber_id, Shard.provider, Variant.number)
    place = (Delivery.shard_id * 10_000 + Delivery.position).label("place")
    return (
        select(*columns, place, cast(null(), Text).label("time_zone"), null().label("excluded"))
        .join(Shard, Shard.id == Delivery.shard_id)
        .join(Variant, Variant.id == Delivery.variant_id)
        .where(
            Delivery.month == mailing.month,
            Delivery.mailing_id == mailing.id,
            or_(Delivery.state.in_(arrived), Delivery.uncertain_at.is_not(None)),
        )
    )


def had(session: Session, gone: Sequence[MailingView], readers: Sequence[int]) -> dict[int, set[int]]:
    """Return by mailbox which of these mailings each of these readers has, or may have; those who have none are left out."""
    mine = or_(*(and_(Delivery.month == one.month, Delivery.mailing_id == one.id) for one in gone))
    arrived = or_(
        Delivery.state.in_((DeliveryState.ACCEPTED, DeliveryState.UNCERTAIN)), Delivery.uncertain_at.is_not(None)
    )
    theirs = Delivery.mailbox_id == mailboxes.among(readers)
    found: dict[int, set[int]] = {}
    for mailbox, mailing in session.execute(
        select(Delivery.mailbox_id, Delivery.mailing_id).where(mine, arrived, theirs)
    ):
        found.setdefault(mailbox, set()).add(mailing)
    return found


@dataclass(frozen=True, slots=True)
class Single:
    """One delivery outside any audience: a test, a notice."""

    variant_id: int
    mailbox_id: int
    subscriber_id: int | None
    provider: str
    occasion: str = ""


def ask(session: Session, mailing: MailingView, single: Single, *, now: datetime) -> int:
    """Plan one delivery in a shard of its own; return its id. The mailing must be started by the caller."""
    session.execute(text("SELECT deliveries_of_month(:month)"), {"month": mailing.month})
    shard = Shard(mailing_id=mailing.id, lane=mailing.lane, provider=single.provider, size=1, not_before=now)
    session.add(shard)
    session.flush()
    row = Delivery(
        month=mailing.month,
        mailing_id=mailing.id,
        variant_id=single.variant_id,
        mailbox_id=single.mailbox_id,
        subscriber_id=single.subscriber_id,
        occasion=single.occasion,
        shard_id=shard.id,
        position=0,
    )
    session.add(row)
    session.flush()
    session.execute(_COUNT_ONE, {"mailing": mailing.id, "now": now})
    return row.id


_COUNT_ONE = text("""
    UPDATE mailing SET audience = audience + 1, planned = planned + 1, planned_at = coalesce(planned_at, :now)
    WHERE id = :mailing
""")


@dataclass(frozen=True, slots=True)
class Doubt:
    """A delivery that a server may have taken without saying so. state: what is known or was decided since."""

    subscriber_id: int | None
    uncertain_at: datetime
    state: str


def in_doubt(session: Session, mailing: MailingView) -> list[Doubt]:
    """Return every delivery of a mailing that was ever in doubt, oldest first: also those sent again or found since."""
    statement = (
        select(Delivery.subscriber_id, Delivery.uncertain_at, Delivery.state)
        .where(Delivery.month == mailing.month, Delivery.mailing_id == mailing.id, Delivery.uncertain_at.is_not(None))
        .order_by(Delivery.uncertain_at, Delivery.id)
    )
    return [Doubt(reader, at, state) for reader, at, state in session.execute(statement) if at is not None]


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A delivery in doubt that a look into the relay's log may settle."""

    month: date
    id: int
    mailing_id: int
    mailbox_id: int
    occasion: str


def unsettled(session: Session, *, since: datetime, limit: int = 10_000) -> list[Unsettled]:
    """Return the deliveries that came into doubt since then and still are, also those that are to go again; the newest first.

    Who is looked for in vain is in no log, or of another relay, and stays for a day. However many these are, whoever came into
    doubt a moment ago is looked for: an alert goes to them again in a minute.
    """
    statement = (
        select(Delivery.month, Delivery.id, Delivery.mailing_id, Delivery.mailbox_id, Delivery.occasion)
        .where(
            Delivery.uncertain_at > since,
            Delivery.state.in_((DeliveryState.UNCERTAIN, DeliveryState.PLANNED, DeliveryState.DEFERRED)),
        )
        .order_by(Delivery.uncertain_at.desc(), Delivery.id.desc())
        .limit(limit)
    )
    return [Unsettled(*found) for found in session.execute(statement)]


def found_taken(session: Session, found: Sequence[Unsettled]) -> int:
    """Record that a relay has these after all, by its own log; return how many rows changed.

    Also while somebody has their shard, which may take long: what they did not begin yet they then leave alone.
    """
    facts = {"months": [one.month for one in found], "ids": [one.id for one in found]}
    return int(session.execute(_FOUND, facts).rowcount)  # type: ignore[attr-defined]


def reported(session: Session, month: date, mailing_id: int, mailbox_id: int, occasion: str) -> bool:
    """Record that a delivery in doubt was taken after all, since a report speaks of it; return whether it was in doubt."""
    facts = {"month": month, "mailing": mailing_id, "mailbox": mailbox_id, "occasion": occasion}
    return bool(session.execute(_REPORTED, facts).rowcount)  # type: ignore[attr-defined]


_TAKEN = "SET state = 'accepted', reason = '{}', due_at = NULL, outcome_at = clock_timestamp()"
_FOUND = text(f"""
    UPDATE delivery d {_TAKEN.format("relay log")}
    FROM unnest(CAST(:months AS date[]), CAST(:ids AS bigint[])) AS f(month, id)
    WHERE d.month = f.month AND d.id = f.id AND d.state IN ('uncertain', 'planned', 'deferred')
""")
_REPORTED = text(f"""
    UPDATE delivery d {_TAKEN.format("report")}
    WHERE d.month = :month AND d.mailing_id = :mailing AND d.mailbox_id = :mailbox AND d.occasion = :occasion
      AND d.uncertain_at IS NOT NULL AND d.state IN ('uncertain', 'planned', 'deferred')
""")
