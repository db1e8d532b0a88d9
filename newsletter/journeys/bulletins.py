"""What an authority says becomes a draft: a message of CAP is taken in, kept, and followed where it leads.

What an alert then is (its mailing, its update, its retraction) is not told here: `Act` is where that begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from newsletter import database, fetching
from newsletter.campaigns import bulletins, cap, ordering, wording
from newsletter.campaigns.bulletins import Bulletin
from newsletter.campaigns.cap import CapMessage, Reference
from newsletter.campaigns.ordering import Apply, Decision, Hold, Ignore, Move, State, Step, Why
from newsletter.database import Session
from newsletter.errors import Invalid
from newsletter.journeys import publish, telling
from newsletter.journeys.parts import Parts
from newsletter.ledger import lately


class NotFetchable(Invalid):
    """Messages come from files, or from the web."""

    def __init__(self, scheme: str) -> None:
        super().__init__("cap.scheme", scheme=scheme)


class Act(Protocol):
    """What a message does to alerts, in the transaction that keeps the message: both are there, or neither."""

    def hold(self, session: Session, mailing_ids: Sequence[int]) -> None:
        """Keep everybody else from moving these alerts until the transaction is over."""

    def draft(self, session: Session, message: CapMessage, *, now: datetime) -> int:
        """Draft an alert; return its mailing."""

    def update(self, session: Session, mailing_id: int, message: CapMessage, *, now: datetime) -> int:
        """Let the alert say what the message says; return its mailing, another one where that was ended here."""

    def cancel(self, session: Session, mailing_id: int, message: CapMessage, *, now: datetime) -> None:
        """End the alert: cancelled before it went, stopped and retracted after."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a message, and of those that had waited for it.

    why       why it is held or ignored; `cap.why-…` words it
    mailing   of the alert it made, changed or cancelled
    followed  messages that were held until now and are no longer, in the order in which they were dealt with
    """

    message: CapMessage
    id: int
    state: State
    why: Why | None = None
    mailing: int | None = None
    followed: tuple[Reference, ...] = ()


def take(parts: Parts, source: str | bytes, *, act: Act, name: str = "cap.xml") -> Taken:
    """Take a message in from a file, an address of the web or bytes; return what became of it.

    name   of bytes, for messages

    Taking the same one again changes nothing. Raises what `cap.read` and `fetching.fetch` raise, publish.NoSuchFile.
    """
    name = source if isinstance(source, str) else name
    raw = _raw(parts, source)
    message, document = cap.read(raw, name=name), cap.document(raw, name=name)
    with parts.database.transaction() as session:
        bulletins.one_at_a_time(session)
        now = database.now(session)
        known = bulletins.known(session)
        decision = ordering.decide(known, message)
        if isinstance(decision, Ignore) and decision.why is Why.DUPLICATE:
            return _again(session, message)
        # Before anything is written: who stops one of these has it in their hands and waits for the audit, which we would have.
        act.hold(session, _touched(session, message))
        bulletin_id = bulletins.store(session, message, document, ordering.noted(message, decision), now=now)
        if isinstance(decision, Apply):
            _apply(session, decision.steps, act, now=now)
        # What is held itself brings nothing that others could wait for.
        followed = () if isinstance(decision, Hold) else _follow(session, act, now=now)
        became, _ = bulletins.get(session, bulletin_id)
        taken = Taken(message, became.id, became.state, became.why, became.mailing_id, followed)
    telling.nudge(parts.nudger)
    return taken


def held(parts: Parts) -> list[Bulletin]:
    """Return the messages that wait for another, for an operator to look at."""
    with parts.database.transaction() as session:
        return bulletins.listed(session, state=State.HELD, limit=None)


@dataclass(frozen=True, slots=True)
class Held:
    """A message that waits for another, as the team's page shows it. subject: "" of one that says nothing of its own."""

    bulletin: Bulletin
    subject: str


MOST_HELD, MOST_CANCELLED = 5, 20
"""How many stand on a page before somebody asks for all."""


def held_words(parts: Parts, *, limit: int | None = MOST_HELD) -> list[Held]:
    """Return the newest messages that wait for another, and what they are about. limit None: every one."""
    with parts.database.transaction() as session:
        found = bulletins.listed(session, state=State.HELD, limit=limit)
        return [Held(one, _subject(bulletins.message(session, one.name))) for one in found]


