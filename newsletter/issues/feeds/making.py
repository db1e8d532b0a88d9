"""From what a format calls things to one article: the rules all formats share."""

from dataclasses import dataclass
from datetime import datetime

from newsletter import languages
from newsletter.issues.feeds import cleaning, wording
from newsletter.issues.feeds.article import KINDS, BrokenItem, FeedArticle


@dataclass(frozen=True, slots=True)
class Found:
    """What an item says, not yet cleaned. body and summary may be HTML or plain text."""

    guid: str
    title: str
    url: str
    posted_on: datetime | None
    body: str = ""
    summary: str = ""
    authors: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    language: str | None = None
    image_url: str = ""
    image_alt: str = ""
    kind: str = "article"
    featured: bool = False
    urgent: bool = False
    source: str = ""
    dateline: str = ""


def article(found: Found, *, place: str, base_url: str) -> FeedArticle | BrokenItem:
    """Return the article, or why it cannot be one."""
    # No address of its own is no address: what is relative to nothing would be the site's first page.
    url = cleaning.link(found.url, base_url=base_url) if found.url.strip() else ""
    body = cleaning.clean(found.body or found.summary, base_url=url or base_url)
    line = cleaning.first_line(body)
    said = wording.first_appeared(line)
    words = cleaning.text(cleaning.without_captions(body))
    words = words.removeprefix(line).lstrip() if said[0] else words
    title = cleaning.text(found.title) or wording.excerpt(words, 80)
    if not title:
        return BrokenItem(place, "it has neither a title nor a text")
    if found.posted_on is None:
        return BrokenItem(place, f"“{title[:60]}” has no date that can be understood")
    if not url.startswith("http"):
        return BrokenItem(place, f"“{title[:60]}” has no web address")
    picture = cleaning.link(found.image_url, base_url=url) if found.image_url else ""
    inside = cleaning.first_picture(body)
    language = wording.language(found.language)
    categories = tuple(dict.fromkeys(filter(None, map(cleaning.text, found.categories))))
    return FeedArticle(
        guid=cleaning.plain(found.guid) or url,
        title=title,
        byline=", ".join(dict.fromkeys(filter(None, map(cleaning.text, found.authors)))),
        source=cleaning.text(found.source) or said[0],
        dateline=cleaning.text(found.dateline) or said[1],
        excerpt=_excerpt(found, words),
        body=body,
        categories=categories,
        featured=found.featured or "featured" in map(str.lower, categories),
        urgent=found.urgent,
        kind=found.kind if found.kind in KINDS else "article",
        language=language,
        direction=cleaning.said_direction(body) or languages.direction(language or "en"),
        image_url=picture if picture.startswith("https://") else inside[0],
        image_alt=cleaning.text(found.image_alt) if picture else inside[1],
        url=url,
        posted_on=found.posted_on,
    )


def _excerpt(found: Found, words: str) -> str:
    """The summary the author wrote, else the beginning of the text."""
    summary = cleaning.text(cleaning.clean(found.summary, base_url="")) if found.summary else ""
    return wording.excerpt(summary or words)
