"""The words of an alert: written in every language with what would take it back, and written anew until it is locked."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from itertools import product
from typing import Any

from newsletter import database
from newsletter.campaigns import alerts
from newsletter.composer import alert as composing
from newsletter.composer.message import Compiled
from newsletter.composer.styles import PLAIN, Style
from newsletter.database import Session
from newsletter.delivery import following
from newsletter.errors import Conflict, Invalid
from newsletter.issues import digests, manuscript
from newsletter.issues.digests import DigestView
from newsletter.issues.manuscript import Manuscript
from newsletter.journeys import acting, inbound, publish, styling
from newsletter.journeys.mailing import read_file
from newsletter.journeys.parts import Parts
from newsletter.ledger import locks, mailings, variants
from newsletter.ledger.mailings import Draft, Kind, Lane, MailingView, State
from newsletter.operators import audit
from newsletter.operators.roles import May


class ChangedMeanwhile(Conflict):
    """The alert was locked anew while somebody was reading it."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.changed-meanwhile", mailing=mailing_id)


class NotWritten(Invalid):
    """A language that is to come later is none of the digest's, or is written already."""

    def __init__(self, language: str, languages: Sequence[str]) -> None:
        super().__init__("alert.no-later-language", language=language, languages=", ".join(languages) or "–")


def draft(
    parts: Parts,
    paths: Sequence[str],
    *,
    digest_key: str,
    by: int | None = None,
    updates: int | None = None,
    later: Sequence[str] = (),
) -> int:
    """Compose an alert from a text file a language, for everyone who takes a digest, with its retraction; return its mailing.

    later   languages whose readers wait until theirs is written, where others get the best there is
    """
    words = [read_file(path) for path in paths]
    return draft_words(parts, words, digest_key=digest_key, by=by, updates=updates, later=later)


def draft_words(
    parts: Parts,
    words: Sequence[str],
    *,
    digest_key: str,
    by: int | None,
    updates: int | None = None,
    later: Sequence[str] = (),
) -> int:
    """Compose an alert from texts, as `draft` does from files."""
    acting.allowed(parts, by, May.WRITE)
    with parts.database.transaction() as session:
        now = database.now(session)
        who = by or audit.SHELL
        return begin(session, parts, words, digest_key=digest_key, by=who, updates=updates, later=later, now=now)


def begin(
    session: Session,
    parts: Parts,
    words: Sequence[str],
    *,
    digest_key: str,
    by: int | str,
    now: datetime,
    updates: int | None = None,
    later: Sequence[str] = (),
) -> int:
    """Draft an alert with its retraction in the transaction of whoever asks, and return its mailing."""
    digest = digests.by_key(session, digest_key)
    if updates is not None:
        acting.an_alert(session, updates)
        following.require(session, updates)
    texts = read(words, digest)
    require_later(texts, digest, later)
    content = {"later": sorted(set(later))} if later else {}
    new = Draft(Kind.ALERT, Lane.URGENT, digest.id, texts[0].subject, updates=updates, content=content)
    return store(session, parts, new, words, by=by, now=now)


def require_later(texts: Sequence[Manuscript], digest: DigestView, later: Sequence[str]) -> None:
    """Raise NotWritten where one of these languages cannot come later than the others."""
    left = [one for one in digest.languages if one not in {text.language for text in texts}]
    for language in later:
        if language not in left:
            raise NotWritten(language, left)


def store(session: Session, parts: Parts, new: Draft, words: Sequence[str], *, by: int | str, now: datetime) -> int:
    """Store an alert with its words and its retraction, and return its mailing. What it is beside its words stands in `new`."""
    parts.letterhead.require()
    digest = digests.get(session, new.digest_id or 0)
    texts = read(words, digest)
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
    parts: Parts,
    mailing_id: int,
    words: Sequence[str],
    *,
    by: int | None = None,
    seen: str | None = None,
    later: Sequence[str] | None = None,
) -> None:
    """Write an alert anew from texts, as `edit` does from files. later: the languages to come later; None: as it was."""
    acting.allowed(parts, by, May.WRITE)
    with parts.database.transaction() as session:
        now = database.now(session)
        rewrite(session, parts, mailing_id, words, by=by or audit.SHELL, now=now, seen=seen, later=later)


def _require_same_languages(view: MailingView, texts: Sequence[Manuscript]) -> None:
    """Raise NotWritten where a later language becomes another: whom it is for was said as it was begun."""
    before, written = view.content.get("languages", []), [text.language for text in texts]
    if view.translates is not None and sorted(before) != sorted(written):
        raise NotWritten(next((one for one in written if one not in before), before[0]), before)


