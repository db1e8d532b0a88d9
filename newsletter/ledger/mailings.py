"""A mailing's life: which moves are legal, and how each is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any

from sqlalchemy import Row, Select, func, not_, or_, select, text, true, update
from sqlalchemy.orm import Session

from newsletter import turns
from newsletter.errors import Conflict, NotFound
from newsletter.models.mailing import ORDINARY as ORDINARY
from newsletter.models.mailing import Kind as Kind
from newsletter.models.mailing import Lane as Lane
from newsletter.models.mailing import Mailing
from newsletter.models.mailing import State as State
from newsletter.turns import What

# Every legal move, as data: from → to. (architecture, Data: States)
MOVES: dict[State, frozenset[State]] = {
    State.DRAFT: frozenset({State.LOCKED, State.CANCELLED}),
    State.LOCKED: frozenset({State.DRAFT, State.APPROVED, State.CANCELLED}),
    State.APPROVED: frozenset({State.DRAFT, State.SENDING, State.CANCELLED}),
    State.SENDING: frozenset({State.PAUSED, State.DONE, State.STOPPED}),
    State.PAUSED: frozenset({State.SENDING, State.STOPPED}),
    State.DONE: frozenset({State.RETRACTED}),
    State.STOPPED: frozenset({State.RETRACTED}),
    State.RETRACTED: frozenset(),
    State.CANCELLED: frozenset(),
}


# What readers have, or may have: from the release on it is public, whatever became of it.
RELEASED = frozenset({State.SENDING, State.PAUSED, State.DONE, State.STOPPED, State.RETRACTED})
# The same, but for what was taken back.
GONE = RELEASED - {State.RETRACTED}
NOT_GONE = frozenset({State.DRAFT, State.LOCKED, State.APPROVED})
# What may have arrived goes again, with the same bytes: better twice than not at all. All else goes at most once.
AT_LEAST_ONCE = frozenset({Kind.ALERT, Kind.RETRACTION, Kind.NOTICE, Kind.DRILL})


WITHDRAWN = "withdrawn"
"""What stands beside a variant that is held because it carries an article that was taken back."""


class UnknownMailing(NotFound):
    """There is no mailing of this number."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("mailing.unknown", mailing=mailing_id)


class NeedsLock(Conflict):
    """An alert is locked with everything about it, and approved; it is not sent as an ordinary mailing."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("mailing.needs-lock", mailing=mailing_id)


class WrongState(Conflict):
    """The mailing is in a state from which this move is not legal."""

    def __init__(self, mailing_id: int, state: State, wanted: State) -> None:
        super().__init__(f"mailing.not-{wanted}", mailing=mailing_id, state=state)


@dataclass(frozen=True, slots=True)
class MailingView:
    """A mailing as others see it."""

    id: int
    kind: Kind
    lane: Lane
    digest_id: int | None
    rhythm: str | None
    subject: str
    content: dict[str, Any]
    state: State
    fingerprint: bytes | None
    had_to: int | None
    start_at: datetime | None
    planned_at: datetime | None
    growing: bool
    expires_at: datetime | None
    updates: int | None
    retracts: int | None
    translates: int | None
    created_at: datetime
    month: date


@dataclass(frozen=True, slots=True)
class Draft:
    """What a mailing is made of before it has any variant."""

    kind: Kind
    lane: Lane
    digest_id: int | None
    subject: str
    rhythm: str | None = None
    had_to: int | None = None
    content: dict[str, Any] | None = None
    expires_at: datetime | None = None
    updates: int | None = None
    retracts: int | None = None
    translates: int | None = None


def draft(session: Session, new: Draft, *, now: datetime) -> int:
    """Store a draft and return its number."""
    mailing = Mailing(
        kind=new.kind,
        lane=new.lane,
        digest_id=new.digest_id,
        subject=new.subject,
        rhythm=new.rhythm,
        had_to=new.had_to,
        content=new.content or {},
        expires_at=new.expires_at,
        updates=new.updates,
        retracts=new.retracts,
        translates=new.translates,
        created_at=now,
    )
    session.add(mailing)
    session.flush()
    return mailing.id


def get(session: Session, mailing_id: int) -> MailingView:
    """Return a mailing. Raises UnknownMailing."""
    mailing = session.get(Mailing, mailing_id)
    if mailing is None:
        raise UnknownMailing(mailing_id)
    return _view(mailing)


def take(session: Session, mailing_id: int) -> MailingView:
    """Return a mailing that nobody else moves until the transaction is over. Raises UnknownMailing."""
    locked = select(Mailing).where(Mailing.id == mailing_id).with_for_update(key_share=True)
    mailing = session.execute(locked.execution_options(populate_existing=True)).scalar_one_or_none()
    if mailing is None:
        raise UnknownMailing(mailing_id)
    return _view(mailing)


def _view(mailing: Mailing) -> MailingView:
    return MailingView(
        id=mailing.id,
        kind=Kind(mailing.kind),
        lane=Lane(mailing.lane),
        digest_id=mailing.digest_id,
        rhythm=mailing.rhythm,
        subject=mailing.subject,
        content=dict(mailing.content),
        state=State(mailing.state),
        fingerprint=mailing.fingerprint,
        had_to=mailing.had_to,
        start_at=mailing.start_at,
        planned_at=mailing.planned_at,
        growing=mailing.growing,
        expires_at=mailing.expires_at,
        updates=mailing.updates,
        retracts=mailing.retracts,
        translates=mailing.translates,
        created_at=mailing.created_at,
        month=month_of(mailing.created_at),
    )


def month_of(moment: datetime) -> date:
    """Return the first day of the month, which is the partition a mailing's deliveries live in."""
    return date(moment.year, moment.month, 1)


