"""The relays' budgets: who may be given how much now, and who answers.

They stand in PostgreSQL beside the window they are spent in, so they hold for all workers of all machines, and a restart or
a dead Redis neither doubles nor forgets a day's quota (docs/adr/0009). A relay without limits costs nothing here.

Locked in one order: what is known of the relay (`standing`), its pace, the pace of the provider group behind it (`paces`).
Whoever grants or gives back holds the first, so what is read of the quota (`quotas`) is what is spent.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import structlog
from sqlalchemy import text

from newsletter.database import Session
from newsletter.delivery import paces, quotas, standing
from newsletter.delivery.paces import Pace
from newsletter.delivery.standing import Standing
from newsletter.ledger.mailings import Lane
from newsletter.relay.target import Relay

log = structlog.get_logger()

LOOK_AGAIN_SECONDS = 60.0
"""How long a shard stays away from a quota that is used up."""


@dataclass(frozen=True, slots=True)
class Grant:
    """How many messages may be begun now; if none, how long to wait and what for."""

    messages: int
    wait_seconds: float = 0.0
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The relay for the next shard of a lane, or None and why.

    probe    it did not answer, and this is to learn if it does
    others   another could be chosen, so that nobody need wait for this one
    later    another could be, and nobody knows when it takes mail: so this one is waited for, and not for minutes
    instead  another can take what this one refuses to take from us, at once or when it is back or may be given more
    """

    relay: Relay | None
    why: str | None = None
    probe: bool = False
    others: bool = False
    later: bool = False
    instead: bool = False


def choose(
    session: Session,
    relays: Sequence[Relay],
    lane: Lane,
    *,
    chance: float,
    now: datetime,
    crowded: Mapping[Relay, float] = MappingProxyType({}),
    strange: Collection[Relay] = (),
) -> Choice:
    """Choose a relay by weight among those that answer and have some of their quota left.

    chance   0.0 … 1.0, the caller's dice
    crowded  those that had no session for the caller, and in how many seconds each may be asked again
    strange  those of the crowded that strangers hold: ours would have given way

    One that is crowded is asked only where no other is left: the one that may be asked first. And one that has had enough of
    the hour or the day, by its own word, only where not even such a one is: it would put off every reader for minutes.

    A relay that did not answer is chosen again by one process every ten seconds, which learns whether it is back. One that
    is away for a while, or has used up its hour or day, can have later what another refuses: for that nothing is halted.
    """
    able: list[Relay] = []
    full: list[Relay] = []
    busy: list[Relay] = []
    away, waited_for, whys = list[Relay](), set[Relay](), list[str]()
    for relay in relays:
        known = standing.of(session, relay)
        if known.closed_since is not None:
            away.append(relay)
            whys.append("away")
            if not known.refuses:
                waited_for.add(relay)
        elif why := _spent(session, relay, known, lane, now=now):
            whys.append(why)
            waited_for.add(relay)
        elif relay in crowded:
            busy.append(relay)
            waited_for.add(relay)
        else:
            (full if known.full_until(now) else able).append(relay)
    soonest = min((crowded[relay] for relay in busy), default=0.0)
    left = able or [relay for relay in busy if crowded[relay] <= soonest] or full
    soon = {*able, *busy} - {*strange}
    later = {*busy, *full} - soon
    for relay in away:
        if standing.probe(session, relay, patient=not soon):
            instead = bool(left or waited_for - {relay})
            return Choice(relay, probe=True, others=bool(soon), later=bool(later), instead=instead)
    chosen = _weighted(left, chance)
    why = None if left else min(whys, default=None)
    others, later = soon - {chosen}, later - {chosen}
    instead = chosen in [*able, *busy] and bool(others or later or waited_for - {chosen})
    return Choice(chosen, why, others=bool(others), later=bool(later), instead=instead)


def beside(
    session: Session, relays: Sequence[Relay], lane: Lane, provider: str, chosen: Relay, *, now: datetime
) -> tuple[Relay, ...]:
    """Return the other relays that a sender may use at once beside the chosen one: those with a pace, where it has one too.

    It may be their own, or one that this provider taught there. A promise adds their paces. Where there are none the weights
    alone decide, shard by shard.
    """
    taught = paces.taught_at(session, relays, provider)

    def paced(relay: Relay, known: Standing) -> bool:
        return relay.rate is not None or known.lesson is not None or relay.key in taught

    found = [(one, standing.of(session, one)) for one in relays]
    if not any(one == chosen and paced(one, known) for one, known in found):
        return ()
    return tuple(
        one
        for one, known in found
        if one != chosen and paced(one, known) and known.closed_since is None
        if not _spent(session, one, known, lane, now=now)
    )


