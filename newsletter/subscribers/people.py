"""One person: found by the reference of their footer, or by their address."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import exists, select, update

from newsletter import languages as tongues
from newsletter import mailboxes
from newsletter.addresses import EmailAddress
from newsletter.composer import headers
from newsletter.database import Session
from newsletter.errors import Invalid, NotFound
from newsletter.mailboxes import UnknownMailbox
from newsletter.models.subscriber import Subscriber, Subscription
from newsletter.subscribers import subscriptions, suppression
from newsletter.subscribers.references import fresh
from newsletter.vault import CannotUnseal


class UnknownPerson(NotFound):
    """Nobody has this reference or address. The facts never repeat an address."""

    def __init__(self) -> None:
        super().__init__("person.unknown")


@dataclass(frozen=True, slots=True)
class Own:
    """What somebody told us of themselves, as only a fresh link shows it; None: it is kept, and cannot be opened here."""

    name: str | None
    postcode: str | None


@dataclass(frozen=True, slots=True)
class PersonView:
    """A subscriber. `masked`: enough of the address to recognise one's own."""

    id: int
    mailbox_id: int
    reference: str
    name: str
    masked: str
    language: str
    time_zone: str
    created_at: datetime
    paused_until: datetime | None = None


def find(session: Session, reference: str) -> PersonView:
    """Return the person of a reference. Raises UnknownPerson."""
    wanted = select(Subscriber).where(Subscriber.reference == written(reference))
    return _known(session, session.execute(wanted).scalar_one_or_none())


def written(reference: str) -> str:
    """Return a reference as it is kept, however somebody typed it."""
    return reference.strip().upper().replace("-", "").replace(" ", "")


def find_by_address(session: Session, address: EmailAddress) -> PersonView:
    """Return the person of an address. Raises UnknownPerson."""
    mailbox_id = mailboxes.find(session, address)
    query = select(Subscriber).where(Subscriber.mailbox_id == mailbox_id)
    return _known(session, session.execute(query).scalar_one_or_none() if mailbox_id else None)


def by_id(session: Session, subscriber_id: int) -> PersonView | None:
    """Return a person, or None when they were erased."""
    found = session.get(Subscriber, subscriber_id)
    return None if found is None else _view(session, found)


def hold(session: Session, subscriber_id: int) -> PersonView | None:
    """Return a person as `by_id` does, who stays until the transaction ends, with what their subscriptions rest on.

    Call it before anything is looked up of a reader that is to be changed by a word of theirs: whoever takes a list back or erases
    them comes before it or after it.
    """
    # FOR KEY SHARE, as every row takes it that names them: their record can be changed beside it.
    found = session.get(Subscriber, subscriber_id, with_for_update={"read": True, "key_share": True})
    return None if found is None else _view(session, found)


def hold_of(session: Session, mailbox_ids: Iterable[int]) -> set[int]:
    """Return those of some mailboxes that are somebody's, each of whom stays as by `hold`."""
    mine = select(Subscriber.mailbox_id).where(Subscriber.mailbox_id == mailboxes.among(mailbox_ids))
    return set(session.execute(mine.order_by(Subscriber.id).with_for_update(read=True, key_share=True)).scalars())


class Unfit(Invalid):
    """A name or postcode holds what no mail can carry: a control character, or a mark that turns around what follows."""

    def __init__(self) -> None:
        super().__init__("person.unfit")


def fit(*texts: str | None) -> bool:
    """Whether mail can carry what somebody says of themselves (standards §7): else all of theirs would be refused, alerts too."""
    return not any(text and headers.FORBIDDEN.search(text) for text in texts)


def join(session: Session, mailbox_id: int, *, language: str, name: str, now: datetime) -> PersonView:
    """Return the person of a mailbox, made now if there is none: then in this language and by this name ("" = none given)."""
    found = session.execute(select(Subscriber).where(Subscriber.mailbox_id == mailbox_id)).scalar_one_or_none()
    if found is None:
        (reference,) = fresh(session, 1)
        found = Subscriber(
            mailbox_id=mailbox_id, reference=reference, language=tongues.canonical(language), created_at=now
        )
        session.add(found)
        session.flush()
        if name and fit(name):
            found.name_sealed = session.vault.seal("subscriber", "name", found.id, name)
            session.flush()
    return _view(session, found)


def own(session: Session, subscriber_id: int) -> Own:
    """Return what somebody told us of themselves."""
    found = session.get_one(Subscriber, subscriber_id)
    return Own(
        *(_opened(session, found.id, column, getattr(found, f"{column}_sealed")) for column in ("name", "postcode"))
    )


