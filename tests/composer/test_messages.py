"""Every kind of mail, from content to what Python's parser finds in the bytes."""

import html
import re
from dataclasses import replace

import pytest

from newsletter.composer import alert, digest, letter, mailing, notice
from newsletter.composer.content import Action, Frame, MailingContent, NoticeContent, NoticeKind, TeamContent
from newsletter.composer.inlining import Layout
from newsletter.composer.lint import NoPostalAddress
from newsletter.composer.message import Compiled
from tests.composer import samples
from tests.composer.samples import ALERT, FRAME, LETTER, PERSON, delivered, part

MAILING = MailingContent(
    subject="A word to {{ name }}",
    preheader="",
    markdown="Dear {{ name }},\n\nread [the replies](https://example.org/replies?a=1&b=2).\n\n{{ reference }}",
)
TEAM = TeamContent(
    subject="Audit of 2026-11-25: 41 entries",
    title="What was done, sealed",
    paragraphs=("Keep this mail.", "Check it with this command:"),
    code=f"newsletter audit verify --against 41:{'0af3' * 16}",
    action=Action("Look", "https://news.example.org/console/audit"),
)
PERSIAN = replace(FRAME, language="fa", list_name="خبرنامه", organisation="کارزار نمونه")
ARABIC = replace(FRAME, language="ar", list_name="النشرة الأسبوعية", organisation="حملة مثال")
BULK = ("digest", "mailing", "alert", "letter")
NOTICES = ("confirm", "welcome", "prove", "listed")
KINDS = (*BULK, *NOTICES, "team")


def made(kind: str, layout: Layout, frame: Frame = FRAME) -> Compiled:
    """Return a message of a kind."""
    match kind:
        case "digest":
            return digest.compose(samples.digest(more=14), frame, layout)
        case "mailing":
            return mailing.compose(MAILING, frame, layout)
        case "alert":
            return alert.compose(ALERT, frame, layout)
        case "letter":
            return letter.compose(LETTER, frame, layout)
        case "team":
            return notice.to_team(TEAM, frame, layout)
        case _:
            lists = () if kind == "prove" else (frame.list_name,)
            return notice.compose(NoticeContent(NoticeKind(kind), lists), frame, layout)


def links(text: str) -> set[str]:
    """Return the links a text shows."""
    return {link.rstrip(").,") for link in re.findall(r"(?:https?://|mailto:|tel:)[^\s\"<>]+", text)}


def hrefs(page: str) -> set[str]:
    """Return the links of a page."""
    return {html.unescape(link) for link in re.findall(r'href="([^"]*)"', page)}


@pytest.mark.parametrize("frame", [FRAME, PERSIAN], ids=["en", "fa"])
@pytest.mark.parametrize("kind", KINDS)
def test_both_parts_lead_to_the_same_places(kind: str, frame: Frame, layout: Layout) -> None:
    """Who reads the text part must be able to do all that the others can, leaving above all (RFC 2046 §5.1.4)."""
    read = delivered(made(kind, layout, frame))
    assert links(part(read, "plain")) == hrefs(part(read, "html"))


def test_each_notice_says_why_it_came(layout: Layout) -> None:
    """“Someone gave your address on our page” is a strange answer to a person who has asked for a link."""
    said = {kind: part(delivered(made(kind, layout)), "plain") for kind in NOTICES}
    why = {
        kind: next(line for line in text.splitlines() if line.startswith("You get this")) for kind, text in said.items()
    }
    assert len(set(why.values())) == len(NOTICES)


@pytest.mark.parametrize("frame", [FRAME, PERSIAN, ARABIC], ids=["en", "fa", "ar"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_inbox_shows_more_than_the_subject(kind: str, frame: Frame, layout: Layout) -> None:
    """Beside the subject stand the first words of a mail: what it is about, or else the name of the house once more."""
    read = delivered(made(kind, layout, frame))
    [hidden] = re.findall(r'<div class="preheader"[^>]*>(.*?)</div>', part(read, "html"), flags=re.DOTALL)
    said = re.findall(r"\w+", html.unescape(hidden))
    assert len(said) >= 3
    assert set(said) - set(re.findall(r"\w+", str(read["Subject"])))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in BULK])
