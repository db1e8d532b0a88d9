"""A reader leaves: one click, at once, for good; even while the database is away.

The link alone proves the wish, by its key. When PostgreSQL cannot take it, the wish is kept in a spool on disk (`spooling`)
before the reader is told that it is done; the spool is drained before any lease is given (`drain`).
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from newsletter import database, mailboxes
from newsletter.database import DatabaseUnreachable, DiskFull, Session
from newsletter.issues import digests
from newsletter.journeys import lessening, spooling
from newsletter.journeys.lessening import Less, less_than
from newsletter.journeys.parts import Parts
from newsletter.journeys.spooling import Wish
from newsletter.ledger import deliveries
from newsletter.mailboxes import UnknownMailbox
from newsletter.subscribers import pausing, people, subscriptions, unsubscribe
from newsletter.subscribers.people import PersonView
from newsletter.subscribers.subscriptions import NotSubscribed, Rhythm
from newsletter.tokens import Link, Purpose, TooOld
from newsletter.vault import CannotUnseal


@dataclass(frozen=True, slots=True)
class Offer:
    """What a leaving page says before anyone has pressed anything. who: a hint of whose link it is; "" where nobody's.

    less     what they may have instead, the mildest first
    others   whether they take other digests, which go on
    """

    digest: str | None
    language: str
    subscribed: bool
    who: str = ""
    less: tuple[Less, ...] = ()
    others: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One digest on the preferences page."""

    key: str
    name: str
    rhythm: Rhythm


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the preferences page shows. No name, and of the address a hint (`who`): the link may have been forwarded."""

    reference: str
    language: str
    choices: tuple[Choice, ...]
    who: str = ""
    paused_until: date | None = None
    today: date | None = None


def offer(parts: Parts, token: str) -> Offer:
    """Return what leaving by this link would end. Raises tokens.BadToken. Changes nothing."""
    link = parts.tokens.read_leaving(token)
    if link.purpose is Purpose.PREVIEW:
        return Offer(None, "en", subscribed=False)
    try:
        with parts.database.transaction() as session:
            person = people.by_id(session, link.subscriber_id)
            if person is None:
                return Offer(None, "en", subscribed=False)
            return _offer(session, person, link.digest_id, now=database.now(session))
    except DatabaseUnreachable:
        return Offer(None, "en", subscribed=True)


def _offer(session: Session, person: PersonView, digest_id: int, *, now: datetime) -> Offer:
    rhythms = {one.digest_id: one.rhythm for one in subscriptions.of(session, person.id)}
    mine = rhythms.get(digest_id)
    less = less_than(mine, paused=lessening.resting(person, now=now)) if mine else ()
    name, who = digests.get(session, digest_id).name, _hint(session, person.mailbox_id)
    return Offer(name, person.language, mine is not None, who, less, others=bool(rhythms.keys() - {digest_id}))


def leave(parts: Parts, token: str) -> None:
    """End the subscription that a link to leave names. Safe to repeat. Raises tokens.BadToken, spooling.NotKept.

    When it returns, nothing more is handed over for this reader but what is inside an open window (≤ 0.5 s).
    """
    link = parts.tokens.read_leaving(token)
    if link.purpose is not Purpose.PREVIEW:
        _leave_or_spool(parts, link.subscriber_id, link.digest_id)


def leave_everything(parts: Parts, token: str) -> None:
    """End all that a reader takes, from their preferences page. Safe to repeat. Raises tokens.BadToken, spooling.NotKept.

    A link that is too old for anything else still does this: it is what whoever digs up an old mail most often wants.
    """
    try:
        link = _read(parts, token)
    except TooOld as old:
        link = old.link
    if link.purpose is not Purpose.PREVIEW:
        _leave_or_spool(parts, link.subscriber_id, None)


def _leave_or_spool(parts: Parts, subscriber_id: int, digest_id: int | None) -> None:
    try:
        with parts.database.transaction() as session:
            end(session, subscriber_id, digest_id)
    except (DatabaseUnreachable, DiskFull):
        spooling.keep(parts.home, Wish(subscriber_id, digest_id))


def end(session: Session, subscriber_id: int, digest_id: int | None) -> None:
    """End what a reader takes, of one digest or all of it, and cancel what is planned. Safe to repeat."""
    now = database.now(session)
    unsubscribe.leave(session, subscriber_id, digest_id, reason="unsubscribed", now=now)
    person = people.by_id(session, subscriber_id)
    if person is not None:
        deliveries.cancel(session, person.mailbox_id, reason="unsubscribed", digest_id=digest_id)


def preferences(parts: Parts, token: str) -> Preferences:
    """Return what a reader takes. Raises tokens.BadToken. Changes nothing."""
    link = _read(parts, token)
    if link.purpose is Purpose.PREVIEW:
        return Preferences("PREVIEW0", "en", ())
    with parts.database.transaction() as session:
        person = people.by_id(session, link.subscriber_id)
        if person is None:
            return Preferences("", "en", ())
        named = {digest.id: digest for digest in digests.listed(session)}
        mine = subscriptions.of(session, link.subscriber_id)
        choices = tuple(Choice(named[one.digest_id].key, named[one.digest_id].name, one.rhythm) for one in mine)
        now, who = database.now(session), _hint(session, person.mailbox_id)
        paused, today = lessening.rests_until(person, now=now), now.astimezone(pausing.zone(person.time_zone)).date()
        return Preferences(person.reference, person.language, choices, who, paused, today)


def of_old(parts: Parts, link: Link) -> Offer:
    """Return what a preferences page says to whom an old link brought: they can leave everything. Changes nothing."""
    try:
        with parts.database.transaction() as session:
            person = people.by_id(session, link.subscriber_id)
            if person is None:
                return Offer(None, "en", subscribed=False)
            takes = bool(subscriptions.of(session, person.id))
            return Offer(None, person.language, takes, _hint(session, person.mailbox_id))
    except DatabaseUnreachable:
        return Offer(None, "en", subscribed=True)


def _read(parts: Parts, token: str) -> Link:
    # Not the database's clock: leaving everything is kept while that is away, and the hour matters little after 400 days.
    return parts.tokens.read(token, Purpose.PREFERENCES, Purpose.PREVIEW, now=datetime.now(UTC))


def _hint(session: Session, mailbox_id: int) -> str:
    """Say whose link this is, as far as its owner needs: whoever it was forwarded to should not press by mistake."""
    try:
        return mailboxes.open(session, mailbox_id).hint
    except (CannotUnseal, UnknownMailbox):
        return ""


def change_rhythm(parts: Parts, token: str, *, digest_key: str, rhythm: Rhythm) -> None:
    """Let a reader have a digest more or less often. Raises tokens.BadToken, digests.UnknownDigest."""
    link = _read(parts, token)
    if link.purpose is Purpose.PREVIEW:
        return
    with parts.database.transaction() as session:
        digest = digests.by_key(session, digest_key)
        if (person := people.by_id(session, link.subscriber_id)) is None:
            raise NotSubscribed
        lessening.slow(session, person, digest.id, rhythm=rhythm, now=database.now(session))


def pause(parts: Parts, token: str, *, until: date | None) -> None:
    """Give a reader a rest from all but alerts until a day, or end it with None. Raises tokens.BadToken, pausing.BadPause."""
    link = _read(parts, token)
    if link.purpose is Purpose.PREVIEW:
        return
    with parts.database.transaction() as session:
        person = people.by_id(session, link.subscriber_id)
        if person is None or until is None:
            pausing.resume(session, link.subscriber_id)
        else:
            day = pausing.midnight(until, person.time_zone)
            lessening.rest(session, person, until=day, now=database.now(session))


def drain(parts: Parts) -> int:
    """Act on every wish in the spool, then empty it; return how many there were. Raises DatabaseUnreachable."""

    def act(wishes: list[Wish]) -> None:
        with parts.database.transaction() as session:
            for wish in wishes:
                end(session, wish.subscriber, wish.digest)

    return spooling.drain(parts.home, act)