def move(session: Session, mailing_id: int, to: State, **facts: Any) -> None:
    """Move a mailing to a state, in one statement guarded by the state it must be in. Raises WrongState, UnknownMailing."""
    sources = [state for state, targets in MOVES.items() if to in targets]
    statement = update(Mailing).where(Mailing.id == mailing_id, Mailing.state.in_(sources)).values(state=to, **facts)
    if not session.execute(statement.execution_options(synchronize_session=False)).rowcount:  # type: ignore[attr-defined]
        state = session.execute(select(Mailing.state).where(Mailing.id == mailing_id)).scalar_one_or_none()
        if state is None:
            raise UnknownMailing(mailing_id)
        raise WrongState(mailing_id, State(state), to)
    session.expire_all()


def require(session: Session, mailing_id: int, to: State) -> None:
    """Raise what `move` would raise, and change nothing."""
    state = get(session, mailing_id).state
    if to not in MOVES[state]:
        raise WrongState(mailing_id, state, to)


def require_ordinary(mailing: MailingView) -> None:
    """Raise NeedsLock for what `ledger.locks` locks."""
    if mailing.kind in (Kind.ALERT, Kind.RETRACTION):
        raise NeedsLock(mailing.id)


def lock(session: Session, mailing_id: int) -> bytes:
    """Fix the content: compute and store the fingerprint over all variants' bytes and the audience, and return it.

    Raises NeedsLock for what `ledger.locks` locks.
    """
    require_ordinary(get(session, mailing_id))
    fingerprint = session.execute(_FINGERPRINT, {"mailing": mailing_id}).scalar_one()
    move(session, mailing_id, State.LOCKED, fingerprint=fingerprint)
    return bytes(fingerprint)


# sha256 over what a reader will see (heads and blocks of every variant) and whom it goes to.
_FINGERPRINT = text("""
    SELECT sha256(
        convert_to(concat_ws('|', m.kind, m.lane, m.digest_id, m.rhythm, m.had_to), 'UTF8')
        || coalesce((
            SELECT string_agg(sha256(v.head || (
                SELECT string_agg(b.digest, '' ORDER BY place.n)
                FROM unnest(v.blocks) WITH ORDINALITY AS place(id, n) JOIN block b ON b.id = place.id
            )), '' ORDER BY v.number)
            FROM variant v WHERE v.mailing_id = m.id
        ), '')
    ) FROM mailing m WHERE m.id = :mailing
""")


