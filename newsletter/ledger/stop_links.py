"""The mails to the team with the link that stops an alert: what became of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, case, func, or_, select
from sqlalchemy.orm import Session

from newsletter.ledger import mailings
from newsletter.ledger.mailings import Kind
from newsletter.models.delivery import Delivery, DeliveryState
from newsletter.models.mailing import Mailing

STOPS = "stops"
"""In the content of a mail to the team: which alert its link stops."""


@dataclass(frozen=True, slots=True)
class StopLinks:
    """What became of the links that stop an alert, by mailbox.

    accepted   whose a server has taken
    first_at   when it took the first
    refused    whose was refused for good, or whose mailbox is disabled by its server's word: that is tried for its day all the same
    open       all others who have been written to
    """

    accepted: frozenset[int] = frozenset()
    first_at: datetime | None = None
    refused: frozenset[int] = frozenset()
    open: frozenset[int] = frozenset()


def of(session: Session, alert: int, lock: int, *, but: Iterable[int]) -> StopLinks:
    """Return what became of the mails with the link that stops an alert as it is locked. but: mailboxes that do not count."""
    about = Mailing.content.contains({STOPS: alert, "lock": lock})
    mails = session.execute(
        select(Mailing.id, Mailing.created_at).where(Mailing.kind == Kind.NOTICE, Mailing.id > alert, about)
    )
    found = [and_(Delivery.month == mailings.month_of(at), Delivery.mailing_id == one) for one, at in mails]
    if not found:
        return StopLinks()
    state = case((_DISABLED, DeliveryState.REJECTED), else_=Delivery.state).label("became")
    columns = state, func.array_agg(Delivery.mailbox_id), func.min(Delivery.outcome_at)
    mine = or_(*found), Delivery.mailbox_id.not_in(list(but))
    rows = session.execute(select(*columns).where(*mine).group_by(state)).all()
    by = {state: frozenset(boxes) for state, boxes, _ in rows}
    taken, refused = by.pop(DeliveryState.ACCEPTED, frozenset()), by.pop(DeliveryState.REJECTED, frozenset())
    first = next((at for state, _, at in rows if state == DeliveryState.ACCEPTED), None)
    return StopLinks(taken, first, refused, frozenset().union(*by.values()))


# RFC 3463 §3.3: "mailbox disabled, not accepting messages", and for good.
_DISABLED = and_(Delivery.state == DeliveryState.DEFERRED, Delivery.enhanced == "5.2.1")
