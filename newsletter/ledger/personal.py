"""What the ledger knows of one reader: which mailings went to their mailbox and what became of each, by number alone.

Nothing of it is personal once the address is gone: the rows stay as counts. After 400 days nothing but counts is left of anybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from psycopg.errors import LockNotAvailable
from sqlalchemy import orm, select, text
from sqlalchemy.exc import OperationalError

from newsletter.composer.message import Head
from newsletter.database import Session
from newsletter.ledger.shards import CANCELLED
from newsletter.mailboxes import Whose
from newsletter.models.delivery import DeliveryCount

CLAIMS: frozenset[str] = frozenset()
"""What `export` and `forget` answer for, of all that is marked as personal."""
ROWS: Mapping[str, str] = MappingProxyType({"delivery": "mails", "returned": "came_back"})
"""Under which name `export` hands out the rows of each table that points to a person."""
Held = tuple[timedelta | None, datetime | None, int]
KEPT = timedelta(days=400)
"""How long rows of deliveries are kept after the month of their mailing: as `forget_deliveries` in the database has it."""
RETURNS_KEPT = timedelta(days=431)
TEAM_KEPT = timedelta(days=31)
"""How long the text of a mail to the team is kept, which says who of them did what; that it went stays in the books."""


class Outcome(StrEnum):
    """What became of a mail, as its reader is told.

    HANDED     their provider took it
    RETURNED   it did, and sent it back later
    UNCERTAIN  it may have
    REFUSED    it did not
    WAITING    it asked us to come again
    LATE       it asked that until the mail's time was over, or we stopped trying
    """

    HANDED = "handed"
    RETURNED = "returned"
    UNCERTAIN = "uncertain"
    REFUSED = "refused"
    WAITING = "waiting"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Sent:
    """A mail that went, or was tried. subject: as it stood in this reader's version, … where their name did."""

    mailing_id: int
    kind: str
    subject: str
    at: datetime
    digest_id: int | None
    outcome: Outcome


def sent(session: Session, mailbox_id: int, *, limit: int, skip: int = 0) -> list[Sent]:
    """Return the mails that were tried to a mailbox, service mail too, the latest first; not what the team is told."""
    facts = {"mailbox": mailbox_id, "limit": limit, "skip": skip}
    return [
        Sent(row.id, row.kind, _subject(row.head) or row.subject, row.at, row.digest_id, Outcome(row.outcome))
        for row in session.execute(_SENT, facts)
    ]


def _subject(head: bytes | None) -> str:
    pieces = Head.load(bytes(head)).subject if head else ()
    return "".join(piece if isinstance(piece, str) else "…" for piece in pieces)


_SENT = text("""
    SELECT m.id, m.kind, m.subject, m.digest_id, v.head, coalesce(d.outcome_at, d.first_tried, m.created_at) AS at,
        CASE WHEN d.state IN ('accepted', 'uncertain') AND EXISTS (SELECT FROM returned r
                WHERE r.mailbox_id = d.mailbox_id AND r.mailing_id = d.mailing_id AND r.fate = 'failed') THEN 'returned'
            WHEN d.state = 'accepted' THEN 'handed' WHEN d.state = 'uncertain' OR d.uncertain_at IS NOT NULL THEN 'uncertain'
            WHEN d.state = 'rejected' THEN 'refused' WHEN d.state = 'deferred' THEN 'waiting' ELSE 'late' END AS outcome
    FROM delivery d JOIN mailing m ON m.id = d.mailing_id LEFT JOIN variant v ON v.id = d.variant_id
    WHERE d.mailbox_id = :mailbox
      AND (m.kind IN ('digest', 'mailing', 'alert', 'retraction', 'test')
           OR m.kind = 'notice' AND m.subject IN ('confirm', 'welcome', 'prove', 'listed'))
      AND (d.state IN ('accepted', 'uncertain', 'rejected') OR d.uncertain_at IS NOT NULL OR d.tries > 0)
    ORDER BY at DESC, m.id DESC, d.occasion DESC LIMIT :limit OFFSET :skip
""")


def export(session: Session, whose: Whose) -> dict[str, Any]:
    """Return every mail that was planned for somebody with what became of it, and what came back."""
    facts = {"mailbox": whose.mailbox_id}
    return {
        "mails": [dict(row) for row in session.execute(_MAILS, facts).mappings()],
        "came_back": [dict(row) for row in session.execute(_BACK, facts).mappings()],
    }


