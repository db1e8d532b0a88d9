"""WordPress exports: real ones, hostile ones, and one of 20,000 posts."""

import io
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from newsletter.issues import feeds
from newsletter.issues.feeds import BrokenItem, FeedArticle
from tests.issues.feeds.samples import EXPORTS, articles, everything, only, post, real, rss


def test_an_export_yields_the_posts_everyone_may_read() -> None:
    """55 of 186 items: pages, menus and pictures are no news, and a draft sent to thousands is a disaster."""
    raw = real(EXPORTS / "wxr-theme-test-data.xml")
    assert raw.count(b"<item>") == 186
    found = articles(raw)
    assert len(found) == 55
    assert len({one.guid for one in found}) == 55
    assert {"Draft", "Scheduled", 'Template: Password Protected (the password is "enter")'} & {
        one.title for one in found
    } == set()


def test_an_export_of_blocks_is_read() -> None:
    """The newer editor writes comments around everything; none of it may reach a reader."""
    found = articles(real(EXPORTS / "wxr-64-block.xml"))
    assert len(found) == 61
    assert [one.title for one in found if "wp:" in one.body or "<!--" in one.body] == []


@pytest.mark.parametrize("name", ["wxr-theme-test-data.xml", "wxr-64-block.xml", "wxr-importer-small-export.xml"])
def test_importing_twice_gives_equal_fingerprints(name: str) -> None:
    """An import that finds changes where there are none sends old news as new."""
    once, twice = (articles(real(EXPORTS / name)) for _ in range(2))
    assert [one.fingerprint() for one in once] == [one.fingerprint() for one in twice]
    assert len({one.fingerprint() for one in once}) == len(once)


@pytest.mark.parametrize(
    "name", ["wxr-theme-test-data.xml", "wxr-64-block.xml", "wxr-importer-wxr-utf-8-challenges.xml"]
)
def test_what_comes_out_is_safe_and_clean(name: str) -> None:
    """Real exports hold scripts, embeds, styles and shortcodes of every age."""
    for one in articles(real(EXPORTS / name)):
        for unsafe in (
            "<script",
            "<iframe",
            "<style",
            " style=",
            " class=",
            " onclick",
            "javascript:",
            "[gallery",
            "[caption",
        ):
            assert unsafe not in one.body, one.title
        assert one.posted_on.tzinfo is not None
        assert one.image_url is None or one.image_url.startswith("https://")
        assert len(one.excerpt) <= 420
        assert one.excerpt.isprintable() or "\u200b" in one.excerpt


@pytest.mark.parametrize(
    ("name", "titles"),
    [
        (
            "wxr-importer-idempotency-complete.xml",
            ["Post 1 with Image 1", "Post 2 with Image 2", "Post 3 with Image 3"],
        ),
        ("wxr-importer-idempotency-partial.xml", []),
        ("wxr-importer-simple.xml", ['"The Road Not Taken" by Robert Frost']),
        ("wxr-importer-wxr-comprehensive.xml", ["Comprehensive Post"]),
        ("wxr-importer-wxr-utf-8-challenges.xml", ['"The Road Not Taken" by Robert Frost 🌲']),
    ],
)
def test_the_importer_s_own_corpus(name: str, titles: list[str]) -> None:
    """WordPress tests its importer with these."""
    assert [one.title for one in articles(real(EXPORTS / name))] == titles


def test_authors_have_the_names_they_show() -> None:
    """An export writes logins; readers know people."""
    assert articles(real(EXPORTS / "wxr-importer-wxr-comprehensive.xml"))[0].byline == "Alice"


def test_hostile_namespaces_change_nothing() -> None:
    """Prefixes bound anew, in other letters, or wrongly: each item is judged for itself, and none of them has a date."""
    found = everything(real(EXPORTS / "wxr-importer-namespace-attacks.xml"))
    assert len(found) == 9
    assert all(isinstance(one, BrokenItem) and "date" in one.why for one in found)


def test_a_file_is_not_blamed_for_another() -> None:
    """The desk reads many files in one process; one that broke must not make the next look damaged."""
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(b"<broken")
    assert not any(one.last for one in everything(real(EXPORTS / "wxr-importer-namespace-attacks.xml")))  # type: ignore[union-attr]


