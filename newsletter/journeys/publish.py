"""An article becomes an issue in an inbox: import, compose, preview, send."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from newsletter import database, errors, fetching
from newsletter.composer import lint
from newsletter.database import Session
from newsletter.delivery import hushing, planning
from newsletter.errors import Conflict, Invalid, NotFound
from newsletter.issues import articles, cutting, digests, feeds, selection, waiting
from newsletter.issues.articles import ArticleView
from newsletter.jobs import DELIVER, PICTURES
from newsletter.journeys import inbound, previews, styling
from newsletter.journeys.parts import Parts
from newsletter.journeys.versions import Issue
from newsletter.ledger import mailings, reading, variants
from newsletter.ledger import planning as rows
from newsletter.ledger.mailings import Draft, Kind, Lane, MailingView, State
from newsletter.ledger.variants import Group


class NoSuchFile(NotFound):
    """The file is not there or cannot be opened."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__("file.unreadable", path=path, reason=reason)


class InThePast(Invalid):
    """A mailing cannot begin before now; a mistyped year must not send it at once."""

    def __init__(self, start_at: datetime, now: datetime) -> None:
        super().__init__("mailing.in-the-past", at=errors.fact(start_at), now=errors.fact(now))


class CannotWrite(Conflict):
    """A folder for previews cannot be made or written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__("file.unwritable", path=str(path), reason=reason)


class NotFetchable(Invalid):
    """Feeds come from files, or from the web."""

    def __init__(self, scheme: str) -> None:
        super().__init__("file.scheme", scheme=scheme)


@dataclass(frozen=True, slots=True)
class Composed:
    """A composed issue: its number in the list of issues, how many articles and variants, and its mailing.

    warnings   ids of sentences of the catalogue that an operator should read before sending
    waiting    how many readers want the digest more seldom and have no issue before one is cut for them, by their rhythm
    """

    issue: int
    digest: str
    articles: int
    variants: int
    mailing: int
    warnings: tuple[str, ...] = ()
    waiting: Mapping[str, int] = field(default_factory=dict)


def import_articles(parts: Parts, where: str, *, feed: str | None = None, as_news: bool = False) -> articles.Imported:
    """Take articles in from a file or an address of the web; return the counts."""
    with _opened(parts, where) as stream, parts.database.transaction() as session:
        now = database.now(session)
        url = where if "://" in where else None
        feed_id = articles.ensure_feed(session, feed or _feed_name(where), url)
        items = feeds.read(stream, name=where, base_url=url or "")
        stored = articles.store(session, feed_id, items, as_news=as_news, now=now)
    if stored.added or stored.changed:
        parts.nudger.nudge(PICTURES)
    return stored


@contextmanager
def _opened(parts: Parts, where: str) -> Iterator[BinaryIO]:
    if where.startswith(("http://", "https://")):
        yield io.BytesIO(fetching.fetch(where, allow=parts.fetch_allow).body)
        return
    scheme, mark, _ = where.partition("://")
    if mark:
        raise NotFetchable(scheme)
    with opened(where) as stream:
        yield stream


def opened(path: str) -> BinaryIO:
    """Open a file for reading. Raises NoSuchFile."""
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise NoSuchFile(path, error.strerror or "unknown reason") from None


def _feed_name(where: str) -> str:
    """A feed is named after its site, or after its file without the ending."""
    return urlsplit(where).hostname or Path(where).stem


def compose(parts: Parts, digest_key: str, *, rhythm: str | None = None, now: datetime | None = None) -> Composed:
    """Cut the next issue of a digest, compose what each group of readers gets, and store it as a draft.

    Raises cutting.NothingNew, cutting.NeverCut, digests.UnknownDigest, parts.NoSender.
    """
    parts.letterhead.require()
    with parts.database.transaction() as session:
        hushing.hush(session, now=database.now(session))
    with parts.database.transaction() as session:
        now = now or database.now(session)
        digest = digests.by_key(session, digest_key)
        rhythm = cutting.cuttable(rhythm or digest.rhythm)
        cut = cutting.next_cut(session, digest.id, rhythm, upto=articles.last_ready(session))
        ready = articles.ready(session, after=0, upto=cut.upto)
        alerts = articles.alerts_among(session, ready)
        covered = selection.covered(ready, languages=digest.languages, after=cut.after)
        if not covered:
            raise cutting.NothingNew(digest.key, rhythm)
        masthead = selection.Masthead(digest.name, cut.number, rhythm, now.date())
        draft = Draft(
            kind=Kind.DIGEST,
            lane=Lane.BULK,
            digest_id=digest.id,
            rhythm=rhythm,
            subject=f"{digest.name} {cut.number}",
            had_to=cut.upto,
            content={"alerts": sorted(alerts.values()), "number": cut.number},
        )
        mailing_id = mailings.draft(session, draft, now=now)
        issue = Issue(parts, digest, mailing_id, masthead, inbound.leave_address(session, parts))
        versions = _Versions(session, issue)
        groups = _groups(session, digest, mailings.get(session, mailing_id), cut, alerts)
        chosen = {group: versions.of(group, _chosen(ready, group, alerts)) for group in groups}
        variants.assign(session, mailing_id, chosen)
        issue_id = cutting.record(
            session, digest.id, rhythm, cut, articles=len(covered), mailing_id=mailing_id, now=now
        )
        warnings, seldom = tuple(sorted(versions.warnings)), waiting.readers(session, digest, now=now)
        return Composed(issue_id, digest.key, len(covered), versions.count, mailing_id, warnings, seldom)


def _groups(
    session: Session, digest: digests.DigestView, mailing: MailingView, cut: cutting.Cut, alerts: dict[int, int]
) -> list[Group]:
    """Return every group of readers; first, for each style and language, that of readers who have had all issues until now."""
    looks = styling.of_readers(session, digest.id, kind=Kind.DIGEST)
    regular = [Group(language, cut.after, (), style) for style in looks for language in digest.languages]
    found = reading.groups(session, planning.audience(session, mailing), alerts=sorted(alerts.values()))
    return list(dict.fromkeys([*regular, *found]))


def _chosen(ready: list[ArticleView], group: Group, alerts: dict[int, int]) -> list[ArticleView]:
    return selection.chosen(
        ready, language=group.language, had_to=group.had_to, had_alerts=group.had_alerts, alerts=alerts
    )


class _Versions:
    """The variants of an issue: groups that are shown the same share one."""

    def __init__(self, session: Session, issue: Issue) -> None:
        self._session, self._issue = session, issue
        self._made: dict[tuple[str, str, tuple[int, ...]], int] = {}
        self.warnings: set[str] = set()

    @property
    def count(self) -> int:
        return len(self._made)

    def of(self, group: Group, chosen: list[ArticleView]) -> int | None:
        """Return the variant for what a group is shown, composed on first use; None when nothing is new for it."""
        if not chosen:
            return None
        key = (group.language, group.style, tuple(article.id for article in chosen))
        if key not in self._made:
            self._made[key] = self._compose(group.language, group.style, chosen)
        return self._made[key]

    def _compose(self, language: str, style: str, chosen: list[ArticleView]) -> int:
        number = len(self._made) + 1
        compiled = self._issue.compose(self._session, chosen, number=number, language=language, style=style)
        self.warnings.update(lint.warnings(compiled))
        return variants.store(
            self._session,
            self._issue.mailing,
            compiled,
            number=number,
            language=language,
            style=style,
            articles=[article.id for article in chosen],
        )


def preview(parts: Parts, issue_id: int, folder: Path, *, reference: str | None = None) -> list[Path]:
    """Write each version of an issue as .eml, .html and .txt; with a reference, the one that person would get."""
    with parts.database.transaction() as session:
        issue = cutting.get(session, issue_id)
        try:
            return previews.write(parts, session, issue.mailing_id, folder, reference=reference)
        except OSError as error:
            raise CannotWrite(folder, error.strerror or "unknown reason") from None


def send(parts: Parts, issue_id: int) -> int:
    """Release an issue now and return its mailing: rows are planned here, workers are nudged after the commit."""
    with parts.database.transaction() as session:
        mailing_id = cutting.get(session, issue_id).mailing_id
    release(parts, mailing_id)
    return mailing_id


def release(parts: Parts, mailing_id: int, *, start_at: datetime | None = None) -> None:
    """Lock and approve a draft, and plan it when its time has come. `start_at` None is now."""
    parts.letterhead.require()
    with parts.database.transaction() as session:
        now = _not_before_now(session, start_at)
        mailings.lock(session, mailing_id)
        mailings.approve(session, mailing_id, start_at=start_at or now)
        lane = mailings.get(session, mailing_id).lane
        if start_at is None or start_at <= now:
            planning.plan(session, mailing_id, now=now, tranche_pause=parts.tranche_pause)
    parts.nudger.nudge(DELIVER[lane])


def _not_before_now(session: Session, start_at: datetime | None) -> datetime:
    now = database.now(session)
    if start_at and start_at < now:
        raise InThePast(start_at, now)
    return now


def audience_of(parts: Parts, mailing_id: int, *, start_at: datetime | None = None) -> int:
    """Return how many would get a mailing if it were sent now: what --dry-run prints. Raises what sending would raise."""
    parts.letterhead.require()
    with parts.database.transaction() as session:
        _not_before_now(session, start_at)
        mailings.require(session, mailing_id, State.LOCKED)
        mailing = mailings.get(session, mailing_id)
        mailings.require_ordinary(mailing)
        return rows.count(session, mailing, planning.audience(session, mailing))
