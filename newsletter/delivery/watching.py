"""What answers and late reports say of addresses and of the mailing itself: suppressed, lifted, halted."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from newsletter import database
from newsletter.database import Session
from newsletter.delivery import thresholds
from newsletter.ledger import refusals, service, tallies
from newsletter.ledger.deliveries import DeliveryState, Result, Row
from newsletter.ledger.mailings import Kind, Lane
from newsletter.ledger.shards import Lease
from newsletter.operators import audit, hooks
from newsletter.operators.hooks import Event
from newsletter.relay.verdict import Class
from newsletter.subscribers import suppression
from newsletter.subscribers.suppression import Reason, SaidBy, Word

log = structlog.get_logger()

DAY = timedelta(days=1)
_GIVEN_UP = (DeliveryState.REJECTED, DeliveryState.EXPIRED)
# Mail to readers was checked at the lease, so nothing of it reaches a suppressed address; these go to anyone.
_UNCHECKED = (Kind.NOTICE, Kind.TEST, Kind.DRILL)


def addresses(
    session: Session, lease: Lease, rows: Mapping[int, Row], results: Sequence[Result], dead: Sequence[int]
) -> None:
    """Suppress and lift by what a relay answered; `dead`: ids of deliveries whose address is nobody's. Nothing, mostly."""
    # "is" first: of five hundred that were taken, none is compared as text.
    full = [r.id for r in results if r.reason is not None and r.reason == Class.QUOTA and r.state in _GIVEN_UP]
    taken = [rows[r.id].mailbox_id for r in results if r.state is DeliveryState.ACCEPTED] if _anyone(lease) else []
    if not dead and not full and not taken:
        return
    now = database.now(session)
    for ids, reason in ((dead, Reason.DEAD), (full, Reason.QUOTA)):
        said_of = [rows[delivery_id].mailbox_id for delivery_id in ids]
        suppression.weigh_all(session, said_of, Word(reason, SaidBy.REPLY), now=now)
    suppression.arrived(session, taken, said_by=SaidBy.REPLY, at=now, now=now)


def _anyone(lease: Lease) -> bool:
    return lease.kind in _UNCHECKED


def look(session: Session, mailing_id: int, lane: Lane, provider: str, *, now: datetime | None = None) -> None:
    """Stop a mailing whose refusals and returns say so; in the urgent lane only the provider group they come from."""
    if lane is Lane.URGENT:
        if why := thresholds.breached(tallies.of(session, mailing_id, provider)):
            _hold(session, mailing_id, provider, why, now=now or database.now(session))
        return
    if why := thresholds.stops(tallies.of(session, mailing_id), lane):
        halt(session, mailing_id, lane, why, now=now or database.now(session))
    if lane is thresholds.UNSTOPPED:
        _say_blocked(session, mailing_id, now=now or database.now(session))


def halt(session: Session, mailing_id: int, lane: Lane, why: str, *, now: datetime) -> None:
    """Halt a mailing that is being sent, and write down that the team and its hook are to be told (standards §16).

    Of service mail the hook alone hears, once a day: the team's mail would be refused with it, and each letter is a mailing.
    """
    if not tallies.halt(session, mailing_id, why):
        return
    log.warning("mailing halted", mailing=mailing_id, why=why)
    if lane is not thresholds.UNSTOPPED:
        refusals.add(session, mailing_id, refusals.Halted(why), halted=True)
    elif any(one.facts["lane"] == lane for one in hooks.lately(session, (Event.HALTED,), since=now - DAY)):
        return
    hooks.add(session, Event.HALTED, mailing=mailing_id, lane=str(lane), why=why)


def _say_blocked(session: Session, mailing_id: int, *, now: datetime) -> None:
    """Have the team and its hook told, once a day, that servers refuse service mail by policy: nobody looks at one letter.

    Standards §16: it is never the reader's fault, and only an operator mends it.
    """
    if refusals.lately(session, refusals.Blocked(0, 0).message, since=now - DAY):
        return  # to count costs a look at all of the day's service mail
    fared = service.lately(session)
    if thresholds.blocked(fared.tried, fared.refused):
        news = refusals.Blocked(fared.refused, fared.tried)
        log.error("service mail blocked", refused=fared.refused, tried=fared.tried)
        refusals.add(session, mailing_id, news, halted=False)
        hooks.add(session, Event.BLOCKED, refused=fared.refused, tried=fared.tried)


def _hold(session: Session, mailing_id: int, provider: str, why: str, *, now: datetime) -> None:
    """Hold a provider group, and write down that the team and its hook are to be told: nothing is held in silence."""
    until = tallies.hold(session, mailing_id, provider, why, now=now)
    if until is None:
        return
    log.warning("provider group held", mailing=mailing_id, provider=provider, why=why)
    facts = {"provider": provider, "why": why, "until": until.isoformat()}
    refusals.add(session, mailing_id, refusals.Held(provider, why, until), halted=False)
    hooks.add(session, Event.HELD, alert=mailing_id, **facts)
    audit.append(session, "alert.held", by=audit.WORKER, now=now, mailing=mailing_id, **facts)
