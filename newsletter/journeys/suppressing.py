"""The do-not-mail list, as operators use it."""

from typing import Any

from newsletter import database, mailboxes
from newsletter.addresses import EmailAddress
from newsletter.journeys.parts import Parts
from newsletter.journeys.publish import opened
from newsletter.ledger import deliveries
from newsletter.subscribers import people, suppression, tables


def import_csv(parts: Parts, path: str, *, dry_run: bool) -> tuple[tables.Counts, list[int]]:
    """Suppress every address of a CSV file, known or not; return the counts, and the rows in which no address stands."""
    rows: list[int] = []
    with opened(path) as stream:
        return suppression.import_csv(parts.database, stream, dry_run=dry_run, on_reject=rows.append), rows


def listed(parts: Parts, *, limit: int) -> list[dict[str, Any]]:
    """Return the newest entries: reference where there is a person, masked address, reason, since when."""
    with parts.database.transaction() as session:
        return suppression.listed(session, limit=limit)


def lift(parts: Parts, *, reference: str | None, address: EmailAddress | None, why: str, dry_run: bool) -> int:
    """Lift what suppresses a person; return how many entries. Raises people.UnknownPerson."""
    with parts.database.transaction() as session:
        mailbox_id = (
            people.find(session, reference).mailbox_id
            if reference
            else mailboxes.find(session, address)
            if address
            else None
        )
        if mailbox_id is None:
            return 0
        if dry_run:
            return len(suppression.reasons(session, mailbox_id))
        return suppression.lift(session, mailbox_id, why=why, now=database.now(session))


def suppress(parts: Parts, reference: str, *, reason: str) -> None:
    """Suppress a person and cancel what is planned for them, in one transaction."""
    with parts.database.transaction() as session:
        person = people.find(session, reference)
        suppression.add(session, person.mailbox_id, reason=suppression.Reason(reason), now=database.now(session))
        deliveries.cancel(session, person.mailbox_id, reason="suppressed")
