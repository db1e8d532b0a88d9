"""Who logs in: added, given roles and ended by the command line; the pages only look, and end."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql

from newsletter import languages, mailboxes
from newsletter.addresses import EmailAddress
from newsletter.database import Session
from newsletter.errors import Conflict, Invalid, NotFound
from newsletter.models.operator import Disabling, Invitation, Operator, OperatorRole, Rescue
from newsletter.operators import audit, roles
from newsletter.operators.roles import May, Role

HEARS_FOR = timedelta(days=1)
"""How long whoever was disabled still learns what alerts do: who ends the others' access must not send alone unheard."""


class UnknownOperator(NotFound):
    """No operator has this number."""

    def __init__(self, operator_id: int) -> None:
        super().__init__("operator.unknown", operator=operator_id)


class KnownAlready(Conflict):
    """The address is an operator's."""

    def __init__(self, operator_id: int) -> None:
        super().__init__("operator.known-already", operator=operator_id)


class NoRole(Invalid):
    """An operator without any role could do nothing."""

    def __init__(self) -> None:
        super().__init__("operator.no-role")


class Disabled(Conflict):
    """The operator's access has been ended."""

    def __init__(self, operator_id: int) -> None:
        super().__init__("operator.disabled", operator=operator_id)


class NotSpoken(Invalid):
    """The pages have no words in this language."""

    def __init__(self, language: str) -> None:
        super().__init__("operator.not-spoken", language=language)


class NotOneself(Conflict):
    """Nobody ends their own access: who is left alone with a mistake cannot take it back."""

    def __init__(self) -> None:
        super().__init__("operator.not-oneself")


@dataclass(frozen=True, slots=True)
class OperatorView:
    """An operator as others see them.

    masked     enough of the address to tell two people apart
    language   which they chose for the pages; None: as their browser asks
    readmitted_at   when they were let back in, last
    """

    id: int
    mailbox_id: int
    name: str
    masked: str
    roles: tuple[Role, ...]
    enrolled_at: datetime | None
    disabled_at: datetime | None
    language: str | None = None
    readmitted_at: datetime | None = None

    @property
    def active(self) -> bool:
        """May log in: has enrolled, and was not disabled."""
        return self.enrolled_at is not None and self.disabled_at is None

    @property
    def may(self) -> frozenset[May]:
        """All that the roles allow."""
        return roles.of(self.roles)

    def still(self, act: May, *, said_at: datetime | None = None) -> bool:
        """Whether their word for an act counts now: whose access or role was taken said it in vain.

        said_at   when they gave it: coming back brings no word of before back, which a thief may have given
        """
        before = said_at is not None and self.readmitted_at is not None and said_at < self.readmitted_at
        return self.active and act in self.may and not before


def add(session: Session, address: EmailAddress, *, name: str, given: Iterable[Role], now: datetime) -> int:
    """Add an operator and return their number; they log in once they have enrolled. Raises KnownAlready, NoRole."""
    mailbox_id = mailboxes.find_or_make(session, address)
    mailboxes.entrust(session, mailbox_id)
    known = session.execute(select(Operator.id).where(Operator.mailbox_id == mailbox_id)).scalar_one_or_none()
    if known is not None:
        raise KnownAlready(known)
    row = Operator(mailbox_id=mailbox_id, name_sealed=b"", created_at=now)
    session.add(row)
    session.flush()
    # A seal is bound to its row, so the number comes first.
    row.name_sealed = session.vault.seal_for_team("operator", "name", row.id, name.strip())
    given = _give(session, row.id, given)
    audit.append(session, "operator.added", by=audit.SHELL, now=now, operator=row.id, roles=given)
    return row.id


def set_roles(session: Session, operator_id: int, given: Iterable[Role], *, now: datetime) -> None:
    """Give an operator these roles and no others. Raises UnknownOperator, NoRole."""
    by_id(session, operator_id)
    session.execute(delete(OperatorRole).where(OperatorRole.operator_id == operator_id))
    given = _give(session, operator_id, given)
    audit.append(session, "operator.roles", by=audit.SHELL, now=now, operator=operator_id, roles=given)


def _give(session: Session, operator_id: int, given: Iterable[Role]) -> list[Role]:
    wanted = sorted(set(given))
    if not wanted:
        raise NoRole
    session.execute(insert(OperatorRole), [{"operator_id": operator_id, "role": role} for role in wanted])
    return wanted


def disable(session: Session, operator_id: int, *, by: int | str, now: datetime) -> None:
    """End an operator's access: their sessions and tokens are checked against this at each use, open invitation and rescue end.

    Raises UnknownOperator, NotOneself.
    """
    if by == operator_id:
        raise NotOneself
    found = by_id(session, operator_id)
    if found.disabled_at is None:
        session.execute(update(Operator).where(Operator.id == operator_id).values(disabled_at=now))
        invited = (Invitation.operator_id == operator_id, Invitation.ended_at.is_(None))
        session.execute(update(Invitation).where(*invited).values(ended_at=now))
        rescued = (Rescue.operator_id == operator_id, Rescue.ended_at.is_(None))
        session.execute(update(Rescue).where(*rescued).values(ended_at=now))
        audit.append(session, "operator.disabled", by=by, now=now, operator=operator_id)


