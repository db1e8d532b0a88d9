"""Templates and premailer: once for each block, and joined blocks are as good as a whole."""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from newsletter.composer import digest
from newsletter.composer.inlining import Layout, NoFetching
from newsletter.composer.stamping import Stamper
from newsletter.templating import Templates, bundled
from tests.composer import samples
from tests.composer.samples import FRAME, PERSON, article
from tests.composer.test_messages import KINDS, PERSIAN, made

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Balance(HTMLParser):
    """Fails when a tag is closed that is not open, or left open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Remember an open tag."""
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag: str) -> None:
        """Take the newest open tag away."""
        assert self.open.pop() == tag


def stamped(kind: str, layout: Layout) -> str:
    """Return the HTML part of a message of a kind."""
    return Stamper(made(kind, layout)).parts(PERSON).html


def test_each_block_is_inlined_once() -> None:
    """premailer takes 10 ms a block; readers' selections differ by the thousand."""
    layout = Layout(Templates())
    digest.compose(samples.digest(lead=2, others=3), FRAME, layout)
    first = layout.inlined
    assert first == 1 + 1 + 2 + 1 + 3  # frame, masthead, leads, heading, others
    digest.compose(samples.digest(lead=2, others=3), FRAME, layout)
    assert layout.inlined == first
    other = samples.digest(lead=(article(0), article(99)), others=(article(2),))
    digest.compose(other, FRAME, layout)
    assert layout.inlined == first + 2  # another preheader in the frame, one new article


def test_a_style_sheet_is_read_once() -> None:
    """premailer read it for each block anew, which was nine tenths of what a phone waited for when an alert was locked."""
    layout = Layout(Templates())
    first, second = (stamped("alert", layout) for _ in range(2))
    assert first == second
    assert len(layout.sheets) == 1
    assert layout.inlined > len(layout.sheets)


def test_a_language_and_a_revision_are_other_blocks() -> None:
    """A corrected article must not be served from memory."""
    layout = Layout(Templates())
    before = layout.block("digest/other", language="en", article=article(1))
    assert layout.block("digest/other", language="en", article=article(1)) is before
    assert layout.block("digest/other", language="fa", article=article(1)) != before
    assert layout.block("digest/other", language="en", article=article(1, title="Corrected")) != before


def test_joined_blocks_equal_the_whole_inlined_at_once(layout: Layout) -> None:
    """Variants are joined from blocks: they must look like what a designer saw as one page."""
    raw = stamped("digest", Uninlined(Templates()))
    assert "style=" not in raw
    assert _plain(stamped("digest", layout)) == _plain(layout.inline(raw))


class Uninlined(Layout):
    """A layout that leaves the style sheet alone: what the templates alone say."""

    def inline(self, html: str) -> str:
        """Return the document as it came."""
        return html


def _plain(page: str) -> str:
    return re.sub(r"\s+", " ", page).replace("> <", "><")


@pytest.mark.parametrize("kind", KINDS)
def test_every_tag_is_closed_and_styled(kind: str, layout: Layout) -> None:
    """Blocks are cut from documents; a tag left open in one would swallow the next."""
    page = stamped(kind, layout)
    balance = Balance()
    balance.feed(page)
    balance.close()
    assert balance.open == []
    assert page.count("<body") == page.count("</body>") == page.count("<html") == 1
    assert len(re.findall(r'style="', page)) > 15


@pytest.mark.parametrize("kind", KINDS)
def test_dark_mode_and_phone_styles_are_kept(kind: str, layout: Layout) -> None:
    """premailer likes to take the !important away that dark mode lives of."""
    page = stamped(kind, layout)
    assert "@media (prefers-color-scheme: dark)" in page
    assert "@media only screen and (max-width: 520px)" in page
    assert "background-color: #1e1c19 !important" in page
    # Classes are what those styles hold on to.
    assert 'class="sheet"' in page


@pytest.mark.parametrize("kind", KINDS)
def test_layout_tables_are_no_tables_to_a_screen_reader(kind: str, layout: Layout) -> None:
    """Otherwise it reads "table with one column and two rows" before the news."""
    page = stamped(kind, layout)
    assert page.count("<table") == page.count('role="presentation"')
    assert page.count("<h1") == 1
    assert all('alt="' in image for image in re.findall(r"<img[^>]*>", page))


def test_a_picture_has_words_in_its_place(layout: Layout) -> None:
    """Many readers never load pictures."""
    pictured = article(1, image_url="https://news.example.org/image/1", image_alt='People "on" the square')
    page = Stamper(digest.compose(samples.digest(lead=(pictured,), others=()), FRAME, layout)).parts(PERSON).html
    seen = re.findall(r"""alt=(?:'([^']*)'|"([^"]*)")""", page)
    assert [unescape("".join(each)) for each in seen] == [pictured.image_alt]


def test_a_style_sheet_cannot_fetch(tmp_path: Path) -> None:
    """premailer follows @import even when told not to use the network."""
    (tmp_path / "email").mkdir()
    (tmp_path / "email" / "style.css").write_text('@import "http://127.0.0.1:9/x.css"; .p { color: red }')
    with pytest.raises(NoFetching):
        made("welcome", Layout(Templates(tmp_path)))


def test_an_organisations_own_footer_is_one_file(tmp_path: Path) -> None:
    """A changed sentence is not a reason to fork."""
    (tmp_path / "email" / "digest").mkdir(parents=True)
    (tmp_path / "email" / "digest" / "others.html").write_text('<h2 class="section">Elsewhere</h2>')
    page = stamped("digest", Layout(Templates(tmp_path)))
    assert ">Elsewhere</h2>" in page


def test_text_is_large_and_stands_out() -> None:
    """Readers are of every age: 16 px at least, contrast 4.5 to 1 on the ground it stands on (WCAG 1.4.3)."""
    css = (bundled() / "email" / "style.css").read_text()
    rules = dict(re.findall(r"^\.([\w-]+) \{(.*)\}$", css, flags=re.MULTILINE))
    for name, rule in rules.items():
        size = re.search(r"font-size: (\d+)px", rule)
        assert name == "preheader" or size is None or int(size[1]) >= 16, name
        colour = re.search(r"(?<![\w-])color: (#\w{6})", rule)
        ground = re.search(r"background-color: (#\w{6})", rule)
        behind = (
            ground[1] if ground else "#a3161d" if name == "alarmtime" else "#f6f3ec" if "foot" in name else "#fffdf9"
        )
        assert name == "preheader" or colour is None or contrast(colour[1], behind) >= 4.5, name


def test_dark_text_stands_out_as_well() -> None:
    """Half of all readers read in the dark."""
    css = (bundled() / "email" / "_layout" / "responsive.css").read_text()
    dark = css[css.index("prefers-color-scheme") :]
    for names, colour in re.findall(r"^  ([^{]+) \{ color: (#\w{6})", dark, flags=re.MULTILINE):
        assert ".preheader" in names or contrast(colour, "#1e1c19") >= 4.5, names


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (WCAG 2.2, relative luminance)."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """Return the relative luminance of "#rrggbb"."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_words_of_the_frame_cannot_cut_it(layout: Layout) -> None:
    """The mark in the frame's middle is nobody's word."""
    frame = replace(PERSIAN, list_name="contentmark", organisation="content")
    page = Stamper(made("digest", layout, frame)).parts(PERSON).html
    assert page.index("What happened on day 0") < page.index("/privacy")
