"""What the team's pages show of alerts: those there are, one with everything about it, and what to look at before it goes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from newsletter import database, fetching
from newsletter.campaigns import alerts, checks, errands
from newsletter.campaigns import frames as frames_
from newsletter.composer import lint
from newsletter.database import Session
from newsletter.delivery import alone as solo
from newsletter.delivery import promises
from newsletter.delivery.promises import Promised
from newsletter.delivery.roads import Sentence
from newsletter.errors import NewsletterError
from newsletter.issues import articles, digests, manuscript
from newsletter.issues.digests import DigestView
from newsletter.issues.manuscript import Manuscript
from newsletter.journeys import alert, calling, drafting, framing, halts, lasting, mailing, narrowing, wanting
from newsletter.journeys.halts import Halt
from newsletter.journeys.headcount import Headcount
from newsletter.journeys.narrowing import Choice, Part
from newsletter.journeys.parts import Parts
from newsletter.journeys.standings import Standing
from newsletter.ledger import books, hushed, locks, mailings, translating, variants, wire
from newsletter.ledger.books import Status
from newsletter.ledger.mailings import Kind, Lane, MailingView, State
from newsletter.ledger.manifest import Manifest
from newsletter.ledger.translating import Waiting
from newsletter.ledger.variants import VariantView
from newsletter.operators.night import Fault
from newsletter.operators.people import OperatorView
from newsletter.operators.roles import May

MOST_LINKS = 20
NOT_TRIED = "fetch.not-tried"
LEAST_KNOWN = 200
_ANSWERS_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a link has, and all of an alert together: less than whoever tries them is waited for (`errands.PATIENCE`)."""

    link_seconds: float = 6.0
    total_seconds: float = 45.0


PATIENCE = Patience()


@dataclass(frozen=True, slots=True)
class Row:
    """One alert in the list. start_at: when it goes by itself; expires_at: until when it may go as it was locked."""

    mailing: int
    subject: str
    state: State
    created_at: datetime
    start_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A link that was tried. fault: a message and its facts, None where it answered."""

    url: str
    fault: tuple[str, dict[str, str]] | None

    @property
    def tried(self) -> bool:
        """Whether there was time to try it."""
        return self.fault is None or self.fault[0] != NOT_TRIED


@dataclass(frozen=True, slots=True)
class Checks:
    """What to look at.

    links     None: not tried yet; links_of: how many there are, of which so many are tried at most
    audience  to how many it would go, counted so many seconds ago; waiting: who waits for a language that comes later
    unread    languages with words in which no name can be found: their letters have no capitals
    missing   languages of the digest in which nothing was written
    plan      by which road it goes, in sentences
    promise   so much by then, the rest from then on and why, in sentences
    """

    links: tuple[Link, ...] | None
    links_of: int
    names: tuple[tuple[str, str], ...]
    unread: tuple[str, ...]
    missing: tuple[str, ...]
    audience: int
    waiting: tuple[Waiting, ...]
    seconds_old: int
    plan: tuple[Sentence, ...]
    promise: tuple[Sentence, ...]

    @property
    def tried(self) -> int:
        """How many links were tried."""
        return sum(1 for link in self.links or () if link.tried)


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as its page shows it.

    texts       in the order of its versions
    print       by which a form knows what it showed
    backwards   what would take back each of the texts
    expired     it was locked for a time that is over: as it is it goes no more
    lock_asked  when those who may lock it were last asked to; may_ask: they may be asked now
    blocked     it was to go by itself, and does not: why
    wider       the alert it follows, which was for fewer of the digest's readers
    halt        who stopped, gave up or paused it, or what takes it back, where it stands so
    until       until when the authority's message holds of which it was made; outdated: that is over
    reached     of what is stopped: somebody has it, or may have it
    out         of what is halted: some of it is on the wire and its answers are to come, so its figures are not the last
    latest      of what goes: up to when it may be given longer, by its lock
    styled      the versions that readers at risk get, in the words of the others
    """

    standing: Standing
    digest: DigestView
    texts: tuple[Manuscript, ...]
    status: Status
    expires_at: datetime | None
    print: str
    backwards: tuple[Manuscript, ...]
    expired: bool = False
    lock_asked: datetime | None = None
    may_ask: bool = True
    blocked: NewsletterError | None = None
    wider: int | None = None
    styled: tuple[VariantView, ...] = ()
    halt: Halt | None = None
    latest: datetime | None = None
    until: datetime | None = None
    outdated: bool = False
    reached: bool = True
    out: bool = False

    @property
    def subject(self) -> str:
        """What stands in the first version's subject."""
        return self.texts[0].subject

    @property
    def key(self) -> str:
        """By which its readers are counted: others where it is written or locked anew."""
        locked = self.standing.locked
        return f"{self.standing.mailing} {locked.fingerprint if locked else self.print}"


