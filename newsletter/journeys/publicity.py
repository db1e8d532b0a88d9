"""The public page of an alert: what anyone may read, pass on, and act on, in each of its languages; or that it was taken back."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

import markupsafe

from newsletter import languages
from newsletter.campaigns import alerts, cap, wording
from newsletter.composer import plaintext, prose
from newsletter.database import Session
from newsletter.issues import manuscript
from newsletter.issues.manuscript import Manuscript
from newsletter.journeys.parts import Parts
from newsletter.ledger import hushed, locks, mailings
from newsletter.ledger.mailings import RELEASED, Kind, MailingView, State

_DESCRIPTION = 160


@dataclass(frozen=True, slots=True)
class Share:
    """One way to pass a page on: an id of the catalogue after "web.share-", and a link that does it."""

    way: str
    url: str


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows.

    url          of this page, without a token: the same for everyone
    body         of the text, or of the retraction
    actions      what a reader can do now; none where the alert was taken back
    written_at   as its mails say it, in our zone; None where the alert was taken back, or went before mails said that
    others       the other languages it is written in
    newer        the alert that follows this one, where there is one
    stopped      somebody stopped it: the page is there for those who have it, and passed on by nobody
    """

    number: int
    url: str
    language: str
    headline: str
    description: str
    body: markupsafe.Markup
    actions: tuple[tuple[str, str], ...]
    sent_at: datetime | None
    taken_back: bool
    others: tuple[str, ...]
    newer: int | None
    stopped: bool = False
    written_at: datetime | None = None

    @property
    def shares(self) -> list[Share]:
        """Return the ways to pass it on; none of what was taken back or stopped."""
        if self.taken_back or self.stopped:
            return []
        words, url = quote(f"{self.headline} {self.url}", safe=""), quote(self.url, safe="")
        return [
            Share("mail", f"mailto:?subject={quote(self.headline, safe='')}&body={url}"),
            Share("sms", f"sms:?&body={words}"),
            Share("whatsapp", f"https://wa.me/?text={words}"),
            Share("telegram", f"https://t.me/share/url?url={url}&text={quote(self.headline, safe='')}"),
        ]


def page(
    parts: Parts, number: int, language: str | None = None, *, base_url: str = "", announced: bool = False
) -> Page | None:
    """Return the page of an alert in a language, its first where it has not that one; None where there is nothing public.

    base_url    where it is looked at, and passed on from; "" is the first host
    announced   for those who have not got it: nothing of what was stopped

    A language that came later has no page of its own: it stands with its alert from the moment in which it goes.
    """
    with parts.database.transaction() as session:
        asked = _released(session, number)
        if asked is None:
            return None
        alert = _released(session, asked.translates or number) or asked
        versions = _versions(session, alert, announced=announced)
        if not versions:
            return None
        usual = _texts(session, asked)[0].language
        chosen, of = versions.get(language or usual) or versions.get(usual) or next(iter(versions.values()))
        started, written = mailings.started_at(session, of.id), locks.gone(session, of).written_at
        newer, stopped = _newer(session, alert.id), hushed.is_one(session, of.id)
    started, written = (one.astimezone(parts.zone) if one else None for one in (started, written))
    others = tuple(one for one in versions if one != chosen.language)
    url = f"{base_url or parts.letterhead.base_url}/alerts/{alert.id}/{chosen.language}"
    taken_back = State.RETRACTED in (of.state, alert.state)
    shown = alerts.retraction(chosen) if taken_back else chosen
    words = plaintext.bare(shown.markdown)
    return Page(
        alert.id,
        url,
        chosen.language,
        shown.headline,
        words if len(words) <= _DESCRIPTION else f"{words[:_DESCRIPTION].rsplit(' ', 1)[0]} …",
        prose.public(shown.markdown, fallback=languages.say("mail.friend", chosen.language)),
        shown.actions,
        started,
        taken_back,
        others,
        newer,
        stopped,
        None if taken_back else written,
    )


