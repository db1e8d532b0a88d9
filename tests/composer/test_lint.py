"""Sizes: Gmail clips near 102 kB, and what it clips is the unsubscribe link."""

from dataclasses import replace

import pytest

from newsletter.composer import digest, lint, mailing
from newsletter.composer.content import DigestContent, MailingContent
from newsletter.composer.inlining import Layout
from newsletter.composer.stamping import Stamper
from tests.composer import samples
from tests.composer.samples import FRAME, PERSON, article


def composed(content: DigestContent, layout: Layout) -> str:
    """Return the HTML part of a digest; its footer must be there."""
    page = Stamper(digest.compose(content, FRAME, layout)).parts(PERSON).html
    assert len(page.encode()) <= lint.LARGEST_BYTES
    assert f"https://news.example.org/u/{PERSON.leave_token}" in page
    return page


def test_an_ordinary_digest_is_small(layout: Layout) -> None:
    """Half the readers are on a phone's connection."""
    assert len(composed(samples.digest(lead=3, others=10), layout).encode()) <= 40_000


@pytest.mark.parametrize(("lead", "others"), [(60, 20), (3, 150)])
def test_a_digest_is_never_clipped(lead: int, others: int, layout: Layout) -> None:
    """Whatever a busy week brings, every article is printed or counted."""
    page = composed(samples.digest(lead=lead, others=others), layout)
    printed = page.count('class="story"') + page.count('class="brief"')
    assert printed == lead + others or f"And {lead + others - printed} more." in page


def test_a_digest_gives_up_what_matters_least_first() -> None:
    """Length of excerpts, then pictures, then places at length, then articles."""
    content = samples.digest(
        lead=(article(1, image_url="https://news.example.org/i/1"), article(2)), others=(article(3),)
    )
    steps = []
    while (smaller := digest.shorter(content)) is not None:
        content = smaller
        long = any(len(each.excerpt) > digest.SHORT_EXCERPT for each in content.articles)
        pictures = any(each.image_url for each in content.articles)
        steps.append((long, pictures, len(content.lead), len(content.others), content.more))
    assert steps[:3] == [(False, True, 2, 1, 0), (False, False, 2, 1, 0), (False, False, 1, 2, 0)]
    assert steps[-1] == (False, False, 1, 0, 2)
    assert content.lead[0].excerpt.endswith(" […]")


def test_a_mailing_that_would_be_clipped_is_refused(layout: Layout) -> None:
    """An operator can shorten a text; we cannot choose what to leave out of it."""
    with pytest.raises(lint.TooLarge):
        mailing.compose(MailingContent("Long", "", "word " * 25_000), FRAME, layout)


def test_a_large_mailing_is_warned_of(layout: Layout) -> None:
    """Between 80 and 100 kB it still goes, and somebody should know."""
    large = mailing.compose(MailingContent("Large", "", "word " * 16_000), FRAME, layout)
    assert lint.warnings(large) == ["mail.nearly-too-large"]
    small = mailing.compose(MailingContent("Small", "", "word"), FRAME, layout)
    assert lint.warnings(small) == []


def test_the_last_article_that_is_too_large_is_said_so(layout: Layout) -> None:
    """One title of a hundred thousand letters cannot be made smaller."""
    monster = samples.digest(lead=(article(1, title="x" * 100_000),), others=())
    with pytest.raises(lint.TooLarge):
        digest.compose(replace(monster, more=0), FRAME, layout)
