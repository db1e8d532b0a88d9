"""The do-not-mail list, as operators use it."""

from datetime import datetime
from typing import Any

from newsletter import database, mailboxes
from newsletter.addresses import EmailAddress
from newsletter.database import Session
from newsletter.journeys import acting, finding
from newsletter.journeys.parts import Parts
from newsletter.journeys.publish import opened
from newsletter.ledger import deliveries
from newsletter.operators import audit
from newsletter.subscribers import people, suppression, tables


def import_csv(parts: Parts, path: str, *, dry_run: bool, by: int | None = None) -> tuple[tables.Counts, list[int]]:
    """Suppress every address of a CSV file, known or not; return the counts, and the rows in which no address stands.

    Raises what `acting.officer` raises.
    """
    rows: list[int] = []
    with parts.database.transaction() as session:
        who = acting.officer(session, by)

    def wrote(session: Session, counts: tables.Counts, now: datetime) -> None:
        facts = {"read": counts.read, "added": counts.added, "rejected": counts.rejected}
        audit.append(session, "suppressions.imported", by=who, now=now, **facts)

    with opened(path) as stream:
        done = suppression.import_csv(
            parts.database, stream, dry_run=dry_run, on_reject=rows.append, before_commit=wrote
        )
    return done, rows


def listed(parts: Parts, *, limit: int, by: int | None = None) -> list[dict[str, Any]]:
    """Return the newest entries: reference where there is a person, masked address, reason, since when.

    Raises finding.TooMany and what `acting.officer` raises.
    """
    finding.few(limit)
    with parts.database.transaction() as session:
        who = acting.officer(session, by)
        found = suppression.listed(session, limit=limit)
        audit.append(session, "suppressions.listed", by=who, now=database.now(session), count=len(found))
        return found


def lift(
    parts: Parts,
    *,
    reference: str | None,
    address: EmailAddress | None,
    why: str,
    dry_run: bool,
    by: int | None = None,
) -> suppression.Lifted:
    """Lift what an operator may lift of what suppresses a person, with an audit row; return that, and what stays.

    Raises what `acting.officer` raises, people.UnknownPerson, suppression.BadWhy, and suppression.NotTheirs where all of it is the
    person's own to lift.
    """
    with parts.database.transaction() as session:
        who = acting.officer(session, by)
        mailbox_id = (
            people.find(session, reference).mailbox_id
            if reference
            else mailboxes.find(session, address)
            if address
            else None
        )
        if mailbox_id is None:
            return suppression.Lifted()
        now = database.now(session)
        done = suppression.lift(session, mailbox_id, by=suppression.Who.OPERATOR, why=why, now=now)
        if done.kept and not done.lifted:
            raise suppression.NotTheirs(done.kept)
        if dry_run:
            session.rollback()
        elif done.lifted:
            # The words stay beside the entry: the audit is read by more people, and keeps for ever.
            reasons = [str(one) for one in done.lifted]
            audit.append(session, "suppression.lifted", by=who, now=now, mailbox=mailbox_id, reasons=reasons)
        return done


def suppress(parts: Parts, reference: str, *, reason: str) -> None:
    """Suppress a person and cancel what is planned for them, in one transaction."""
    with parts.database.transaction() as session:
        person = people.find(session, reference)
        suppression.add(session, person.mailbox_id, reason=suppression.Reason(reason), now=database.now(session))
        deliveries.cancel(session, person.mailbox_id, reason="suppressed")
