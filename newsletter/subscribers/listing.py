"""The list as a whole, on its way out: who is on it, who asked for it, and the marks by which a copy says where it came from."""

import base64
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text

from newsletter import mailboxes
from newsletter.addresses import EmailAddress
from newsletter.database import Session
from newsletter.errors import NotFound
from newsletter.models.privacy import ListExport
from newsletter.vault import Vault

COLUMNS = ("email", "name", "language", "time_zone", "postcode", "reference", "digests", "since")
BATCH = 5_000
GOOD_FOR = timedelta(hours=1)
"""How long after the last word a list may be taken."""
COUNTED = timedelta(days=30)
"""For how long what somebody took alone counts against what they take alone: else a long list goes out in parts."""


class UnknownExport(NotFound):
    """Nobody asked for an export of this number."""

    def __init__(self, number: int) -> None:
        super().__init__("export.unknown", export=number)


@dataclass(frozen=True, slots=True)
class ExportView:
    """One export that was asked for. since: when the last word on it was said."""

    id: int
    asked_by: int
    digest_id: int | None
    reason: str
    people: int
    asked_at: datetime
    approved_by: int | None
    approved_at: datetime | None
    taken_at: datetime | None

    @property
    def since(self) -> datetime:
        """Return when the last word on it was said."""
        return self.approved_at or self.asked_at


@dataclass(frozen=True, slots=True)
class Line:
    """One person of the list, as a file has them."""

    email: str = field(repr=False)
    name: str = field(repr=False)
    language: str
    time_zone: str
    postcode: str = field(repr=False)
    reference: str
    digests: str
    since: str


# Who takes something now, and may be written to.
_LISTED = """
    FROM subscriber s JOIN mailbox m ON m.id = s.mailbox_id AND m.address_sealed IS NOT NULL
    WHERE EXISTS (SELECT FROM subscription l WHERE l.subscriber_id = s.id AND l.ended_at IS NULL
                  AND (CAST(:digest AS bigint) IS NULL OR l.digest_id = :digest))
      AND NOT EXISTS (SELECT FROM suppression p WHERE p.mailbox_id = s.mailbox_id AND p.lifted_at IS NULL)
"""
_COUNT = text(f"SELECT count(*) {_LISTED}")
# By the reference, which is drawn: so an address of our own stands anywhere among the others, and not first as it came first.
_HOLDS = text(f"SELECT s.mailbox_id {_LISTED} AND s.mailbox_id = ANY (CAST(:boxes AS bigint[]))")
_LINES = text(f"""
    SELECT s.id, s.mailbox_id, s.reference, s.name_sealed, s.postcode_sealed, s.language, s.time_zone, s.created_at,
        (SELECT string_agg(d.key, ' ' ORDER BY d.key) FROM subscription l JOIN digest d ON d.id = l.digest_id
         WHERE l.subscriber_id = s.id AND l.ended_at IS NULL) AS digests
    {_LISTED} AND s.reference > :after ORDER BY s.reference LIMIT :batch
""")  # noqa: S608


def count(session: Session, digest_id: int | None) -> int:
    """Return how many people are on the list, or take one digest."""
    return int(session.execute(_COUNT, {"digest": digest_id}).scalar_one())


def holds(session: Session, digest_id: int | None, boxes: Collection[int]) -> set[int]:
    """Return those of some mailboxes that are on the list, or take one digest."""
    return set(session.execute(_HOLDS, {"digest": digest_id, "boxes": list(boxes)}).scalars())


def lines(session: Session, digest_id: int | None) -> Iterator[list[tuple[int, Line]]]:
    """Yield the list by batches, each person with the number of their mailbox. The caller opens one transaction for all of it."""
    after = ""
    while rows := session.execute(_LINES, {"digest": digest_id, "after": after, "batch": BATCH}).all():
        after = rows[-1].reference
        opened = mailboxes.open_all(session, [row.mailbox_id for row in rows])
        yield [(row.mailbox_id, _line(session.vault, row, opened)) for row in rows if row.mailbox_id in opened]


def _line(vault: Vault, row: Any, opened: dict[int, str]) -> Line:
    number, mailbox_id, reference, name, postcode, language, zone, since, digests = row
    return Line(
        opened[mailbox_id],
        vault.unseal("subscriber", "name", number, name) if name else "",
        language,
        zone,
        vault.unseal("subscriber", "postcode", number, postcode) if postcode else "",
        reference,
        digests or "",
        since.date().isoformat(),
    )