def listed(parts: Parts, *, limit: int = 30) -> list[Row]:
    """Return the newest alerts."""
    with parts.database.transaction() as session:
        found = mailings.listed(session, kind=Kind.ALERT, limit=limit)
        return [
            Row(row.id, row.subject, State(row.state), row.created_at, row.start_at, row.expires_at) for row in found
        ]


def audiences(parts: Parts) -> list[DigestView]:
    """Return the digests whose readers an alert may go to."""
    with parts.database.transaction() as session:
        return digests.listed(session)


def limits(parts: Parts, mailing_id: int) -> tuple[tuple[str, ...], Part]:
    """Return to which of its digest's readers an alert is limited, for one like it or after it."""
    with parts.database.transaction() as session:
        return narrowing.like(session, mailing_id)


def choice(parts: Parts) -> Choice:
    """Return the topics and segments to which an alert may be limited."""
    with parts.database.transaction() as session:
        return narrowing.choice(session)


def shown(parts: Parts, mailing_id: int, *, reader: int | None = None) -> Alert:
    """Return an alert with everything about it. reader: as for agreeing.since. Raises UnknownMailing, NotAnAlert."""
    standing = alert.standing(parts, mailing_id, reader=reader)
    with parts.database.transaction() as session:
        view = mailings.get(session, mailing_id)
        digest = digests.get(session, view.digest_id or 0)
        # Of what is locked the words that are in the lock: what is signed is what is read.
        locked = locks.of(session, mailing_id, view.fingerprint) if view.fingerprint else None
        words = [one.words for one in locked.versions] if locked else [str(one) for one in view.content["words"]]
        # Of a language that came later each may be there twice: plain, and marked.
        texts = tuple(manuscript.read(one, language=digest.languages[0]) for one in dict.fromkeys(words))
        status, print_ = books.status(session, mailing_id), drafting.print_of(view)
        fixed, until, now = view.state in (State.LOCKED, State.APPROVED), view.expires_at, database.now(session)
        return Alert(
            standing,
            digest,
            texts,
            status,
            until,
            print_,
            _backwards(texts, locked),
            expired=fixed and until is not None and until <= now,
            lock_asked=wanting.lock_asked(view),
            may_ask=wanting.may_ask(view, now=now),
            blocked=None if standing.seconded else _blocked(session, view, now=now),
            wider=narrowing.wider(session, mailing_id),
            styled=tuple(one for one in variants.of(session, mailing_id) if one.style),
            halt=_halt(session, view),
            latest=locked.latest if locked and view.state in (State.SENDING, State.PAUSED) else None,
            until=(over := lasting.until(session, view)),
            outdated=over is not None and over <= now,
            reached=view.state is not State.STOPPED or hushed.reached(session, mailing_id),
            out=_out(session, view),
        )


def _out(session: Session, view: MailingView) -> bool:
    # What a lost machine had on the wire a worker settles once it is stopped, and while it is paused nobody.
    if view.state is State.PAUSED:
        return wire.held_in_any(session, view.id)
    return view.state is State.STOPPED and wire.busy_in_any(session, view.id)


def _halt(session: Session, view: MailingView) -> Halt | None:
    """Return who halted an alert, or once it is taken back what tells its readers; None: nobody, or it halted by itself."""
    if view.state is State.RETRACTED:
        view = mailings.get(session, mailings.retraction_of(session, view.id))
    return None if books.status(session, view.id).halted else halts.halt_of(session, view)


def _backwards(texts: Sequence[Manuscript], locked: Manifest | None) -> tuple[Manuscript, ...]:
    """Return what would take texts back: of what is locked the words that are in the lock."""
    found = [alerts.retraction(text) for text in texts]
    if locked:
        found = [replace(text, markdown=one.words) for text, one in zip(found, locked.retraction, strict=False)]
    return tuple(found)


def checked(parts: Parts, found: Alert, counts: Headcount | None = None) -> Checks:
    """Return what to look at before an alert goes. counts: what whoever asks often has counted; None: it is counted now."""
    mailing_id = found.standing.mailing
    with parts.database.transaction() as session:
        view = mailings.get(session, mailing_id)
        tried = view.content.get("links")
        links = None if tried is None else tuple(Link(url, _fault(said)) for url, said in tried)
        known = _known_names(session)
        counted = (counts or Headcount(timedelta(0))).of(session, mailing_id, found.key)
        age = database.now(session) - counted.at
        terms = translating.terms(view)
        later = found.digest.languages if view.translates is not None else terms.get("later", ())
        expected = [language for language in found.digest.languages if language not in later]
    written = {text.language for text in found.texts}
    return Checks(
        links,
        int(view.content.get("links_of", len(links or ()))),
        tuple(checks.spelled_twice([text.markdown for text in found.texts], known)),
        tuple(text.language for text in found.texts if checks.unread(text.markdown)),
        tuple(language for language in expected if language not in written),
        counted.readers,
        counted.waiting,
        max(0, int(age.total_seconds())),
        mailing.road(parts, mailing_id, due=counted.readers),
        _promise(parts, mailing_id, counted.readers),
    )


