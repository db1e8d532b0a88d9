"""The whole text of an article: clean in the HTML part, readable in the text part."""

import re

from newsletter.composer import bodies

BODY = (
    '<h2>The gate</h2><p>Fourteen <b>lorries</b>, <a href="https://sarand.example/why">why?</a><br>Nobody says.</p>'
    '<ol start="3"><li>Water</li><li>Bread</li></ol><ul><li>Salt</li></ul><blockquote><p>We stay.</p></blockquote>'
    '<p><img src="https://spy.example/p.png" alt="A gate"></p><pre>a\n  b</pre><hr>'
    "<table><tr><th>Day</th><td>1</td></tr><tr><th>Night</th><td>2</td></tr></table>"
)


def test_the_text_is_written_and_not_left_over() -> None:
    """Somebody who reads plain text for safety must get the same facts in the same order."""
    assert bodies.text(BODY).split("\n\n") == [
        "The gate",
        "Fourteen lorries, why? (https://sarand.example/why)\nNobody says.",
        "3. Water",
        "4. Bread",
        "- Salt",
        "> We stay.",
        "    a\n      b",
        "* * *",
        "Day 1",
        "Night 2",
    ]


def test_long_paragraphs_are_wrapped_and_lists_hang() -> None:
    """Lines without an end are folded by mail programs in the middle of words."""
    found = bodies.text(f"<ul><li>{'stone ' * 30}</li></ul><p>{'water ' * 30}</p>")
    assert all(len(line) <= 72 for line in found.splitlines())
    assert found.splitlines()[1].startswith("  stone")


def test_nothing_is_fetched_and_nothing_runs() -> None:
    """A picture from elsewhere tells its server who reads, and what lies in a database is not trusted."""
    found = str(
        bodies.html(BODY + "<script>alert(1)</script><p onclick='x()' style='y'>z</p><a href='javascript:x()'>q</a>")
    )
    for bad in ("<img", "spy.example", "script", "onclick", "style", "javascript"):
        assert bad not in found
    assert '<p class="p">' in found
    assert '<h3 class="h">The gate</h3>' in found
    assert 'href="https://sarand.example/why"' in found


def test_text_that_was_never_closed_is_not_lost() -> None:
    """Editors write broken HTML."""
    assert bodies.text("<p>One<ul><li>Two") == "One\n\n- Two"
    assert bodies.text("Just words &amp; more") == "Just words & more"
    assert bodies.text("") == ""


def test_joined_letters_are_never_slanted() -> None:
    """A mail program slants <em>, <i> and <cite> by itself, and Arabic letters lean backwards then; English ones are left to it."""
    found = str(bodies.html("<p><em>غزة</em>, <i dir='ltr'>x</i> <cite>كتاب</cite></p>"))
    assert re.findall(r"<(?:em|i|cite)\b[^>]*>", found) == [
        '<em class="upright">',
        '<i dir="ltr" class="upright">',
        '<cite class="upright">',
    ]
    assert "upright" not in bodies.html("<p><em>Gaza</em> <i>x</i></p>")
