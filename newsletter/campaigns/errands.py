"""Errands: what somebody asked for on a page, waiting for a worker that may do it.

The pages' role can neither compose nor lock nor release; it writes down who asked for what, and a worker does it by the very
calls of the command line. Each is done once as a rule, and again where a worker died over it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, false, func, or_, select, text, update
from sqlalchemy.orm import Session

from newsletter.errors import NotFound
from newsletter.models.errand import Act as Act
from newsletter.models.errand import Errand

PATIENCE = timedelta(seconds=60)
"""After so long whoever began an errand is taken for dead."""
ONCE = timedelta(hours=12)
"""How long one form counts once: as long as anybody is logged in."""
MOST_AT_ONCE = 2
"""Of so many alerts links are tried at once: a hook that is to wake somebody shares what tries them."""


class UnknownErrand(NotFound):
    """Nobody of this number asked for this."""

    def __init__(self, errand_id: int) -> None:
        super().__init__("errand.unknown", errand=errand_id)


@dataclass(frozen=True, slots=True)
class ErrandView:
    """One errand. operator: 0 for nobody in particular. refused: a message and its facts, where it could not be done."""

    id: int
    act: Act
    operator: int
    mailing: int | None
    facts: Mapping[str, Any]
    asked_at: datetime
    done_at: datetime | None
    refused: tuple[str, Mapping[str, Any]] | None


def add(session: Session, act: Act, *, by: int | None, mailing: int | None = None, **facts: Any) -> int:
    """Write down what somebody asks for, and return its number. by None: links that are to be tried."""
    row = Errand(act=act, operator_id=by, mailing_id=mailing, facts=facts)
    session.add(row)
    session.flush()
    return row.id


def add_once(session: Session, act: Act, *, by: int, mailing: int | None = None, **facts: Any) -> int:
    """Write down what somebody asks for, or return the number of the very same that they asked for a moment ago.

    A thumb taps twice, and each tap sends the whole form. Of two at once the second waits for the first. What was refused may be
    asked for again.
    """
    session.execute(_TURN, {"by": by})
    lately = Errand.asked_at > func.now() - ONCE
    same = [Errand.act == act, Errand.operator_id == by, Errand.facts == facts, Errand.refused.is_(None)]
    if mailing is not None:  # a draft bears its number once it is done
        same.append(Errand.mailing_id == mailing)
    query = select(Errand.id).where(*same, lately).order_by(Errand.id).limit(1)
    found = session.execute(query).scalar_one_or_none()
    return add(session, act, by=by, mailing=mailing, **facts) if found is None else found


_TURN = text("SELECT pg_advisory_xact_lock(hashtext('errand'), CAST(:by AS int))")


def have_checked(session: Session, mailing: int) -> None:
    """Have an alert's links tried, unless that waits to be begun already: whoever begins it then reads the newest words.

    In a transaction that holds the mailing, so that of two at once the second sees the first. No constraint says so: a worker of
    the version before, running beside, adds one for each edit.
    """
    waits = select(Errand.id).where(
        Errand.act == Act.CHECK, Errand.mailing_id == mailing, Errand.done_at.is_(None), Errand.begun_at.is_(None)
    )
    if session.execute(waits.limit(1)).first() is None:
        add(session, Act.CHECK, by=None, mailing=mailing)


def get(session: Session, errand_id: int, *, by: int) -> ErrandView:
    """Return an errand to whoever asked for it. Raises UnknownErrand."""
    row = session.get(Errand, errand_id, populate_existing=True)
    if row is None or row.operator_id != by:
        raise UnknownErrand(errand_id)
    return _view(row)


def claim(session: Session, *, now: datetime, links: bool = False) -> ErrandView | None:
    """Take the oldest press that nobody is at, or None. Two workers take two.

    links   instead the oldest alert whose links are to be tried, unless there are `MOST_AT_ONCE` at that

    Whoever takes the one never takes the other: other people's servers take their time, and somebody waits for every press.
    """
    if links and _tried_now(session, now=now) >= MOST_AT_ONCE:
        return None
    free = (_is(links), Errand.done_at.is_(None), or_(Errand.begun_at.is_(None), Errand.begun_at < now - PATIENCE))
    query = select(Errand.id).where(*free).order_by(Errand.id).limit(1).with_for_update(skip_locked=True)
    while (number := session.execute(query).scalar_one_or_none()) is not None:
        if (found := _read(session, number)) is not None:
            session.execute(update(Errand).where(Errand.id == number).values(begun_at=now))
            return found
        end(session, number, mailing=None, refused=("errand.failed", {}), now=now)
    return None


def _read(session: Session, errand_id: int) -> ErrandView | None:
    """Return an errand; None where nobody can read it: the pages' role adds what it likes, and the oldest is taken first."""
    try:
        return _view(session.get_one(Errand, errand_id))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def end(
    session: Session,
    errand_id: int,
    *,
    mailing: int | None,
    refused: tuple[str, Mapping[str, Any]] | None,
    now: datetime,
) -> None:
    """Write down what became of an errand."""
    said = (
        {"message": refused[0], "facts": {name: str(value) for name, value in refused[1].items()}} if refused else None
    )
    values = {"done_at": now, "refused": said, "mailing_id": mailing}
    session.execute(update(Errand).where(Errand.id == errand_id).values(**values))


def waiting(session: Session, *, links: bool = False) -> bool:
    """Return whether a press is to be done, or links are to be tried."""
    query = select(Errand.id).where(_is(links), Errand.done_at.is_(None)).limit(1)
    return session.execute(query).first() is not None


def _is(links: bool) -> ColumnElement[bool]:
    return Errand.act == Act.CHECK if links else Errand.act != Act.CHECK


def _tried_now(session: Session, *, now: datetime) -> int:
    begun = (Errand.act == Act.CHECK, Errand.done_at.is_(None), Errand.begun_at >= now - PATIENCE)
    return session.execute(select(func.count()).where(*begun)).scalar_one()


def under_way(session: Session, act: Act, mailing: int, *, since: timedelta, now: datetime) -> bool:
    """Return whether what was last asked for an alert, and is not done, was asked no longer ago than this, or somebody is at it."""
    awaited = or_(Errand.asked_at > now - since, func.coalesce(Errand.begun_at > now - PATIENCE, false()))
    newest = select(awaited).where(Errand.act == act, Errand.mailing_id == mailing, Errand.done_at.is_(None))
    return bool(session.execute(newest.order_by(Errand.id.desc()).limit(1)).scalar_one_or_none())


def _view(row: Errand) -> ErrandView:
    # JSON's null, which a worker of the version before writes where nothing was refused, is None here as well.
    refused = (row.refused["message"], row.refused["facts"]) if row.refused else None
    return ErrandView(
        row.id, Act(row.act), row.operator_id or 0, row.mailing_id, row.facts, row.asked_at, row.done_at, refused
    )
