"""A digest: masthead, the leading articles at length, other recent articles in short."""

from dataclasses import replace
from typing import TYPE_CHECKING

from newsletter.composer import discretion, heads, lint
from newsletter.composer.content import ArticleContent, DigestContent, Frame
from newsletter.composer.message import Block, Compiled

if TYPE_CHECKING:
    from newsletter.composer.inlining import Layout

SHORT_EXCERPT = 160


def compose(content: DigestContent, frame: Frame, layout: "Layout") -> Compiled:
    """Return the compiled digest, never above 100 kB of HTML (Gmail clips near 102 kB).

    A digest that would be larger loses, step by step, the whole texts of its last articles, the length of its excerpts, its
    pictures, its lead, and in the end articles ("and 14 more"); the footer is always kept. Raises lint.TooLarge when even that is
    not enough, lint.NoPostalAddress.
    """
    compiled = _compose(content, frame, layout)
    while lint.size(compiled) > lint.LARGEST_BYTES:
        smaller = shorter(content)
        if smaller is None:
            break
        content, compiled = smaller, _compose(smaller, frame, layout)
    return lint.require(compiled, frame)


def shorter(content: DigestContent) -> DigestContent | None:
    """Return the next smaller form of a digest, or None when nothing is left to take away: pure."""
    if whole := [place for place, article in enumerate(content.lead) if article.body_html]:
        last = replace(content.lead[whole[-1]], body_html="")
        return replace(content, lead=(*content.lead[: whole[-1]], last, *content.lead[whole[-1] + 1 :]))
    if any(len(article.excerpt) > SHORT_EXCERPT for article in content.articles):
        return replace(content, lead=tuple(map(_brief, content.lead)), others=tuple(map(_brief, content.others)))
    if any(article.image_url for article in content.articles):
        lead = tuple(replace(article, image_url=None) for article in content.lead)
        return replace(content, lead=lead)
    if len(content.lead) > 1:
        return replace(content, lead=content.lead[:-1], others=(content.lead[-1], *content.others))
    if content.others:
        kept = content.others[: len(content.others) * 3 // 4]
        return replace(content, others=kept, more=content.more + len(content.others) - len(kept))
    return None


def _brief(article: ArticleContent) -> ArticleContent:
    if len(article.excerpt) <= SHORT_EXCERPT:
        return article
    cut = article.excerpt[: SHORT_EXCERPT - 4].rsplit(" ", 1)[0]
    return replace(article, excerpt=f"{cut} […]")


def _compose(content: DigestContent, frame: Frame, layout: "Layout") -> Compiled:
    language, preheader = frame.language, content.preheader
    subject = layout.line("digest/subject", language=language, content=content)
    if frame.style.discreet:
        # The name of the digest may be that of the cause.
        content = replace(content, name=frame.sender_name)
        subject, preheader = (discretion.subject(content.cut_on, frame),), discretion.preheader(content.cut_on, frame)
    opening, closing = layout.frame("_layout/frame", language=language, frame=frame, preheader=preheader)
    blocks = (opening, *_blocks(content, frame, layout), closing)
    return discretion.finished(Compiled(head=heads.bulk(frame, subject), blocks=blocks), frame)


def _blocks(content: DigestContent, frame: Frame, layout: "Layout") -> list[Block]:
    language = frame.language
    masthead = {"name": content.name, "issue": content.number, "rhythm": content.rhythm, "cut_on": content.cut_on}
    blocks = [layout.block("digest/masthead", language=language, **masthead)]
    if content.cut:
        blocks.append(layout.block("digest/withdrawn", language=language))
    for place, article in enumerate(content.lead):
        blocks.append(layout.block("digest/article", language=language, article=article, first=place == 0))
    if content.others:
        blocks.append(layout.block("digest/others", language=language))
        blocks += [layout.block("digest/other", language=language, article=article) for article in content.others]
    if content.more:
        more = {"more": content.more, "url": frame.archive_url}
        blocks.append(layout.block("digest/more", language=language, **more))
    return blocks
