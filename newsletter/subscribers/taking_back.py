"""Taking sign-ups back: what they granted ends, or rests on what else shows it; whom they alone made is forgotten, others stay.

That is an operator's act: it is written down as one, and keeps nobody out of a list that comes later.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, cast, delete, func, select, text, update

from newsletter import mailboxes
from newsletter.database import Session
from newsletter.models.consent import ConsentDetail
from newsletter.models.signup import Signup, SignupState
from newsletter.models.subscriber import Subscriber
from newsletter.subscribers import consent, grounds


@dataclass(frozen=True, slots=True)
class Marked:
    """A sign-up that is to be taken back. asked: its owner was mailed a question."""

    id: int
    mailbox_id: int | None
    asked: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """What a person who came in by sign-ups has no more without them. forgotten: they had nothing else, and are nobody again."""

    mailbox_id: int
    digest_ids: tuple[int, ...]
    forgotten: bool


def marked(session: Session, *, limit: int) -> list[Marked]:
    """Return the oldest sign-ups that are to be taken back, but those that somebody holds."""
    due = Signup.undone_at.is_not(None) & (Signup.state != SignupState.UNDONE)
    query = select(Signup.id, Signup.mailbox_id, Signup.asked_at.is_not(None)).where(due).order_by(Signup.id)
    return [Marked(*row) for row in session.execute(query.limit(limit).with_for_update(skip_locked=True))]


def take_back(session: Session, found: Sequence[Marked], *, now: datetime) -> list[Ended]:
    """End what was granted by sign-ups to people who came in by those that are taken back; forget whoever had nothing else.

    The caller cancels mail not yet handed over in the same transaction.
    """
    boxes = {one.mailbox_id for one in found if one.mailbox_id is not None}
    rows = session.execute(_MADE, {"boxes": list(boxes)})
    return [_end(session, row.person, row.mailbox_id, row.events or (), now) for row in rows]


# Someone who was known before has no sign-up that made them. Events of all theirs that are taken back, also earlier.
_MADE = text("""
    SELECT s.mailbox_id, max(s.made_person) AS person, array_agg(e.id) FILTER (WHERE e.id IS NOT NULL) AS events
    FROM signup s JOIN subscriber p ON p.mailbox_id = s.mailbox_id
    LEFT JOIN LATERAL unnest(s.events) AS e (id) ON true
    WHERE s.mailbox_id = ANY (CAST(:boxes AS bigint[])) AND s.undone_at IS NOT NULL
    GROUP BY s.mailbox_id, p.id HAVING max(s.made_person) = p.id
""")


def _end(session: Session, person: int, mailbox_id: int, events: Sequence[int], now: datetime) -> Ended:
    facts = {"person": person, "events": list(events), "now": now}
    grounds.undo(session, events, now=now)
    grounds.hand_over(session, [person])
    digests = tuple(session.execute(_END, facts).scalars())
    session.execute(_END_TOPICS, facts)
    ours = func.any(cast(facts["events"], ARRAY(BigInteger)))
    session.execute(delete(ConsentDetail).where(ConsentDetail.event_id == ours))
    alone = session.execute(_OTHERS, facts).first() is None
    if alone:
        session.execute(delete(Subscriber).where(Subscriber.id == person))
    return Ended(mailbox_id, digests, alone)


_END = text("""
    UPDATE subscription SET ended_at = :now, end_reason = 'sign-up undone'
    WHERE subscriber_id = :person AND granted_by = ANY (CAST(:events AS bigint[])) AND ended_at IS NULL
    RETURNING digest_id
""")
_END_TOPICS = text("""
    UPDATE interest SET ended_at = :now, end_reason = 'sign-up undone'
    WHERE subscriber_id = :person AND granted_by = ANY (CAST(:events AS bigint[])) AND ended_at IS NULL
""")
# What else there is of them: a no of their own is not forgotten, nor that a list names them.
_OTHERS = text(f"""
    SELECT id FROM consent_event e WHERE subscriber_id = :person AND CASE WHEN kind = 'withdrawn' THEN {consent.own("e")}
        ELSE purpose LIKE 'digest:%' AND {grounds.stands("e")} END
    UNION ALL SELECT import_id FROM unproven WHERE subscriber_id = :person
    LIMIT 1
""")  # noqa: S608


def done(session: Session, found: Collection[Marked]) -> None:
    """Forget what was wished. What was asked about stays as a bare date: it counts against asking that mailbox again."""
    asked = [one.id for one in found if one.asked]
    silent = [one.id for one in found if not one.asked]
    session.execute(delete(Signup).where(Signup.id.in_(silent)).execution_options(synchronize_session=False))
    emptied = update(Signup).where(Signup.id.in_(asked)).values(state=SignupState.UNDONE, wish_sealed=b"")
    session.execute(emptied.execution_options(synchronize_session=False))


def left_of(session: Session, mailbox_ids: Collection[int]) -> set[int]:
    """Return those of some mailboxes of which a sign-up is left."""
    query = select(Signup.mailbox_id).where(Signup.mailbox_id == mailboxes.among(mailbox_ids))
    return {box for box in session.execute(query).scalars() if box is not None}