def _promise(parts: Parts, mailing_id: int, audience: int) -> tuple[Sentence, ...]:
    if mailing.paused_lane(parts, mailing_id) is not None:
        return (("promise.paused", {}),)
    promised = mailing.promise(parts, mailing_id, readers=audience)
    if promised is None:
        return (("promise.at-once", {}),)
    with parts.database.transaction() as session:
        return promises.worded(Promised(audience, database.now(session), promised))


def taken_back(parts: Parts, found: Alert) -> Status | None:
    """Return the books of what takes an alert back, once it is; None: it is not."""
    if found.standing.state is not State.RETRACTED:
        return None
    with parts.database.transaction() as session:
        return books.status(session, mailings.retraction_of(session, found.standing.mailing))


class Step(StrEnum):
    """What an alert waits for, of somebody: an id of the pages' catalogue after "front-".

    PAUSED   it does not go until somebody lets it go on, whoever or whatever halted it
    STARTS   it goes by itself at its hour: nobody need do anything, and anyone may stop it
    SOONER   the same, and a word of theirs lets it go at once
    BLOCKED  its hour is no promise: why, stands beside
    OVER     it was locked for a time that is over: whoever may lock looks whether it is still true
    """

    WATCH = "watch"
    PAUSED = "paused"
    STARTS = "starts"
    SOONER = "sooner"
    BLOCKED = "blocked"
    APPROVE = "approve"
    SEND = "send"
    OVER = "over"
    LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Waits:
    """An alert on somebody's first page, and what it waits for of them. why: of what is to go and does not, what keeps it."""

    row: Row
    step: Step
    why: Sentence | None = None


def waits(parts: Parts, who: OperatorView, *, now: datetime) -> list[Waits]:
    """Return the alerts that go now or by themselves, and those that wait for what somebody may do."""
    still = standstill(parts)
    return [one for row in listed(parts) if (one := _waits(parts, row, who, still, now=now)) is not None]


def standstill(parts: Parts) -> Sentence | None:
    """Return what is said of the urgent lane where it stands still, whatever the alerts in it wait for; None: it goes."""
    with parts.database.transaction() as session:
        return next(iter(mailing.standstill(session, Lane.URGENT)), None)


def _waits(parts: Parts, row: Row, who: OperatorView, still: Sentence | None, *, now: datetime) -> Waits | None:
    step = _step(parts, row, who, now=now)
    if step is None:
        return None
    if step is Step.SEND and (gone := alert.standing(parts, row.mailing).waits_for) and gone.fault is Fault.NOBODY:
        return Waits(row, Step.BLOCKED, (gone.message, gone.facts))
    if step is Step.WATCH and still is not None:
        return Waits(row, Step.BLOCKED, still)
    if step is not Step.STARTS:
        return Waits(row, step)
    if alert.standing(parts, row.mailing).seconded:
        step = Step.SEND if May.SEND in who.may else step
        return Waits(row, step) if still is None else Waits(row, Step.BLOCKED, still)
    with parts.database.transaction() as session:
        view = mailings.get(session, row.mailing)
        why, alone = _blocked(session, view, now=now), solo.waits(session, view)
    if why is not None or still is not None:
        return Waits(row, Step.BLOCKED, (why.message, why.facts) if why is not None else still)
    may = alone and May.APPROVE in who.may and who.id in [one.id for one in calling.approvers(parts, row.mailing)]
    return Waits(row, Step.SOONER if may else step)


def _blocked(session: Session, view: MailingView, *, now: datetime) -> NewsletterError | None:
    """Return what keeps an alert that one person sends alone, whatever its hour; None: nothing that is known now."""
    if not solo.waits(session, view):
        return None
    try:
        solo.require(session, view)
    except solo.SenderLeft as left:
        return left
    except solo.Unheard as unheard:
        # Before its time the mail is on its way, and nobody need do anything about it.
        return unheard if view.start_at is not None and view.start_at <= now else None
    return None


