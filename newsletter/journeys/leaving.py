"""A reader leaves: one click, at once, for good; even while the database is away.

The link alone proves the wish, by its key. When PostgreSQL cannot take it, the wish is kept in a spool on disk (`spooling`)
before the reader is told that it is done; the spool is drained before any lease is given (`drain`).
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from newsletter import database, mailboxes
from newsletter.database import DatabaseUnreachable, DiskFull, Session
from newsletter.issues import digests
from newsletter.journeys import spooling
from newsletter.journeys.parts import Parts
from newsletter.journeys.spooling import Wish
from newsletter.ledger import deliveries
from newsletter.mailboxes import UnknownMailbox
from newsletter.subscribers import people, subscriptions, unsubscribe
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.tokens import Link, Purpose
from newsletter.vault import CannotUnseal


@dataclass(frozen=True, slots=True)
class Offer:
    """What a leaving page says before anyone has pressed anything. who: a hint of whose link it is; "" where nobody's."""

    digest: str | None
    language: str
    subscribed: bool
    who: str = ""


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
            mine = subscriptions.of(session, link.subscriber_id)
            subscribed = any(one.digest_id == link.digest_id for one in mine)
            name = digests.get(session, link.digest_id).name
            return Offer(name, person.language, subscribed, _hint(session, person.mailbox_id))
    except DatabaseUnreachable:
        return Offer(None, "en", subscribed=True)


def leave(parts: Parts, token: str) -> None:
    """End the subscription that a link to leave names. Safe to repeat. Raises tokens.BadToken, spooling.NotKept.

    When it returns, nothing more is handed over for this reader but what is inside an open window (≤ 0.5 s).
    """
    link = parts.tokens.read_leaving(token)
    if link.purpose is not Purpose.PREVIEW:
        _leave_or_spool(parts, link.subscriber_id, link.digest_id)


def leave_everything(parts: Parts, token: str) -> None:
    """End all that a reader takes, from their preferences page. Safe to repeat. Raises tokens.BadToken, spooling.NotKept."""
    link = _read(parts, token)
    if link.purpose is not Purpose.PREVIEW:
        _leave_or_spool(parts, link.subscriber_id, None)


def _leave_or_spool(parts: Parts, subscriber_id: int, digest_id: int | None) -> None:
    try:
        with parts.database.transaction() as session:
            _leave(session, subscriber_id, digest_id)
    except (DatabaseUnreachable, DiskFull):
        spooling.keep(parts.home, Wish(subscriber_id, digest_id))


def _leave(session: Session, subscriber_id: int, digest_id: int | None) -> None:
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
        return Preferences(person.reference, person.language, choices, _hint(session, person.mailbox_id))


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
        now = database.now(session)
        subscriptions.change_rhythm(session, link.subscriber_id, digest.id, rhythm=rhythm, now=now)


def drain(parts: Parts) -> int:
    """Act on every wish in the spool, then empty it; return how many there were. Raises DatabaseUnreachable."""

    def act(wishes: list[Wish]) -> None:
        with parts.database.transaction() as session:
            for wish in wishes:
                _leave(session, wish.subscriber, wish.digest)

    return spooling.drain(parts.home, act)