def approve(session: Session, mailing_id: int, *, start_at: datetime | None) -> None:
    """Release a locked mailing for `start_at`; None: somebody will say when.

    For kinds that need no second person the sending command calls this.
    """
    move(session, mailing_id, State.APPROVED, start_at=start_at)


def unlock(session: Session, mailing_id: int) -> None:
    """Make a draft of what was locked or approved: whatever was said of it is void. Raises WrongState."""
    move(session, mailing_id, State.DRAFT, fingerprint=None, start_at=None)


def retraction_of(session: Session, mailing_id: int) -> int:
    """Return the mailing that would take an alert back. Raises UnknownMailing."""
    found = session.execute(select(Mailing.id).where(Mailing.retracts == mailing_id)).scalar_one_or_none()
    if found is None:
        raise UnknownMailing(mailing_id)
    return found


def followed(session: Session, mailing_id: int) -> list[int]:
    """Return what a mailing takes back or follows: the nearest alert first, the first of the thread last."""
    view = get(session, mailing_id)
    before, found = view.retracts or view.updates, list[int]()
    while before is not None and before != mailing_id and before not in found:
        found.append(before)
        before = get(session, before).updates
    return found


def follower(session: Session, mailing_id: int, *, but: int | None = None) -> int | None:
    """Return the newest alert that follows one and was planned, or None. but: one that does not count."""
    mine = Mailing.updates == mailing_id, Mailing.id != (but or 0)
    planned = select(Mailing.id).where(*mine, Mailing.planned_at.is_not(None))
    return session.execute(planned.order_by(Mailing.id.desc()).limit(1)).scalar_one_or_none()


def followers(session: Session, mailing_id: int) -> list[int]:
    """Return the alerts that were planned after one, each as an update of the one before it."""
    found = list[int]()
    newer = follower(session, mailing_id)
    while newer is not None and newer != mailing_id and newer not in found:
        found.append(newer)
        newer = follower(session, newer)
    return found


def waiting_to_follow(session: Session, mailing_id: int) -> list[int]:
    """Return the alerts that would follow one and have not gone, the newest first."""
    query = select(Mailing.id).where(Mailing.updates == mailing_id, Mailing.state.in_(NOT_GONE))
    return list(session.execute(query.order_by(Mailing.id.desc())).scalars())


def translations(session: Session, mailing_id: int) -> list[MailingView]:
    """Return the languages of an alert that were written later, each an alert of its own, in the order of their drafts."""
    query = select(Mailing).where(Mailing.translates == mailing_id).order_by(Mailing.id)
    return [_view(mailing) for mailing in session.execute(query).scalars()]


def in_all_languages(session: Session, mailing_id: int) -> list[int]:
    """Return an alert and those of its languages that were written later."""
    return [mailing_id, *(one.id for one in translations(session, mailing_id))]


def take_all(session: Session, which: Callable[[], Sequence[int]]) -> list[int]:
    """Keep everybody else from moving several mailings until the transaction is over; return them.

    which   names them; asked again once they are held, since meanwhile another may have been planned that belongs to them

    All who take several do so here, in the order of `_turn`: else two wait for each other, and the database refuses one. Not of
    one thread are only those that a whole lane holds: each of these is ended in a transaction of its own.
    """
    while True:
        with session.begin_nested() as attempt:
            named = list(which())
            for one in sorted((get(session, each) for each in set(named)), key=partial(_turn, session)):
                take(session, one.id)
            session.expire_all()
            if set(which()) == set(named):
                return named
            attempt.rollback()  # gives back what it holds: the one that was added may come before those in the order


def _turn(session: Session, mailing: MailingView) -> tuple[int, bool, int]:
    """Return the place of a mailing in the one order in which several are taken.

    An update before what it follows, since it is planned with its own row in its hands; for the same reason a later language
    before its alert; the newest first.
    """
    alert = mailing.translates or mailing.id
    return -len(followed(session, alert)), mailing.translates is None, -mailing.id