def held_count(parts: Parts) -> int:
    """Return how many messages wait for another."""
    with parts.database.transaction() as session:
        return bulletins.count(session, State.HELD)


def _subject(message: CapMessage) -> str:
    return next((info.headline or info.event for info in message.infos), "")


@dataclass(frozen=True, slots=True)
class Cancelled:
    """An alert that its issuer has cancelled, and that has gone and was not taken back. bulletin: what says so."""

    bulletin: Bulletin
    alert: int
    subject: str


def cancelled(parts: Parts, *, among: int | None = None) -> list[Cancelled]:
    """Return the alerts that readers have though their issuer has cancelled them: somebody may take them back. among: one alone."""
    with parts.database.transaction() as session:
        found = [(one, one.mailing_id or 0) for one in bulletins.cancels(session, among)]
        subjects = lately.with_readers(session, {number for _, number in found})
    return [Cancelled(one, number, subjects[number]) for one, number in found if number in subjects]


def listed(parts: Parts, *, limit: int = 50) -> list[Bulletin]:
    """Return the messages that came last, whatever became of them."""
    with parts.database.transaction() as session:
        return bulletins.listed(session, limit=limit)


def shown(parts: Parts, bulletin_id: int) -> tuple[Bulletin, CapMessage]:
    """Return a message and what it says. Raises bulletins.UnknownBulletin."""
    with parts.database.transaction() as session:
        return bulletins.get(session, bulletin_id)


def _raw(parts: Parts, source: str | bytes) -> bytes:
    if isinstance(source, bytes):
        return source
    if source.startswith(("http://", "https://")):
        return fetching.fetch(source, allow=parts.fetch_allow, max_bytes=cap.MAX_BYTES).body
    scheme, mark, _ = source.partition("://")
    if mark:
        raise NotFetchable(scheme)
    with publish.opened(source) as stream:
        # One byte more than is read: what is too large is refused as that, not as damaged.
        return stream.read(cap.MAX_BYTES + 1)


def _again(session: Session, message: CapMessage) -> Taken:
    before = bulletins.by_name(session, message.name)
    assert before is not None, "a duplicate is of something"
    return Taken(message, before.id, State.IGNORED, Why.DUPLICATE, before.mailing_id)


def _follow(session: Session, act: Act, *, now: datetime) -> tuple[Reference, ...]:
    """Deal with those that waited, until none is left whose time has come; return them in order."""
    waiting = bulletins.held(session)
    followed: list[Reference] = []
    while found := ordering.follow(bulletins.known(session), waiting):
        message, decision = found
        waiting.remove(message)
        if _followed(session, message, decision, act, now=now):
            followed.append(message.name)
    return tuple(followed)


def _followed(session: Session, message: CapMessage, decision: Decision, act: Act, *, now: datetime) -> bool:
    """Deal with one that waited; what has no words for its readers stays held, and what it followed is not lost over it."""
    noted = ordering.noted(message, decision)
    try:
        with session.begin_nested():
            bulletins.settle(session, noted)
            if isinstance(decision, Apply):
                _apply(session, decision.steps, act, now=now)
    except wording.NothingSaid:
        bulletins.settle(session, replace(noted, state=State.HELD, why=Why.NO_WORDS))
        return False
    return True


def _touched(session: Session, message: CapMessage) -> list[int]:
    """Return the alerts that a message may move, itself or by those that waited for it."""
    names = {name for one in (message, *bulletins.held(session)) for name in one.references}
    found = {bulletins.mailing_of(session, name) for name in names}
    return sorted(one for one in found if one is not None)


def _apply(session: Session, steps: tuple[Step, ...], act: Act, *, now: datetime) -> None:
    for step in steps:
        message = bulletins.message(session, step.by)
        mailing_id = _take_step(session, step, message, act, now=now)
        for name in {step.of, step.by}:
            bulletins.apply(session, name, mailing_id)


def _take_step(session: Session, step: Step, message: CapMessage, act: Act, *, now: datetime) -> int:
    if step.move is Move.NEW:
        return act.draft(session, message, now=now)
    mailing_id = bulletins.mailing_of(session, step.of)
    assert mailing_id is not None, "an alert that was begun has a mailing"
    if step.move is Move.CANCEL:
        act.cancel(session, mailing_id, message, now=now)
        return mailing_id
    became = act.update(session, mailing_id, message, now=now)
    if became != mailing_id:
        bulletins.hand_on(session, mailing_id, became)
    return became
