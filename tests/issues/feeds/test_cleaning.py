"""HTML from elsewhere: what stays, what goes, and what WordPress leaves in its texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.issues.feeds import cleaning

BASE = "https://sarand.example/2026/"


def clean(raw: str) -> str:
    """Clean as for an article of the site."""
    return cleaning.clean(raw, base_url=BASE)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("<p style='color:red' class=x id=y onclick=z>a</p>", "<p>a</p>"),
        ("<script>alert(1)</script><p>a</p><style>p{}</style>", "<p>a</p>"),
        ("<iframe src=https://t.example></iframe><p>a</p><form><input></form>", "<p>a</p>"),
        ("<svg><script>alert(1)</script></svg>a", "a"),
        ("<blink>a</blink> <h1>b</h1>", "a b"),
        ("<p dir=rtl lang=fa>سلام</p>", '<p dir="rtl" lang="fa">سلام</p>'),
        ("<p>a\u202eb\u2066c\x00d</p>", "<p>abcd</p>"),
        ("<p></p><p>&nbsp;</p><p>a</p>", "<p>a</p>"),
        ("<!-- wp:paragraph --><p>a</p>", "<p>a</p>"),
    ],
)
def test_what_stays_and_what_goes(raw: str, expected: str) -> None:
    """A mail with a stranger's script, style or form in it is a stranger's mail."""
    assert clean(raw) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://e.example/", "https://e.example/"),
        ("../about", "https://sarand.example/about"),
        ("mailto:desk@example.org", "mailto:desk@example.org"),
        ("https://e.example/?a=1&amp;copy=2&amp;region=3", "https://e.example/?a=1&amp;copy=2&amp;region=3"),
        ("java\nscript:alert(1)", None),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("https://[half", None),
    ],
)
def test_links_are_absolute_and_of_the_web(address: str, expected: str | None) -> None:
    """In a mail nothing is relative to anything; and “&copy=2” is part of an address, not a ©."""
    found = clean(f'<a href="{address}">x</a>')
    assert (f'href="{expected}"' in found) if expected else ("href" not in found)
    assert 'rel="noopener noreferrer"' in found


@pytest.mark.parametrize("address", ["http://e.example/a.png", "data:image/png;base64,AA", "javascript:x", ""])
def test_a_picture_that_may_not_be_shown_leaves_no_frame(address: str) -> None:
    """A picture over http tells the whole wire who reads; one without an address is a broken frame."""
    base = "http://e.example/" if not address else BASE
    assert cleaning.clean(f'<p>a<img src="{address}" alt="x>y">b</p>', base_url=base) == "<p>ab</p>"


def test_a_picture_keeps_address_and_description() -> None:
    """Whoever sees no pictures gets the description."""
    markup = clean('<p>a</p><img src="/b.png?x=1&y=2" alt="A &quot;b&quot; > c" onerror=x>')
    assert cleaning.first_picture(markup) == ("https://sarand.example/b.png?x=1&y=2", 'A "b" > c')


@given(st.text(st.sampled_from("<>/\"'=& aipsrcotxhref:jv!-[]\x00"), max_size=60))
def test_cleaning_is_final(raw: str) -> None:
    """Cleaning again at the render must change nothing, or what was checked is not what is sent."""
    once = clean(raw)
    assert clean(once) == once
    assert "<script" not in once


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<p>a</p><p>b</p>", "a b"),
        ("<em>a</em>b<br>c", "ab c"),
        ("a < b & c", "a < b & c"),
        ("AT&amp;T &eacute; &#8230;", "AT&T é …"),
        ("<ul><li>a<li>b</ul>", "a b"),
        ("", ""),
        ("<!-- x -->", ""),
    ],
)
def test_the_words_of_markup(markup: str, expected: str) -> None:
    """Titles and excerpts are plain text."""
    assert cleaning.text(markup) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a\nb\n\nc", "<p>a<br>\nb</p>\n<p>c</p>"),
        ("a\r\n\r\nb", "<p>a</p>\n<p>b</p>"),
        ("<h2>a</h2>\n\nb", "<h2>a</h2>\n<p>b</p>"),
        ("<pre>a\n\nb</pre>\n\nc", "<pre>a\n\nb</pre>\n<p>c</p>"),
        ("<!-- wp:paragraph -->\n<p>a</p>\n<!-- /wp:paragraph -->", "<p>a</p>"),
        ('a [gallery ids="1,2"] b', "<p>a  b</p>"),
        ("[embed]https://e.example/v[/embed]", "<p>https://e.example/v</p>"),
        ("[box]a[/box]", "<p>a</p>"),
        ("[gallery]", ""),
        ("He said “[the president] lied [sic] […]”", "<p>He said “[the president] lied [sic] […]”</p>"),
        (
            '[caption id="x"]<img src="https://e.example/a.png" /> Under it[/caption] After',
            '<figure><img src="https://e.example/a.png" /><figcaption>Under it</figcaption></figure>\n<p>After</p>',
        ),
    ],
)
def test_texts_as_wordpress_keeps_them(raw: str, expected: str) -> None:
    """WordPress adds paragraphs when it shows a text; and an editor's brackets in a quotation are no shortcode."""
    assert cleaning.from_wordpress(raw) == expected


def test_nested_brackets_end_in_time() -> None:
    """A text made of half shortcodes must not hold the import."""
    assert cleaning.from_wordpress("[caption " * 5000 + "[a " * 20_000)
