"""What a message says, before anyone decided how it looks.

Values come in from the nouns (issues, campaigns, subscribers) and go to `digest`, `mailing`, `alert`,
`letter` and `notice`. Everything is frozen and hashable: equal content is composed once (`inlining`).
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from textwrap import shorten

from newsletter.composer.styles import PLAIN, Style


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the content: who sends, to which list, in which language.

    sender_address       wire form (A-label domain)
    base_url             of the public pages, no slash at the end
    language             BCP 47, "en", "fa"
    list_key, list_domain   List-Id is <list_key.list_domain>, stable for ever (RFC 2919)
    why                  the sentence "you get this because …", or an id of the catalogue beginning
    "mail.why-"
    archive_url          public address of this very message, no token; "" when it has none
    feedback_kind        third field of Feedback-ID: "digest", "mailing", "alert"
    unsubscribe_mailto   address that accepts unsubscribe mail; None until inbound mail is configured and
    tested
    feedback_campaign    first field of Feedback-ID; "" stands for list_key
    reply_domain   where answers to a question are read; "" until inbound mail is configured and tested
    help_url, list_archive_url   List-Help and List-Archive; "" stands for base_url + "/help", "/archive"
    style                for readers at risk: sender_name and base_url are those of their style already
    """

    sender_name: str
    sender_address: str
    organisation: str
    postal_address: str
    base_url: str
    language: str
    list_key: str
    list_name: str
    list_domain: str
    why: str
    archive_url: str
    feedback_kind: str
    unsubscribe_mailto: str | None = None
    feedback_campaign: str = ""
    reply_domain: str = ""
    help_url: str = ""
    list_archive_url: str = ""
    style: Style = PLAIN


@dataclass(frozen=True, slots=True)
class ArticleContent:
    """One article as a reader meets it.

    excerpt     plain text, ending in […] when cut
    body_html   sanitised, printed whole; "" prints the excerpt and where to read on
    dateline    as printed by the source ("19 June 2014"); "" = posted_on is written in the reader's calendar
    image_url   served from our own address, the same for every reader; None = no picture
    image_width how wide it is shown, in CSS pixels
    """

    key: str
    title: str
    byline: str
    source: str
    dateline: str
    excerpt: str
    body_html: str
    url: str
    categories: tuple[str, ...]
    featured: bool
    kind: str
    language: str
    posted_on: date
    image_url: str | None = None
    image_width: int = 560
    image_alt: str = ""


@dataclass(frozen=True, slots=True)
class DigestContent:
    """One issue for one set of readers.

    lead     printed at length, in the order given (featured first, then by date)
    others   "Other recent articles", in short
    more     how many more there are that did not fit; the archive page shows them
    cut      an article of it was withdrawn since, and it says so
    """

    name: str
    number: int
    rhythm: str
    cut_on: date
    lead: tuple[ArticleContent, ...]
    others: tuple[ArticleContent, ...] = ()
    more: int = 0
    cut: bool = False

    @property
    def articles(self) -> tuple[ArticleContent, ...]:
        """All articles in printing order."""
        return self.lead + self.others

    @property
    def preheader(self) -> str:
        """The line an inbox shows beside the subject: the titles the subject does not show."""
        titles = [article.title for article in self.articles]
        line = " · ".join(titles[1:] or [article.excerpt for article in self.articles[:1]])
        return shorten(line, 160, placeholder=" …")


@dataclass(frozen=True, slots=True)
class MailingContent:
    """An ordinary mailing written by an operator; subject and markdown may hold merge tags. written_on: for discreet subjects."""

    subject: str
    preheader: str
    markdown: str
    written_on: date = date.min


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a reader can do now: a button."""

    label: str
    url: str


ALERT_BLOCKS, ALERT_WHEN = 4, 1
"""How many blocks an alert is composed of, and the place of the one that says when it was written."""


@dataclass(frozen=True, slots=True)
class AlertContent:
    """An urgent alert.

    written_at   aware; printed as date and time in the frame's language, in the zone it carries
    clock     whether that is printed: what takes an alert back bears no hour of it
    url       public page of the alert; "" = none
    actions   in order; the first is the main one
    translates   when those were told in another language who get this besides; None: they had none
    """

    subject: str
    headline: str
    markdown: str
    written_at: datetime
    url: str = ""
    actions: tuple[Action, ...] = ()
    translates: datetime | None = None
    clock: bool = True


@dataclass(frozen=True, slots=True)
class LetterContent:
    """An open letter that readers are asked to sign.

    addressed_to   "British MPs"
    signatories    how many have signed so far; 0 is not printed
    sign_url       public page; "" = the reader's own link, base_url + "/s/" + action token
    """

    title: str
    addressed_to: str
    markdown: str
    signatories: int = 0
    sign_by: date | None = None
    sign_url: str = ""


class NoticeKind(StrEnum):
    """The mails a person causes by their own act. None says goodbye: one more mail is what whoever left did not want.

    LISTED   the one that they did not cause: asks somebody whom a list named, and who asked for nothing
    """

    CONFIRM = "confirm"
    WELCOME = "welcome"
    PROVE = "prove"
    LISTED = "listed"


@dataclass(frozen=True, slots=True)
class NoticeContent:
    """A confirmation, a welcome, a fresh link, or a question to somebody whom a list named.

    lists          names of the digests or topics it is about, at least one
    written_on     day on which it is written: what a discreet subject says
    agreement      what whoever says yes to a question agrees to
    """

    kind: NoticeKind
    lists: tuple[str, ...]
    written_on: date = date(2000, 1, 1)
    agreement: str = ""


@dataclass(frozen=True, slots=True)
class TeamContent:
    """A mail to operators: what happened or is asked, in words that name no reader.

    code     something to be copied, in a line of its own; "" = none
    action   the one thing to do now; None = nothing
    """

    subject: str
    title: str
    paragraphs: tuple[str, ...]
    code: str = ""
    action: Action | None = None