def rewrite(
    session: Session,
    parts: Parts,
    mailing_id: int,
    words: Sequence[str],
    *,
    by: int | str,
    now: datetime,
    seen: str | None = None,
    later: Sequence[str] | None = None,
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
        locks.unlock(session, mailing_id)
    digest = digests.get(session, view.digest_id or 0)
    texts = read(words, digest)
    _require_same_languages(view, texts)
    _write(session, parts, mailing_id, words, texts, digest, by=by, now=now, later=later)
    audit.append(session, "alert.edited", by=by, now=now, mailing=mailing_id)


def rehearse(parts: Parts, paths: Sequence[str], *, digest_key: str, later: Sequence[str] = ()) -> int:
    """Compose an alert and keep nothing; return how many would get it. Raises what `draft` raises."""
    parts.letterhead.require()
    with parts.database.transaction() as session:
        digest = digests.by_key(session, digest_key)
        texts = read([read_file(path) for path in paths], digest)
        require_later(texts, digest, later)
        for text in texts:
            _compose(session, parts, text, digest, archive_path="", page="", now=database.now(session))
    return publish.audience_of_digest(parts, digest_key, later=later)


def read(words: Sequence[str], digest: DigestView) -> list[Manuscript]:
    """Return the texts of an alert for the readers of a digest. Raises BadManuscript."""
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
    later: Sequence[str] | None = None,
) -> None:
    """Store every language of an alert and of what would take it back.

    later   the languages that come later; None: as it was. What is written by now comes with the others.
    """
    view = mailings.get(session, mailing_id)
    page = f"{parts.letterhead.base_url}/alerts/{view.translates or mailing_id}"
    # What takes it back bears the day on which the alert was begun, so that an approver sees no change where there is none.
    told = _told(session, view)
    _store_variants(session, parts, mailing_id, mailing_id, texts, digest, page=page, at=now, told=told)
    back, backwards = mailings.retraction_of(session, mailing_id), [alerts.retraction(text) for text in texts]
    unmarked = [None] * len(told)
    _store_variants(session, parts, back, mailing_id, backwards, digest, page=page, at=view.created_at, told=unmarked)
    writers = sorted({*view.content.get("by", []), *([by] if isinstance(by, int) else [])})
    content: dict[str, Any] = {"words": list(words), "page": page, "by": writers}
    if view.translates is not None:
        content |= {"languages": [text.language for text in texts], "also_had": bool(view.content.get("also_had"))}
    waits = set(view.content.get("later", []) if later is None else later) - {text.language for text in texts}
    content |= {"later": sorted(waits)} if waits else {}
    mailings.write_down(session, mailing_id, texts[0].subject, content)


def _told(session: Session, view: MailingView) -> list[datetime | None]:
    """Return a mark for each set of an alert's versions: none; and of one that came later, when its readers had another."""
    if view.translates is None or not view.content.get("also_had"):
        return [None]
    alert = mailings.get(session, view.translates)
    return [None, alert.planned_at or alert.created_at]


def _store_variants(
    session: Session,
    parts: Parts,
    target: int,
    alert: int,
    texts: Sequence[Manuscript],
    digest: DigestView,
    *,
    page: str,
    at: datetime,
    told: Sequence[datetime | None],
) -> None:
    variants.clear(session, target)
    looks = styling.of_readers(session, digest.id)
    _store_styles(session, parts, target, alert, texts, digest, page=page, at=at, told=told, looks=looks)


def _store_styles(
    session: Session,
    parts: Parts,
    target: int,
    alert: int,
    texts: Sequence[Manuscript],
    digest: DigestView,
    *,
    page: str,
    at: datetime,
    told: Sequence[datetime | None],
    looks: Sequence[str],
) -> None:
    """Store the versions of these styles after those that are there: each style has all of them, in one order."""
    there = sum(variants.styles(session, target).values())
    for number, (look, mark, text) in enumerate(product(looks, told, texts), start=there + 1):
        path, style = f"/archive/{digest.key}/{alert}/{number}", Style.parse(look)
        compiled = _compose(
            session, parts, text, digest, archive_path=path, page=page, now=at, translates=mark, style=style
        )
        variants.store(session, target, compiled, number=number, language=text.language, style=look)


def complete(session: Session, parts: Parts, view: MailingView, *, now: datetime) -> None:
    """Store the versions of a draft for those of its readers who have chosen a style since it was written.

    What is locked is for all of them: nobody has to wait, or sees more of an alert than they asked for.
    """
    digest = digests.get(session, view.digest_id or 0)
    wanted = styling.of_readers(session, digest.id)
    texts, told = read([str(one) for one in view.content["words"]], digest), _told(session, view)
    back, backwards = mailings.retraction_of(session, view.id), [alerts.retraction(text) for text in texts]
    unmarked: list[datetime | None] = [None] * len(told)
    page = str(view.content["page"])
    for target, said, at, marks in ((view.id, texts, now, told), (back, backwards, view.created_at, unmarked)):
        # Of each by itself: somebody may have chosen after the one was written and before the other.
        there = variants.styles(session, target)
        looks = [one for one in wanted if one not in there]
        _store_styles(session, parts, target, view.id, said, digest, page=page, at=at, told=marks, looks=looks)


def _compose(
    session: Session,
    parts: Parts,
    text: Manuscript,
    digest: DigestView,
    *,
    archive_path: str,
    page: str,
    now: datetime,
    translates: datetime | None = None,
    style: Style = PLAIN,
) -> Compiled:
    mailto = inbound.leave_address(session, parts)
    frame = parts.letterhead.frame(
        digest, language=text.language, kind="alert", archive_path=archive_path, mailto=mailto, style=style
    )
    url = f"{page}/{text.language}" if page else ""
    content = alerts.content(text, now=now, page=url, translates=translates)
    return composing.compose(styling.led(parts, content, style), frame, parts.layout)


def print_of(view: MailingView) -> str:
    """Return by what a form knows the words it showed."""
    return hashlib.sha256("\x00".join(str(one) for one in view.content["words"]).encode()).hexdigest()
