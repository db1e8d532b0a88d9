"""What readers have had: the question every issue asks before it is composed."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, or_, select, text
from sqlalchemy.orm import Session

from newsletter.ledger import mailings, planning
from newsletter.ledger.variants import Group
from newsletter.models.delivery import Delivery, DeliveryState


def groups(session: Session, audience: Select[Any], *, alerts: list[int]) -> dict[Group, int]:
    """Return the groups of an audience (readers who have had the same) and how many readers each has.

    audience   as for planning.plan
    alerts     mailing ids of the alerts that are also articles of the issue
    """
    statement = _GROUPS.format(audience=planning.literal(audience))
    found = session.execute(text(statement), {"alerts": alerts})
    return {Group(row.edition, row.had_to, tuple(row.alerts), row.style): row.readers for row in found}


_GROUPS = """
    WITH audience AS ({audience})
    SELECT a.edition, a.style, a.had_to, had.alerts, count(*) AS readers
    FROM audience a
    LEFT JOIN LATERAL (
        SELECT coalesce(array_agg(d.mailing_id ORDER BY d.mailing_id), '{{}}'\\:\\:bigint[]) AS alerts
        FROM delivery d
        WHERE d.mailbox_id = a.mailbox_id AND d.mailing_id = ANY (CAST(:alerts AS bigint[]))
          AND d.state IN ('accepted', 'uncertain')
    ) had ON true
    WHERE a.excluded IS NULL
    GROUP BY a.edition, a.style, a.had_to, had.alerts
"""


def written_to(session: Session, mailbox_ids: Iterable[int]) -> set[int]:
    """Return those of some mailboxes for which there is any row of any mailing, but for questions cancelled before they went."""
    return set(session.execute(_WRITTEN_TO, {"boxes": list(mailbox_ids)}).scalars())


_WRITTEN_TO = text("""
    SELECT b.box FROM unnest(CAST(:boxes AS bigint[])) AS b (box)
    WHERE EXISTS (SELECT FROM delivery d WHERE d.mailbox_id = b.box
        AND NOT (d.occasion LIKE 'join:%' AND d.state = 'cancelled' AND d.uncertain_at IS NULL))
""")


def handed_over(session: Session, mailing_id: int, reader: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition that a mailing was handed over to a subscriber, or may have been. Raises UnknownMailing."""
    mailing = mailings.get(session, mailing_id)
    arrived = (DeliveryState.ACCEPTED, DeliveryState.UNCERTAIN)
    mine = (Delivery.month == mailing.month, Delivery.mailing_id == mailing_id, Delivery.subscriber_id == reader)
    return exists(
        select(Delivery.id).where(*mine, or_(Delivery.state.in_(arrived), Delivery.uncertain_at.is_not(None)))
    )


def handed_count(session: Session, mailing_id: int) -> int:
    """Return a figure that grows with everybody of whom `handed_over` becomes true, counted in a moment while a million go.

    Of shards that ended their books are read, of those under way their rows; who is or was in doubt counts as well, some of them
    twice. It never shrinks: between two looks no more people had the mailing than it grew by. Raises UnknownMailing.
    """
    mailing = mailings.get(session, mailing_id)
    return int(session.execute(_HANDED, {"mailing": mailing_id, "month": mailing.month}).scalar_one())


_HANDED = text("""
    SELECT (SELECT coalesce(sum(accepted), 0) FROM shard WHERE mailing_id = :mailing AND state = 'ended')
        + (SELECT count(*) FROM shard s JOIN delivery d ON d.shard_id = s.id AND d.month = :month
            WHERE s.mailing_id = :mailing AND s.state = 'open' AND s.fence > 0 AND d.state = 'accepted')
        + (SELECT count(*) FROM delivery WHERE month = :month AND mailing_id = :mailing AND uncertain_at IS NOT NULL)
""")
