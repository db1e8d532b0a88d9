"""The words of an alert: written in every language with what would take it back, and written anew until it is locked."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from newsletter import database
from newsletter.campaigns import alerts
from newsletter.composer import alert as composing
from newsletter.composer.message import Compiled
from newsletter.database import Session
from newsletter.delivery import following
from newsletter.errors import Conflict
from newsletter.issues import digests, manuscript
from newsletter.issues.digests import DigestView
from newsletter.issues.manuscript import Manuscript
from newsletter.journeys import acting, inbound, publish
from newsletter.journeys.mailing import read_file
from newsletter.journeys.parts import Parts
from newsletter.ledger import mailings, variants
from newsletter.ledger.mailings import Draft, Kind, Lane, MailingView, State
from newsletter.operators import audit
from newsletter.operators.roles import May


class ChangedMeanwhile(Conflict):
    """The alert was locked anew while somebody was reading it."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.changed-meanwhile", mailing=mailing_id)


def draft(
    parts: Parts, paths: Sequence[str], *, digest_key: str, by: int | None = None, updates: int | None = None
) -> int:
    """Compose an alert from a text file a language, for everyone who takes a digest, with its retraction; return its mailing."""
    return draft_words(parts, [read_file(path) for path in paths], digest_key=digest_key, by=by, updates=updates)


def draft_words(
    parts: Parts, words: Sequence[str], *, digest_key: str, by: int | None, updates: int | None = None
) -> int:
    """Compose an alert from texts, as `draft` does from files."""
    acting.allowed(parts, by, May.WRITE)
    with parts.database.transaction() as session:
        now = database.now(session)
        who = by or audit.SHELL
        return begin(session, parts, words, digest_key=digest_key, by=who, updates=updates, now=now)


def begin(
    session: Session,
    parts: Parts,
    words: Sequence[str],
    *,
    digest_key: str,
    by: int | str,
    now: datetime,
    updates: int | None = None,
) -> int:
    """Draft an alert with its retraction in the transaction of whoever asks, and return its mailing."""
    parts.letterhead.require()
    digest = digests.by_key(session, digest_key)
    if updates is not None:
        acting.an_alert(session, updates)
        following.require(session, updates)
    texts = _read(words, digest)
    new = Draft(Kind.ALERT, Lane.URGENT, digest.id, texts[0].subject, updates=updates)
    mailing_id = mailings.draft(session, new, now=now)
    back = Draft(Kind.RETRACTION, Lane.URGENT, digest.id, alerts.retraction(texts[0]).subject, retracts=mailing_id)
    mailings.draft(session, back, now=now)
    _write(session, parts, mailing_id, words, texts, digest, by=by, now=now)
    audit.append(session, "alert.drafted", by=by, now=now, mailing=mailing_id, digest=digest.id)
    return mailing_id


def edit(parts: Parts, mailing_id: int, paths: Sequence[str], *, by: int | None = None) -> None:
    """Write an alert anew that has not gone; whatever lock or approval it had is void. Raises WrongState."""
    edit_words(parts, mailing_id, [read_file(path) for path in paths], by=by)


def edit_words(
    parts: Parts, mailing_id: int, words: Sequence[str], *, by: int | None = None, seen: str | None = None
) -> None:
    """Write an alert anew from texts, as `edit` does from files."""
    acting.allowed(parts, by, May.WRITE)
    with parts.database.transaction() as session:
        now = database.now(session)
        rewrite(session, parts, mailing_id, words, by=by or audit.SHELL, now=now, seen=seen)


def rewrite(
    session: Session,
    parts: Parts,
    mailing_id: int,
    words: Sequence[str],
    *,
    by: int | str,
    now: datetime,
    seen: str | None = None,
) -> None:
    """Write an alert anew in the transaction of whoever asks. Raises WrongState, ChangedMeanwhile.

    seen   `print_of` of the words that were before them; None: whatever they are now
    """
    acting.an_alert(session, mailing_id)
    # Whoever locks it meanwhile waits for these words.
    view = mailings.take(session, mailing_id)
    if seen is not None and seen != print_of(view):
        raise ChangedMeanwhile(mailing_id)
    if view.state is not State.DRAFT:
        mailings.unlock(session, mailing_id)
    digest = digests.get(session, view.digest_id or 0)
    texts = _read(words, digest)
    _write(session, parts, mailing_id, words, texts, digest, by=by, now=now)
    audit.append(session, "alert.edited", by=by, now=now, mailing=mailing_id)


def rehearse(parts: Parts, paths: Sequence[str], *, digest_key: str) -> int:
    """Compose an alert and keep nothing; return how many would get it. Raises what `draft` raises."""
    parts.letterhead.require()
    with parts.database.transaction() as session:
        digest = digests.by_key(session, digest_key)
        for text in _read([read_file(path) for path in paths], digest):
            _compose(session, parts, text, digest, archive_path="", page="", now=database.now(session))
    return publish.audience_of_digest(parts, digest_key)


def _read(words: Sequence[str], digest: DigestView) -> list[Manuscript]:
    return [manuscript.read(text, language=digest.languages[0]) for text in words]


def _write(
    session: Session,
    parts: Parts,
    mailing_id: int,
    words: Sequence[str],
    texts: Sequence[Manuscript],
    digest: DigestView,
    *,
    by: int | str,
    now: datetime,
) -> None:
    """Store every language of an alert and of what would take it back."""
    archive, page = f"/archive/{digest.key}/{mailing_id}", f"{parts.letterhead.base_url}/alerts/{mailing_id}"
    back_id = mailings.retraction_of(session, mailing_id)
    # What takes it back bears the day on which the alert was begun, so that an approver sees no change where there is none.
    began = mailings.get(session, mailing_id).created_at
    for target, made, at in ((mailing_id, texts, now), (back_id, [alerts.retraction(text) for text in texts], began)):
        variants.clear(session, target)
        for number, text in enumerate(made, start=1):
            compiled = _compose(session, parts, text, digest, archive_path=f"{archive}/{number}", page=page, now=at)
            variants.store(session, target, compiled, number=number, language=text.language)
    before = mailings.get(session, mailing_id).content.get("by", [])
    writers = sorted({*before, *([by] if isinstance(by, int) else [])})
    content = {"words": list(words), "page": page, "by": writers}
    mailings.write_down(session, mailing_id, texts[0].subject, content)


def _compose(
    session: Session, parts: Parts, text: Manuscript, digest: DigestView, *, archive_path: str, page: str, now: datetime
) -> Compiled:
    mailto = inbound.leave_address(session, parts)
    frame = parts.letterhead.frame(
        digest, language=text.language, kind="alert", archive_path=archive_path, mailto=mailto
    )
    return composing.compose(
        alerts.content(text, now=now, page=f"{page}/{text.language}" if page else ""), frame, parts.layout
    )


def print_of(view: MailingView) -> str:
    """Return by what a form knows the words it showed."""
    return hashlib.sha256("\x00".join(str(one) for one in view.content["words"]).encode()).hexdigest()