def test_a_post_without_a_date_is_named() -> None:
    """The edge of a CDATA section is read; the item has no date and cannot be placed in an issue."""
    (found,) = everything(real(EXPORTS / "wxr-importer-cdata-edge.xml"))
    assert found == BrokenItem("item 1, line 9", "“Edge” has no date that can be understood")


def test_the_edge_of_a_cdata_section_survives() -> None:
    """An export splits “]]>” in two sections."""
    assert only(rss(post(text="a ]]]]><![CDATA[> b"))).body == "<p>a ]]&gt; b</p>"


def test_only_published_posts_without_a_password_are_taken() -> None:
    """What the organisation has not published, this program must not."""
    secret = "<wp:post_password>enter</wp:post_password>"
    kept = rss(
        *(
            post(state, path=state, status=state)
            for state in ("draft", "future", "private", "pending", "trash", "publish")
        ),
        post("secret", more=secret, path="secret"),
    )
    assert [one.title for one in articles(kept)] == ["publish"]


def test_prefixes_mean_nothing() -> None:
    """A namespace may be bound to any prefix; another version of it is still WordPress's."""
    raw = rss(post("draft", status="draft"), post("out", path="2")).replace(b"wp:", b"w:").replace(b":wp=", b":w=")
    assert [one.title for one in articles(raw.replace(b"export/1.2/", b"export/1.1/"))] == ["out"]


def test_a_post_s_own_excerpt_and_sticky_mark_are_used() -> None:
    """What the editor wrote beats what a program cuts; what is pinned on the site leads the digest."""
    more = "<excerpt:encoded><![CDATA[By hand]]></excerpt:encoded><wp:is_sticky>1</wp:is_sticky>"
    found = only(rss(post(text="Long\n\ntext", more=more)))
    assert (found.excerpt, found.featured, found.body) == ("By hand", True, "<p>Long</p>\n<p>text</p>")


def test_a_caption_is_kept_with_its_picture_and_begins_no_excerpt() -> None:
    """“Photo: agency” is no summary of an article."""
    text = (
        '[caption id="a"]<img src="https://e.example/a.png" alt="A well"/> Photo: agency[/caption]\n\nThe well is dry.'
    )
    found = only(rss(post(text=text)))
    assert (found.excerpt, found.image_url, found.image_alt) == (
        "The well is dry.",
        "https://e.example/a.png",
        "A well",
    )
    assert "<figcaption>Photo: agency</figcaption>" in found.body


class Endless(io.RawIOBase):
    """An export made while it is read, so that the test itself holds nothing."""

    def __init__(self, count: int) -> None:
        self._parts = self._made(count)
        self._rest = b""

    @staticmethod
    def _made(count: int) -> Iterator[bytes]:
        whole = rss(post("@", text="One paragraph of an article.\n\n" * 8, path="@"))
        head, entry, tail = whole.partition(b"<item>")[0], *whole.partition(b"<item>")[2].partition(b"</item>")[::2]
        yield head
        for number in range(count):
            yield b"<item>" + entry.replace(b"@", str(number).encode()) + b"</item>\n"
        yield tail

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill what fits."""
        while not self._rest:
            if (part := next(self._parts, None)) is None:
                return 0
            self._rest = part
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def growth(count: int) -> tuple[int, int]:
    """Read an export; return how many posts came and by how many MB the process grew after the first thousand."""
    number, settled = 0, 0
    for number, one in enumerate(feeds.read(io.BufferedReader(Endless(count))), start=1):
        assert isinstance(one, FeedArticle)
        if number == 1000:
            settled = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return number, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - settled) // 1024


def test_memory_stays_flat_over_a_site_s_whole_history() -> None:
    """On a small machine: one item in memory at a time, in a process of its own that can be measured."""
    code = "from tests.issues.feeds.test_wordpress import growth; print(*growth(5_000))"
    root = Path(__file__).parents[3]
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    number, grown = map(int, ran.stdout.split())
    assert number == 5_000
    assert grown < 2, "half a kilobyte of each post that was read"
