"""The sweep: what a lost nudge, a dead worker or a full hour left behind is found here, in rows."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

import structlog
from psycopg.errors import LockNotAvailable
from sqlalchemy.exc import OperationalError

from newsletter.database import Database, Session, now
from newsletter.delivery import journal, leasing, paces, pacing, quotas
from newsletter.delivery.budget import ASTRAY
from newsletter.delivery.relaylog import RelayLog
from newsletter.ledger import books, deliveries, mailings, months, shards, tallies
from newsletter.tokens import Tokens

log = structlog.get_logger()

LOG_AGE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Found:
    """What a sweep set going.

    lanes   those in which a shard may be leased now
    """

    expired: int
    retries: int
    lanes: list[str]


def sweep(session: Session, *, now: datetime) -> Found:
    """Give up what is too old, gather retries, begin the pause after first tranches. Safe to run twice at once."""
    quotas.forget(session, now=now)
    paces.forget(session, now=now)
    _set_right(session, now=now)
    expired = deliveries.expire(session, now=now)
    retries = deliveries.gather(session, now=now)
    deliveries.cancel_retries(session)
    shards.begin_rest(session)
    return Found(expired, retries, shards.lanes_with_work(session))


def _set_right(session: Session, *, now: datetime) -> None:
    """A clock that was set back silences nobody for longer than a hold or a step says."""
    tallies.shorten(session, most=now + tallies.HOLD + ASTRAY)
    deliveries.bring_forward(session, beyond=now + pacing.FURTHEST, now=now)


def close_books(database: Database) -> int:
    """Close the books of mailings whose last shard has ended, each in a transaction of its own; return how many."""
    with database.transaction() as session:
        # Asked without taking the mailing: a stop must not wait for a sweep.
        over = [one for one in mailings.under_way(session) if not shards.any_open(session, one)]
    closed = 0
    for mailing_id in over:
        with database.transaction() as session:
            closed += books.finish(session, mailing_id)
    return closed


def open_months(database: Database, *, now: datetime) -> list[date]:
    """Make room for the deliveries of this month and the next, where there is none; return the months that were made.

    Where somebody is busy with the table it is left to the next sweep: behind whoever waits for all of it everybody else waits.
    """
    with database.transaction() as session:
        missing = months.missing(session, now=now)
    return [month for month in missing if _made(database, month)]


def _made(database: Database, month: date) -> bool:
    try:
        with database.transaction() as session:
            months.make(session, month)
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        return False
    log.info("month made", month=f"{month:%Y-%m}")
    return True


def reclaim(database: Database, journals: Path) -> int:
    """Settle what workers on this machine left when they died, by their journals; return how many shards."""
    reclaimed = 0
    for shard_id, fence in journal.orphans(journals):
        if marks := journal.read(journals, shard_id, fence):
            with database.transaction() as session:
                if taken := shards.reclaim(session, shard_id, fence, marks):
                    leasing.moved(session, taken.lease, taken.handed)
                    reclaimed += 1
                    log.warning(
                        "worker lost", shard=shard_id, in_doubt=len(marks.begun), from_journal=len(marks.accepted)
                    )
        journal.remove(journals, shard_id, fence)
    return reclaimed


def close_stopped(database: Database, journals: Path, *, owner: str, most: int = 100) -> int:
    """Close the books of stopped mailings, shard by shard, once nobody holds them; return how many shards.

    Whoever stops a mailing may die before the last of its rows is cancelled, and whoever was sending it with mail announced.
    """
    closed = 0
    while closed < most:
        with database.transaction() as session:
            taken = shards.take_stopped(session, owner=owner, marks=partial(journal.read, journals))
            if taken is None:
                break
            leasing.moved(session, taken.lease, taken.handed)
            deliveries.cancel_shard(session, taken.lease)
            shards.end(session, taken.lease)
        journal.remove(journals, taken.lease.shard_id, taken.lease.fence - 1)
        closed += 1
    return closed


def settle_by_log(database: Database, relay_log: RelayLog, tokens: Tokens, *, domain: str) -> int:
    """Look for what is in doubt in the relay's log; return how many deliveries it settled. A log that is away settles none."""
    with database.transaction() as session:
        doubts = deliveries.unsettled(session, since=now(session) - LOG_AGE)
    if not doubts:
        relay_log.close()
        return 0
    ids = {tokens.message_id(one.mailing_id, one.mailbox_id, one.occasion, domain): one for one in doubts}
    try:
        found = relay_log.taken(ids.keys())
    except OSError as error:
        log.warning("relay log unreadable", why=error.strerror)
        return 0
    if not found:
        return 0
    with database.transaction() as session:
        settled = deliveries.found_taken(session, [ids[message_id] for message_id in found])
    log.info("found in the relay's log", deliveries=settled)
    return settled
