"""Service mail on its way: written in the transaction of the fact it tells, found due by whoever sends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from newsletter import mailboxes
from newsletter.composer.message import Compiled
from newsletter.database import Session
from newsletter.ledger import deliveries, mailings, variants
from newsletter.ledger.deliveries import Single
from newsletter.ledger.mailings import Draft, Kind, Lane


@dataclass(frozen=True, slots=True)
class To:
    """Whom it goes to. subscriber_id None: nobody's record, so its links do nothing. occasion: as in `delivery.asking`."""

    mailbox_id: int
    subscriber_id: int | None = None
    occasion: str = ""


def post(
    session: Session,
    compiled: Compiled,
    to: Sequence[To],
    *,
    subject: str,
    language: str,
    expires_at: datetime,
    now: datetime,
    lane: Lane = Lane.TRANSACTIONAL,
    sealed: bool = False,
    about: dict[str, Any] | None = None,
) -> int:
    """Plan one mail to each, and return the mailing. Nudge the lane after the commit.

    subject   stands in the mailing's row for everyone with the books: it names nobody
    sealed    its text does name somebody
    about     numbers by which it is found again
    """
    draft = Draft(kind=Kind.NOTICE, lane=lane, digest_id=None, subject=subject, content=about, expires_at=expires_at)
    mailing_id = mailings.draft(session, draft, now=now)
    variant = variants.store(session, mailing_id, compiled, number=1, language=language, sealed=sealed)
    mailings.lock(session, mailing_id)
    mailings.approve(session, mailing_id, start_at=now)
    mailings.start(session, mailing_id)
    mailing = mailings.get(session, mailing_id)
    providers = mailboxes.providers(session, [one.mailbox_id for one in to])
    for one in to:
        single = Single(variant, one.mailbox_id, one.subscriber_id, providers[one.mailbox_id], one.occasion)
        deliveries.ask(session, mailing, single, now=now)
    return mailing_id