def test_the_text_part_is_set_in_paragraphs(kind: str, layout: Layout) -> None:
    """Whoever reads the text alone sees where one thing ends, and no holes; figures to be typed stand by themselves."""
    text = part(delivered(made(kind, layout)), "plain").replace("\r\n", "\n")
    assert "\n\n\n" not in text
    assert kind != "confirm" or f"\n\n    {PERSON.code}\n\n" in text


@pytest.mark.parametrize(("frame", "row"), [(FRAME, "Week, Day"), (PERSIAN, "Week، Day"), (ARABIC, "Week، Day")])
@pytest.mark.parametrize("kind", ["confirm", "welcome", "listed"])
def test_names_in_a_row_are_parted_as_the_language_does(kind: str, frame: Frame, row: str, layout: Layout) -> None:
    """A comma that bends the other way is the first thing that a reader of Persian sees."""
    read = delivered(notice.compose(NoticeContent(NoticeKind(kind), ("Week", "Day")), frame, layout))
    for text in (str(read["Subject"]), part(read, "plain"), part(read, "html")):
        assert row in text


@pytest.mark.parametrize("kind", KINDS)
def test_one_of_each_header_and_text_first(kind: str, layout: Layout) -> None:
    """Two From or two Date headers are a reason to refuse a mail; the last part is the one that is shown."""
    read = delivered(made(kind, layout))
    for field in ("From", "To", "Date", "Message-ID", "Subject", "MIME-Version", "Auto-Submitted"):
        assert len(read.get_all(field, [])) == 1, field
    assert read["To"] == PERSON.address
    assert read["Message-ID"] == f"<{PERSON.message_id}>"
    assert [each.get_content_type() for each in read.iter_parts()] == ["text/plain", "text/html"]
    assert all(each.get_content_charset() == "utf-8" for each in read.iter_parts())