def bulletin(parts: Parts, number: int) -> bytes | None:
    """Return a released alert as a message of CAP 1.2, for whoever passes it on; None where there is nothing public.

    An update names what it follows, and where nobody was told of that it is a message of its own; of what was taken back it is the
    cancel, under the number of its retraction. What was stopped is passed on by nobody.
    """
    with parts.database.transaction() as session:
        asked = _released(session, number)
        if asked is None:
            return None
        view = _released(session, asked.translates or number) or asked
        said = _versions(session, view, announced=True).values()
        if not said:
            return None
        texts = [text for text, of in said if of.state is view.state or of.state is not State.RETRACTED]
        number, mine = view.id, _named(parts, view)
        before = _before(session, view)
        kind, references = (cap.Kind.UPDATE, (_named(parts, before),)) if before else (cap.Kind.ALERT, ())
        if view.state is State.RETRACTED:
            back = mailings.get(session, mailings.retraction_of(session, number))
            texts, kind, references = [alerts.retraction(text) for text in texts], cap.Kind.CANCEL, (mine,)
            mine = _named(parts, back)
    page = f"{parts.letterhead.base_url}/alerts/{number}"
    versions = [
        wording.Version(one.language, one.subject, one.headline, one.markdown, f"{page}/{one.language}")
        for one in texts
    ]
    house = parts.letterhead.sender_name
    # What is taken back stays so: the alert's hour may be over before its cancel is sent, and who passes it on would drop it.
    expires = None if kind is cap.Kind.CANCEL else view.expires_at
    return cap.write(
        wording.message(mine, versions, sender_name=house, expires=expires, kind=kind, references=references)
    )


def _named(parts: Parts, view: MailingView) -> cap.Reference:
    return wording.named(view.id, parts.letterhead.domain, sent=view.start_at or view.created_at)


def _before(session: Session, view: MailingView) -> MailingView | None:
    """Return the last before it in its thread that has a page: one may never have gone, or been stopped before anybody had it.

    CAP 1.2 §3.2.1: an Update supersedes the messages in <references>; whoever takes it in looks for them.
    """
    while view.updates is not None:
        view = mailings.get(session, view.updates)
        found = _released(session, view.id)
        if found is not None and _versions(session, found):
            return found
    return None


def _released(session: Session, number: int) -> MailingView | None:
    """Return an alert that has gone, or None; also where what went can no longer be told, since somebody changed it."""
    view = mailings.get(session, number)
    if view.kind is not Kind.ALERT or view.state not in RELEASED:
        return None
    try:
        locks.gone(session, view)
    except locks.Broken:
        return None
    return view


def _texts(session: Session, view: MailingView) -> list[Manuscript]:
    """Return what an alert says, out of its lock: all else that is stored of it a worker's password may write over."""
    words = locks.gone(session, view).words
    return [manuscript.read(one, language=language) for language, one in words.items()]


def _versions(
    session: Session, alert: MailingView, *, announced: bool = False
) -> dict[str, tuple[Manuscript, MailingView]]:
    """Return by language what an alert says and in which mailing, with the languages that came later; of two the newer one.

    announced   nothing of what was stopped; else that as well, as far as anybody has it
    """
    later = (_released(session, one.id) for one in mailings.translations(session, alert.id))
    shown = [one for one in (alert, *filter(None, later)) if _shown(session, one, announced=announced)]
    return {text.language: (text, one) for one in shown for text in _texts(session, one)}


def _shown(session: Session, view: MailingView, *, announced: bool) -> bool:
    return not hushed.is_one(session, view.id) or (not announced and hushed.had(session, view.id))


def _newer(session: Session, number: int) -> int | None:
    """The alert that follows one, where it has gone; what is only being written is nobody's business."""
    found = mailings.follower(session, number)
    if found is not None and hushed.is_one(session, found):
        return _newer(session, found)
    return found if found is not None and _released(session, found) else None
