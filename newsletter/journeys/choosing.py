"""What a reader gets, as they choose it themselves: three choices that most people mean, and everything behind them.

A link from a newsletter may do all that harms nobody, for whoever the mail was forwarded to can press it as well. Of how mail is to
look it may ask for more protection, never for less, and shows nothing of what was asked for. Name and postcode are shown, changed
and forbidden by a fresh link alone, mailed to the address on file (decision 7).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from newsletter import database, languages, mailboxes
from newsletter.composer.styles import Style
from newsletter.database import Session
from newsletter.errors import Forbidden
from newsletter.issues import cutting, digests
from newsletter.issues.digests import DigestView
from newsletter.jobs import SIGNUPS
from newsletter.journeys import consenting, leaving, lessening, proving, styling
from newsletter.journeys.parts import Parts
from newsletter.subscribers import (
    agreements,
    consent,
    fresh,
    pausing,
    people,
    preferences,
    subscriptions,
    suppression,
    topics,
)
from newsletter.subscribers import styles as wishes
from newsletter.subscribers.agreements import Shown
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.people import Own, PersonView
from newsletter.subscribers.preferences import BadChoice, Level
from newsletter.subscribers.styles import Wish
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.subscribers.topics import TopicView
from newsletter.tokens import Purpose


class NeedsFreshLink(Forbidden):
    """A link from a newsletter may not do this: it may have been forwarded."""

    def __init__(self) -> None:
        super().__init__("preferences.needs-fresh-link")


@dataclass(frozen=True, slots=True)
class Choice:
    """One digest. rhythm None: not taken."""

    key: str
    name: str
    rhythm: Rhythm | None


PLAIN = Wish(Style())
LONGEST = 40
"""What a form may give as the version of its words."""


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows. Of the address a hint (`who`); no name, for the link may have been forwarded.

    level    which of the three choices they have, None where they chose otherwise
    topics   each with whether they chose it
    wish     how their mail is to look; PLAIN where the link is no fresh one, for that somebody asked to be hidden is not shown
    barred   we must not write to this address, whatever is chosen here
    own      what a fresh link shows besides; None: the link is another
    """

    reference: str
    language: str
    choices: tuple[Choice, ...] = ()
    level: Level | None = None
    topics: tuple[tuple[TopicView, bool], ...] = ()
    zone: str = "UTC"
    wish: Wish = PLAIN
    paused_until: date | None = None
    today: date | None = None
    who: str = ""
    barred: bool = False
    own: Own | None = None

    @property
    def takes(self) -> bool:
        """Whether they take anything."""
        return any(choice.rhythm for choice in self.choices)

    @property
    def more(self) -> bool:
        """Whether there is anything that they could take besides: a permission of its own, which needs its words."""
        return not all(choice.rhythm for choice in self.choices)


@dataclass(frozen=True, slots=True)
class Details:
    """All that stands behind the three choices. rhythms: by key of a digest; one that is missing is not wanted.

    wording   the version of the words on the page by which they agree to what they add
    """

    rhythms: Mapping[str, Rhythm]
    topics: tuple[str, ...]
    language: str
    zone: str
    wish: Wish
    wording: str = ""


@dataclass(frozen=True, slots=True)
class _Reader:
    """Whose link it is. fresh: a worker mailed it to their own address, so nobody has it from a mail that was passed on."""

    person: PersonView
    fresh: bool


PREVIEW = Page("PREVIEW0", "en")


def shown(parts: Parts, token: str) -> Page:
    """Return what a reader has. Raises tokens.BadToken, tokens.TooOld. Changes nothing."""
    with parts.database.transaction() as session:
        now = database.now(session)
        link = proving.read(session, parts, token, now=now)
        if link.purpose is Purpose.PREVIEW:
            return PREVIEW
        person = people.by_id(session, link.subscriber_id)
        if person is None:
            return Page("", "en")
        own = people.own(session, person.id) if link.purpose is Purpose.FRESH else None
        return _page(session, person, own, now)