_MAILS = text("""
    SELECT coalesce(d.outcome_at, m.created_at) AS at, d.mailing_id AS mailing, m.kind, m.subject, d.state, d.reason,
        d.occasion, d.code
    FROM delivery d JOIN mailing m ON m.id = d.mailing_id WHERE d.mailbox_id = :mailbox ORDER BY 1, 2
""")
_BACK = text("""
    SELECT came_at AS at, mailing_id AS mailing, fate, class, code, enhanced FROM returned
    WHERE mailbox_id = :mailbox ORDER BY 1, 2
""")


def forget(session: Session, whose: Whose) -> int:
    """Cancel what is still due to somebody, service mail too; return how many rows. What went stays as a count."""
    return int(session.execute(_CANCEL, {"mailbox": whose.mailbox_id}).rowcount)  # type: ignore[attr-defined]


_CANCEL = text(f"""
    UPDATE delivery d SET state = {CANCELLED}, reason = 'erased', due_at = NULL, outcome_at = clock_timestamp()
    FROM mailing m WHERE d.mailbox_id = :mailbox AND d.state IN ('planned', 'deferred') AND m.id = d.mailing_id
      AND m.state IN ('sending', 'paused')
""")  # noqa: S608


def held(session: Session) -> dict[str, Held]:
    """Return how long each category of ours is kept, the oldest row that is there, and how many rows.

    Of deliveries the oldest month, counted from its end, since a month goes as a whole.
    """
    month = session.execute(text("SELECT (min(month) + interval '1 month')::timestamptz FROM delivery")).scalar_one()
    rows = session.execute(_ROWS).scalar_one()
    back = session.execute(text("SELECT min(came_at), count(*) FROM returned")).one()
    counts = session.execute(text("SELECT count(*) FROM delivery_count")).scalar_one()
    told = session.execute(_TOLD).one()
    return {
        "rows of deliveries (end of their month)": (KEPT, month, int(rows)),
        "what came back": (RETURNS_KEPT, back[0], int(back[1])),
        "text of mails to the team": (TEAM_KEPT, told[0], int(told[1])),
        "counts of mailings": (None, None, int(counts)),
    }


# As the planner has it: counting fourteen months of a million readers would take minutes.
_ROWS = text("""
    SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'delivery'::regclass
""")


_TOLD = text("""
    SELECT min(m.created_at), count(*) FROM variant v JOIN mailing m ON m.id = v.mailing_id WHERE v.body_sealed IS NOT NULL
""")


def empty_team(session: Session, *, now: datetime) -> int:
    """Delete the text of mails to the team that are over; return how many. One that is still under way is waited for."""
    return int(session.execute(_EMPTY, {"over": now - TEAM_KEPT}).rowcount)  # type: ignore[attr-defined]


_EMPTY = text("""
    UPDATE variant v SET body_sealed = NULL FROM mailing m
    WHERE v.body_sealed IS NOT NULL AND m.id = v.mailing_id AND m.created_at < :over
      AND m.state IN ('done', 'stopped', 'retracted', 'cancelled')
""")


def tidy(session: Session) -> int:
    """Let months whose time is over end as counts; return how many. Only the owner's function may, and at no other time.

    0 where somebody reads the table just now: its lock is waited for no longer than two seconds, and the next minute does it.
    """
    try:
        with session.begin_nested():
            return int(session.execute(text("SELECT forget_deliveries()")).scalar_one())
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            return 0
        raise


def counts(session: orm.Session, mailing_id: int) -> dict[str, int]:
    """Return how many rows of a mailing there were in each state, of one whose rows are gone."""
    return {what: number for what, number in _counted(session, mailing_id).items() if not what.startswith(_BACK_AS)}


def returns(session: orm.Session, mailing_id: int) -> dict[str, int]:
    """Return how much of a mailing came back, by fate, of one whose rows are gone."""
    found = _counted(session, mailing_id)
    return {what.removeprefix(_BACK_AS): number for what, number in found.items() if what.startswith(_BACK_AS)}


_BACK_AS = "returned "


def _counted(session: orm.Session, mailing_id: int) -> dict[str, int]:
    query = select(DeliveryCount.what, DeliveryCount.number).where(DeliveryCount.mailing_id == mailing_id)
    return dict(session.execute(query).all())
