"""An alert in its plain form: drafted, composed, stored as an article, released in the urgent lane."""

from datetime import datetime

from newsletter import database
from newsletter.campaigns import alerts
from newsletter.composer import alert as composing
from newsletter.composer.message import Compiled
from newsletter.database import Session
from newsletter.issues import digests
from newsletter.issues.digests import DigestView
from newsletter.issues.manuscript import Manuscript
from newsletter.journeys import inbound, publish
from newsletter.journeys.mailing import read_manuscript
from newsletter.journeys.parts import Parts
from newsletter.ledger import mailings, variants
from newsletter.ledger.mailings import Draft, Kind, Lane


def draft(parts: Parts, path: str, *, digest_key: str) -> int:
    """Compose an alert from a text file for everyone who takes a digest, and store it as an article; return its mailing."""
    parts.letterhead.require()
    with parts.database.transaction() as session:
        now = database.now(session)
        digest = digests.by_key(session, digest_key)
        text = read_manuscript(path, language=digest.languages[0])
        new = Draft(
            kind=Kind.ALERT,
            lane=Lane.URGENT,
            digest_id=digest.id,
            subject=text.subject,
            expires_at=now + alerts.EXPIRES_AFTER,
        )
        mailing_id = mailings.draft(session, new, now=now)
        archive = f"/archive/{digest.key}/{mailing_id}/1"
        compiled = _compose(session, parts, text, digest, archive_path=archive, now=now)
        url = f"{parts.letterhead.base_url}{archive}"
        # The article's number comes last: whoever numbers the next waits for this commit.
        variants.store(session, mailing_id, compiled, number=1, language=text.language)
        article = alerts.store_article(session, text, mailing_id, url=url, now=now)
        variants.carries(session, mailing_id, [article])
        return mailing_id


def rehearse(parts: Parts, path: str, *, digest_key: str) -> int:
    """Compose an alert and keep nothing; return how many would get it. Raises what `draft` raises."""
    parts.letterhead.require()
    with parts.database.transaction() as session:
        digest = digests.by_key(session, digest_key)
        text = read_manuscript(path, language=digest.languages[0])
        _compose(session, parts, text, digest, archive_path="", now=database.now(session))
    return publish.audience_of_digest(parts, digest_key)


def _compose(
    session: Session, parts: Parts, text: Manuscript, digest: DigestView, *, archive_path: str, now: datetime
) -> Compiled:
    mailto = inbound.leave_address(session, parts)
    frame = parts.letterhead.frame(
        digest, language=text.language, kind="alert", archive_path=archive_path, mailto=mailto
    )
    return composing.compose(alerts.content(text, now=now), frame, parts.layout)


def send(parts: Parts, path: str, *, digest_key: str) -> int:
    """Draft an alert and release it at once; return its mailing. Approval by a second person is not part of this form."""
    mailing_id = draft(parts, path, digest_key=digest_key)
    publish.release(parts, mailing_id)
    return mailing_id