def readmit(session: Session, operator_id: int, *, by: int | str, now: datetime) -> None:
    """Take back that an operator was disabled; they log in once they have enrolled anew."""
    anew = {"disabled_at": None, "enrolled_at": None, "readmitted_at": now}
    session.execute(update(Operator).where(Operator.id == operator_id).values(anew))
    audit.append(session, "operator.readmitted", by=by, now=now, operator=operator_id)


def speak(session: Session, operator_id: int, language: str | None) -> None:
    """Write down in which language an operator reads; None: as their browser asks. Raises NotSpoken."""
    if language is not None and not languages.speaks(language):
        raise NotSpoken(language)
    session.execute(update(Operator).where(Operator.id == operator_id).values(language=language))


def by_id(session: Session, operator_id: int) -> OperatorView:
    """Return an operator. Raises UnknownOperator."""
    row = session.get(Operator, operator_id, populate_existing=True)
    if row is None:
        raise UnknownOperator(operator_id)
    return _views(session, [row])[0]


def find(session: Session, address: EmailAddress) -> OperatorView | None:
    """Return the operator of an address, or None."""
    mailbox_id = mailboxes.find(session, address)
    query = select(Operator).where(Operator.mailbox_id == mailbox_id)
    row = session.execute(query).scalar_one_or_none() if mailbox_id is not None else None
    return None if row is None else _views(session, [row])[0]


def of_mailboxes(session: Session, mailbox_ids: Iterable[int]) -> set[int]:
    """Return those of some mailboxes that are an operator's."""
    theirs = select(Operator.mailbox_id).where(Operator.mailbox_id == mailboxes.among(mailbox_ids))
    return set(session.execute(theirs).scalars())


def mailboxes_of_all(session: Session) -> list[int]:
    """Return the mailboxes whose addresses the team's pages open."""
    return list(session.execute(select(Operator.mailbox_id)).scalars())


def listed(session: Session) -> list[OperatorView]:
    """Return every operator, in the order they were added."""
    return _views(session, list(session.execute(select(Operator).order_by(Operator.id)).scalars()))


def active(session: Session) -> list[OperatorView]:
    """Return those who may log in."""
    return [one for one in listed(session) if one.active]


def informed(session: Session, *, now: datetime) -> list[OperatorView]:
    """Return who learns that an alert goes or is stopped: those who may log in, and who was disabled within a day.

    Whoever was let back in has enrolled no more, and hears of it as before.
    """
    since = now - HEARS_FOR
    hears = or_(Operator.disabled_at.is_(None), Operator.disabled_at > since)
    known = or_(Operator.enrolled_at.is_not(None), Operator.readmitted_at > since)
    found = select(Operator).where(known, hears).order_by(Operator.id)
    return _views(session, list(session.execute(found).scalars()))


def claim_disabled(session: Session) -> list[OperatorView]:
    """Take on those who were disabled and of whom the team was not told, whoever disabled them; of two at once one has each.

    Their own rows are only read: whoever disabled them by the password of the pages' role may hold them.
    """
    gone = select(Operator.id, Operator.disabled_at).where(Operator.disabled_at.is_not(None))
    made = postgresql.insert(Disabling).from_select(["operator_id", "at"], gone).on_conflict_do_nothing()
    found = session.execute(made.returning(Disabling.operator_id)).scalars()
    return [by_id(session, one) for one in sorted(found)]


def mailboxes_of_active(session: Session) -> frozenset[int]:
    """Return the mailboxes of those who may log in."""
    query = select(Operator.mailbox_id).where(Operator.enrolled_at.is_not(None), Operator.disabled_at.is_(None))
    return frozenset(session.execute(query).scalars())


def _views(session: Session, rows: list[Operator]) -> list[OperatorView]:
    ids = [row.id for row in rows]
    held: dict[int, list[Role]] = {operator_id: [] for operator_id in ids}
    found = select(OperatorRole).where(OperatorRole.operator_id.in_(ids)).order_by(OperatorRole.role)
    for one in session.execute(found).scalars():
        held[one.operator_id].append(Role(one.role))
    addresses = mailboxes.open_all(session, [row.mailbox_id for row in rows])
    return [
        OperatorView(
            row.id,
            row.mailbox_id,
            session.vault.unseal("operator", "name", row.id, row.name_sealed),
            EmailAddress.parse(addresses[row.mailbox_id]).masked if row.mailbox_id in addresses else "erased",
            tuple(held[row.id]),
            row.enrolled_at,
            row.disabled_at,
            row.language,
            row.readmitted_at,
        )
        for row in rows
    ]
