"""Whom we must not write to, and why. One rule, `weigh_dead`, for what servers say."""

from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO

from sqlalchemy import ARRAY, BigInteger, cast, func, literal, select, update
from sqlalchemy.dialects import postgresql

from newsletter import mailboxes
from newsletter.addresses import BadAddress, EmailAddress
from newsletter.database import Database, Session, now
from newsletter.mailboxes import UnknownMailbox
from newsletter.models.subscriber import Subscriber
from newsletter.models.suppression import Reason as Reason
from newsletter.models.suppression import Suppression
from newsletter.subscribers import tables

BATCH = 10_000


def add(session: Session, mailbox_id: int, *, reason: Reason, now: datetime) -> bool:
    """Suppress a mailbox; return False when it was suppressed for this reason already."""
    made = postgresql.insert(Suppression).values(mailbox_id=mailbox_id, reason=reason, at=now).on_conflict_do_nothing()
    return session.execute(made.returning(Suppression.id)).first() is not None


def weigh_dead(session: Session, mailbox_id: int) -> bool:
    """A server said for good that there is no such mailbox: suppress it."""
    return add(session, mailbox_id, reason=Reason.DEAD, now=now(session))


def reasons(session: Session, mailbox_id: int) -> list[str]:
    """Return why a mailbox is suppressed now."""
    live = (Suppression.mailbox_id == mailbox_id, Suppression.lifted_at.is_(None))
    return list(session.execute(select(Suppression.reason).where(*live).order_by(Suppression.id)).scalars())


def lift(session: Session, mailbox_id: int, *, why: str, now: datetime) -> int:
    """Lift what suppresses a mailbox; the entries stay, with the reason of lifting. Return how many."""
    live = (Suppression.mailbox_id == mailbox_id, Suppression.lifted_at.is_(None))
    lifting = update(Suppression).where(*live).values(lifted_at=now, lifted_why=why)
    return int(session.execute(lifting).rowcount)  # type: ignore[attr-defined]


def listed(session: Session, *, limit: int) -> list[dict[str, Any]]:
    """Return the newest live entries: reference where there is a person, masked address, reason, since when."""
    query = (
        select(Suppression.mailbox_id, Suppression.reason, Suppression.at, Subscriber.reference)
        .outerjoin(Subscriber, Subscriber.mailbox_id == Suppression.mailbox_id)
        .where(Suppression.lifted_at.is_(None))
        .order_by(Suppression.id.desc())
        .limit(limit)
    )
    return [
        {"reference": row.reference, "address": _masked(session, row.mailbox_id), "reason": row.reason, "since": row.at}
        for row in session.execute(query)
    ]


def _masked(session: Session, mailbox_id: int) -> str:
    try:
        return mailboxes.open(session, mailbox_id).masked
    except UnknownMailbox:
        return "erased"


def import_csv(
    database: Database, stream: BinaryIO, *, dry_run: bool = False, on_reject: Callable[[int], None] = lambda _row: None
) -> tables.Counts:
    """Suppress every address of a CSV file with a column "email", whether known or not; return the counts.

    on_reject   is told the number of each row that holds no address: whoever stands there can still be written to

    All or nothing, but for such rows: those are counted as rejected. Mail already planned is stopped when its
    shard is leased. Raises tables.BadTable, tables.ImportBusy.
    """
    counts = tables.Counts()
    table = tables.opened(stream, required=("email",), known=("email",))
    with database.transaction() as session:
        moment = now(session)
        tables.claim(session)
        while batch := [(row, _parsed(values["email"])) for row, values in islice(table.rows, BATCH)]:
            for row in (row for row, address in batch if address is None):
                on_reject(row)
            addresses = [address for _, address in batch if address is not None]
            counts = _take(
                session, addresses, counts.plus(read=len(batch), rejected=len(batch) - len(addresses)), moment
            )
        if dry_run:
            session.rollback()
    return counts


def _take(session: Session, addresses: list[EmailAddress], counts: tables.Counts, moment: datetime) -> tables.Counts:
    boxes = mailboxes.find_or_make_all(session, addresses)
    entries = select(func.unnest(cast(boxes, ARRAY(BigInteger))), literal(Reason.NEVER_AGAIN.value), literal(moment))
    made = postgresql.insert(Suppression).from_select(["mailbox_id", "reason", "at"], entries).on_conflict_do_nothing()
    added = len(session.execute(made.returning(Suppression.id)).all())
    return counts.plus(added=added, unchanged=len(addresses) - added)


def _parsed(text: str) -> EmailAddress | None:
    try:
        return EmailAddress.parse(text)
    except BadAddress:
        return None
