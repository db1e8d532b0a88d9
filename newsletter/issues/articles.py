"""Texts that came in: stored once, revised when they change, numbered in the order in which they became ready."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from newsletter.issues.feeds import BrokenItem, FeedArticle
from newsletter.models.article import Alert, Article, ArticleRevision, Feed

ARCHIVE_AGE = timedelta(days=14)
# What a revision keeps of the text before it.
_KEPT = ("title", "byline", "source", "dateline", "excerpt", "body", "categories", "featured", "kind", "language",
         "direction", "image_url", "image_alt", "url")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    faults    one sentence for each item that could not be read
    damaged   the file ended too early
    pressing  ids of articles of this feed that ask for an alert, urgent or open letters, since they are new or became that, and of
              which nobody was told yet (`heed`); never one that came in as archive
    aged      ids of those that did, now: they ask for an alert, and nothing is made of them by itself
    """

    read: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: int = 0
    faults: tuple[str, ...] = ()
    ids: tuple[int, ...] = field(default=(), repr=False)
    damaged: bool = False
    pressing: tuple[int, ...] = field(default=(), repr=False)
    aged: tuple[int, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ArticleView:
    """A stored article. ready_seq None: it was old when it came in, and no digest takes it."""

    id: int
    revision: int
    title: str
    byline: str
    source: str
    dateline: str
    excerpt: str
    body: str
    categories: tuple[str, ...]
    featured: bool
    kind: str
    language: str | None
    direction: str
    image_url: str | None
    image_alt: str
    url: str
    posted_on: datetime
    ready_seq: int | None
    feed: str


def ensure_feed(session: Session, name: str, url: str | None = None) -> int:
    """Return the feed of this name, made now if there is none."""
    session.execute(postgresql.insert(Feed).values(name=name, url=url).on_conflict_do_nothing())
    return session.execute(select(Feed.id).where(Feed.name == name)).scalar_one()


def store(
    session: Session, feed_id: int, items: Iterable[FeedArticle | BrokenItem], *, as_news: bool, now: datetime
) -> Imported:
    """Store what a feed holds and return the counts.

    An item that is there already is left alone, or becomes a revision when its content differs. A new one older than 14
    days is archive unless `as_news`. Items that could not be read are counted and named; the others are kept.
    """
    run = _Run(session, feed_id, as_news=as_news, now=now)
    for item in items:
        run.take(item)
    _number(session, run.fresh)
    return run.report()


class _Run:
    """One import on its way through the items."""

    def __init__(self, session: Session, feed_id: int, *, as_news: bool, now: datetime) -> None:
        self._session, self._feed_id = session, feed_id
        self._now = now
        self._news_since = None if as_news else now - ARCHIVE_AGE
        self._counts: Counter[str] = Counter()
        self._faults: list[str] = []
        self._ids: list[int] = []
        self._aged: list[int] = []
        self.fresh: list[Article] = []
        self._damaged = False

    def take(self, item: FeedArticle | BrokenItem) -> None:
        self._counts["read"] += 1
        if isinstance(item, BrokenItem):
            self._counts["rejected"] += 1
            self._faults.append(f"{item.place}: {item.why}")
            self._damaged |= item.last
        else:
            self._store(item)

    def _store(self, item: FeedArticle) -> None:
        known = select(Article).filter_by(feed_id=self._feed_id, guid=item.guid)
        found = self._session.execute(known).scalar_one_or_none()
        if found is None:
            found = _add(self._session, self._feed_id, item)
            self._counts["added"] += 1
            if self._news_since is None or item.posted_on > self._news_since:
                self.fresh.append(found)
            elif _presses(found):
                found.heeded_at = self._now
                self._aged.append(found.id)
        elif found.fingerprint != item.fingerprint():
            _revise(self._session, found, item)
            self._counts["changed"] += 1
        else:
            self._counts["unchanged"] += 1
        self._ids.append(found.id)

    def report(self) -> Imported:
        return Imported(
            **self._counts,
            faults=tuple(self._faults),
            ids=tuple(self._ids),
            damaged=self._damaged,
            pressing=self._pressing(),
            aged=tuple(self._aged),
        )

    def _pressing(self) -> tuple[int, ...]:
        """Return what asks for an alert and was not heeded: new, changed, or of an import that died before anybody was told."""
        self._session.flush()
        asks = or_(Article.urgent, Article.kind == "open_letter")
        mine = Article.feed_id == self._feed_id, Article.heeded_at.is_(None), Article.withdrawn_at.is_(None)
        return tuple(self._session.execute(select(Article.id).where(*mine, asks).order_by(Article.id)).scalars())


def _presses(article: Article) -> bool:
    return article.urgent or article.kind == "open_letter"


def heed(session: Session, ids: Iterable[int], *, now: datetime) -> list[int]:
    """Note that somebody hears of articles that ask for an alert; return those of which nobody did before, oldest first."""
    unheeded = Article.id.in_(list(ids)), Article.heeded_at.is_(None)
    heeded = update(Article).where(*unheeded).values(heeded_at=now).returning(Article.id)
    return sorted(session.execute(heeded.execution_options(synchronize_session=False)).scalars())


def _add(session: Session, feed_id: int, item: FeedArticle) -> Article:
    article = Article(feed_id=feed_id, guid=item.guid, fingerprint=item.fingerprint())
    _write(article, item)
    session.add(article)
    session.flush()
    return article


def _revise(session: Session, article: Article, item: FeedArticle) -> None:
    before = {name: getattr(article, name) for name in _KEPT}
    session.add(ArticleRevision(article_id=article.id, revision=article.revision, content=before))
    _write(article, item)
    article.fingerprint = item.fingerprint()
    article.revision += 1
    session.flush()


def _write(article: Article, item: FeedArticle) -> None:
    for name in _KEPT:
        value = getattr(item, name)
        setattr(article, name, list(value) if name == "categories" else value)
    article.urgent, article.posted_on = item.urgent, item.posted_on


def _number(session: Session, fresh: list[Article]) -> None:
    """Number new articles, oldest first. Last in the transaction: whoever numbers next waits for our commit."""
    if not fresh:
        return
    taken = text("UPDATE press SET last = last + :n WHERE id = 1 RETURNING last")
    last = session.execute(taken, {"n": len(fresh)}).scalar_one()
    for place, article in enumerate(sorted(fresh, key=lambda found: (found.posted_on, found.id)), start=1):
        article.ready_seq = last - len(fresh) + place
    session.flush()


def last_ready(session: Session) -> int:
    """Return the number of the newest article that is ready; 0 before the first."""
    return int(session.execute(text("SELECT last FROM press WHERE id = 1")).scalar_one())


def ready(session: Session, *, after: int, upto: int) -> list[ArticleView]:
    """Return the articles with after < ready_seq ≤ upto that were not withdrawn, oldest number first."""
    statement = (
        select(Article, Feed.name)
        .join(Feed, Feed.id == Article.feed_id)
        .where(Article.ready_seq > after, Article.ready_seq <= upto, Article.withdrawn_at.is_(None))
        .order_by(Article.ready_seq)
    )
    return [_view(article, feed) for article, feed in session.execute(statement)]


def among(session: Session, ids: Iterable[int]) -> list[ArticleView]:
    """Return the articles of these ids, oldest first."""
    statement = (
        select(Article, Feed.name)
        .join(Feed, Feed.id == Article.feed_id)
        .where(Article.id.in_(list(ids)))
        .order_by(Article.posted_on, Article.id)
    )
    return [_view(article, feed) for article, feed in session.execute(statement)]


def listed(session: Session, *, limit: int = 50) -> list[ArticleView]:
    """Return the newest articles, archive ones too."""
    statement = (
        select(Article, Feed.name)
        .join(Feed, Feed.id == Article.feed_id)
        .order_by(Article.posted_on.desc(), Article.id.desc())
        .limit(limit)
    )
    return [_view(article, feed) for article, feed in session.execute(statement)]


def count(session: Session) -> int:
    """Return how many articles there are."""
    return session.execute(select(func.count()).select_from(Article)).scalar_one()


def mark_alert(session: Session, article_id: int, mailing_id: int) -> None:
    """Remember that an article went out as an alert, so that no digest repeats it to those who had it."""
    session.add(Alert(article_id=article_id, mailing_id=mailing_id))
    session.flush()


def recent_words(session: Session, *, limit: int) -> list[str]:
    """Return title and excerpt of the newest articles in English, where names have capitals."""
    newest = select(Article.title, Article.excerpt).where(Article.language.startswith("en"))
    return [
        f"{title}. {excerpt}" for title, excerpt in session.execute(newest.order_by(Article.id.desc()).limit(limit))
    ]


def alerts_among(session: Session, articles: Iterable[ArticleView]) -> dict[int, int]:
    """Return article id → mailing id for those of the articles that went out as alerts."""
    ids = [article.id for article in articles]
    return dict(session.execute(select(Alert.article_id, Alert.mailing_id).where(Alert.article_id.in_(ids))).all())


def _view(article: Article, feed: str) -> ArticleView:
    same = {name: getattr(article, name) for name in ("id", "revision", "posted_on", "ready_seq", *_KEPT)}
    return ArticleView(**same | {"categories": tuple(article.categories), "feed": feed})
