"""The urgent mailing of a cause. Every alert is also an article, so that memory needs no second rule."""

import hashlib
from datetime import datetime, timedelta, tzinfo

from sqlalchemy.orm import Session

from newsletter import languages
from newsletter.composer import prose
from newsletter.composer.content import Action, AlertContent
from newsletter.issues import articles, manuscript
from newsletter.issues.feeds import FeedArticle, excerpt
from newsletter.issues.manuscript import Manuscript
from newsletter.ledger.manifest import Manifest

FEED = "alerts"
# An alert that could not be handed over for a day is history, and the next digest tells it.
EXPIRES_AFTER = timedelta(hours=24)
PUT_OFF = timedelta(hours=48)
"""How much longer an alert may be sent, where the team says so, without anybody agreeing to it anew."""


def retraction(text: Manuscript) -> Manuscript:
    """Return what takes an alert back, in its language: nobody has to find words at four in the morning."""

    def say(what: str) -> str:
        return languages.say(
            f"mail.retraction-{what}", text.language, subject=languages.quoted(text.subject, text.language)
        )

    return Manuscript(say("subject"), say("headline"), "", text.language, "", (), say("text") + "\n")


def content(
    text: Manuscript,
    *,
    now: datetime,
    zone: tzinfo | None,
    page: str = "",
    translates: datetime | None = None,
    clock: bool = True,
) -> AlertContent:
    """Return the content of an alert; its time is printed in `zone`, None: this machine's.

    page         its public one, where the text names no other
    translates   when its readers were told in another language
    clock        whether it bears an hour: what takes an alert back would bear that of the alert
    """
    return AlertContent(
        subject=text.subject,
        headline=text.headline,
        markdown=text.markdown,
        written_at=now.astimezone(zone),
        url=text.url or page,
        actions=tuple(Action(label, url) for label, url in text.actions),
        translates=translates.astimezone(zone) if translates else None,
        clock=clock,
    )


def publish(session: Session, locked: Manifest, *, page: str, now: datetime) -> list[int]:
    """Store an alert that goes out as an article in each of its languages, and return their ids.

    locked   its lock: the words are taken from there, since more hands reach whatever else is stored of an alert
    page     the address of its page, where the lock leads there
    """
    mailing_id = locked.mailing
    texts = [manuscript.read(words, language=language) for language, words in locked.words.items()]
    pages = {text.language: f"{page}/{text.language}" for text in texts}
    urls = {language: url if url in locked.links else "" for language, url in pages.items()}
    found = [_article(text, mailing_id, url=urls[text.language], now=now) for text in texts]
    feed = articles.ensure_feed(session, FEED)
    stored = articles.store(session, feed, found, as_news=True, now=now).ids
    for article in stored:
        articles.mark_alert(session, article, mailing_id)
    return list(stored)


def _article(text: Manuscript, mailing_id: int, *, url: str, now: datetime) -> FeedArticle:
    return FeedArticle(
        guid=hashlib.sha256(f"{mailing_id}\n{text.language}\n{text.subject}".encode()).hexdigest(),
        title=text.headline,
        byline="",
        source="",
        dateline="",
        excerpt=excerpt(" ".join(text.markdown.split()), 400),
        # Whole, for readers who cannot follow a link.
        body=str(prose.public(text.markdown, fallback=languages.say("mail.friend", text.language))),
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
