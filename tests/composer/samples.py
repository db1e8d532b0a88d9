"""Invented people, frames and articles that the composer's tests share."""

import email
import email.policy
from datetime import UTC, date, datetime
from email.message import EmailMessage

from newsletter.composer.content import Action, AlertContent, ArticleContent, DigestContent, Frame, LetterContent
from newsletter.composer.message import Block, Compiled, Gap, Head, Kind, Piece, Slot
from newsletter.composer.stamping import Person, Stamper

FRAME = Frame(
    sender_name="The Sample Campaign",
    sender_address="news@example.org",
    organisation="The Sample Campaign",
    postal_address="12 Sample Street, London N1 0AA",
    base_url="https://news.example.org",
    language="en",
    list_key="weekly",
    list_name="Weekly digest",
    list_domain="example.org",
    why="mail.why-subscribed",
    archive_url="https://news.example.org/archive/weekly/12/1",
    feedback_kind="digest",
)

PERSON = Person(
    address="ann@example.net",
    name="Ann O'Neill",
    reference="ABCDEFGH",
    leave_token="leave-" + "L" * 34,
    preferences_token="prefs-" + "P" * 34,
    message_id="f00d@example.org",
    date="Tue, 24 Nov 2026 10:00:00 +0000",
    action_token="act-" + "A" * 36,
    code="417305",
)


def article(number: int, **changes: object) -> ArticleContent:
    """Return an invented article; the excerpt is about 380 characters long."""
    facts: dict[str, object] = {
        "key": f"{number}.1",
        "title": f"What happened on day {number} & after",
        "byline": "Jane Example",
        "source": "The Daily Sample",
        "dateline": "19 June 2014",
        "excerpt": f"On day {number} people – as they say – walked on. " * 8 + "[…]",
        "body_html": "",
        "url": f"https://example.org/articles/{number}?a=1&b=2",
        "categories": ("News", "Voices"),
        "featured": False,
        "kind": "article",
        "language": "en",
        "posted_on": date(2014, 6, 19),
    }
    return ArticleContent(**(facts | changes))  # type: ignore[arg-type]


Articles = int | tuple[ArticleContent, ...]


def digest(lead: Articles = 3, others: Articles = 5, **changes: object) -> DigestContent:
    """Return an issue with these, or so many, articles at length and in short."""
    first = lead if isinstance(lead, int) else len(lead)
    facts: dict[str, object] = {
        "name": "The Sample Digest",
        "number": 12,
        "rhythm": "weekly",
        "cut_on": date(2014, 8, 4),
        "lead": tuple(map(article, range(lead))) if isinstance(lead, int) else lead,
        "others": tuple(map(article, range(first, first + others))) if isinstance(others, int) else others,
    }
    return DigestContent(**(facts | changes))  # type: ignore[arg-type]


ALERT = AlertContent(
    subject="Urgent, {{ name }}: the camp is under fire",
    headline="The camp is under fire",
    markdown="Since **02:10** there is fire.\n\n- Ring [the office](https://example.org/office?x=1&y=2) now.",
    written_at=datetime(2014, 6, 19, 5, 30, tzinfo=UTC),
    url="https://example.org/alert",
    actions=(Action("Call the office", "https://example.org/call"), Action("Write", "https://example.org/write")),
)

LETTER = LetterContent(
    title="Protect the residents",
    addressed_to="British MPs",
    markdown="Dear Members,\n\nwe write to you about 2,900 people.",
    signatories=1204,
    sign_by=date(2014, 9, 1),
)


def compiled(
    html: tuple[Piece, ...], text: tuple[Piece, ...] = ("text",), subject: tuple[Piece, ...] = ("Hello",)
) -> Compiled:
    """Return a message of one block with the smallest head there can be."""
    fields: tuple[Piece, ...] = (
        "From: <news@example.org>\r\nTo: <",
        Gap(Slot.ADDRESS, Kind.HEADER),
        ">\r\n",
        Gap(Slot.SUBJECT, Kind.HEADER),
    )
    return Compiled(head=Head(fields=fields, subject=subject), blocks=(Block(html=html, text=text),))


def delivered(message: Compiled, person: Person = PERSON) -> EmailMessage:
    """Return a stamped message as Python's parser reads it."""
    return parsed(Stamper(message).stamp(person))


def parsed(stamped: bytes) -> EmailMessage:
    """Return bytes as Python's parser reads them; a defect is an error."""
    read = email.message_from_bytes(stamped, policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    assert [read.defects, *(part.defects for part in read.walk())] == [[] for _ in range(1 + len(list(read.walk())))]
    return read


def part(message: EmailMessage, subtype: str) -> str:
    """Return the decoded text of a part, line ends as they came."""
    for each in message.walk():
        if each.get_content_subtype() == subtype:
            payload = each.get_payload(decode=True)
            assert isinstance(payload, bytes)
            return payload.decode()
    raise AssertionError(f"no part text/{subtype}")
