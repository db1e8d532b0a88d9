"""Composing, compiling and stamping a digest of 23 articles."""

from datetime import date

from benchmarks.table import row, seconds
from newsletter.composer import digest
from newsletter.composer.content import ArticleContent, DigestContent, Frame
from newsletter.composer.inlining import Layout
from newsletter.composer.stamping import Person, Stamper
from newsletter.templating import Templates

_WORDS = (
    "Between nine in the evening and six there is no current in the camp, and the midwife keeps three bicycle lamps. "
)


def run() -> None:
    """Print what composing costs the first time, from memory, and for each reader."""
    content, frame = _content(), _frame()
    row("compose a digest of 23 articles, nothing remembered", _ms(seconds(lambda: _fresh(content, frame), times=5)))
    layout = Layout(Templates())
    compiled = digest.compose(content, frame, layout)
    again = seconds(lambda: digest.compose(content, frame, layout), times=200)
    row("compose it again (another variant of the same blocks)", _ms(again))
    row("prepare a stamper", _ms(seconds(lambda: Stamper(compiled), times=50)))
    stamper, person = Stamper(compiled), _person()
    size = len(stamper.stamp(person))
    each = seconds(lambda: [stamper.stamp(person) for _ in range(1000)], times=5) / 1000
    row(f"stamp one reader's message of {size // 1000} kB", f"{each * 1e6:.1f} µs")


def _fresh(content: DigestContent, frame: Frame) -> None:
    digest.compose(content, frame, Layout(Templates()))


def _ms(taken: float) -> str:
    return f"{taken * 1000:.2f} ms"


def _content() -> DigestContent:
    articles = [_article(number) for number in range(23)]
    return DigestContent("The Weekly", 7, "weekly", date(2026, 6, 18), tuple(articles[:3]), tuple(articles[3:]))


def _article(number: int) -> ArticleContent:
    return ArticleContent(
        key=str(number),
        title=f"Story number {number} of a long week",
        byline="Nika Vardan",
        source="",
        dateline="",
        excerpt=_WORDS * 3,
        body_html="",
        url=f"https://sarand.example/{number}",
        categories=("News",),
        featured=number == 0,
        kind="article",
        language="en",
        posted_on=date(2026, 6, 17),
    )


def _frame() -> Frame:
    base = "https://news.sarand.example"
    return Frame(
        sender_name="Friends of Sarand",
        sender_address="news@sarand.example",
        organisation="Friends of Sarand",
        postal_address="7 Lantern Yard, London",
        base_url=base,
        language="en",
        list_key="weekly",
        list_name="The Weekly",
        list_domain="sarand.example",
        why="mail.why-subscribed",
        archive_url=f"{base}/archive/weekly/1/1",
        feedback_kind="digest",
    )


def _person() -> Person:
    return Person(
        "ann@example.org", "Ann", "ABCDEFGH", "T" * 32, "P" * 32, "id@sarand.example", "Mon, 1 Jun 2026 08:00:00 +0000"
    )
