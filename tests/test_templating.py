"""Templates: an organisation's own first, strict about facts, escaped where it is HTML."""

import re
from pathlib import Path

import pytest

from newsletter import languages
from newsletter.templating import BrokenTemplate, NoTemplate, Templates, bundled


@pytest.fixture
def own(tmp_path: Path) -> Templates:
    """An organisation with two templates of its own."""
    (tmp_path / "mine.html").write_text("<p>{{ name }}</p>")
    (tmp_path / "mine.txt").write_text("{{ name }}")
    return Templates(tmp_path)


def test_html_is_escaped_and_text_is_not(own: Templates) -> None:
    """A name is text in one and must not become markup in the other."""
    assert own.render("mine.html", name="<b>") == "<p>&lt;b&gt;</p>"
    assert own.render("mine.txt", name="<b>") == "<b>"


def test_a_missing_fact_is_an_error(own: Templates) -> None:
    """A gap where a name should be is noticed by a hundred thousand people."""
    with pytest.raises(BrokenTemplate, match="name"):
        own.render("mine.html")


@pytest.mark.parametrize(
    "written", [b"{% broken", b"{{ nobody.at.home }}", b"{% include 'mine.txt' %}{{ 1 +", b"\xff\xfe"]
)
def test_a_template_that_is_broken_is_named(tmp_path: Path, written: bytes) -> None:
    """Its author needs the file and the line; everybody else needs the evening's mail not to be half composed."""
    (tmp_path / "mine.html").write_bytes(written)
    with pytest.raises(BrokenTemplate) as refused:
        Templates(tmp_path).render("mine.html", name="Ann")
    assert "mine.html" in languages.say(refused.value.message, "en", **refused.value.facts)


def test_bundled_templates_stand_behind_an_organisations_own(own: Templates) -> None:
    """Whoever changes one file keeps all others."""
    assert ".page" in own.source("email/style.css")


@pytest.mark.parametrize("name", ["email/none.html", "../pyproject.toml"])
def test_a_missing_template_is_said_by_name(own: Templates, name: str) -> None:
    """Whoever renamed a file must read which one is missed; nothing outside the folders is found."""
    with pytest.raises(NoTemplate) as missing:
        own.get(name)
    assert name in languages.say(missing.value.message, "en", **missing.value.facts)
    with pytest.raises(NoTemplate):
        own.source(name)


def test_no_page_spaces_or_slants_letters_that_are_joined() -> None:
    """An English page shows Persian names of houses, digests and alerts: spaced they come apart, slanted they lean backwards."""
    sheet = (bundled() / "web" / "style.css").read_text(encoding="utf-8")
    assert not re.search(r"letter-spacing|text-transform|small-caps|italic|oblique", sheet)
    for page in sorted((bundled() / "web").rglob("*.html")):
        # What browsers slant by themselves. Of an alert's own words `composer.prose` sees to it.
        assert not re.search(r"<(em|i|cite|address|dfn|var)\b|style=", page.read_text(encoding="utf-8")), page
