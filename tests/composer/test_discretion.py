"""Mail for readers at risk: what it shows before it is opened, and the parts it has."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from newsletter.composer import alert, digest, lint, mailing, signing
from newsletter.composer.content import Frame
from newsletter.composer.inlining import Layout
from newsletter.composer.message import Compiled
from newsletter.composer.signing import Key, Signer
from newsletter.composer.stamping import Stamper
from newsletter.composer.styles import Style
from tests.composer import samples
from tests.composer.samples import ALERT, FRAME, PERSON, article, delivered, part
from tests.composer.test_messages import MAILING, PERSIAN

KINDS = ("digest", "alert", "mailing")
PERSIAN_ADDRESS = replace(PERSIAN, postal_address="تهران، خیابان نمونه، شمارهٔ ۱۲", language="fa")
NAMES = ("Sample", "Weekly digest", "کارزار", "خبرنامه")


def styled(frame: Frame, code: str) -> Frame:
    """Return a frame as the letterhead makes it for readers of a style."""
    style = Style.parse(code)
    if not style.discreet:
        return replace(frame, style=style)
    return replace(frame, style=style, sender_name="News", list_key="list-7", list_archive_url=f"{frame.base_url}/")


def made(kind: str, layout: Layout, frame: Frame) -> Compiled:
    """Return a message of a kind, written on 4 August 2014."""
    match kind:
        case "digest":
            return digest.compose(samples.digest(), frame, layout)
        case "alert":
            return alert.compose(replace(ALERT, written_at=datetime(2014, 8, 4, 2, tzinfo=UTC)), frame, layout)
        case _:
            return mailing.compose(replace(MAILING, written_on=date(2014, 8, 4)), frame, layout)


@pytest.mark.parametrize("frame", [FRAME, PERSIAN_ADDRESS], ids=["en", "fa"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", ["t", "dt", "dfmt"])
def test_text_alone_is_one_part_with_everything_it_needs(code: str, kind: str, frame: Frame, layout: Layout) -> None:
    """Who asked for no HTML gets none, and can still leave by one click."""
    compiled = made(kind, layout, styled(frame, code))
    message = delivered(compiled)
    assert message.get_content_type() == "text/plain"
    assert not message.is_multipart()
    assert message.get_content_charset() == "utf-8"
    assert len(message.get_all("MIME-Version")) == 1
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert f"/u/{PERSON.leave_token}" in message["List-Unsubscribe"]
    text = part(message, "plain")
    assert f"/u/{PERSON.leave_token}" in text
    assert f"/p/{PERSON.preferences_token}" in text
    assert PERSON.reference in text
    assert "<" not in text
    assert any("/u/{leave}" in link for link in lint.links(compiled))
    assert list(lint.images(compiled)) == []


@pytest.mark.parametrize("frame", [FRAME, PERSIAN_ADDRESS], ids=["en", "fa"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_facts_stand_in_plain_text(kind: str, frame: Frame, layout: Layout) -> None:
    """Safety must not cost a reader what the others are told."""
    usual = part(delivered(made(kind, layout, frame)), "plain")
    alone = part(delivered(made(kind, layout, styled(frame, "t"))), "plain")
    assert alone.startswith(usual)


@pytest.mark.parametrize("frame", [FRAME, PERSIAN_ADDRESS], ids=["en", "fa"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", ["d", "dt"])
def test_a_discreet_mail_says_nothing_before_it_is_opened(code: str, kind: str, frame: Frame, layout: Layout) -> None:
    """A telephone on a table shows sender, subject and the first words to whoever sits there."""
    message = delivered(made(kind, layout, styled(frame, code)))
    assert message["From"].addresses[0].display_name == "News"
    fields = "\n".join(f"{name}: {value}" for name, value in message.items())
    for name in NAMES:
        assert name not in fields
    subject = {"en": "Your reading for 4 August 2014", "fa": "خواندنی‌های شما برای ۱۳ مرداد ۱۳۹۳"}[frame.language]
    assert message["Subject"].lstrip("\u200f") == subject
    first = part(message, "plain")[:140]
    shown = [first] if code == "dt" else [first, _preheader(part(message, "html"))]
    for words in shown:
        assert words.startswith(("Good day.", "روز خوش."))
        assert len(words.strip()) >= 130, "the inbox fills what is left with the text"
        for name in (*NAMES, "camp", "lorries", "happened"):
            assert name not in words


def _preheader(page: str) -> str:
    inside = page.partition('<div class="ground"')[2].partition("preheader")[2].partition(">")[2]
    return inside.partition("&#8199;")[0].partition("\u2007")[0].strip()


@pytest.mark.parametrize("kind", KINDS)
def test_a_discreet_mail_names_us_in_its_footer_alone(kind: str, layout: Layout) -> None:
    """The law wants to know who sends; nobody who looks over a shoulder needs to."""
    page = part(delivered(made(kind, layout, styled(FRAME, "d"))), "html")
    assert "<title>News</title>" in page
    above, _, footer = page.partition('class="foot"')
    assert "Sample" not in above.replace("The Daily Sample", "")
    assert "Weekly digest" not in above
    assert "The Sample Campaign" in footer
    assert "12 Sample Street" in footer


BODY = "<p>Fourteen <b>lorries</b> stand at the gate.</p>" + "<p>All night.</p>" * 30


def test_a_full_digest_holds_the_articles_instead_of_links(layout: Layout) -> None:
    """To somebody whose line is blocked, a link is the end of the story."""
    articles = (article(1, body_html=BODY), article(2))
    message = delivered(digest.compose(samples.digest(articles, 0), styled(FRAME, "f"), layout))
    for subtype in ("plain", "html"):
        found = part(message, subtype)
        assert found.count("All night.") == 30
        assert "articles/1" not in found
        assert "articles/2" in found, "of which there is no more than the beginning keeps its link"


@pytest.mark.parametrize("code", ["f", "ft"])
def test_a_full_digest_that_grows_too_large_loses_its_last_texts_first(code: str, layout: Layout) -> None:
    """Gmail clips a mail near 102 kB, and with it the link to leave."""
    articles = tuple(article(number, body_html=f"<p>{'Fourteen lorries. ' * 800}</p>") for number in range(12))
    compiled = digest.compose(samples.digest(articles, 0), styled(FRAME, code), layout)
    assert lint.size(compiled) <= lint.LARGEST_BYTES
    found = part(delivered(compiled), "plain")
    assert "articles/0" not in found
    assert "articles/11" in found
    assert found.count("What happened on day") >= 12


@pytest.mark.parametrize("frame", [FRAME, PERSIAN_ADDRESS], ids=["en", "fa"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_holds_over_text_alone(kind: str, frame: Frame, layout: Layout) -> None:
    """The signer takes our bodies for relaxed as they stand: a body of one part ends otherwise than one of two."""
    key = Key("s1", ed25519.Ed25519PrivateKey.generate())
    stamped = Stamper(made(kind, layout, styled(frame, "dt"))).stamp(PERSON)
    body = stamped.partition(b"\r\n\r\n")[2]
    assert signing.relaxed_body(body) == body
    signer = Signer("example.org", (key,))
    assert signer.sign(stamped, relaxed=True) == signer.sign(stamped)
    assert all(len(line) <= 76 for line in body.split(b"\r\n"))
