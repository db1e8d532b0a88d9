"""Who gets a mailing: the query of its audience, and the last look at each reader before the wire."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    Subquery,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    null,
    select,
    true,
)
from sqlalchemy.orm import aliased

from newsletter import mailboxes
from newsletter.database import Session
from newsletter.models.consent import Consent, ConsentEvent
from newsletter.models.mailbox import Mailbox
from newsletter.models.subscriber import Rhythm, Subscriber, Subscription
from newsletter.models.suppression import Suppression
from newsletter.subscribers import consent
from newsletter.vault import CannotUnseal


@dataclass(frozen=True, slots=True)
class Near:
    """Those who live in some time zones, or the first `most` of them: a look through an index, however many there are."""

    zones: Sequence[str]
    most: int


@dataclass(frozen=True, slots=True)
class Detail:
    """What a message needs to know of one reader, opened while their shard is held. address in wire form."""

    address: str
    name: str
    reference: str


WAITS = "waits"
"""Why a reader gets nothing now: it comes later, in their language."""
PAUSED, EMERGENCIES_ONLY = "paused", "emergencies only"
"""Why a reader gets nothing but alerts: they asked for that, until a day or altogether."""


def of_digest(
    digest_id: int,
    *,
    rhythms: Sequence[str] | None,
    languages: Sequence[str],
    urgent: bool,
    written: Sequence[str] | None = None,
    later: Sequence[str] = (),
    only: Sequence[str] = (),
    near: Near | None = None,
) -> Select[Any]:
    """Return the audience of a digest as a query: everyone who takes it, with the reason where one is left out.

    rhythms     of those to whom an issue goes; None: whatever theirs is (mailings and alerts)
    languages   of the digest; a reader of none of them gets the first
    urgent      an alert: it goes to those as well who paused, or who take emergencies only
    written     those of an alert, whichever they are: a reader of none of them gets the first of the digest; None: its own
    later       those of them whose readers wait
    only        no others but the readers of these; whoever reads no language of digest or alert counts to the digest's first
    near        None: wherever they live

    Rows: mailbox_id, subscriber_id, provider, edition, style, had_to, time_zone, excluded (a reason or NULL). Mail without a basis
    is impossible twice over: granted_by is a foreign key, and the event it names must still be a grant.
    """
    reader = Subscriber if near is None else aliased(Subscriber, _living(near))
    rhythmic = true() if rhythms is None else Subscription.rhythm.in_(rhythms)
    edition = _edition(reader.language, languages if written is None else [*written, *later], languages[0])
    read = _edition(reader.language, [*(written or ()), *languages], languages[0])
    return (
        select(
            reader.mailbox_id,
            reader.id.label("subscriber_id"),
            Mailbox.provider,
            edition.label("edition"),
            reader.style,
            Subscription.had_to,
            reader.time_zone,
            _excluded(reader, edition, later, urgent=urgent).label("excluded"),
        )
        .select_from(Subscription)
        .join(reader, reader.id == Subscription.subscriber_id)
        .join(Mailbox, Mailbox.id == reader.mailbox_id)
        .outerjoin(ConsentEvent, and_(ConsentEvent.id == Subscription.granted_by, ConsentEvent.kind == Consent.GRANTED))
        .where(Subscription.digest_id == digest_id, Subscription.ended_at.is_(None), rhythmic)
        .where(read.in_(list(only)) if only else true())
    )


def styled(readers: Select[Any]) -> Select[Any]:
    """Return the query for readers, found in any way, with the style they want now: what they had may have been another.

    readers   rows with a subscriber_id
    """
    rows = readers.subquery()
    # Those who have a style are few, and stand in an index of their own.
    chose = and_(Subscriber.id == rows.c.subscriber_id, Subscriber.style != "")
    return select(*rows.c, func.coalesce(Subscriber.style, "").label("style")).outerjoin(Subscriber, chose)


READER = Subscription.subscriber_id
"""By which a condition on a reader of an audience asks for them."""


def among(people: Select[Any]) -> ColumnElement[bool]:
    """Return the condition that a reader of an audience is one of these subscribers."""
    return READER.in_(people)


def _living(near: Near) -> Subquery:
    # A table of its own with a limit: as a condition it would be looked for among everybody.
    return select(Subscriber).where(Subscriber.time_zone.in_(list(near.zones))).limit(near.most).subquery()


def _edition(read: Any, languages: Sequence[str], first: str) -> ColumnElement[str]:
    """A reader of "en-GB" gets the "en" edition, and of a language that is not among them that of the first."""
    base = func.split_part(func.lower(read), "-", 1)
    editions = {_base(language): language for language in reversed(languages)}
    other = literal(editions.get(_base(first), first))
    return (
        case(*((base == key, literal(language)) for key, language in editions.items()), else_=other)
        if editions
        else other
    )


def _base(language: str) -> str:
    return language.split("-", maxsplit=1)[0].lower()


def _excluded(reader: Any, edition: ColumnElement[str], later: Sequence[str], *, urgent: bool) -> ColumnElement[Any]:
    less = [] if urgent else _less(reader)
    waits = [(edition.in_(list(later)), literal(WAITS))] if later else []
    return case(
        (ConsentEvent.id.is_(None), literal("no basis")),
        (Mailbox.address_sealed.is_(None), literal("erased")),
        (_suppressed(reader.mailbox_id), literal("suppressed")),
        *less,
        *waits,
        else_=null(),
    )


def _less(reader: Any) -> list[tuple[ColumnElement[bool], ColumnElement[str]]]:
    """What readers asked for instead of leaving, and the reason for which no ordinary mail goes to them."""
    return [
        (Subscription.rhythm == Rhythm.EMERGENCIES, literal(EMERGENCIES_ONLY)),
        (reader.paused_until > func.now(), literal(PAUSED)),
    ]


def _suppressed(mailbox_id: Any) -> ColumnElement[bool]:
    return exists().where(Suppression.mailbox_id == mailbox_id, Suppression.lifted_at.is_(None))


def count(session: Session, audience: Select[Any]) -> int:
    """Return how many of an audience would be written to."""
    rows = audience.subquery()
    return session.execute(select(func.count()).select_from(rows).where(rows.c.excluded.is_(None))).scalar_one()


def measure(session: Session, digest_id: int) -> tuple[int, int]:
    """Return how many take a digest and how many suppressions hold: what `count` depends on, in a twentieth of its time."""
    taken = select(func.count()).where(Subscription.digest_id == digest_id, Subscription.ended_at.is_(None))
    barred = select(func.count()).select_from(Suppression).where(Suppression.lifted_at.is_(None))
    return session.execute(taken).scalar_one(), session.execute(barred).scalar_one()


def spoken(session: Session, languages: Iterable[str]) -> tuple[int, ...]:
    """Return how many people read each of some languages, in their order, and how many another: whatever they take."""
    found = session.execute(select(Subscriber.language, func.count()).group_by(Subscriber.language))
    figures = dict.fromkeys([*(_base(one) for one in languages), ""], 0)
    for language, readers in found:
        base = _base(language)
        figures[base if base in figures else ""] += readers
    return tuple(figures.values())


def details(session: Session, subscriber_ids: Iterable[int]) -> dict[int, Detail]:
    """Return name, address and reference of readers by subscriber id; those whose address cannot be opened are left out."""
    ids = list(subscriber_ids)
    if not ids:
        return {}
    found = session.execute(
        select(Subscriber.id, Subscriber.mailbox_id, Subscriber.reference, Subscriber.name_sealed).where(_among(ids))
    ).all()
    # Unpacked: a name looked up in a row costs as much as opening what it holds.
    addresses = mailboxes.open_all(session, [mailbox_id for _, mailbox_id, _, _ in found])
    return {
        subscriber_id: Detail(addresses[mailbox_id], _name(session, subscriber_id, name), reference)
        for subscriber_id, mailbox_id, reference, name in found
        if mailbox_id in addresses
    }


def _name(session: Session, subscriber_id: int, sealed: bytes | None) -> str:
    """A name that is damaged greets nobody, and keeps no mail back."""
    try:
        return session.vault.unseal("subscriber", "name", subscriber_id, sealed) if sealed else ""
    except CannotUnseal:
        return ""


def barred(session: Session, digest_id: int, subscriber_ids: Iterable[int], *, urgent: bool) -> dict[int, str]:
    """Return, by subscriber id, why some of them may not be written to any more: wishes, basis and suppression as of now.

    urgent   as for `of_digest`
    """
    ids = list(subscriber_ids)
    # Each one look-up by index: an EXISTS the planner may turn into a hash of everybody, again for each shard.
    rhythm = (
        select(Subscription.rhythm)
        .where(
            Subscription.subscriber_id == Subscriber.id,
            Subscription.digest_id == digest_id,
            Subscription.ended_at.is_(None),
        )
        .correlate(Subscriber)
        .scalar_subquery()
    )
    held = (Suppression.mailbox_id == Subscriber.mailbox_id, Suppression.lifted_at.is_(None))
    suppressed = select(func.count()).select_from(Suppression).where(*held).correlate(Subscriber).scalar_subquery()
    spared = {} if urgent else {str(Rhythm.EMERGENCIES): literal(EMERGENCIES_ONLY)}
    resting = [] if urgent else [(Subscriber.paused_until > func.now(), literal(PAUSED))]
    others = case(
        (suppressed > 0, literal("suppressed")),
        (Mailbox.address_sealed.is_(None), literal("erased")),
        *resting,
        else_=null(),
    )
    taken = func.coalesce(rhythm, "")
    reason = case({"": literal("unsubscribed"), **spared}, value=taken, else_=others)
    query = select(Subscriber.id, reason).join(Mailbox, Mailbox.id == Subscriber.mailbox_id)
    found: dict[int, str | None] = dict(session.execute(query.where(_among(ids))).all())
    # Their own no counts from the moment it is said, also while somebody holds what it is to end.
    no = dict.fromkeys(consent.refusing(session, found, digest_id), "unsubscribed")
    gone = dict.fromkeys(set(ids) - set(found), "erased")
    return {subscriber_id: why for subscriber_id, why in found.items() if why} | no | gone


def styles(session: Session, subscriber_ids: Iterable[int]) -> dict[int, str]:
    """Return the styles of those of these readers who have one."""
    chose = select(Subscriber.id, Subscriber.style).where(_among(list(subscriber_ids)), Subscriber.style != "")
    return dict(session.execute(chose).all())


def _among(subscriber_ids: list[int]) -> ColumnElement[bool]:
    # One array, where IN would be compiled anew for thousands of parameters.
    return Subscriber.id == func.any(cast(subscriber_ids, ARRAY(BigInteger)))
