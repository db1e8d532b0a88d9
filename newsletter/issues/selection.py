"""What one group of readers is shown: pure.

A reader's items are those that became ready since their last issue, in their language, less what they had as an alert.
Featured ones come first, then the newest.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType

from newsletter.composer.content import ArticleContent, DigestContent
from newsletter.issues.articles import ArticleView

LEAD = 3
OTHERS = 20
SHOWN = 560
"""The widest a picture is shown, in CSS pixels."""
NO_PICTURES: Mapping[str, "Pictured"] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Masthead:
    """What stands above every version of an issue."""

    name: str
    number: int
    rhythm: str
    cut_on: date


@dataclass(frozen=True, slots=True)
class Pictured:
    """A picture on our own pages: its whole address, and its width in pixels."""

    url: str
    width: int


def chosen(
    articles: Iterable[ArticleView], *, language: str, had_to: int, had_alerts: Iterable[int], alerts: Mapping[int, int]
) -> list[ArticleView]:
    """Return what a group has not had, in printing order.

    alerts      article id → mailing id of those that went out as alerts
    had_alerts  mailing ids of the alerts the group was handed
    """
    had = frozenset(had_alerts)
    new = [
        article
        for article in articles
        if (article.ready_seq or 0) > had_to
        and _speaks(article.language, language)
        and alerts.get(article.id) not in had
    ]
    return sorted(new, key=lambda article: (not article.featured, -article.posted_on.timestamp(), article.id))


def covered(articles: Iterable[ArticleView], *, languages: Iterable[str], after: int) -> list[ArticleView]:
    """Return what is new since a cut and can be read in one of a digest's languages."""
    editions = tuple(languages)
    return [
        article
        for article in articles
        if (article.ready_seq or 0) > after and any(_speaks(article.language, edition) for edition in editions)
    ]


def _speaks(article: str | None, edition: str) -> bool:
    """An article of no named language is for everyone; "en-GB" is read in the "en" edition."""
    return article is None or article.split("-")[0].lower() == edition.split("-")[0].lower()


def content(
    articles: list[ArticleView],
    masthead: Masthead,
    *,
    pictures: Mapping[str, Pictured] = NO_PICTURES,
    whole: bool = False,
) -> DigestContent:
    """Return the content of an issue: the first three at length, twenty in short, the rest by number.

    pictures   by the address an article names; what is missing there is left out
    whole      the full text of each, for those who cannot follow a link
    """
    at_length = LEAD + OTHERS if whole else LEAD
    printed = [_article(article, whole=whole) for article in articles[: LEAD + OTHERS]]
    lead = [
        _with_picture(article, pictures.get(found.image_url or ""))
        for article, found in zip(printed[:at_length], articles, strict=False)
    ]
    return DigestContent(
        name=masthead.name,
        number=masthead.number,
        rhythm=masthead.rhythm,
        cut_on=masthead.cut_on,
        lead=tuple(lead),
        others=tuple(printed[at_length:]),
        more=max(0, len(articles) - LEAD - OTHERS),
    )


def _with_picture(article: ArticleContent, picture: Pictured | None) -> ArticleContent:
    return replace(article, image_url=picture.url, image_width=min(SHOWN, picture.width)) if picture else article


def _article(article: ArticleView, *, whole: bool) -> ArticleContent:
    return ArticleContent(
        key=f"{article.id}.{article.revision}",
        title=article.title,
        byline=article.byline,
        source=article.source,
        dateline=article.dateline,
        excerpt=article.excerpt,
        body_html=article.body if whole else "",
        url=article.url,
        categories=article.categories,
        featured=article.featured,
        kind=article.kind,
        language=article.language or "en",
        posted_on=article.posted_on.date(),
        image_url=None,
        image_alt=article.image_alt,
    )
