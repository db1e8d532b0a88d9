"""A reader leaves: one click, at once, for good; even while the database is away.

The link alone proves the wish, by its key. When PostgreSQL cannot take it, the wish is kept in a spool on disk (`spooling`)
before the reader is told that it is done; the spool is drained before any lease is given (`drain`).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from newsletter import database, mailboxes
from newsletter.database import HeldUp, Session
from newsletter.issues import digests
from newsletter.journeys import lessening, spooling
from newsletter.journeys.lessening import Less, less_than
from newsletter.journeys.parts import Parts
from newsletter.journeys.spooling import Wish
from newsletter.ledger import deliveries
from newsletter.subscribers import consent, people, subscriptions, unsubscribe
from newsletter.subscribers.people import PersonView
from newsletter.tokens import Link, Purpose, TooOld

PATIENCE, SHORT_PATIENCE = 500, 20
"""Milliseconds in which what is at a reader lets go of them: all wishes of the spool wait so long, then each that must wait."""
READERS_PATIENCE = 3_000
"""Milliseconds a reader looks at a blank page at most: what is at them then may last, and the spool keeps their wish as well."""


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
    except database.FAILURES:
        return Offer(None, "en", subscribed=True)


def _offer(session: Session, person: PersonView, digest_id: int, *, now: datetime) -> Offer:
    rhythms = {one.digest_id: one.rhythm for one in subscriptions.of(session, person.id)}
    mine, others = rhythms.get(digest_id), bool(rhythms.keys() - {digest_id})
    less = less_than(mine, paused=lessening.resting(person, now=now), others=others) if mine else ()
    name, who = digests.get(session, digest_id).name, mailboxes.hint(session, person.mailbox_id)
    return Offer(name, person.language, mine is not None, who, less, others)


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
        with parts.database.impatient(READERS_PATIENCE) as session:
            end(session, subscriber_id, digest_id)
    except (HeldUp, *database.FAILURES):
        # This machine's clock: the other is away, or is held up. It says only whether they said yes to something since.
        spooling.keep(parts.home, Wish(subscriber_id, digest_id, datetime.now(UTC)))


def end(session: Session, subscriber_id: int, digest_id: int | None, *, said: datetime | None = None) -> None:
    """End what a reader takes, of one digest or all of it, and cancel what is planned. Safe to repeat.

    said   when they wished it, where that is a while ago: what they have said yes to since goes on
    """
    since = consent.digests_granted_after(session, subscriber_id, said) if said else frozenset()
    if digest_id is None and since:
        for one in digests.listed(session):
            if one.id not in since:
                _end(session, subscriber_id, one.id)
    elif digest_id not in since:
        _end(session, subscriber_id, digest_id)


def _end(session: Session, subscriber_id: int, digest_id: int | None) -> None:
    now = database.now(session)
    unsubscribe.leave(session, subscriber_id, digest_id, reason="unsubscribed", now=now)
    person = people.by_id(session, subscriber_id)
    if person is not None:
        deliveries.cancel(session, person.mailbox_id, reason="unsubscribed", digest_id=digest_id)


def of_old(parts: Parts, link: Link) -> Offer:
    """Return what a preferences page says to whom an old link brought: they can leave everything. Changes nothing."""
    try:
        with parts.database.transaction() as session:
            person = people.by_id(session, link.subscriber_id)
            if person is None:
                return Offer(None, "en", subscribed=False)
            takes = bool(subscriptions.of(session, person.id))
            return Offer(None, person.language, takes, mailboxes.hint(session, person.mailbox_id))
    except database.FAILURES:
        return Offer(None, "en", subscribed=True)


def _read(parts: Parts, token: str) -> Link:
    # Not the database's clock: leaving everything is kept while that is away, and the hour matters little after 400 days.
    return parts.tokens.read(token, Purpose.PREFERENCES, Purpose.FRESH, Purpose.PREVIEW, now=datetime.now(UTC))


def drain(parts: Parts) -> int:
    """Act on the wishes in the spool, then forget them; return how many were done. Raises DatabaseUnreachable.

    Those whose readers another transaction holds are tried again as often as the sweep comes, and hold up no mail.
    """
    return spooling.drain(parts.home, partial(_write, parts))


def _write(parts: Parts, wishes: list[Wish], patience: int = PATIENCE) -> list[Wish]:
    """Write wishes at once, or half by half until those are found that must wait; return these."""
    try:
        with parts.database.impatient(patience) as session:
            for wish in wishes:
                end(session, wish.subscriber, wish.digest, said=wish.said)
    except HeldUp:
        if len(wishes) == 1:
            return wishes
        half = len(wishes) // 2
        return _write(parts, wishes[:half], SHORT_PATIENCE) + _write(parts, wishes[half:], SHORT_PATIENCE)
    return []
