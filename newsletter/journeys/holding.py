"""Sign-ups under attack: what is held is shown, let through or taken back in bulk, and the team is told once when a wave begins.

What an operator presses is a mark in the rows; the worker that asks people does what it says, so that pages need no right to what
was wished (docs/adr/0020-sign-ups-under-attack.md).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from newsletter import database, mailboxes
from newsletter.composer.content import Action, TeamContent
from newsletter.database import Session
from newsletter.delivery import asking
from newsletter.errors import Invalid, NewsletterError
from newsletter.issues import digests
from newsletter.jobs import SIGNUPS
from newsletter.journeys import judging, team, telling
from newsletter.journeys.parts import Parts
from newsletter.journeys.team import say
from newsletter.ledger import deliveries
from newsletter.operators import audit, hooks
from newsletter.operators import people as operators
from newsletter.operators.hooks import Event
from newsletter.operators.roles import May
from newsletter.subscribers import held, people, signup, suppression, tables, taking_back, unproven
from newsletter.subscribers.held import Counted, Group, WaveView, Where
from newsletter.subscribers.waves import Why

log = structlog.get_logger()

BATCH = 500
KEEPS = timedelta(hours=24)
MONTH = signup.KEPT // timedelta(minutes=1)
"""So many minutes back there are sign-ups to be asked for."""
SEES = frozenset({May.PEOPLE, May.SEND})
"""Whoever has one of these sees how many are held, and lets them through or takes them back; an address is never shown."""


class TooMuch(Invalid):
    """Taking back what was let through needs at least one condition: it would end what everybody has who joined in a month."""

    def __init__(self) -> None:
        super().__init__("signups.too-much")


@dataclass(frozen=True, slots=True)
class Asked:
    """Conditions as an operator writes them: a span back from now in minutes, a network or its code, the key of a digest."""

    minutes: int | None = None
    net: str = ""
    provider: str = ""
    form: str = ""
    digest: str = ""
    why: Why | None = None
    held: bool = True
    upto: int | None = None

    @property
    def narrow(self) -> bool:
        """Whether anything but their place is asked of them."""
        return any((self.minutes, self.net.strip(), self.provider.strip(), self.form.strip(), self.digest.strip()))


@dataclass(frozen=True, slots=True)
class Seen:
    """What an operator sees: the wave that goes on, what conditions hold for, and how it is put together."""

    wave: WaveView | None
    alert: bool
    counted: Counted
    groups: list[Group]


def may_see(may: Iterable[May]) -> bool:
    """Whether somebody may see how many sign-ups are held, and act on them."""
    return not SEES.isdisjoint(may)


def look(parts: Parts, asked: Asked) -> Seen:
    """Return what conditions hold for, and change nothing. Raises NoNetwork, UnknownDigest."""
    with parts.database.transaction() as session:
        now = database.now(session)
        where = _where(session, asked, now)
        alert = judging.alert(session, now=now)
        return Seen(held.wave(session), alert, held.count(session, where), held.groups(session, where))


def standing(parts: Parts) -> dict[str, int]:
    """Return how many sign-ups of the last month stand where."""
    with parts.database.transaction() as session:
        return held.counts(session)


def release(parts: Parts, asked: Asked, *, by: int | None = None) -> int:
    """Let held sign-ups through, whatever room there is; return how many. Raises NoNetwork, UnknownDigest."""
    with parts.database.transaction() as session:
        now = database.now(session)
        count = held.release(session, _where(session, asked, now), now=now)
        audit.append(session, "signups.released", by=audit.SHELL if by is None else by, now=now, count=count)
    parts.nudger.nudge(SIGNUPS)
    return count


def undo(parts: Parts, asked: Asked, *, by: int | None = None) -> int:
    """Have sign-ups taken back with all that came of them; return how many. Raises NoNetwork, UnknownDigest, TooMuch.

    Whoever was known before keeps all they have.
    """
    if not asked.held and not asked.narrow:
        raise TooMuch
    with parts.database.transaction() as session:
        now = database.now(session)
        count = held.undo(session, _where(session, asked, now), now=now)
        audit.append(session, "signups.undone", by=audit.SHELL if by is None else by, now=now, count=count)
    parts.nudger.nudge(SIGNUPS)
    return count


def _where(session: Session, asked: Asked, now: datetime) -> Where:
    return Where(
        since=None if asked.minutes is None else now - timedelta(minutes=asked.minutes),
        net=held.network(session, asked.net) if asked.net.strip() else b"",
        provider=asked.provider.strip(),
        form=asked.form.strip(),
        digest_id=digests.by_key(session, asked.digest.strip()).id if asked.digest.strip() else None,
        why=asked.why,
        held=asked.held,
        upto=asked.upto,
    )


def tend(parts: Parts) -> int:
    """Take back what was asked for, and let go what there is room for; return how many sign-ups that were."""
    done = 0
    while count := _take_back(parts):
        done += count
    with parts.database.transaction() as session:
        if signup.claim(session):
            now = database.now(session)
            done += held.let_go(session, alert=judging.alert(session, now=now), now=now)
    return done


def _take_back(parts: Parts) -> int:
    try:
        with parts.database.impatient() as session:
            return _taken_back(session) if signup.claim(session) and tables.none_comes_in(session) else 0
    except database.HeldUp:
        # Whoever signs up meanwhile is not to wait for it.
        log.warning("sign-ups are not taken back", why="somebody holds their rows")
        return 0


def _taken_back(session: Session) -> int:
    now = database.now(session)
    found = taking_back.marked(session, limit=BATCH)
    for one in taking_back.take_back(session, found, now=now):
        for digest in one.digest_ids:
            deliveries.cancel(session, one.mailbox_id, reason="undone", digest_id=digest)
    questions = [(one.mailbox_id, asking.to_join(one.id)) for one in found if one.mailbox_id is not None]
    deliveries.cancel_asked(session, [box for box, _ in questions], [what for _, what in questions], reason="undone")
    taking_back.done(session, found)
    forget_boxes(session, {box for box, _ in questions})
    return len(found)


def forget_boxes(session: Session, boxes: Iterable[int]) -> int:
    """Forget the addresses of mailboxes that nobody has a use for any more; return how many."""
    asked = set(boxes)
    mailboxes.hold(session, asked)
    used = people.of_mailboxes(session, asked) | operators.of_mailboxes(session, asked)
    used |= taking_back.left_of(session, asked)
    spoken_of = suppression.of_mailboxes(session, asked) | unproven.remembered(session, asked)
    gone = sorted(asked - used - spoken_of)
    if gone:
        mailboxes.forget(session, gone)
    # Of whom something was said, or who said nothing, and who is nobody's, a fingerprint does: all that is left of who was erased.
    mailboxes.forget(session, spoken_of - used, keep_index=True)
    return len(gone)


def watch(parts: Parts) -> None:
    """Begin or end a wave; when one begins the hook is called and whoever may act is mailed, once."""
    with parts.database.transaction() as session:
        if not signup.claim(session):
            return
        now = database.now(session)
        begun = held.watch(session, now=now)
        if begun is None:
            return
        hooks.add(session, Event.SIGNUPS_HELD, held=begun.held)
        _tell(session, parts, begun, now)
    log.warning("wave of sign-ups", held=begun.held)
    telling.nudge(parts.nudger)


def _tell(session: Session, parts: Parts, begun: WaveView, now: datetime) -> None:
    told = [one for one in operators.active(session) if may_see(one.may)]

    def write(language: str) -> TeamContent:
        return TeamContent(
            subject=say("wave-subject", language),
            title=say("wave-title", language),
            paragraphs=(say("wave-text", language, count=begun.held), say("wave-then", language)),
            action=Action(say("wave-button", language), f"{parts.letterhead.base_url}/console/signups"),
        )

    if not told or not parts.letterhead.sender_address:
        return
    try:
        with session.begin_nested():
            team.tell(session, parts, told, write, expires_at=now + KEEPS, now=now)
    except NewsletterError as refusal:
        log.error("team not told", why=refusal.message)
