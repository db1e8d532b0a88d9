"""Taking a shard with everything its messages need: rows, people, and a last look at wishes, basis and suppression."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from newsletter import database, mailboxes
from newsletter.composer import styles
from newsletter.database import Session
from newsletter.delivery import asking, following, journal
from newsletter.ledger import deliveries, mailings, planning, shards, variants
from newsletter.ledger.mailings import ORDINARY, Kind, Lane
from newsletter.mailboxes import UnknownMailbox
from newsletter.subscribers import listed, recipients, subscriptions, suppression
from newsletter.subscribers.recipients import Detail
from newsletter.vault import CannotUnseal

log = structlog.get_logger()

_THREADED = frozenset({Kind.ALERT, Kind.RETRACTION})

UNREADABLE = "unreadable"
"""Why a row is cancelled whose address is damaged: one such row must not keep a lane from everybody else."""


@dataclass(frozen=True, slots=True)
class Work:
    """A leased shard: its rows in order, and the readers by mailbox.

    thread   the mailings that it answers, the first of the thread first
    threads  the same by mailbox, where it is another: of whoever had a language that came later
    waits    how many more are due, and would have it before what it follows; where there are no others it is given back by now
    """

    lease: shards.Lease
    rows: list[deliveries.Row]
    readers: dict[int, Detail]
    thread: tuple[int, ...] = ()
    threads: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    waits: int = 0


def lease(session: Session, lane: str, *, owner: str, journals: Path) -> Work | None:
    """Lease the next shard of a lane with its rows, or return None when nothing is due.

    journals   the folder where a vanished holder on this machine left its marks
    """
    taken = shards.take(session, lane, owner=owner, marks=partial(journal.read, journals))
    if taken is None:
        return None
    moved(session, taken.lease, taken.handed)
    due = deliveries.due(session, taken.lease)
    rows = _in_order(session, taken.lease, due)
    waits = len(due) - len(rows)
    barred = _bar(session, taken.lease, rows)
    rows = [row for row in rows if row.id not in barred]
    readers = _readers(session, rows)
    if len(rows) > 1 and not readers:
        # Not a damaged row but the keys: nothing is given up for that.
        raise CannotUnseal("mailbox", "address", rows[0].mailbox_id)
    if unreadable := {row.id: UNREADABLE for row in rows if row.mailbox_id not in readers}:
        deliveries.bar(session, taken.lease, unreadable)
        log.warning("unreadable", shard=taken.lease.shard_id, deliveries=sorted(unreadable))
    left = [row for row in rows if row.id not in unreadable]
    if waits and not left:
        shards.release(session, taken.lease, after=following.rest(taken.lease.planned_at, now=database.now(session)))
    if taken.lease.kind not in _THREADED:
        return Work(taken.lease, left, readers)
    mailing = mailings.get(session, taken.lease.mailing_id)
    threads = following.answered_by_each(session, mailing, [row.mailbox_id for row in left])
    return Work(taken.lease, left, readers, following.answered(session, mailing), threads, waits)


def moved(session: Session, lease: shards.Lease, readers: Sequence[int]) -> None:
    """Remember how far the subscribers who were handed a digest, or may have been, have had it."""
    if lease.kind == Kind.DIGEST and lease.digest_id is not None and lease.had_to is not None and readers:
        subscriptions.moved(session, lease.digest_id, list(readers), had_to=lease.had_to)


def _in_order(session: Session, taken: shards.Lease, rows: list[deliveries.Row]) -> list[deliveries.Row]:
    """Return the rows that do not come before what their alert follows."""
    if taken.kind != Kind.ALERT:
        return rows
    mailing = mailings.get(session, taken.mailing_id)
    wait = following.overtaken(session, mailing, [row.mailbox_id for row in rows])
    return [row for row in rows if row.mailbox_id not in wait]


def _bar(session: Session, taken: shards.Lease, rows: list[deliveries.Row]) -> dict[int, str]:
    """Cancel the rows of those who may no longer be written to, whatever was planned hours ago."""
    if taken.digest_id is None:
        return _uninvited(session, taken, rows)
    ids = [row.subscriber_id for row in rows if row.subscriber_id is not None]
    reasons = recipients.barred(session, taken.digest_id, ids, urgent=taken.kind not in ORDINARY)
    barred = {row.id: reasons[row.subscriber_id] for row in rows if row.subscriber_id in reasons}
    barred |= _restyled(session, taken, [row for row in rows if row.id not in barred])
    deliveries.bar(session, taken, barred)
    return barred


def _uninvited(session: Session, taken: shards.Lease, rows: list[deliveries.Row]) -> dict[int, str]:
    """Cancel what nobody asked for to those who may not be written to since, or have answered it at whatever door.

    A question to people of a list may wait for weeks.
    """
    if taken.kind != Kind.NOTICE or taken.lane != Lane.BULK:
        return {}
    about = {row.id: number for row in rows if (number := asking.sign_up(row.occasion)) is not None}
    open_ = listed.still_ask(session, about.values())
    barred = {row: "answered" for row, number in about.items() if number not in open_}
    suppressed = suppression.suppressed(session, [row.mailbox_id for row in rows])
    barred |= {row.id: "suppressed" for row in rows if row.mailbox_id in suppressed}
    deliveries.bar(session, taken, barred)
    return barred


def _restyled(session: Session, taken: shards.Lease, rows: list[deliveries.Row]) -> dict[int, str]:
    """Find the rows of those who chose a style since they were planned, and whose version would not do all of it."""
    wanted = recipients.styles(session, [row.subscriber_id for row in rows if row.subscriber_id is not None])
    if not wanted:
        return {}
    made = variants.styles_of(session, {row.variant_id for row in rows})
    moot = planning.moot(taken.kind)
    return {
        row.id: planning.UNSERVED
        for row in rows
        if not styles.serves(made[row.variant_id], wanted.get(row.subscriber_id or 0, ""), moot=moot)
    }


def _readers(session: Session, rows: list[deliveries.Row]) -> dict[int, Detail]:
    details = recipients.details(session, [row.subscriber_id for row in rows if row.subscriber_id is not None])
    readers: dict[int, Detail] = {}
    for row in rows:
        if row.subscriber_id is None:
            with suppress(CannotUnseal, UnknownMailbox):
                readers[row.mailbox_id] = Detail(mailboxes.open(session, row.mailbox_id).wire, "", "TEST")
        elif detail := details.get(row.subscriber_id):
            readers[row.mailbox_id] = detail
    return readers
