"""Whole lanes paused, resumed and stopped, for the night on which nothing may leave the house; and the relays behind them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial

from newsletter import database
from newsletter.database import Session
from newsletter.delivery import standing, throttle
from newsletter.errors import NotFound
from newsletter.jobs import DELIVER, HOOKS, SWEEP
from newsletter.journeys import acting, halts, mailing
from newsletter.journeys.parts import Parts
from newsletter.ledger import books, lanes, mailings, shards
from newsletter.ledger.mailings import Lane, State, WrongState
from newsletter.operators import audit, hooks
from newsletter.operators.hooks import Event
from newsletter.operators.roles import May


@dataclass(frozen=True, slots=True)
class LaneView:
    """One lane. paused_since None: it goes."""

    lane: Lane
    paused_since: datetime | None


def listed(parts: Parts) -> list[LaneView]:
    """Return every lane, the most urgent first."""
    with parts.database.transaction() as session:
        paused = lanes.paused(session)
    return [LaneView(lane, paused.get(lane)) for lane in Lane]


def pause(parts: Parts, chosen: Iterable[Lane], *, by: int | None = None) -> None:
    """Hand nothing over in these lanes until they are resumed; an open window lasts half a second more. Raises NotAllowed."""
    chosen, who = list(chosen), mailing.asks(parts, by, May.STOP)
    with parts.database.transaction() as session:
        news = lanes.pause(session, chosen, now=database.now(session))
        _ring(session, "paused", news)
    acting.sign_after(parts, partial(_sign, act="paused", chosen=chosen, by=who))
    _tell(parts, news, "paused", by=who)


def _ring(session: Session, act: str, news: list[Lane]) -> None:
    """Write down of which lanes the hook is to be told: with the act itself, which waits for no mail."""
    if news:
        hooks.add(session, Event.LANES, act=act, lanes=news)


def _sign(session: Session, act: str, chosen: list[Lane], by: int | str) -> None:
    """Write into the audit who asked for what."""
    audit.append(session, f"lanes.{act}", by=by, now=database.now(session), lanes=chosen)


def _tell(parts: Parts, news: list[Lane], act: str, *, by: int | str) -> None:
    if news:
        halts.tell_of_lanes(parts, news, act, by=by)


def resume(parts: Parts, chosen: Iterable[Lane], *, by: int | None = None) -> None:
    """Let these lanes go on where they stood. Raises NotAllowed."""
    chosen, who = list(chosen), mailing.asks(parts, by, May.SEND)
    with parts.database.transaction() as session:
        news = lanes.resume(session, chosen)
        _ring(session, "resumed", news)
        _sign(session, "resumed", chosen, who)
    for lane in chosen:
        parts.nudger.nudge(DELIVER[lane])
    _tell(parts, news, "resumed", by=who)


def stop(parts: Parts, chosen: Iterable[Lane], *, by: int | None = None) -> dict[int, int]:
    """End every mailing under way in these lanes for good, and pause the lanes; return how many deliveries of each end.

    The lanes first, in a transaction of their own: that nothing more leaves waits for no mailing that is being planned. Raises
    NotAllowed.
    """
    chosen, who = list(chosen), mailing.asks(parts, by, May.STOP)
    with parts.database.transaction() as session:
        lanes.pause(session, chosen, now=database.now(session))
        # Of lanes that were paused too: what waited in them is over now.
        _ring(session, "stopped", chosen)
    acting.sign_after(parts, partial(_sign, act="stopped", chosen=chosen, by=who))
    _tell(parts, chosen, "stopped", by=who)
    with parts.database.transaction() as session:
        running = lanes.under_way(session, chosen)
    with mailing.signed_after(parts, Event.STOPPED, by=who) as stopped:
        stopped += (one for one in running if _ended(parts, one))
    for job in (SWEEP, HOOKS):
        parts.nudger.nudge(job)
    return {mailing_id: mailing.cancel_rest(parts, mailing_id) for mailing_id in stopped}


def _ended(parts: Parts, mailing_id: int) -> bool:
    try:
        with parts.database.transaction() as session:
            mailings.move(session, mailing_id, State.STOPPED, finished_at=database.now(session))
            mailing.note(session, Event.STOPPED, mailing_id)
    except WrongState:
        return False  # it ended a moment ago, by itself or by somebody else
    return True


def would_stop(parts: Parts, chosen: Iterable[Lane]) -> dict[int, int]:
    """Return what `stop` would end, and how many deliveries of each; change nothing."""
    with parts.database.transaction() as session:
        return {mailing_id: books.status(session, mailing_id).due for mailing_id in lanes.under_way(session, chosen)}


def due(parts: Parts, chosen: Iterable[Lane]) -> int:
    """Return how many messages of these lanes could be begun now."""
    with parts.database.transaction() as session:
        return shards.due(session, chosen)


class UnknownRelay(NotFound):
    """No setting names this relay."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__("relays.unknown", name=name, known=", ".join(known))


def relays(parts: Parts) -> list[dict[str, object]]:
    """Return what is known of each relay of each lane.

    It says how many messages its quota leaves now (None: no quota), and since when its lane is paused (None: it goes).
    """
    rows: list[dict[str, object]] = []
    with parts.database.transaction() as session:
        now, paused = database.now(session), lanes.paused(session)
        for lane, found in parts.relays.items():
            for relay in found:
                known = throttle.known(session, relay, lane, now=now)
                named = {"lane": str(lane), "relay": relay.name, "account": relay.account}
                rows.append({**named, **asdict(known), "paused_since": paused.get(lane)})
    return rows


def warm(parts: Parts, name: str) -> None:
    """Call a relay warm: all accounts of a host:port, or the one of host:port#account. Raises UnknownRelay."""
    every = {relay.key: relay for found in parts.relays.values() for relay in found}
    chosen = [relay for key, relay in sorted(every.items()) if name in (key, relay.name)]
    if not chosen:
        raise UnknownRelay(name, sorted({relay.name for relay in every.values()}))
    with parts.database.transaction() as session:
        for relay in chosen:
            standing.warm(session, relay, now=database.now(session))
