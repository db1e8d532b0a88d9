"""Why something did not go: written with the refusal itself, told to the team once, and shown for as long as it holds."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, insert, or_, select, update

from newsletter import errors
from newsletter.database import Session
from newsletter.errors import Conflict, NewsletterError
from newsletter.ledger import locks
from newsletter.models.lock import Lock
from newsletter.models.mailing import Mailing, State, Tally
from newsletter.models.refusal import Refusal

HALTED = "not approved"
"""What stands in a mailing that a worker would not send."""


class Held(Conflict):
    """An alert does not go to one provider group until an hour; the rest of it does. why: as in `halted`."""

    def __init__(self, provider: str, why: str, until: datetime) -> None:
        super().__init__("mailing.held", provider=provider, why=why, until=errors.fact(until))


class Blocked(Conflict):
    """Servers refuse service mail by policy; it is tried for its day, and until that is mended who signs up is not asked."""

    def __init__(self, refused: int, tried: int) -> None:
        super().__init__("mailing.blocked", refused=refused, tried=tried)


class Halted(Conflict):
    """A mailing halted by itself, and waits for somebody who has looked. why: as in `Mailing.halted`."""

    def __init__(self, why: str) -> None:
        super().__init__(f"halted.{why}")


@dataclass(frozen=True, slots=True)
class RefusalView:
    """One refusal. why: an id of the catalogue, with its facts; halted: paused by it, else a draft again."""

    id: int
    mailing: int
    why: str
    facts: dict[str, Any]
    halted: bool
    at: datetime

    @property
    def held(self) -> bool:
        """It is kept from one provider group only, and tried again by itself."""
        return self.why == "mailing.held"

    @property
    def by_itself(self) -> bool:
        """It halted for what servers and readers answer."""
        return self.why.startswith("halted.")

    @property
    def blocked(self) -> bool:
        """It is of service mail as a whole."""
        return self.why == "mailing.blocked"


def add(session: Session, mailing_id: int, refused: NewsletterError, *, halted: bool) -> None:
    """Write down that a mailing does not go, in the transaction that sees to it."""
    number = locks.newest(session, mailing_id)
    row = {"mailing_id": mailing_id, "number": number, "why": refused.message, "facts": refused.facts}
    session.execute(insert(Refusal).values(**row, halted=halted))


def lately(session: Session, why: str, *, since: datetime) -> bool:
    """Return whether something of this kind was written down since a moment."""
    query = select(exists().where(Refusal.why == why, Refusal.at > since))
    return bool(session.execute(query).scalar_one())


def untold(session: Session, *, since: datetime) -> list[RefusalView]:
    """Return those of which the team has not been told, oldest first; those before `since` are no news any more."""
    query = select(Refusal).where(Refusal.told_at.is_(None), Refusal.at > since).order_by(Refusal.id)
    return [_view(row) for row in session.execute(query).scalars()]


def tell_once(session: Session, refusal_id: int, *, now: datetime) -> bool:
    """Take it upon oneself to tell the team, in the transaction of the mail; False where somebody has."""
    statement = update(Refusal).where(Refusal.id == refusal_id, Refusal.told_at.is_(None)).values(told_at=now)
    found = session.execute(statement.execution_options(synchronize_session=False))
    return bool(found.rowcount)  # type: ignore[attr-defined]


def holding(session: Session, mailing_id: int) -> list[RefusalView]:
    """Return why a mailing, or what would take it back, does not go now: what was resumed or locked since is another matter.

    Of an alert's later languages that they are held as well: whoever lets the alert go on lets these go on with it.
    """
    newest = select(func.max(Lock.number)).where(Lock.mailing_id == Mailing.id).scalar_subquery()
    halted = and_(Refusal.halted, Mailing.halted == HALTED)
    of_group = Tally.mailing_id == Refusal.mailing_id, Tally.provider == Refusal.facts["provider"].astext
    waits = exists().where(*of_group, Tally.held_until > func.clock_timestamp())
    held = and_(Refusal.why == "mailing.held", Mailing.state.in_((State.SENDING, State.PAUSED)), waits)
    undone = and_(~Refusal.halted, Mailing.state == State.DRAFT, Refusal.number == func.coalesce(newest, 0))
    query = (
        select(Refusal)
        .join(Mailing, Mailing.id == Refusal.mailing_id)
        .where(
            or_(
                and_(or_(Mailing.id == mailing_id, Mailing.retracts == mailing_id), or_(halted, undone, held)),
                and_(_of_a_language(mailing_id), held),
            )
        )
        .order_by(Refusal.id)
    )
    found = session.execute(query).scalars()
    newest_of = {(row.mailing_id, row.facts.get("provider")): _view(row) for row in found}
    return list(newest_of.values())


def _of_a_language(mailing_id: int) -> ColumnElement[bool]:
    languages = select(Mailing.id).where(Mailing.translates == mailing_id).scalar_subquery()
    return or_(Mailing.translates == mailing_id, Mailing.retracts.in_(languages))


def _view(row: Refusal) -> RefusalView:
    return RefusalView(row.id, row.mailing_id, row.why, row.facts, row.halted, row.at)
