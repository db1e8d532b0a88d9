"""From an approved mailing to rows: who gets it, in which version, and who is left out for which reason."""

from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Select

from newsletter import database
from newsletter.database import Session
from newsletter.errors import Conflict
from newsletter.issues import digests
from newsletter.ledger import books, mailings
from newsletter.ledger import planning as rows
from newsletter.ledger.mailings import Kind, Lane
from newsletter.subscribers import recipients

log = structlog.get_logger()

MANY = 5_000
"""Rows from which a look at the statistics pays: it takes 50 ms for twenty thousand."""


class NobodyChosen(Conflict):
    """The mailing has no digest, so there is no audience to plan."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("planning.no-audience", mailing=mailing_id)


def plan(session: Session, mailing_id: int, *, now: datetime, tranche_pause: timedelta = timedelta(0)) -> rows.Plan:
    """Write every delivery of an approved mailing, start it, and return the counts.

    tranche_pause   how long a large bulk mailing waits after its first tranche; alerts never do
    """
    mailing = mailings.get(session, mailing_id)
    pause = tranche_pause if mailing.lane is Lane.BULK else timedelta(0)
    planned = rows.plan(session, mailing, audience(session, mailing), now=now, tranche_pause=pause)
    if planned.planned >= MANY:
        database.refresh_statistics(session, "delivery", "shard")
    mailings.start(session, mailing_id)
    books.finish(session, mailing_id)  # an audience of nobody is done at once
    log.info("planned", mailing=mailing_id, audience=planned.audience, planned=planned.planned, shards=planned.shards)
    return planned


def audience(session: Session, mailing: mailings.MailingView) -> Select[Any]:
    """Return the query for a mailing's readers: those of a rhythm for an issue, else all who take the digest."""
    if mailing.digest_id is None:
        raise NobodyChosen(mailing.id)
    digest = digests.get(session, mailing.digest_id)
    rhythm = mailing.rhythm if mailing.kind == Kind.DIGEST else None
    return recipients.of_digest(digest.id, rhythm=rhythm, languages=digest.languages)


def plan_due(session: Session, *, now: datetime, tranche_pause: timedelta = timedelta(0)) -> list[int]:
    """Plan the approved mailings whose time has come; return their numbers. Two sweeps at once are harmless."""
    due = mailings.to_start(session, now=now)
    for mailing_id in due:
        plan(session, mailing_id, now=now, tranche_pause=tranche_pause)
    return due
