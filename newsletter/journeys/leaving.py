"""A reader leaves: one click, at once, for good; even while the database is away.

The link alone proves the wish, by its key. When PostgreSQL cannot take it, the wish is kept in a spool on disk (`spooling`)
before the reader is told that it is done; the spool is drained before any lease is given (`drain`). While somebody else is at the
reader's rows, their no is written down beside these, and nothing more is sent; what they take is ended from the spool later.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from newsletter import database, mailboxes
from newsletter.database import HeldUp, Session
from newsletter.issues import digests
from newsletter.journeys import lessening, spooling
from newsletter.journeys.lessening import Less, less_than
from newsletter.journeys.parts import Parts
from newsletter.journeys.spooling import Wish
from newsletter.ledger import deliveries, leavers
from newsletter.subscribers import consent, people, subscriptions, unsubscribe
from newsletter.subscribers.people import PersonView
from newsletter.tokens import Link, Purpose, TooOld

PATIENCE_SECONDS, PAUSE_SECONDS = 0.5, 0.1
"""How long a page tries to end what a reader takes, and how far apart: who records that they had a mail is at them for a moment."""


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
        _leave_or_spool(parts, Wish(link.subscriber_id, link.digest_id))


def leave_everything(parts: Parts, token: str) -> bool:
    """End all that a reader takes, from their preferences page. Safe to repeat. Raises tokens.BadToken, spooling.NotKept.

    A link that is too old for anything else still does this: it is what whoever digs up an old mail most often wants.
    Returns False where the database shows it later only, since it is away or somebody holds what they take.
    """
    try:
        link = _read(parts, token)
    except TooOld as old:
        link = old.link
    return link.purpose is Purpose.PREVIEW or _leave_or_spool(parts, Wish(link.subscriber_id, None))


def _leave_or_spool(parts: Parts, wish: Wish) -> bool:
    """Write a wish down at once; return False where the spool keeps it. No connection is held while somebody is waited for."""
    until = time.monotonic() + PATIENCE_SECONDS
    with suppress(HeldUp, *database.FAILURES):
        while True:
            with parts.database.impatient() as session:
                if not _write(session, [wish]):
                    return True
            if time.monotonic() > until:
                break
            time.sleep(PAUSE_SECONDS)
    # This machine's clock: the other may be away. It says only whether they said yes to something since.
    spooling.keep(parts.home, replace(wish, said=datetime.now(UTC)))
    return False


def end(session: Session, subscriber_id: int, digest_id: int | None) -> None:
    """End what a reader takes, of one digest or all of it, and cancel what is planned. Safe to repeat."""
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

    However many readers another transaction holds, they hold up neither mail nor other wishes: their no is written down, and what
    they take is tried again as often as the sweep comes.
    """
    return spooling.drain(parts.home, partial(_write_kept, parts))


def _write_kept(parts: Parts, wishes: list[Wish]) -> list[Wish]:
    """Write wishes in turn with whoever else does, or without: any role may keep that turn for itself, for as long as it likes."""
    for in_turn in (unsubscribe.in_turn, None):
        with suppress(HeldUp), parts.database.impatient() as session:
            if in_turn:
                in_turn(session)
            return _write(session, wishes)
    return wishes


def _write(session: Session, wishes: list[Wish]) -> list[Wish]:
    """Write wishes down, and end what nobody holds; return those of whose readers somebody holds anything."""
    ends = _ends(session, wishes)
    held = unsubscribe.leave_at_once(session, ends, reason="unsubscribed", now=database.now(session))
    boxes = people.boxes(session, {reader for reader, _ in ends})
    leavers.cancel(session, {(boxes[one], digest) for one, digest in ends if one in boxes}, reason="unsubscribed")
    return [wish for wish in wishes if wish.subscriber in held]


def _ends(session: Session, wishes: list[Wish]) -> set[tuple[int, int | None]]:
    """Return what wishes end, as (reader, digest or None for all): what a reader said yes to after theirs goes on."""
    if not (oldest := min((wish.said for wish in wishes if wish.said), default=None)):
        return {(wish.subscriber, wish.digest) for wish in wishes}
    yes = defaultdict[int, dict[int, datetime]](dict)
    for reader, digest, at in consent.digests_granted_after(session, {wish.subscriber for wish in wishes}, oldest):
        yes[reader][digest] = max(at, yes[reader].get(digest, at))
    every = [one.id for one in digests.listed(session)] if yes else []
    return {(wish.subscriber, one) for wish in wishes for one in _of(wish, yes.get(wish.subscriber, {}), every)}


def _of(wish: Wish, yes: Mapping[int, datetime], every: Sequence[int]) -> Sequence[int | None]:
    """Return the digests that a wish ends, [None] for all. yes: when its reader last said it to one; every: all there are."""
    since = {digest for digest, at in yes.items() if wish.said and at > wish.said}
    if wish.digest is None and since:
        return [one for one in every if one not in since]
    return [] if wish.digest in since else [wish.digest]