def superseded(session: Session, mailing_id: int) -> bool:
    """Return whether another alert has taken the place of one, or of the one of which it is a language."""
    return follower(session, get(session, mailing_id).translates or mailing_id) is not None


def write_down(session: Session, mailing_id: int, subject: str, content: dict[str, Any]) -> None:
    """Set what a draft says."""
    _set(session, mailing_id, subject=subject, content=content)


def _set(session: Session, mailing_id: int, **facts: Any) -> None:
    statement = update(Mailing).where(Mailing.id == mailing_id).values(**facts)
    session.execute(statement.execution_options(synchronize_session=False))
    session.expire_all()


def start_at(session: Session, mailing_id: int, moment: datetime) -> None:
    """Say when an approved mailing goes. Raises WrongState."""
    found = update(Mailing).where(Mailing.id == mailing_id, Mailing.state == State.APPROVED).values(start_at=moment)
    if not session.execute(found.execution_options(synchronize_session=False)).rowcount:  # type: ignore[attr-defined]
        raise WrongState(mailing_id, get(session, mailing_id).state, State.SENDING)
    session.expire_all()


def planned(session: Session, mailing_id: int) -> int:
    """Return for how many a mailing was planned."""
    return session.execute(select(Mailing.planned).where(Mailing.id == mailing_id)).scalar_one()


def grow(session: Session, mailing_id: int, books: dict[str, Any]) -> None:
    """Add a pass of planning to the books. Raises WrongState when the mailing was ended meanwhile.

    books   audience, planned, excluded (JSON), growing (whether more readers follow), now
    """
    grown = session.execute(_GROW, books | {"mailing": mailing_id}).rowcount  # type: ignore[attr-defined]
    session.expire_all()
    if not grown:
        raise WrongState(mailing_id, get(session, mailing_id).state, State.SENDING)


# Whoever stops a mailing waits for this row, and then finds all that was planned; or comes first, and nothing was.
_GROW = text("""
    UPDATE mailing SET audience = audience + :audience, planned = planned + :planned, excluded = CAST(:excluded AS jsonb),
        growing = :growing, planned_at = coalesce(planned_at, :now)
    WHERE id = :mailing AND state IN ('approved', 'sending', 'paused')
""")


def growing(session: Session) -> list[int]:
    """Return the mailings under way whose further readers have no rows yet."""
    under_way = Mailing.state.in_((State.SENDING, State.PAUSED))
    return list(session.execute(select(Mailing.id).where(Mailing.growing, under_way).order_by(Mailing.id)).scalars())


def alone(session: Session, mailing_id: int) -> bool:
    """Return whether nobody else adds readers to a mailing; nobody will until the transaction is over."""
    return turns.take(session, What.GROWING, mailing_id)


def started_at(session: Session, mailing_id: int) -> datetime | None:
    """Return when the first message of a mailing went."""
    return session.execute(select(Mailing.started_at).where(Mailing.id == mailing_id)).scalar_one_or_none()


def stop(session: Session, mailing_id: int) -> State:
    """End a mailing for good, or give up an alert that has not begun; return what it is by that. Raises WrongState, UnknownMailing.

    A function of the owner's moves it, so that the pages' role stops what the worker's does, in the same way, and has hook and
    team told of an alert and of what takes one back. What is left of it is cancelled by a worker.
    """
    return _by_owner(session, "stop_mailing", mailing_id, State.STOPPED)


def pause(session: Session, mailing_id: int) -> State:
    """Halt a mailing that is being sent, as whichever role; return what it is by that. Raises WrongState, UnknownMailing."""
    return _by_owner(session, "pause_mailing", mailing_id, State.PAUSED)


def pause_along(session: Session, mailing_id: int) -> State:
    """Halt a later language because its alert is halted, as `pause` does: `tallies.along` finds it again."""
    return _by_owner(session, "pause_language", mailing_id, State.PAUSED)


def _by_owner(session: Session, function: str, mailing_id: int, wanted: State) -> State:
    became = session.execute(select(getattr(func, function)(mailing_id))).scalar_one()
    session.expire_all()
    if became is None:
        raise WrongState(mailing_id, get(session, mailing_id).state, wanted)
    return State(became)


