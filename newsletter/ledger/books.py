"""The books: what became of a mailing, counted; and the sums that must hold."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from newsletter.ledger import mailings, personal, returns, shards
from newsletter.models.delivery import Delivery, DeliveryState
from newsletter.models.mailing import Mailing, State


@dataclass(frozen=True, slots=True)
class Status:
    """Where a mailing stands. audience = planned + the sum of excluded; planned = the sum of its outcomes and `due`."""

    mailing: int
    kind: str
    state: str
    subject: str
    audience: int
    planned: int
    accepted: int
    deferred: int
    rejected: int
    cancelled: int
    expired: int
    uncertain: int
    due: int
    excluded: dict[str, int]
    start_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    messages_per_second: float | None
    halted: str | None = None
    # Its further readers have no rows yet.
    growing: bool = False
    # Beside the books: a relay took these, and something came back later, by fate.
    returned: dict[str, int] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in (State.DONE, State.STOPPED, State.RETRACTED, State.CANCELLED)

    @property
    def anyone_due(self) -> bool:
        """Whether anybody is still to get it, also of those whose rows are yet to be written."""
        return bool(self.due) or self.growing


def status(session: Session, mailing_id: int) -> Status:
    """Return the books of a mailing, counted from its rows. Raises mailings.UnknownMailing."""
    mailing = session.get(Mailing, mailing_id, populate_existing=True)
    if mailing is None:
        raise mailings.UnknownMailing(mailing_id)
    mine = (Delivery.month == mailings.month_of(mailing.created_at), Delivery.mailing_id == mailing_id)
    found = session.execute(select(Delivery.state, func.count()).where(*mine).group_by(Delivery.state))
    count = dict(found.all()) or personal.counts(session, mailing_id)
    last = session.execute(
        select(func.max(Delivery.outcome_at)).where(*mine, Delivery.state == "accepted")
    ).scalar_one()
    accepted = count.get(DeliveryState.ACCEPTED, 0)
    return Status(
        mailing=mailing_id,
        kind=mailing.kind,
        state=mailing.state,
        subject=mailing.subject,
        audience=mailing.audience,
        planned=mailing.planned,
        accepted=accepted,
        deferred=count.get(DeliveryState.DEFERRED, 0),
        rejected=count.get(DeliveryState.REJECTED, 0),
        cancelled=count.get(DeliveryState.CANCELLED, 0),
        expired=count.get(DeliveryState.EXPIRED, 0),
        uncertain=count.get(DeliveryState.UNCERTAIN, 0),
        due=count.get(DeliveryState.PLANNED, 0) + count.get(DeliveryState.DEFERRED, 0),
        excluded={reason: int(number) for reason, number in mailing.excluded.items()},
        start_at=mailing.start_at,
        started_at=mailing.started_at,
        finished_at=mailing.finished_at,
        messages_per_second=_rate(accepted, mailing.started_at, last),
        halted=mailing.halted,
        growing=mailing.growing,
        returned=returns.counts(session, mailing_id) or personal.returns(session, mailing_id),
    )


def handed_over(session: Session, mailing_id: int) -> tuple[int, datetime | None]:
    """Return how many of a mailing were handed over, and when the first. Raises mailings.UnknownMailing."""
    mailing = mailings.get(session, mailing_id)
    mine = (
        Delivery.month == mailing.month,
        Delivery.mailing_id == mailing_id,
        Delivery.state == DeliveryState.ACCEPTED,
    )
    count, first = session.execute(select(func.count(), func.min(Delivery.outcome_at)).where(*mine)).one()
    return int(count), first


def _rate(accepted: int, started: datetime | None, last: datetime | None) -> float | None:
    if not accepted or started is None or last is None or last <= started:
        return None
    return float(f"{accepted / (last - started).total_seconds():.3g}")


def finish(session: Session, mailing_id: int) -> bool:
    """Close the books when every shard has ended and no row is due; return whether they are closed now.

    Two who end the last two shards at once take turns at the mailing: the second sees what the first has done.
    """
    session.execute(_TURN, {"mailing": mailing_id})
    # By itself: beside the other condition the planner looks at every row of a million first.
    if shards.any_open(session, mailing_id):
        return False
    return bool(session.execute(_FINISH, {"mailing": mailing_id}).rowcount)  # type: ignore[attr-defined]


_TURN = text("SELECT FROM mailing WHERE id = :mailing AND state = 'sending' FOR NO KEY UPDATE")
_FINISH = text("""
    UPDATE mailing m SET state = 'done', finished_at = clock_timestamp()
    WHERE m.id = :mailing AND m.state = 'sending' AND m.planned_at IS NOT NULL AND NOT m.growing
      AND NOT EXISTS (
        SELECT FROM delivery d WHERE d.month = date_trunc('month', m.created_at)::date AND d.mailing_id = m.id
          AND d.state IN ('planned', 'deferred'))
