"""The urgent mailing of a cause. Every alert is also an article, so that memory needs no second rule."""

import hashlib
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from newsletter import languages
from newsletter.composer.content import Action, AlertContent
from newsletter.issues import articles
from newsletter.issues.feeds import FeedArticle, excerpt
from newsletter.issues.manuscript import Manuscript

FEED = "alerts"
# An alert that could not be handed over for a day is history, and the next digest tells it.
EXPIRES_AFTER = timedelta(hours=24)


def content(text: Manuscript, *, now: datetime, zone: str = "UTC") -> AlertContent:
    """Return the content of an alert; its time is printed in `zone`."""
    return AlertContent(
        subject=text.subject,
        headline=text.headline,
        markdown=text.markdown,
        sent_at=now.astimezone(ZoneInfo(zone)),
        url=text.url,
        actions=tuple(Action(label, url) for label, url in text.actions),
    )


def store_article(session: Session, text: Manuscript, mailing_id: int, *, url: str, now: datetime) -> int:
    """Store an alert as an article of kind alert, tied to its mailing; return the article's id."""
    plain = " ".join(text.markdown.split())
    article = FeedArticle(
        guid=hashlib.sha256(f"{mailing_id}\n{text.subject}".encode()).hexdigest(),
        title=text.headline,
        byline="",
        source="",
        dateline="",
        excerpt=excerpt(plain, 400),
        body="",
        categories=(),
        featured=True,
        urgent=True,
        kind="alert",
        language=text.language,
        direction=languages.direction(text.language),
        image_url=None,
        image_alt="",
        url=text.url or url,
        posted_on=now,
    )
    feed = articles.ensure_feed(session, FEED)
    stored = articles.store(session, feed, [article], as_news=True, now=now)
    articles.mark_alert(session, stored.ids[0], mailing_id)
    return stored.ids[0]
