"""Excerpts, datelines and dates."""

from datetime import UTC, datetime

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from newsletter.issues.feeds import excerpt
from newsletter.issues.feeds.wording import first_appeared, language, moment

# Letters with marks, families joined by zero width joiners, flags, Hangul, prepended marks: what is torn most easily.
ODD = st.text(
    st.sampled_from("a é\u0301ñ👩\u200d👧🏽🇬🇧\u1100\u1161\u0600\u0e01\u0e33\u0915\u094d\u0937-, .…[]"), max_size=80
)
SHORT_WORDS = st.lists(st.text(st.sampled_from("abcdé👍🏽"), min_size=1, max_size=9), max_size=60)


def clusters(text: str) -> list[str]:
    """Return what a reader takes for characters."""
    found: list[str] = regex.findall(r"\X", text)
    return found


@given(ODD | st.text(max_size=80), st.integers(10, 60))
def test_an_excerpt_is_never_longer_than_its_limit(text: str, limit: int) -> None:
    """The layout of a digest relies on it."""
    assert len(excerpt(text, limit)) <= limit


@given(ODD | st.text(max_size=80), st.integers(10, 60))
def test_an_excerpt_never_splits_what_a_reader_takes_for_one_character(text: str, limit: int) -> None:
    """Half a flag or a letter without its accent looks like a damaged mail."""
    whole, cut = " ".join(text.split()), excerpt(text, limit)
    if cut != whole and cut != "[…]":
        kept = clusters(cut.removesuffix(" […]"))
        assert clusters(whole)[: len(kept)] == kept


@example(["a", "aaa", "aaaaaa🏽🏽🏽", "aaaaaaaaa", "🏽a", "🏽aaaa", "a"], 35)
@given(SHORT_WORDS, st.integers(30, 120))
def test_an_excerpt_is_made_of_whole_words(words: list[str], limit: int) -> None:
    """“…the ass […]” has embarrassed newspapers before."""
    cut = excerpt(" ".join(words), limit)
    kept = cut.removesuffix(" […]").split()
    assert kept == words[: len(kept)]
    assert cut.endswith(" […]") == (len(kept) < len(words))


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("One two three", 13, "One two three"),
        ("One two three", 12, "One two […]"),
        ("One two, three four", 13, "One two […]"),
        ("One two three […]", 420, "One two three […]"),
        ("One two three [...]", 420, "One two three […]"),
        ("One two three […]", 14, "One two […]"),
        ("Donaudampfschifffahrt", 14, "Donaudampf […]"),
        ("ตัวอย่างข้อความภาษาไทย", 14, "ตัวอย่างข้ […]"),
        ("  spaced\n out ", 420, "spaced out"),
        ("", 420, ""),
    ],
)
def test_where_an_excerpt_is_cut(text: str, limit: int, expected: str) -> None:
    """By examples, for whoever changes the rule."""
    assert excerpt(text, limit) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Arutz Sheva, 19 June 2014", ("Arutz Sheva", "19 June 2014")),
        ("Breitbart News, 18 February 2014 –", ("Breitbart News", "18 February 2014")),
        ("Émission spéciale, 1 May 2020:", ("Émission spéciale", "1 May 2020")),
        ("On Tuesday, 18 February 2014 the army moved in", ("", "")),
        ("We met in Paris. Later, 19 June 2014", ("", "")),
        ("Arutz Sheva, June 2014", ("", "")),
        ("", ("", "")),
    ],
)
def test_a_line_that_says_where_a_text_appeared(line: str, expected: tuple[str, str]) -> None:
    """A sentence with a date in it must not become a newspaper's name."""
    assert first_appeared(line) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2026-06-01T08:00:00Z",
        "2026-06-01T09:00:00+01:00",
        "2026-06-01 08:00:00",
        "Mon, 01 Jun 2026 08:00:00 +0000",
        "Mon, 1 Jun 2026 04:00 EDT",
        " 01 Jun 2026 08:00:00 GMT\n",
    ],
)
def test_dates_as_feeds_write_them(text: str) -> None:
    """A text without a date has no place in an issue."""
    assert moment(text) == datetime(2026, 6, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "soon", "0000-00-00 00:00:00", "Mon, 30 Nov -0001 00:00:00 +0000", "1 Jan 1066"])
def test_dates_that_are_none(text: str) -> None:
    """WordPress dates its drafts like that; they are no days."""
    assert moment(text) is None


@pytest.mark.parametrize(
    ("tag", "expected"), [("en", "en"), ("en_GB", "en-GB"), (" fa ", "fa"), ("", None), (None, None), ("<b>", None)]
)
def test_languages_as_feeds_write_them(tag: str | None, expected: str | None) -> None:
    """It becomes the lang of a mail, which screen readers obey."""
    assert language(tag) == expected
