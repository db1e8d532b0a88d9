"""What went to a digest's readers lately: the alerts of a day, each with for how many it has room; and which of some readers have.

Which digest a mailing is of, when it was planned and what its shards hold, nobody but the owner writes over once it was planned.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.ledger import mailings, translating
from newsletter.ledger.mailings import GONE, Kind, MailingView
from newsletter.models.mailing import Mailing


def alerts(
    session: Session, digest_id: int, *, since: datetime, until: datetime, but: int
) -> list[tuple[MailingView, int]]:
    """Return the alerts to a digest that were planned from `since` and before `until`, but one, each with its readers."""
    planned = Mailing.planned_at >= since, Mailing.planned_at < until
    mine = Mailing.kind == Kind.ALERT, Mailing.digest_id == digest_id, Mailing.id != but
    # All at once, and held: each look at one of them by itself was a question to the database.
    held = session.execute(select(Mailing).where(*mine, *planned)).scalars().all()
    return translating.extents(session, [mailings.get(session, one.id) for one in held])


def with_readers(session: Session, mailing_ids: Collection[int]) -> dict[int, str]:
    """Return the subjects of those of some mailings that have gone and were not taken back, by their numbers."""
    found = select(Mailing.id, Mailing.subject).where(Mailing.id.in_(mailing_ids), Mailing.state.in_(GONE))
    return {row.id: row.subject for row in session.execute(found)}