def _weighted(able: Sequence[Relay], chance: float) -> Relay | None:
    point = chance * sum(relay.weight for relay in able)
    for relay in able:
        point -= relay.weight
        if point < 0:
            return relay
    return able[-1] if able else None


def _spent(session: Session, relay: Relay, known: Standing, lane: Lane, *, now: datetime) -> str | None:
    room, why = quotas.room(session, relay, quotas.of(session, relay, known, lane, now=now), now=now)
    return why if room == 0 else None


def lock(session: Session, relay: Relay) -> None:
    """Wait until nobody else spends a relay's budget: what is granted counts from that moment and not from the question."""
    standing.locked(session, relay)


def grant(session: Session, relay: Relay, lane: Lane, provider: str, want: int, *, now: datetime) -> Grant:
    """Grant up to `want` messages of a lane at a relay to a provider group, and count them as used."""
    known = standing.locked(session, relay)
    bears = quotas.of(session, relay, known, lane, now=now)
    room, why = quotas.room(session, relay, bears, now=now)
    if room == 0:
        return Grant(0, LOOK_AGAIN_SECONDS, why)
    want = want if room is None else min(want, room)
    kept = _paces(session, relay, known, provider, now=now)
    for pace in kept:
        held = pace.ask(session, lane, want, now=now)
        if held.messages == 0:
            return Grant(0, held.wait, "provider" if pace.provider else "rate")
        want = min(want, held.messages)
    if lane is Lane.URGENT:
        _warn_of_haste(session, relay, known, want, now=now)
    for pace in kept:
        pace.pay(session, lane, want, now=now)
    if bears.young:
        quotas.warm_up(session, relay, known, want, now=now)
    quotas.use(session, relay, lane, want, now=now)
    return Grant(want)


def _paces(session: Session, relay: Relay, known: Standing, provider: str, *, now: datetime) -> list[Pace]:
    """Return the paces that hold for a provider group at a relay; who asked for less gets nothing at once after a pause."""
    rate = standing.pace(session, relay, known, now=now)
    burst = relay.ahead if rate == relay.rate else None
    own = None if rate is None else Pace(relay.key, "", rate, burst)
    return [pace for pace in (own, paces.taught(session, relay, provider, now=now)) if pace]


def _warn_of_haste(session: Session, relay: Relay, known: Standing, want: int, *, now: datetime) -> None:
    """An alert may break the plan of a young relay; who runs it should know."""
    if (most := quotas.young(session, relay, known, now=now)) is None:
        return
    used = sum(quotas.lately(session, relay, now=now).day.values())
    if used <= most < used + want:
        log.warning("warm-up exceeded by an alert", relay=relay.name, most=most)


def refund(
    session: Session, relay: Relay, lane: Lane, provider: str, granted: Sequence[datetime], *, now: datetime
) -> None:
    """Take back what was granted and not begun: a window that closed early must cost neither a part of the pace nor of the day.

    granted   when each of them was
    """
    if not granted:
        return
    known = standing.locked(session, relay)
    for pace in _paces(session, relay, known, provider, now=now):
        pace.take_back(session, lane, granted, now=now)
    if lane is Lane.BULK and known.warming.since and not relay.near:
        quotas.warm_up(session, relay, known, -len(granted), now=now)
    quotas.give_back(session, relay, lane, len(granted))


def limited(session: Session, relay: Relay, provider: str) -> bool:
    """Return whether windows of this relay and provider group must ask for a grant."""
    # Whatever is abroad has a first day, which is remembered from its first window on.
    if relay.limited or not relay.near:
        return True
    facts = {"relay": relay.key, "name": relay.name, "provider": provider}
    return bool(session.execute(_LESSONS, facts).scalar_one())


_LESSONS = text("""
    SELECT EXISTS (
        SELECT FROM relay_state WHERE name IN (:relay, :name) AND (slowed_to IS NOT NULL OR full_until > clock_timestamp())
    ) OR EXISTS (SELECT FROM provider_pace WHERE relay = :relay AND provider = :provider)
""")


@dataclass(frozen=True, slots=True)
class Known:
    """What an operator sees of a relay. left: what a lane may still be given, held_by: the limit that says so."""

    away_since: datetime | None
    slowed_to: float | None
    full_until: datetime | None
    left: int | None
    held_by: str | None


def known(session: Session, relay: Relay, lane: Lane, *, now: datetime) -> Known:
    """Return what is known of a relay, for one lane."""
    state = standing.of(session, relay)
    room, why = quotas.room(session, relay, quotas.of(session, relay, state, lane, now=now), now=now)
    slowed_to = state.lesson.rate if state.lesson else None
    return Known(state.closed_since, slowed_to, state.full_until(now), room, why)