def _step(parts: Parts, row: Row, who: OperatorView, *, now: datetime) -> Step | None:
    fixed = row.state in (State.LOCKED, State.APPROVED)
    if fixed and row.expires_at is not None and row.expires_at <= now:
        return Step.OVER if May.SEND in who.may else None
    match row.state:
        case State.SENDING:
            return Step.WATCH
        case State.PAUSED:
            return Step.PAUSED
        case State.APPROVED if row.start_at is not None:
            return Step.STARTS
        case State.APPROVED if May.SEND in who.may:
            return Step.SEND
        case State.LOCKED if May.APPROVE in who.may:
            return Step.APPROVE if who.id in [one.id for one in calling.approvers(parts, row.mailing)] else None
        case State.DRAFT if May.SEND in who.may:
            return Step.LOCK
        case _:
            return None


def kept(parts: Parts, found: Alert) -> tuple[Sentence, ...]:
    """Return what was promised of an alert as it was let go, and what became of it; and what keeps what takes it back."""
    back = taken_back(parts, found)
    return mailing.promise_kept(parts, found.status) + (mailing.promise_kept(parts, back) if back else ())


def frames(parts: Parts) -> list[str]:
    """Return the names of the frames an alert may begin with."""
    return parts.house.framed()


def frames_in(parts: Parts) -> dict[str, list[str]]:
    """Return for each language the names of the frames in it. One that is none stands in English: asked for, it says why."""
    found: dict[str, list[str]] = {}
    for name in frames(parts):
        try:
            language = framed(parts, name).language
        except NewsletterError:
            language = "en"
        found.setdefault(language, []).append(name)
    return found


def framed(parts: Parts, name: str) -> Manuscript:
    """Return a frame as a text to be filled. Raises BadFrame, NoTemplate."""
    return manuscript.read(framing.get(parts.house, name).text, language="en")


def file(parts: Parts, text: Manuscript, said: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the file of a text from a form: of one that begins with a frame, only where it keeps to it.

    said   what was written for its gaps: of one that is still open it may be what no gap may say

    Raises BadFrame, NoTemplate, and what is wrong with it as `frames` says: GapUnfit, GapOpen, NotKept.
    """
    if not text.frame:
        return manuscript.write(text)
    frame = framing.get(parts.house, text.frame)
    facts = {"subject": text.subject, "headline": text.headline, "preheader": text.preheader}
    words = frames_.written(frame, facts, text.markdown)
    frames_.require_filled(frame, words, said)
    frames_.require(frame, words)
    return words


_OF_LINKS = MappingProxyType({"fetch.too-slow": "fetch.link-too-slow", "fetch.unreachable": "fetch.link-unreachable"})
"""What is said of a link in the place of what is said of a feed, of which nothing is imported."""


def _fault(said: object) -> tuple[str, dict[str, str]] | None:
    return (_OF_LINKS.get(str(said[0]), str(said[0])), dict(said[1])) if isinstance(said, list) else None


def _known_names(session: Session) -> list[str]:
    """Return the names that stand in the titles and excerpts of recent articles."""
    found: dict[str, None] = {}
    for text in articles.recent_words(session, limit=LEAST_KNOWN):
        found.update(dict.fromkeys(checks.names(text)))
    return list(found)


def try_links(parts: Parts, mailing_id: int, patience: Patience = PATIENCE) -> None:
    """Ask every link of an alert whether it answers, and write that down beside its words; those left over when time is up too."""
    with parts.database.transaction() as session:
        view = mailings.get(session, mailing_id)
        own = tuple(f"{one}/" for one in (parts.letterhead.base_url, parts.letterhead.mirror_url) if one)
        links = sorted(
            {link for one in variants.of(session, mailing_id) for link in lint.links(variants.load(session, one.id))}
        )
    outside, until = _outside(links, own), time.monotonic() + patience.total_seconds
    tried = [[link, _tried(parts, link, patience.link_seconds, until=until)] for link in outside[:MOST_LINKS]]
    with parts.database.transaction() as session:
        now = mailings.take(session, mailing_id)
        if now.content.get("words") == view.content.get("words"):
            mailings.write_down(
                session, mailing_id, now.subject, now.content | {"links": tried, "links_of": len(outside)}
            )
        else:
            errands.have_checked(session, mailing_id)


def _outside(links: Sequence[str], own: tuple[str, ...]) -> list[str]:
    """Those that lead to other people's pages: ours differ for each reader, and are our own affair."""
    return [link for link in links if link.startswith("http") and not link.startswith(own) and "{" not in link]


def _tried(parts: Parts, link: str, seconds: float, *, until: float) -> list[object] | None:
    if time.monotonic() + seconds > until:
        return [NOT_TRIED, {}]
    try:
        fetching.fetch(link, allow=parts.fetch_allow, max_bytes=_ANSWERS_BYTES, timeout_seconds=seconds)
    except fetching.TooMuch:
        return None  # it answers, and with more than was asked for
    except NewsletterError as refusal:
        return [refusal.message, {name: str(value) for name, value in refusal.facts.items()}]
    return None
