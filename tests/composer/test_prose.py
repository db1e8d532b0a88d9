"""Operators' text: fixed merge tags, clean HTML, a text part that reads as if it had been typed."""

import re

import pytest

from newsletter import languages
from newsletter.composer import plaintext, prose
from newsletter.composer.inlining import Layout
from newsletter.composer.message import Gap, Kind, Slot
from newsletter.composer.prose import BadLink, UnknownTag


def page(markdown: str, layout: Layout) -> str:
    """Return markdown as HTML."""
    return str(prose.page(markdown, layout, fallback="friend"))


@pytest.mark.parametrize("evil", ["{{ name.__class__ }}", "{{ 7*7 }}", "{% if x %}", "{{ email }}", "{{}}", "{# x #}"])
def test_an_unknown_tag_is_refused_in_a_sentence(evil: str, layout: Layout) -> None:
    """Free templates run code; a tag nobody knows would be printed to everyone."""
    with pytest.raises(UnknownTag) as refused:
        page(f"Dear {evil}", layout)
    assert "{{ name }}, {{ reference }}" in languages.say(refused.value.message, "en", **refused.value.facts)


def test_markup_is_text(layout: Layout) -> None:
    """Operators paste from anywhere; nothing of it may run."""
    cleaned = page("<script>x</script> <b onclick=y>bold</b> [x](javascript:alert(1))", layout)
    assert "<script" not in cleaned
    assert "<b" not in cleaned
    assert "href" not in cleaned


@pytest.mark.parametrize("url", ["/relative", "page.html", "ftp://example.org/x", "{{ name }}", "https://"])
def test_a_link_that_leads_nowhere_is_refused(url: str, layout: Layout) -> None:
    """There is no page that a relative link in a mail could be relative to."""
    with pytest.raises(BadLink):
        page(f"[x](<{url}>)", layout)


def test_a_tag_in_a_link_is_percent_quoted_in_both_parts(layout: Layout) -> None:
    """A name with a blank or a quote would break the link."""
    markdown = "[x](https://example.org/?n={{name}}&a=1)"
    gap = Gap(Slot.NAME, Kind.URL, "friend")
    assert gap in layout.cut(page(markdown, layout))
    assert gap in layout.cut(prose.plain(markdown, layout, fallback="friend"))


def test_a_picture_is_printed_in_words(layout: Layout) -> None:
    """A picture on another server tells that server who reads."""
    assert "<img" not in page("![a crowd](https://example.org/x.png)", layout)
    assert "a crowd" in page("![a crowd](https://example.org/x.png)", layout)


def test_a_preheader_is_never_cut_inside_a_tag(layout: Layout) -> None:
    """An inbox that shows "{{ na" shows that nobody looked."""
    for length in range(120, 145):
        shown = str(
            prose.preheader("a" * 60 + " " + "b" * (length - 61) + " {{ name }} and more words", layout, fallback="")
        )
        assert "{" not in shown
        assert "}" not in shown


def test_text_is_wrapped_and_shows_every_address() -> None:
    """The text part is read by people who chose it."""
    text = plaintext.from_markdown(
        "# Title\n\n"
        + "word " * 40
        + "\n\n- one\n- [two](https://example.org/2)\n\n1. first\n2. second\n\n> said\n\n---\n\nlast  \nline"
    )
    assert max(map(len, text.split("\n"))) <= plaintext.WIDTH
    assert text.startswith("Title\n-----\n\nword word")
    assert "\n\n- one\n- two (https://example.org/2)\n\n1. first\n2. second\n\n> said\n\n* * *\n\nlast\nline" in text


def test_a_long_address_is_never_broken() -> None:
    """Half a link opens nothing."""
    url = "https://example.org/" + "x" * 100
    assert url in plaintext.from_markdown(f"{'word ' * 20} [here]({url})").split("\n")[-1] or url in plaintext.wrapped(
        url
    )
    assert f"({url})" in plaintext.from_markdown(f"{'word ' * 20} [here]({url})")


def test_emphasis_is_never_slanted_in_arabic_script(layout: Layout) -> None:
    """Slanted letters lean against the way they are read, in a word of Arabic in an English text as well."""
    found = page("*now* *الآن* *اکنون **هم** now* ***الآن***", layout)
    assert re.findall(r"<em( class=\"upright\")?>", found) == ["", *[' class="upright"'] * 3]