def start(session: Session, mailing_id: int) -> None:
    """Begin to send: from here on shards may be leased."""
    move(session, mailing_id, State.SENDING)


def to_start(session: Session, *, now: datetime) -> list[MailingView]:
    """Return the approved mailings whose time has come, the urgent ones first. Nobody is kept from moving them."""
    due = select(Mailing).where(Mailing.state == State.APPROVED, Mailing.start_at <= now)
    return [
        _view(one) for one in session.execute(due.order_by(Mailing.lane.desc(), Mailing.start_at, Mailing.id)).scalars()
    ]


def take_to_start(session: Session, mailing_id: int, *, now: datetime) -> MailingView | None:
    """Return an approved mailing whose time has come, which nobody else moves until the transaction is over; else None.

    None also where somebody else has it: they start it, or stop it.
    """
    due = Mailing.id == mailing_id, Mailing.state == State.APPROVED, Mailing.start_at <= now
    free = select(Mailing).where(*due).with_for_update(key_share=True, skip_locked=True)
    mailing = session.execute(free.execution_options(populate_existing=True)).scalar_one_or_none()
    return _view(mailing) if mailing else None


def hold(session: Session, article_id: int, *, why: str, but: int = 0) -> int:
    """Hold every variant that carries an article, for good: its rows are cancelled (`shards.announce`). Return how many.

    but   the mailing whose own stay as they are
    """
    result = session.execute(_HOLD, {"why": why, "article": article_id, "but": but})
    return int(result.rowcount)  # type: ignore[attr-defined]


_HOLD = text("UPDATE variant SET held = :why WHERE :article = ANY (articles) AND held IS NULL AND mailing_id <> :but")


def listed(session: Session, *, kind: Kind | None = None, limit: int = 50) -> list[Row[Any]]:
    """Return mailings: id, kind, lane, state, subject, created_at, start_at, expires_at; without what only lies ready to take back.

    The newest of all; of one kind those first that wait for somebody or are on their way, however many drafts are newer.
    """
    pressing = Mailing.state.in_((State.LOCKED, State.APPROVED, State.SENDING, State.PAUSED))
    statement = (
        select(Mailing.id, Mailing.kind, Mailing.lane, Mailing.state, Mailing.subject, Mailing.created_at)
        .add_columns(Mailing.start_at, Mailing.expires_at)
        .where(or_(Mailing.kind != Kind.RETRACTION, Mailing.state != State.DRAFT))
        .where(true() if kind is None else Mailing.kind == kind)
        .order_by(*(() if kind is None else (pressing.desc(),)), Mailing.id.desc())
    )
    return list(session.execute(statement.limit(limit)))


def released(session: Session, *, limit: int, but: Select[int]) -> list[int]:
    """Return the alerts that went to all who take their digest, the newest first; their later languages stand with them.

    but   the query for those of which nobody is told any more
    """
    whole = not_(or_(Mailing.content.has_key("topics"), Mailing.content.has_key("segment")))
    alerts = Mailing.kind == Kind.ALERT, Mailing.translates.is_(None), Mailing.state.in_(RELEASED)
    query = (
        select(Mailing.id)
        .where(*alerts, whole, Mailing.id.not_in(but))
        .order_by(Mailing.start_at.desc(), Mailing.id.desc())
    )
    return list(session.execute(query.limit(limit)).scalars())


def under_way(session: Session) -> list[int]:
    """Return the mailings being sent."""
    return list(session.execute(select(Mailing.id).where(Mailing.state == State.SENDING)).scalars())


def resume(session: Session, mailing_id: int) -> None:
    """Let a paused mailing go on; an approved one is started by planning, never by hand.

    One that had stopped by itself is counted anew: somebody has looked.
    """
    if get(session, mailing_id).state is not State.PAUSED:
        raise WrongState(mailing_id, get(session, mailing_id).state, State.SENDING)
    move(session, mailing_id, State.SENDING)
