"""Less instead of nothing: what the leaving page offers beside leaving, and a rest from all ordinary mail.

A link to leave may do this too, since it can only take away: it never brings anything back, and shows nothing of the reader.
It takes less of its own digest alone. A rest is one from everything, so that link gives it only to who takes nothing else.
"""

from datetime import date, datetime
from enum import StrEnum

from newsletter import database
from newsletter.database import Session
from newsletter.errors import Conflict
from newsletter.journeys.parts import Parts
from newsletter.ledger import deliveries
from newsletter.ledger.mailings import ORDINARY
from newsletter.subscribers import pausing, people, recipients, subscriptions
from newsletter.subscribers.people import PersonView
from newsletter.subscribers.subscriptions import FEWER, NotSubscribed, Rhythm
from newsletter.tokens import Purpose


class Less(StrEnum):
    """What a reader may want instead of leaving a digest."""

    WEEKLY = "weekly"
    EMERGENCIES = "emergencies"
    PAUSE = "pause"


class NotLess(Conflict):
    """It would not be less than what they get."""

    def __init__(self) -> None:
        super().__init__("leaving.not-less")


def less_than(rhythm: Rhythm, *, paused: bool, others: bool) -> tuple[Less, ...]:
    """Return what is less than a digest in this rhythm, the mildest first. Whoever takes emergencies only has no less.

    others   whether they take other digests, which a pause would end for a while too
    """
    if rhythm is Rhythm.EMERGENCIES:
        return ()
    found = (Less.WEEKLY,) if rhythm in FEWER else ()
    return (*found, Less.EMERGENCIES) if paused or others else (*found, Less.EMERGENCIES, Less.PAUSE)


def take(parts: Parts, token: str, instead: Less) -> None:
    """Give a reader less of the digest that their link to leave names. Raises BadToken, NotLess, NotSubscribed.

    It is not kept while the database is away: then the page offers to leave, and nothing else.
    """
    link = parts.tokens.read_leaving(token)
    if link.purpose is Purpose.PREVIEW:
        return
    with parts.database.impatient() as session:
        now, person = database.now(session), people.hold(session, link.subscriber_id)
        rhythms = {one.digest_id: one.rhythm for one in subscriptions.of(session, link.subscriber_id)}
        if person is None or link.digest_id not in rhythms:
            raise NotSubscribed
        mine = rhythms.pop(link.digest_id)
        if instead not in less_than(mine, paused=resting(person, now=now), others=bool(rhythms)):
            raise NotLess
        if instead is Less.PAUSE:
            rest(session, person, until=now + pausing.USUAL, now=now)
        else:
            slow(session, person, link.digest_id, rhythm=Rhythm(instead), now=now)


def slow(session: Session, person: PersonView, digest_id: int, *, rhythm: Rhythm, now: datetime) -> None:
    """Give a reader a digest in another rhythm; nothing ordinary that is planned goes to who takes emergencies only."""
    subscriptions.change_rhythm(session, person.id, digest_id, rhythm=rhythm, now=now)
    if rhythm is Rhythm.EMERGENCIES:
        reason = recipients.EMERGENCIES_ONLY
        deliveries.cancel(session, person.mailbox_id, reason=reason, digest_id=digest_id, kinds=ORDINARY)


def rest(session: Session, person: PersonView, *, until: datetime, now: datetime) -> None:
    """Give a reader a rest, and cancel what is planned but alerts. Raises pausing.BadPause."""
    pausing.pause(session, person.id, until=until, now=now)
    deliveries.cancel(session, person.mailbox_id, reason=recipients.PAUSED, kinds=ORDINARY)


def resting(person: PersonView, *, now: datetime) -> bool:
    """Whether a reader pauses now."""
    return person.paused_until is not None and person.paused_until > now


def rests_until(person: PersonView, *, now: datetime) -> date | None:
    """Return the first day on which a reader gets everything again, where they live; None when they do not pause."""
    if person.paused_until is None or not resting(person, now=now):
        return None
    return person.paused_until.astimezone(pausing.zone(person.time_zone)).date()
