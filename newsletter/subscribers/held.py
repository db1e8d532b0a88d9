"""Wishes to join that are held: how much room is left, what operators see of them, and what they ask for.

The pages ask for a release or an undoing by a mark in the row; the worker does it. Neither sees an address.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

from sqlalchemy import ColumnElement, func, select, text, update

from newsletter.database import Session
from newsletter.errors import Invalid
from newsletter.models.signup import Signup, SignupState, SignupWave, Why
from newsletter.subscribers import waves
from newsletter.subscribers.waves import LONG, SHORT, Origin, Taken

LOOKED_AT = 20_000
"""How many held wishes are looked at again in one turn, the oldest first."""
GROUPS = 20


class NoNetwork(Invalid):
    """What was given is neither an address, a network, nor the beginning of a network's code."""

    def __init__(self) -> None:
        super().__init__("signups.no-network")


@dataclass(frozen=True, slots=True)
class Where:
    """Which sign-ups are meant. "" and None: any.

    since, until   when they came
    net            keyed digest of a network, or the first bytes of it
    digest_id      one of those they ask for
    why            what they are held for
    held           held ones only
    upto           up to this number: those that were counted, and none that came since
    """

    since: datetime | None = None
    until: datetime | None = None
    net: bytes = b""
    provider: str = ""
    form: str = ""
    digest_id: int | None = None
    why: Why | None = None
    held: bool = True
    upto: int | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """How many sign-ups conditions hold for, by state, and the greatest number among them."""

    count: int
    upto: int
    states: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Group:
    """Held sign-ups that are alike. net: the first figures of its network's code."""

    why: str
    net: str
    provider: str
    form: str
    count: int
    first: datetime
    last: datetime


def digest(session: Session, what: str, written: str) -> bytes | None:
    """Return the keyed digest by which a client or a network is counted; None where nothing is known."""
    return session.vault.digest(f"signup {what}", written)[:16] if written else None


def network(session: Session, written: str) -> bytes:
    """Return what a network is counted by, of an address, a network or the beginning of its code. Raises NoNetwork."""
    text_ = written.strip().lower()
    try:
        if "." not in text_ and ":" not in text_:
            return bytes.fromhex(text_)
        found = ip_address(text_.partition("/")[0])
    except ValueError:
        raise NoNetwork from None
    net = ip_network(f"{found}/{24 if found.version == 4 else 48}", strict=False)
    return digest(session, "net", str(net)) or b""


def taken(session: Session, origins: Sequence[Origin], *, alert: bool, now: datetime) -> Taken:
    """Return how much of the room for some wishes is taken by questions to strangers' wishes that nobody answered."""
    facts = {
        "short": now - SHORT,
        "long": now - LONG,
        "clients": waves.different(origins, Why.CLIENT),
        "nets": waves.different(origins, Why.NET),
    }
    counts: Counter[tuple[waves.Key, timedelta]] = Counter()
    for why, key, recent, all_ in session.execute(_TAKEN, facts):
        name = Why(why), (bytes(key) if why in ("client", "net") else key.decode())
        counts[name, SHORT], counts[name, LONG] = recent, all_
    return Taken(alert=alert, wave=wave(session) is not None, counts=counts)


# Of what an operator asks by themselves no stranger's room is taken: `signup.vouch` alone releases what was never held.
_A_STRANGER = "NOT (released_at IS NOT NULL AND held_at IS NULL)"
# What an operator took back leaves room for everybody again, but not for whence it came.
_TAKEN = text(f"""
    SELECT 'client', client, count(*) FILTER (WHERE asked_at > :short), count(*) FROM signup
    WHERE client = ANY (CAST(:clients AS bytea[])) AND asked_at > :long AND answered_at IS NULL GROUP BY client
    UNION ALL
    SELECT 'net', net, count(*) FILTER (WHERE asked_at > :short), count(*) FROM signup
    WHERE net = ANY (CAST(:nets AS bytea[])) AND asked_at > :long AND answered_at IS NULL GROUP BY net
    UNION ALL
    SELECT 'provider', convert_to(provider, 'UTF8'), count(*) FILTER (WHERE asked_at > :short), count(*) FROM signup
    WHERE asked_at > :long AND answered_at IS NULL AND state <> 'undone' AND {_A_STRANGER} GROUP BY provider
    UNION ALL
    SELECT 'overall', '', count(*) FILTER (WHERE asked_at > :short), count(*) FROM signup
    WHERE asked_at > :long AND answered_at IS NULL AND state <> 'undone' AND {_A_STRANGER}
""")  # noqa: S608


def let_go(session: Session, *, alert: bool, now: datetime) -> int:
    """Let go what there is room for again, and what an operator released; return how many."""
    free = _free(session, alert=alert, now=now)
    return int(session.execute(_LET_GO, {"ids": free}).rowcount)  # type: ignore[attr-defined]