def tag(vault: Vault, export: int, canary: EmailAddress) -> str:
    """Return what marks one of our own addresses in one export: eight letters that only our keys can tell from any others."""
    return base64.b32encode(vault.digest("list export", f"{export} {canary.normal}")[:5]).decode().lower()


def marked(vault: Vault, export: int, canary: EmailAddress) -> EmailAddress:
    """Return one of our own addresses as one export has it: mail to it still arrives in the same mailbox."""
    return EmailAddress.parse(f"{canary.local}+{tag(vault, export, canary)}@{canary.domain}")


def invented(vault: Vault, export: int, canary: EmailAddress) -> str:
    """Return the reference that one of our own addresses, which is not on the list itself, has in one export."""
    return base64.b32encode(vault.digest("list export line", f"{export} {canary.normal}")[:5]).decode()


def alike(line: Line, near: Sequence[Line]) -> Line:
    """Return a line of ours with a name and a postcode like its neighbours', who may have none: else it would stand out."""
    kin = [one for one in near if one.language == line.language] or near
    if not kin:
        return line
    first, last = (secrets.choice(kin).name.split() for _ in range(2))
    name = " ".join([*first[:-1], *last[-1:]]) if first and last else ""
    return replace(line, name=line.name or name, postcode=line.postcode or secrets.choice(kin).postcode)


def came_from(
    vault: Vault, exports: Iterable[int], canaries: Iterable[EmailAddress], found: EmailAddress
) -> int | None:
    """Return the export that an address was made for, or None where it is of none."""
    ours = list(canaries)
    return next((one for one in exports for canary in ours if marked(vault, one, canary).normal == found.normal), None)


def ask(session: Session, *, by: int, digest_id: int | None, reason: str, people: int, now: datetime) -> int:
    """Write down that an operator wants the list, and return the number of that."""
    row = ListExport(asked_by=by, digest_id=digest_id, reason=reason, people=people, asked_at=now)
    session.add(row)
    session.flush()
    return row.id


def get(session: Session, number: int) -> ExportView:
    """Return an export, held until the transaction ends. Raises UnknownExport."""
    query = select(ListExport).where(ListExport.id == number).with_for_update()
    found = session.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()
    if found is None:
        raise UnknownExport(number)
    return _view(found)


def approve(session: Session, number: int, *, by: int, now: datetime) -> None:
    """Write down that another operator agrees; the database refuses the one who asked."""
    session.execute(_APPROVE, {"id": number, "by": by, "now": now})


_APPROVE = text("UPDATE list_export SET approved_by = :by, approved_at = :now WHERE id = :id AND taken_at IS NULL")


def take(session: Session, number: int, *, now: datetime) -> None:
    """Write down that it is taken: once."""
    session.execute(text("UPDATE list_export SET taken_at = :now WHERE id = :id"), {"id": number, "now": now})


def taken_alone(session: Session, by: int, *, now: datetime) -> int:
    """Return how many people somebody took out alone lately, the same ones as often as they did; no two at once may count."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('list taken alone'), CAST(:by AS int))"), {"by": by})
    alone = (ListExport.asked_by == by, ListExport.approved_by.is_(None), ListExport.taken_at > now - COUNTED)
    return int(session.execute(select(func.coalesce(func.sum(ListExport.people), 0)).where(*alone)).scalar_one())


def agreed(session: Session, by: int, *, now: datetime) -> list[ExportView]:
    """Return what somebody asked for, another agreed to within the hour, and nobody has taken yet."""
    waits = (ListExport.asked_by == by, ListExport.approved_at > now - GOOD_FOR, ListExport.taken_at.is_(None))
    return [_view(one) for one in session.execute(select(ListExport).where(*waits).order_by(ListExport.id)).scalars()]


def taken(session: Session) -> list[ExportView]:
    """Return every export that was taken, the latest first."""
    query = select(ListExport).where(ListExport.taken_at.is_not(None)).order_by(ListExport.id.desc())
    return [_view(one) for one in session.execute(query).scalars()]


def _view(found: ListExport) -> ExportView:
    names = ExportView.__dataclass_fields__
    return ExportView(**{name: getattr(found, name) for name in names})