@pytest.mark.parametrize("kind", BULK)
def test_bulk_mail_can_be_left_with_one_click(kind: str, layout: Layout) -> None:
    """Gmail and Yahoo refuse bulk mail without it (RFC 8058), and it must survive unfolding."""
    read = delivered(made(kind, layout))
    assert read["List-Unsubscribe"] == f"<https://news.example.org/u/{PERSON.leave_token}>"
    assert read["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert read["List-Id"] == '"Weekly digest" <weekly.example.org>'
    assert read["List-Help"] == "<https://news.example.org/help>"
    assert read["List-Archive"] == "<https://news.example.org/archive/weekly>"
    assert read["Feedback-ID"] == "weekly:weekly:digest:exampleorg"
    assert (read["Precedence"], read["Auto-Submitted"]) == ("bulk", "auto-generated")
    assert read["X-Mailer"] is None


def test_mailto_comes_second_and_only_where_it_is_read(layout: Layout) -> None:
    """A mailto nobody reads is a promise nobody keeps; one-click needs https first."""
    read = delivered(made("digest", layout, replace(FRAME, unsubscribe_mailto="leave@example.org")))
    token = PERSON.leave_token
    wanted = [f"https://news.example.org/u/{token}", f"mailto:leave@example.org?subject={token}"]
    assert re.findall(r"<([^>]*)>", read["List-Unsubscribe"]) == wanted


@pytest.mark.parametrize("kind", NOTICES)
def test_a_mail_a_person_asked_for_is_no_list_mail(kind: str, layout: Layout) -> None:
    """There is nothing to leave before anything was confirmed."""
    read = delivered(made(kind, layout))
    assert [field for field in read if field.startswith("List-")] == []
    assert read["Precedence"] is None


@pytest.mark.parametrize("kind", BULK)
def test_the_footer_says_who_why_and_how_to_leave(kind: str, layout: Layout) -> None:
    """The law of many countries asks for it (CAN-SPAM, CASL, PECR, GDPR)."""
    read = delivered(made(kind, layout))
    for text in (part(read, "plain"), html.unescape(part(read, "html"))):
        assert "12 Sample Street, London N1 0AA" in text
        assert "The Sample Campaign" in text
        text = " ".join(text.split())
        assert "You get this mail because your address is on the list of “Weekly digest”." in text
        assert f"https://news.example.org/u/{PERSON.leave_token}" in text
        assert f"https://news.example.org/p/{PERSON.preferences_token}" in text
        assert "https://news.example.org/privacy" in text
        assert PERSON.reference in text
        assert FRAME.archive_url in text


@pytest.mark.parametrize("kind", KINDS)
def test_no_message_is_made_without_a_postal_address(kind: str, layout: Layout) -> None:
    """Such a mail may not be released, so it is better not made."""
    with pytest.raises(NoPostalAddress):
        made(kind, layout, replace(FRAME, postal_address=" "))


@pytest.mark.parametrize("kind", KINDS)
def test_language_and_direction_stand_where_readers_look(kind: str, layout: Layout) -> None:
    """Mail clients drop html and body: the wrapping div must say it again."""
    page = part(delivered(made(kind, layout, PERSIAN)), "html")
    assert page.startswith('<!DOCTYPE html>\r\n<html lang="fa" dir="rtl">')  # without it: quirks mode
    assert re.search(r'<div[^>]* lang="fa" dir="rtl" role="article"', page)


def test_the_digest_is_set_like_a_newspaper(layout: Layout) -> None:
    """Number, rhythm and date above; kicker, headline, byline and dateline for each article; the rest in short."""
    read = delivered(made("digest", layout))
    assert read["Subject"] == "The Sample Digest 12: What happened on day 0 & after"
    for text in (part(read, "plain"), html.unescape(re.sub("<[^>]+>", "", part(read, "html")))):
        text = text.replace("\xa0", "")
        for fact in ("No. 12", "Weekly", "4 August 2014", "News · Voices", "Jane Example", "Other recent articles"):
            assert fact in text
        assert text.count("The Daily Sample, 19 June 2014") == 8
        assert text.count("What happened on day") >= 8
        assert "And 14 more." in text


def test_the_preheader_ends_with_a_word() -> None:
    """The inbox shows it beside the subject; half a word there looks like a fault."""
    line = samples.digest(lead=3, others=20).preheader
    assert line.startswith("What happened on day 1 & after · What happened")
    assert len(line) <= 160
    assert line.endswith(" …")


def test_an_issue_without_articles_has_a_subject(layout: Layout) -> None:
    """A quiet week must not stop the press."""
    read = delivered(digest.compose(samples.digest(lead=0, others=0), FRAME, layout))
    assert read["Subject"] == "The Sample Digest 12"


def test_a_persian_digest_has_persian_days_and_digits(layout: Layout) -> None:
    """A reader's calendar is part of their language; an article's own direction is kept."""
    content = samples.digest(name="خبرنامهٔ نمونه", lead=(samples.article(1, dateline="", source=""),), others=())
    page = part(delivered(digest.compose(content, PERSIAN, layout)), "html")
    assert "شمارهٔ ۱۲" in page
    assert "۱۳ مرداد ۱۳۹۳" in page
    assert "۲۹ خرداد ۱۳۹۳" in page
    assert re.search(r'<div[^>]* lang="en" dir="ltr"', page)
    assert "letter-spacing" in page  # the English kicker
    assert "font-style:italic" not in page


def test_what_reads_the_other_way_keeps_its_order(layout: Layout) -> None:
    """A day and a month change places in a line that runs against them, and Gmail and Outlook drop <bdi>."""
    content = samples.digest(lead=(samples.article(1, dateline="", source=""),), others=())
    page = part(delivered(digest.compose(content, PERSIAN, layout)), "html")
    assert '<span dir="rtl">۲۹ خرداد ۱۳۹۳</span>' in page
    assert '<span dir="ltr">12 Sample Street, London N1 0AA</span>' in page
    assert re.search(r'<span class="author" dir="ltr"[^>]*>Jane Example</span>', page)
    assert "<bdi" not in page
    assert re.search(r'<a class="more" lang="fa"[^>]*>ادامهٔ مطلب', page)


def test_joined_letters_are_never_spaced(layout: Layout) -> None:
    """Spaced, the letters of a Persian word come apart, also above an English headline."""
    content = samples.digest(
        lead=(samples.article(1, kind="alert"), samples.article(2, categories=("اخبار",))), others=()
    )
    page = part(delivered(digest.compose(content, PERSIAN, layout)), "html")
    assert re.search(r'class="kicker" lang="fa"[^>]*>هشدار فوری', page)
    assert "letter-spacing" not in page
    # A line that begins in Latin letters is one, and has others behind them.
    content = samples.digest(lead=(samples.article(1, kind="article", categories=("Sarand", "سرند")),), others=())
    assert "letter-spacing" not in part(delivered(digest.compose(content, FRAME, layout)), "html")


def test_a_hostile_article_stays_text(layout: Layout) -> None:
    """Titles come from other people's feeds."""
    hostile = samples.article(1, title="<script>x</script>{{ name }}", excerpt='"><img src=x onerror=y>')
    read = delivered(digest.compose(samples.digest(lead=(hostile,), others=()), FRAME, layout))
    page = part(read, "html")
    assert "<script" not in page
    assert "<img" not in page
    assert "{{ name }}" in part(read, "plain")  # Jinja never reads an article


def test_an_injected_header_is_refused(layout: Layout) -> None:
    """A title with a line break would write a header."""
    evil = samples.digest(name="The Digest\r\nBcc: all@example.org")
    # A subject template joins its words by single blanks: the break is gone before it could do harm.
    read = delivered(digest.compose(evil, FRAME, layout))
    assert read["Bcc"] is None
    for frame in (replace(FRAME, sender_name="x\r\nBcc: y@example.org"), replace(FRAME, list_name="x\r\ny")):
        with pytest.raises(Exception, match="bad-header"):
            digest.compose(samples.digest(), frame, layout)


def test_the_one_thing_a_notice_asks_is_its_own_link(layout: Layout) -> None:
    """The confirmation link stands in the confirmation alone, and is the only one with its token."""
    page = part(delivered(made("confirm", layout)), "html")
    assert hrefs(page) == {
        f"https://news.example.org/c/{PERSON.action_token}?language=en",
        "https://news.example.org/privacy?language=en",
    }


def test_a_letter_is_signed_by_the_readers_own_link(layout: Layout) -> None:
    """Without a public page the link in the mail is the signature's proof."""
    page = part(delivered(made("letter", layout)), "html")
    assert f"https://news.example.org/s/{PERSON.action_token}" in hrefs(page)
    assert "Signed so far: 1,204." in page
    public = letter.compose(replace(LETTER, sign_url="https://example.org/sign"), FRAME, layout)
    assert "https://example.org/sign" in hrefs(part(delivered(public), "html"))


def test_names_and_fallbacks_reach_every_place(layout: Layout) -> None:
    """The same tag in subject, heading, text and preheader."""
    named, nameless = (delivered(made("mailing", layout), PERSON._replace(name=name)) for name in ("Zoë <3", ""))
    assert (named["Subject"], nameless["Subject"]) == ("A word to Zoë <3", "A word to friend")
    assert part(named, "html").count("Zoë &lt;3") == 3
    assert part(named, "plain").count("Zoë <3") == 2
    assert "Dear friend," in part(nameless, "plain")