""")


def faults(session: Session, mailing_id: int) -> list[str]:
    """Return each sum and each rule that does not hold, as a sentence: none in a sound ledger."""
    books = status(session, mailing_id)
    outcomes = books.accepted + books.rejected + books.cancelled + books.expired + books.uncertain
    found = []
    if books.audience != books.planned + sum(books.excluded.values()):
        found.append(f"audience {books.audience} is not planned {books.planned} plus excluded {books.excluded}")
    if books.planned != outcomes + books.due:
        found.append(f"planned {books.planned} is not outcomes {outcomes} plus due {books.due}")
    for rule, broken in _RULES.items():
        if number := session.execute(text(broken), {"mailing": mailing_id}).scalar_one():
            found.append(f"{number} × {rule}")
    return found


# Each query counts what breaks the rule it stands beside.
_RULES = {
    "an ended shard whose outcomes are not its size": """
        SELECT count(*) FROM shard WHERE mailing_id = :mailing AND state = 'ended'
          AND size <> accepted + rejected + cancelled + expired + uncertain + moved""",
    "an open shard whose size is not its rows": """
        SELECT count(*) FROM shard s WHERE s.mailing_id = :mailing AND s.state = 'open'
          AND s.size <> (SELECT count(*) FROM delivery d WHERE d.mailing_id = s.mailing_id AND d.shard_id = s.id)""",
    "a delivery never tried in a shard that has ended": """
        SELECT count(*) FROM delivery d JOIN shard s ON s.id = d.shard_id
        WHERE d.mailing_id = :mailing AND d.state = 'planned' AND s.state = 'ended'""",
    "a delivery still due in a mailing that is over": """
        SELECT count(*) FROM delivery d JOIN mailing m ON m.id = d.mailing_id
        WHERE m.id = :mailing AND m.state = 'done' AND d.state IN ('planned', 'deferred')""",
    "an accepted delivery without the server's word, the journal's, the relay log's or a report's": """
        SELECT count(*) FROM delivery WHERE mailing_id = :mailing AND state = 'accepted'
          AND NOT coalesce(code BETWEEN 200 AND 299, false) AND coalesce(reason, '') NOT IN ('journal', 'relay log', 'report')""",
    "an uncertain delivery that is not listed": """
        SELECT count(*) FROM delivery WHERE mailing_id = :mailing AND state = 'uncertain' AND uncertain_at IS NULL""",
    "a delivery with an outcome that was never tried": """
        SELECT count(*) FROM delivery WHERE mailing_id = :mailing AND state IN ('accepted', 'uncertain') AND tries = 0""",
    "a place of a shard that two deliveries share": """
        SELECT count(*) FROM (
            SELECT FROM delivery WHERE mailing_id = :mailing GROUP BY shard_id, position HAVING count(*) > 1) d""",
    "a delivery in no shard": """
        SELECT count(*) FROM delivery d LEFT JOIN shard s ON s.id = d.shard_id AND s.mailing_id = d.mailing_id
        WHERE d.mailing_id = :mailing AND s.id IS NULL""",
}