def _page(session: Session, person: PersonView, own: Own | None, now: datetime) -> Page:
    every = digests.listed(session)
    mine = _mine(session, person.id)
    chosen = {topic.key for topic in topics.of(session, person.id)}
    return Page(
        person.reference,
        person.language,
        tuple(Choice(one.key, one.name, mine.get(one.id)) for one in every),
        preferences.level(mine, every=[one.id for one in every]),
        tuple((topic, topic.key in chosen) for topic in topics.listed(session)),
        person.time_zone,
        wishes.of(session, person.id) if own else PLAIN,
        lessening.rests_until(person, now=now),
        now.astimezone(pausing.zone(person.time_zone)).date(),
        mailboxes.hint(session, person.mailbox_id),
        bool(suppression.reasons(session, person.mailbox_id)),
        own,
    )


def choose(parts: Parts, token: str, level: Level, *, wording: str = "") -> bool:
    """Take one of the three choices; return False where a fresh link is mailed instead (`_to_be_proven`). Safe to repeat.

    wording   the version of the page's words

    Raises tokens.BadToken.
    """
    with parts.database.impatient() as session:
        now = database.now(session)
        reader = _reader(session, parts, token, now)
        proven = not (reader and _to_be_proven(session, reader))
        if reader and proven:
            person, every = reader.person, [one.id for one in digests.listed(session)]
            taken = list(_mine(session, person.id))
            wanted = preferences.rhythms(level, taken=taken, every=every)
            _come_back(session, reader, now, adds=bool(wanted.keys() - set(taken)))
            _take(session, person, wanted, _told(session, parts, wording, now), now)
    if not proven:
        parts.nudger.nudge(SIGNUPS)
    return proven


def change(parts: Parts, token: str, details: Details) -> bool:
    """Take everything behind the three choices as it stands in the form; return False where a fresh link is mailed instead.

    A language or zone that we do not offer stays where it is the reader's own. Raises tokens.BadToken, BadChoice, UnknownTopic,
    NeedsFreshLink.
    """
    with parts.database.impatient() as session:
        now = database.now(session)
        if not (reader := _reader(session, parts, token, now)):
            return True
        person = reader.person
        if details.language != person.language and not languages.speaks(details.language):
            raise BadChoice("language")
        if details.zone != person.time_zone and details.zone not in pausing.zones():
            raise BadChoice("zone")
        every = {one.key: one.id for one in digests.listed(session)}
        if not details.rhythms.keys() <= every.keys():
            raise BadChoice("digest")
        adds = bool(details.rhythms or details.topics)
        proven = not (adds and _to_be_proven(session, reader))
        if proven:
            _come_back(session, reader, now, adds=_adds(session, person, details, every))
            wish = _asked(session, reader, details.wish)
            _change(session, parts, person, replace(details, wish=wish), every, now)
    if not proven:
        parts.nudger.nudge(SIGNUPS)
    return proven


def _adds(session: Session, person: PersonView, details: Details, every: Mapping[str, int]) -> bool:
    """Whether there is anything in a form that a reader does not have."""
    taken = _mine(session, person.id).keys()
    chosen = {topic.key for topic in topics.of(session, person.id)}
    return bool({every[key] for key in details.rhythms} - taken or set(details.topics) - chosen)


def _asked(session: Session, reader: _Reader, wish: Wish) -> Wish:
    """Return how mail is to look after this. A link that may have been forwarded ends nothing and costs no name."""
    if reader.fresh:
        return wish
    if wish.nameless:
        raise NeedsFreshLink
    before = wishes.of(session, reader.person.id)
    return Wish(before.style | wish.style, before.nameless)


def _change(
    session: Session, parts: Parts, person: PersonView, details: Details, every: Mapping[str, int], now: datetime
) -> None:
    wanted = {every[key]: rhythm for key, rhythm in details.rhythms.items()}
    told = _told(session, parts, details.wording, now)
    _take(session, person, wanted, told, now, only=True)
    topics.choose(session, person.id, details.topics, now=now, details=told)
    people.settle(session, person.id, language=details.language, time_zone=details.zone)
    styling.apply(session, person.id, details.wish)


def pause(parts: Parts, token: str, *, until: date | None) -> None:
    """Give a reader a rest from all but alerts until a day, or end it with None. Raises tokens.BadToken, pausing.BadPause."""
    with parts.database.impatient() as session:
        now = database.now(session)
        reader = _reader(session, parts, token, now)
        if reader and until is None:
            pausing.resume(session, reader.person.id)
        elif reader and until:
            midnight = pausing.midnight(until, reader.person.time_zone)
            lessening.rest(session, reader.person, until=midnight, now=now)


