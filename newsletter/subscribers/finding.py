"""Finding people: by what stands in clear or by digest, and by name, which is sealed and opened row by row.

A search by name unseals every name that the other conditions leave: 40,000 in a fraction of a second.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, exists, func, select

from newsletter import mailboxes
from newsletter.addresses import EmailAddress
from newsletter.database import Session
from newsletter.errors import Invalid
from newsletter.models.subscriber import Subscriber, Subscription
from newsletter.models.topic import Interest
from newsletter.subscribers import people
from newsletter.subscribers.people import PersonView
from newsletter.vault import CannotUnseal

_ALIKE = str.maketrans(
    {"ي": "ی", "ى": "ی", "ك": "ک", "ة": "ه", "أ": "ا", "إ": "ا", "آ": "ا", "ß": "ss", "ø": "o", "ł": "l"}
)


class NothingAsked(Invalid):
    """A search without any condition is the list itself, and that is exported otherwise."""

    def __init__(self) -> None:
        super().__init__("people.nothing-asked")


@dataclass(frozen=True, slots=True)
class Query:
    """Whom somebody looks for; what is None or "" says nothing. since, until: days on which they came, both included."""

    address: EmailAddress | None = field(default=None, repr=False)
    reference: str = ""
    name: str = field(default="", repr=False)
    digest_id: int | None = None
    topic_id: int | None = None
    language: str = ""
    area: str = ""
    since: date | None = None
    until: date | None = None

    @property
    def by(self) -> list[str]:
        """Return by what is searched, in words that name nobody: for the audit."""
        return [name for name in self.__dataclass_fields__ if getattr(self, name) not in (None, "")]


@dataclass(frozen=True, slots=True)
class Found:
    """Who was found. count: of all, also of those beyond the limit."""

    count: int
    people: list[PersonView]


def find(session: Session, query: Query, *, limit: int) -> Found:
    """Return who fits every condition, the newest first. Raises NothingAsked."""
    if not query.by:
        raise NothingAsked
    conditions = _conditions(session, query)
    ids = _named(session, query.name, conditions) if query.name else None
    if ids is None:
        total = session.execute(select(func.count()).select_from(Subscriber).where(*conditions)).scalar_one()
        ids = list(
            session.execute(
                select(Subscriber.id).where(*conditions).order_by(Subscriber.id.desc()).limit(limit)
            ).scalars()
        )
    else:
        total = len(ids)
    found = [people.by_id(session, number) for number in ids[:limit]]
    return Found(total, [one for one in found if one is not None])


def _conditions(session: Session, query: Query) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if query.address is not None:
        found.append(Subscriber.mailbox_id == (mailboxes.find(session, query.address) or 0))
    if query.reference:
        found.append(Subscriber.reference == people.written(query.reference))
    if query.language:
        found.append(func.lower(Subscriber.language).startswith(query.language.lower(), autoescape=True))
    if query.area:
        found.append(Subscriber.area == query.area)
    if query.since:
        found.append(Subscriber.created_at >= _day(query.since))
    # Nobody came after the last day there is, and no day follows it.
    if query.until and query.until < date.max:
        found.append(Subscriber.created_at < _day(query.until) + timedelta(days=1))
    for column, table, number in (
        (Subscription.digest_id, Subscription, query.digest_id),
        (Interest.topic_id, Interest, query.topic_id),
    ):
        if number is not None:
            live: tuple[Any, ...] = (table.subscriber_id == Subscriber.id, table.ended_at.is_(None))
            found.append(exists().where(*live, column == number))
    return found


def _day(day: date) -> datetime:
    return datetime.fromisoformat(f"{day.isoformat()}T00:00:00+00:00")


def _named(session: Session, name: str, conditions: list[ColumnElement[bool]]) -> list[int]:
    """Return those whose name holds every word, the newest first."""
    words = fold(name).split()
    rows = select(Subscriber.id, Subscriber.name_sealed).where(Subscriber.name_sealed.is_not(None), *conditions)
    unseal, found = session.vault.unseal, []
    for number, sealed in session.execute(rows.execution_options(yield_per=10_000)):
        try:
            known = fold(unseal("subscriber", "name", number, sealed or b""))
        except CannotUnseal:
            continue
        if all(word in known for word in words):
            found.append(number)
    return sorted(found, reverse=True)


def fold(name: str) -> str:
    """Return a name as it is compared: small letters, without accents and vowel marks, letters of one kind as one."""
    if name.isascii():
        return name.lower()
    plain = unicodedata.normalize("NFKD", name.casefold().translate(_ALIKE))
    return re.sub(r"\s+", " ", "".join(one for one in plain if not unicodedata.combining(one) and one != "\u200c"))