def _opened(session: Session, subscriber_id: int, column: str, sealed: bytes | None) -> str | None:
    try:
        return session.vault.unseal("subscriber", column, subscriber_id, sealed) if sealed else ""
    except CannotUnseal:
        return None


def rename(session: Session, subscriber_id: int, own: Own) -> None:
    """Write down what somebody says of themselves: "" keeps nothing, None what there is. Raises Unfit."""
    if not fit(own.name, own.postcode):
        raise Unfit
    told = {"name": own.name, "postcode": own.postcode}
    values = {
        f"{column}_sealed": session.vault.seal("subscriber", column, subscriber_id, said) if said else None
        for column, said in told.items()
        if said is not None
    }
    if not values:
        return
    session.execute(update(Subscriber).where(Subscriber.id == subscriber_id).values(values))


def settle(session: Session, subscriber_id: int, *, language: str, time_zone: str) -> None:
    """Write down in which language somebody reads, and where they live."""
    values = {"language": tongues.canonical(language), "time_zone": time_zone}
    session.execute(update(Subscriber).where(Subscriber.id == subscriber_id).values(values))


def of_mailboxes(session: Session, mailbox_ids: Iterable[int]) -> set[int]:
    """Return those of some mailboxes that are somebody's."""
    mine = select(Subscriber.mailbox_id).where(Subscriber.mailbox_id == mailboxes.among(mailbox_ids))
    return set(session.execute(mine).scalars())


def boxes(session: Session, subscriber_ids: Iterable[int]) -> dict[int, int]:
    """Return the mailboxes of some subscribers, by id; erased ones are missing."""
    found = select(Subscriber.id, Subscriber.mailbox_id).where(Subscriber.id == mailboxes.among(subscriber_ids))
    return dict(session.execute(found).all())


def of_mailbox(session: Session, mailbox_id: int, *, alone: bool = False) -> PersonView | None:
    """Return the person whose mailbox it is, or None where there is none.

    alone   to be forgotten: whoever holds them (`hold`) ends first, and nobody does again
    """
    query = select(Subscriber).where(Subscriber.mailbox_id == mailbox_id)
    found = session.execute(query.with_for_update() if alone else query).scalar_one_or_none()
    return None if found is None else _view(session, found)


def references(session: Session, subscriber_ids: Iterable[int]) -> dict[int, str]:
    """Return the references of some subscribers, by id; erased ones are missing."""
    wanted = select(Subscriber.id, Subscriber.reference).where(Subscriber.id.in_(list(subscriber_ids)))
    return dict(session.execute(wanted).all())


def list_(session: Session, *, digest_id: int | None = None, limit: int = 50) -> list[PersonView]:
    """Return the newest subscribers, of one digest or of all."""
    query = select(Subscriber).order_by(Subscriber.id.desc()).limit(limit)
    if digest_id is not None:
        live = (Subscription.digest_id == digest_id, Subscription.ended_at.is_(None))
        query = query.where(exists().where(Subscription.subscriber_id == Subscriber.id, *live))
    found = session.execute(query).scalars()
    return [_view(session, one) for one in found]


def shown(session: Session, person: PersonView, *, digests: Mapping[int, str]) -> dict[str, Any]:
    """Return what an operator sees of a person.

    digests   the key of each digest by its number: operators know them by no other name
    """
    return {
        "reference": person.reference,
        "name": person.name,
        "address": person.masked,
        "language": person.language,
        "time_zone": person.time_zone,
        "since": person.created_at,
        "subscriptions": [f"{digests[one.digest_id]} {one.rhythm}" for one in subscriptions.of(session, person.id)],
        "paused_until": person.paused_until,
        "suppressed": suppression.reasons(session, person.mailbox_id),
    }


def _known(session: Session, found: Subscriber | None) -> PersonView:
    if found is None:
        raise UnknownPerson
    return _view(session, found)


def _view(session: Session, found: Subscriber) -> PersonView:
    # The pages work with the number alone: with keys of their own they open neither.
    name, masked = "", "sealed"
    with suppress(CannotUnseal):
        if found.name_sealed is not None:
            name = session.vault.unseal("subscriber", "name", found.id, found.name_sealed)
        masked = _masked(session, found.mailbox_id)
    return PersonView(
        found.id,
        found.mailbox_id,
        found.reference,
        name,
        masked,
        found.language,
        found.time_zone,
        found.created_at,
        found.paused_until,
    )


def _masked(session: Session, mailbox_id: int) -> str:
    try:
        return mailboxes.open(session, mailbox_id).masked
    except UnknownMailbox:
        return "erased"