def _free(session: Session, *, alert: bool, now: datetime) -> list[int]:
    """Return the held wishes for which there is room."""
    if taken(session, [], alert=alert, now=now).why_held(waves.NOWHERE, came_at=now, now=now):
        # There is none for anybody: in an attack that is found out in one question, and not for each of 20,000.
        return []
    held = select(Signup.id, Signup.client, Signup.net, Signup.provider, Signup.quick, Signup.proved, Signup.came_at)
    held = held.where(Signup.state == SignupState.HELD, Signup.came_at > now - waves.GOES_BY_ITSELF)
    held = held.order_by(Signup.id).limit(LOOKED_AT)
    found = [
        (row.id, row.came_at, Origin(row.client, row.net, row.provider, row.quick, row.proved))
        for row in session.execute(held.where(Signup.released_at.is_(None)))
    ]
    room = taken(session, [origin for _, _, origin in found], alert=alert, now=now)
    free = []
    for number, came_at, origin in found:
        if room.why_held(origin, came_at=came_at, now=now) is None:
            room.take(origin)
            free.append(number)
    return free


# But what somebody holds: the pages' role may, and all others would wait for it.
_LET_GO = text("""
    UPDATE signup SET state = 'waiting' WHERE id IN (
        SELECT id FROM signup
        WHERE state = 'held' AND undone_at IS NULL AND (released_at IS NOT NULL OR id = ANY (CAST(:ids AS bigint[])))
        FOR UPDATE SKIP LOCKED
    )
""")


def _conditions(where: Where) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [Signup.undone_at.is_(None)]
    if where.held:
        found += [Signup.state == SignupState.HELD, Signup.released_at.is_(None)]
    if where.since is not None:
        found.append(Signup.came_at >= where.since)
    if where.until is not None:
        found.append(Signup.came_at < where.until)
    if where.net:
        found.append(func.substr(Signup.net, 1, len(where.net)) == where.net)
    if where.provider:
        found.append(Signup.provider == where.provider)
    if where.form:
        found.append(Signup.form == where.form)
    if where.digest_id is not None:
        found.append(Signup.digest_ids.contains([where.digest_id]))
    if where.why is not None:
        found.append(Signup.held_why == where.why)
    if where.upto is not None:
        found.append(Signup.id <= where.upto)
    return found


def count(session: Session, where: Where) -> Counted:
    """Return how many sign-ups conditions hold for."""
    query = select(Signup.state, func.count(), func.max(Signup.id)).where(*_conditions(where)).group_by(Signup.state)
    rows = session.execute(query).all()
    states = {state: number for state, number, _ in sorted(rows)}
    return Counted(sum(states.values()), max((last for _, _, last in rows), default=0), states)


def groups(session: Session, where: Where, *, limit: int = GROUPS) -> list[Group]:
    """Return which sign-ups conditions hold for, put together by what they have in common, the largest first."""
    net = func.coalesce(func.substr(func.encode(Signup.net, "hex"), 1, 12), "")
    kind = (func.coalesce(Signup.held_why, ""), net, Signup.provider, Signup.form)
    facts = (func.count(), func.min(Signup.came_at), func.max(Signup.came_at))
    query = select(*kind, *facts).where(*_conditions(where)).group_by(*kind).order_by(func.count().desc()).limit(limit)
    return [Group(*row) for row in session.execute(query)]


def release(session: Session, where: Where, *, now: datetime) -> int:
    """Ask that held sign-ups be let through whatever room there is; return how many. Safe to repeat."""
    return _mark(session, where, held=True, released_at=now)


def undo(session: Session, where: Where, *, now: datetime) -> int:
    """Ask that sign-ups be taken back with all that came of them; return how many. Safe to repeat."""
    return _mark(session, where, held=where.held, undone_at=now)


def _mark(session: Session, where: Where, *, held: bool, **facts: Any) -> int:
    conditions = _conditions(where)
    if held and not where.held:
        conditions += [Signup.state == SignupState.HELD, Signup.released_at.is_(None)]
    marking = update(Signup).where(*conditions).values(**facts).execution_options(synchronize_session=False)
    return int(session.execute(marking).rowcount)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class WaveView:
    """A wave. held: how many were when it began."""

    began_at: datetime
    held: int
    ended_at: datetime | None


def wave(session: Session) -> WaveView | None:
    """Return the wave that goes on, or None."""
    query = select(SignupWave.began_at, SignupWave.held, SignupWave.ended_at).where(SignupWave.ended_at.is_(None))
    found = session.execute(query.order_by(SignupWave.id.desc()).limit(1)).one_or_none()
    return WaveView(*found) if found else None


def watch(session: Session, *, now: datetime) -> WaveView | None:
    """Begin or end a wave; return one that begins now: the team is to be told. Whoever has the claim calls it."""
    # Of those alone that were held lately: what an attack left behind is no attack.
    lately = (Signup.state == SignupState.HELD, Signup.held_at > now - waves.WAVE_OVER)
    count_, last = session.execute(select(func.count(), func.max(Signup.held_at)).where(*lately)).one()
    going_on = wave(session)
    if going_on is None and waves.begins(count_):
        session.add(SignupWave(began_at=now, held=count_))
        session.flush()
        return WaveView(now, count_, None)
    if going_on is not None and waves.over(last, now=now):
        session.execute(update(SignupWave).where(SignupWave.ended_at.is_(None)).values(ended_at=now))
    return None


def counts(session: Session) -> dict[str, int]:
    """Return how many sign-ups of the last month stand where, and how many are held for what."""
    query = select(Signup.state, Signup.held_why, func.count()).group_by(Signup.state, Signup.held_why)
    found: Counter[str] = Counter()
    for state, why, number in session.execute(query):
        found[f"{state} ({why})" if state == SignupState.HELD else state] += number
    return dict(sorted(found.items()))