def rename(parts: Parts, token: str, own: Own) -> None:
    """Write down how somebody is called and where they live. Raises tokens.BadToken, NeedsFreshLink, Unfit."""
    with parts.database.impatient() as session:
        link = proving.read(session, parts, token, now=database.now(session))
        if link.purpose is Purpose.PREFERENCES:
            raise NeedsFreshLink
        if link.purpose is Purpose.FRESH:
            people.rename(session, link.subscriber_id, own)


def _to_be_proven(session: Session, reader: _Reader) -> bool:
    """Whether nothing may be added by this link, and a fresh one is mailed for it: a mail of ours that anybody may hold by now.

    Who takes something hears from us of what is added, and can end it; who has left everything would be subscribed again unheard.
    """
    if reader.fresh or _mine(session, reader.person.id):
        return False
    fresh.ask(session, reader.person.id)
    return True


def _come_back(session: Session, reader: _Reader, now: datetime, *, adds: bool) -> None:
    """Lift what kept a reader out who adds something by a fresh link, mailed to their own address: but for a complaint."""
    if adds and reader.fresh:
        suppression.came_back(session, reader.person.mailbox_id, now=now, answered_at=None)


def _reader(session: Session, parts: Parts, token: str, now: datetime) -> _Reader | None:
    """Return whose link it is; None for a preview's, and for whoever was erased."""
    link = proving.read(session, parts, token, now=now)
    person = None if link.purpose is Purpose.PREVIEW else people.hold(session, link.subscriber_id)
    return None if person is None else _Reader(person, link.purpose is Purpose.FRESH)


def _mine(session: Session, subscriber_id: int) -> dict[int, Rhythm]:
    """Return what a reader takes, without what they have left while somebody was at it: that ends by itself in a moment."""
    taken = subscriptions.of(session, subscriber_id)
    return {one.digest_id: one.rhythm for one in taken if not consent.said_no_to(session, subscriber_id, one.digest_id)}


def _take(
    session: Session,
    person: PersonView,
    wanted: Mapping[int, Rhythm],
    told: Mapping[str, str],
    now: datetime,
    *,
    only: bool = False,
) -> None:
    """Let a reader have these digests; with `only`, no others. What is new is a permission of its own, with its proof."""
    mine = _mine(session, person.id)
    for digest_id, rhythm in wanted.items():
        if digest_id not in mine:
            _add(session, person, digests.get(session, digest_id), rhythm, told, now)
        elif mine[digest_id] is Rhythm.EMERGENCIES and rhythm is not Rhythm.EMERGENCIES:
            had_to = cutting.last_cut(session, digest_id, rhythm)
            subscriptions.change_rhythm(session, person.id, digest_id, rhythm=rhythm, now=now, had_to=had_to)
        elif mine[digest_id] is not rhythm:
            lessening.slow(session, person, digest_id, rhythm=rhythm, now=now)
    for digest_id in sorted(mine.keys() - wanted.keys()) if only else ():
        leaving.end(session, person.id, digest_id)


def _add(
    session: Session, person: PersonView, digest: DigestView, rhythm: Rhythm, told: Mapping[str, str], now: datetime
) -> None:
    event = consent.granted(
        session,
        person.id,
        basis=Basis.CONSENT,
        purpose=consent.of_digest(digest.id),
        now=now,
        details=told,
    )
    had_to = cutting.last_cut(session, digest.id, rhythm)
    subscriptions.take(session, person.id, digest.id, rhythm=rhythm, had_to=had_to, granted_by=event, now=now)


def _told(session: Session, parts: Parts, wording: str, now: datetime) -> dict[str, str]:
    """What shows later how a permission was given: by a signed link from a mail of ours to this very address, by these words."""
    found = consenting.known(session, parts, wording) if wording else None
    words = agreements.proof(words=found.words if found else "", shown=Shown.PREFERENCES, given=wording[:LONGEST])
    return {"form": "preferences", **words, "confirmed_by": "signed link", "confirmed_at": now.isoformat()}
