"""From words that came in to the manuscript an alert is drafted from, and from an alert's words to a message of CAP. Pure.

What comes in is plain text or clean HTML of strangers: in a manuscript it says what it said, and never becomes markup, a merge
tag or a fact of the file.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from newsletter import languages
from newsletter.campaigns import markdown
from newsletter.campaigns.cap import (
    CapMessage,
    Category,
    Certainty,
    Info,
    Kind,
    Reference,
    Scope,
    Severity,
    Status,
    Urgency,
)
from newsletter.composer import calendars, plaintext
from newsletter.errors import Invalid
from newsletter.issues import manuscript as manuscripts
from newsletter.issues.articles import ArticleView
from newsletter.issues.manuscript import Manuscript

# Longer ones are cut by every list of mails; the event then says it in a few words.
LONGEST_SUBJECT = 120
_WEB = re.compile(r"https?://[^\s<>]+")


class NothingSaid(Invalid):
    """The message has no words in this language."""

    def __init__(self, language: str, known: Sequence[str]) -> None:
        super().__init__("cap.nothing-said", language=language, known=", ".join(known) or "–")


@dataclass(frozen=True, slots=True)
class Version:
    """An alert in one language, for a message out. markdown: as it was written; url: its public page; "" = none."""

    language: str
    subject: str
    headline: str
    markdown: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Weight:
    """What CAP asks about an event. Gravity and certainty are unknown until somebody says more: we do not measure, we call."""

    category: Category = Category.SECURITY
    urgency: Urgency = Urgency.IMMEDIATE
    severity: Severity = Severity.UNKNOWN
    certainty: Certainty = Certainty.UNKNOWN


def manuscript(message: CapMessage, language: str) -> str:
    """Return the manuscript of what a message says in a language: "en" is also said by "en-GB". Raises NothingSaid."""
    spoken = _spoken(message, language)
    if spoken is None:
        raise NothingSaid(language, message.languages)
    infos = [info for info in message.infos if info.language == spoken]
    first = infos[0]
    headline = _line(first.headline or first.event)
    subject = headline if len(headline) <= LONGEST_SUBJECT else _line(first.event)
    pages = dict.fromkeys(filter(_WEB.fullmatch, (info.web for info in infos)))
    more = languages.say("cap.more", language)
    return manuscripts.write(
        Manuscript(
            subject=subject[:LONGEST_SUBJECT],
            headline=headline,
            preheader="",
            language=language,
            url="",
            actions=tuple((more, page.replace("|", "%7C")) for page in pages if page.startswith("https://")),
            markdown="\n\n".join(part for info in infos for part in _parts(info, language) if part),
        )
    )


def manuscripts_for(message: CapMessage, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return a manuscript for each of a digest's languages in which a message says something. Raises NothingSaid where none is."""
    found = [language for language in wanted if _spoken(message, language)]
    if not found:
        raise NothingSaid(", ".join(wanted), message.languages)
    return tuple(manuscript(message, language) for language in found)


def _spoken(message: CapMessage, language: str) -> str | None:
    """Return the tag under which a message speaks a language: the same, else the first of the same base."""
    base = language.split("-")[0].lower()
    near = [tag for tag in message.languages if tag.split("-")[0].lower() == base]
    return language if language in near else next(iter(near), None)


def of_article(article: ArticleView, *, language: str) -> str:
    """Return the manuscript of an article that asks for an alert: its whole text, its address as the action.

    language   of the article, where it names none
    """
    spoken = article.language or language
    said = " · ".join(filter(None, (article.byline, article.source, article.dateline)))
    text = markdown.from_html(article.body) or markdown.plain(article.excerpt)
    label = languages.say("cap.open-letter" if article.kind == "open_letter" else "cap.read-on", spoken)
    return manuscripts.write(
        Manuscript(
            subject=_line(article.title),
            headline=_line(article.title),
            preheader="",
            language=spoken,
            url=article.url,
            actions=((label, article.url.replace("|", "%7C")),),
            markdown="\n\n".join(filter(None, (markdown.plain(said), text or markdown.plain(article.title)))),
        )
    )


def message(
    name: Reference,
    versions: Iterable[Version],
    *,
    sender_name: str,
    expires: datetime | None,
    kind: Kind = Kind.ALERT,
    references: tuple[Reference, ...] = (),
    weight: Weight = Weight(),
) -> CapMessage:
    """Return an alert, an update of one or its cancel as a message of CAP; name, references: ours, see `named`."""
    return CapMessage(
        identifier=name.identifier,
        sender=name.sender,
        sent=name.sent,
        status=Status.ACTUAL,
        kind=kind,
        scope=Scope.PUBLIC,
        references=references,
        infos=tuple(_info(one, weight, sender_name=sender_name, expires=expires) for one in versions),
    )


def named(mailing_id: int, domain: str, *, sent: datetime) -> Reference:
    """Return what a mailing of ours is called outside: the sending domain's own number, and the moment it was released."""
    return Reference(sent.replace(microsecond=0), domain, f"alert-{mailing_id}")


def _info(one: Version, weight: Weight, *, sender_name: str, expires: datetime | None) -> Info:
    return Info(
        language=one.language,
        categories=(weight.category,),
        event=_line(one.subject),
        urgency=weight.urgency,
        severity=weight.severity,
        certainty=weight.certainty,
        expires=expires,
        sender_name=_line(sender_name),
        headline=_line(one.headline),
        description=plaintext.from_markdown(one.markdown).strip(),
        web=one.url,
    )


def _parts(info: Info, language: str) -> Iterable[str]:
    """Yield the paragraphs of one info: what happened, what to do, where, until when, and who says so."""
    yield markdown.plain(info.description or info.event)
    if info.instruction:
        yield f"## {languages.say('cap.instruction', language)}"
        yield markdown.plain(info.instruction)
    until = calendars.moment_of(info.expires, language) if info.expires else ""
    facts = {
        "cap.areas": "; ".join(dict.fromkeys(" ".join(area.description.split()) for area in info.areas)),
        "cap.until": until,
        "cap.said-by": info.sender_name,
        "cap.contact": info.contact,
        # An address that no button may carry is still printed.
        "cap.more": "" if info.web.startswith("https://") else info.web,
    }
    lines = [f"- {languages.say(what, language)}: {markdown.line(said)}" for what, said in facts.items() if said]
    yield "\n".join(lines)


def _line(text: str) -> str:
    """One line of plain text."""
    return " ".join(markdown.visible(text).split())
