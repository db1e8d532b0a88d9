"""What somebody types off a screen is read as they meant it, and proves what they had before them."""

from datetime import UTC, datetime, timedelta

import pytest

from newsletter.subscribers import answers
from newsletter.subscribers.answers import Said
from newsletter.subscribers.signup import Answer

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DIGITS = "0123456789"


@pytest.mark.parametrize("written", ["123456", " 123 456\n", "123-456", "\u200f123456\u00a0"])
@pytest.mark.parametrize("script", [DIGITS, "۰۱۲۳۴۵۶۷۸۹", "٠١٢٣٤٥٦٧٨٩"])
def test_figures_are_read_in_whatever_digits_and_with_whatever_blanks(written, script):
    """A Persian keyboard writes other digits than our mail, and a copy brings what nobody sees."""
    assert answers.digits(written.translate(str.maketrans(DIGITS, script))) == "123456"


@pytest.mark.parametrize("written", ["", "x123456", "½" * 6, "12345o", "-"])
def test_what_is_no_figure_is_none(written):
    """A letter that is skipped would let many spellings count as one code."""
    assert answers.digits(written) == ""


def said(*, secret="123456", by=Answer.CODE, signup=1, wording="w", tried=0, after=timedelta(0)):
    return Said(1, signup, 3, by, wording, answers._proof(secret, signup, by, wording), NOW + after, NOW, tried)


def test_an_answer_is_proved_by_what_was_mailed_and_by_nothing():
    """Nothing at all is what the pages' keys make: it must prove nothing, also where somebody wrote nothing."""
    assert said().proved_by("123456")
    assert not said().proved_by("123457")
    assert not said(secret="").proved_by("")


def test_a_code_counts_five_times_and_for_an_hour_a_link_as_long_as_its_wish():
    """The pages count tries too, and whoever has them can forget to: whoever believes a code counts by themselves."""
    assert said(tried=4).in_time
    assert not said(tried=5).in_time
    assert not said(after=timedelta(hours=1)).in_time
    assert said(by=Answer.LINK, tried=5, after=timedelta(days=20)).in_time
