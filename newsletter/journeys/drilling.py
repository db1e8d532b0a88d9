"""A drill: a real message by the alert's own way to the team, and nobody else, each morning; and the lamp that it keeps.

It is composed as an alert is and by the same templates, planned, vouched for by the worker of the urgent lane and handed over.
What it measures is from the command to the first message that a relay took. Beside it an alert and its retraction are composed
for every digest in each of its languages: a footer that is broken in Persian alone is found in the morning as well.
"""

from datetime import UTC, datetime, tzinfo

import structlog

from newsletter import database, languages, mailboxes
from newsletter.campaigns import drills
from newsletter.campaigns.drills import DrillView, Fault, Lamp, Terms
from newsletter.composer.message import Compiled
from newsletter.database import Session
from newsletter.delivery import quotas
from newsletter.errors import Conflict, NewsletterError
from newsletter.issues import digests
from newsletter.issues.manuscript import Manuscript
from newsletter.jobs import DELIVER, HOOKS
from newsletter.journeys.parts import Parts
from newsletter.ledger import books, deliveries, mailings, variants
from newsletter.ledger.deliveries import Single
from newsletter.ledger.mailings import Draft, Kind, Lane
from newsletter.ledger.manifest import Version
from newsletter.operators import hooks, people
from newsletter.operators.hooks import Event
from newsletter.operators.people import OperatorView
from newsletter.subscribers import recipients

log = structlog.get_logger()


class NoTeam(Conflict):
    """Nobody has enrolled, so there is no mailbox a drill may go to."""

    def __init__(self) -> None:
        super().__init__("drill.no-team")


def may_drill(parts: Parts) -> int:
    """Return to how many mailboxes a drill would go, and change nothing. Raises NoTeam, NoSender."""
    with parts.database.transaction() as session:
        return len(_team(session, parts))


def drill(parts: Parts) -> int:
    """Begin a drill and return its number. Raises NoTeam, NoSender and what composing raises: it has failed then."""
    may_drill(parts)
    with parts.database.transaction() as session:
        drill_id = drills.claim(session, now=database.now(session))
    assert drill_id is not None, "only a morning has a drill already"
    _begin(parts, drill_id)
    return drill_id


def due(parts: Parts) -> bool:
    """Return whether this morning's drill is to be made."""
    if parts.drill_at is None:
        return False
    with parts.database.transaction() as session:
        here = database.now(session).astimezone(parts.zone)
        return (
            here.time() >= parts.drill_at and not drills.claimed(session, here.date()) and bool(people.active(session))
        )


def run_due(parts: Parts) -> int:
    """Make this morning's drill where nobody has; return how many were made. Two beats make one."""
    if not due(parts):
        return 0
    with parts.database.transaction() as session:
        now = database.now(session)
        drill_id = drills.claim(session, day=now.astimezone(parts.zone).date(), now=now)
    if drill_id is None:
        return 0
    try:
        _begin(parts, drill_id)
    except NewsletterError as refused:
        log.error("drill failed", drill=drill_id, why=refused.message)
    return 1


def _begin(parts: Parts, drill_id: int) -> None:
    try:
        with parts.database.transaction() as session:
            _send(session, parts, drill_id, now=database.now(session))
        parts.nudger.nudge(DELIVER[Lane.URGENT])
        # Not before: what an alert's own way takes is measured.
        _rehearse(parts, drill_id)
    except Exception:  # a template may do anything
        with parts.database.transaction() as session:
            _end(session, drills.get(session, drill_id), Fault.NOT_COMPOSED, now=database.now(session))
        parts.nudger.nudge(HOOKS)
        raise
    # Counting a million readers takes its time, and no alert waits for it either.
    with parts.database.transaction() as session:
        now = database.now(session)
        lefts = [one.left_today(now) for one in quotas.limits(session, parts.relays[Lane.URGENT], Lane.URGENT, now=now)]
        quota = None if None in lefts else sum(one for one in lefts if one is not None)
        drills.measured(session, drill_id, reach=_reach(session), quota=quota)


def _team(session: Session, parts: Parts) -> list[OperatorView]:
    parts.letterhead.require()
    if team := people.active(session):
        return team
    raise NoTeam


def _reach(session: Session) -> int:
    """Return how many an alert of the largest digest would go to."""
    every = [
        recipients.of_digest(one.id, rhythms=None, languages=one.languages, urgent=True)
        for one in digests.listed(session)
    ]
    return max((recipients.count(session, audience) for audience in every), default=0)


def _send(session: Session, parts: Parts, drill_id: int, *, now: datetime) -> None:
    team = _team(session, parts)
    subject = languages.say("mail.drill-subject", "en", number=drill_id)
    draft = Draft(Kind.DRILL, Lane.URGENT, None, subject, expires_at=now + drills.KEEPS)
    mailing_id = mailings.draft(session, draft, now=now)
    # As all of the team's mails: what somebody reads as a reader of ours is another matter.
    tongue = {one.mailbox_id: one.language or "en" for one in team}
    stored: dict[str, int] = {}
    versions = []
    for number, language in enumerate(sorted(set(tongue.values())), start=1):
        stored[language], version = _store(
            session, parts, mailing_id, drill_id, number=number, language=language, now=now
        )
        versions.append(version)
    mailings.lock(session, mailing_id)
    mailings.approve(session, mailing_id, start_at=now)
    mailings.start(session, mailing_id)
    mailing = mailings.get(session, mailing_id)
    for mailbox_id, language in tongue.items():
        provider = mailboxes.open(session, mailbox_id).provider
        deliveries.ask(session, mailing, Single(stored[language], mailbox_id, None, provider), now=now)
    sender = parts.letterhead.sender_address
    drills.send(session, drill_id, Terms(mailing_id, sender, now + drills.KEEPS, tuple(tongue), tuple(versions)))


def _store(
    session: Session, parts: Parts, mailing_id: int, drill_id: int, *, number: int, language: str, now: datetime
) -> tuple[int, Version]:
    compiled, _ = _composed(parts, _text(drill_id, language), now=now)
    variant = variants.store(session, mailing_id, compiled, number=number, language=language)
    return variant, Version.of(compiled, number=number, language=language, words="")


def _text(drill_id: int, language: str) -> Manuscript:
    def say(what: str) -> str:
        return languages.say(f"mail.drill-{what}", language, number=drill_id)

    return Manuscript(say("subject"), say("title"), "", language, "", (), f"{say('text')}\n\n{say('otherwise')}\n")


def _composed(parts: Parts, text: Manuscript, *, now: datetime) -> tuple[Compiled, Compiled]:
    """Return a drill as an alert, and what would take it back."""
    # Every worker loads this story, and those that only send never load premailer and lxml (decision 4).
    from newsletter.campaigns import alerts
    from newsletter.composer import alert

    frame = parts.letterhead.drill_frame(language=text.language)
    said = alerts.content(text, now=now, zone=parts.zone)
    back = alerts.content(alerts.retraction(text), now=now, zone=parts.zone, clock=False)
    return alert.compose(said, frame, parts.layout), alert.compose(back, frame, parts.layout)


def _rehearse(parts: Parts, drill_id: int) -> None:
    """Compose an alert and its retraction for each digest's readers, and keep nothing. Raises what composing an alert raises."""
    from newsletter.journeys import drafting

    with parts.database.transaction() as session:
        for digest in digests.listed(session):
            texts = tuple(_text(drill_id, language) for language in digest.languages)
            drafting.compose_all(session, parts, digest, texts)


def look(parts: Parts) -> int:
    """End the drills that are over: all have it, or some never will; return how many. Safe to repeat."""
    with parts.database.transaction() as session:
        now = database.now(session)
        ended = [one for one in drills.running(session) if _ended(session, one, now=now)]
        failed = [one for one in ended if drills.get(session, one.id).fault]
    if failed:
        parts.nudger.nudge(HOOKS)
    return len(ended)


def _ended(session: Session, drill: DrillView, *, now: datetime) -> bool:
    status = None if drill.mailing is None else books.status(session, drill.mailing)
    over, fault = drills.judge(drill, status, now=now)
    if over:
        _end(session, drill, fault, now=now)
    return over


def _end(session: Session, drill: DrillView, fault: Fault | None, *, now: datetime) -> None:
    accepted, first_at = books.handed_over(session, drill.mailing) if drill.mailing is not None else (0, None)
    drills.end(session, drill.id, fault, accepted=accepted, first_at=first_at, now=now)
    if fault is not None:
        facts = {"drill": drill.id, "accepted": accepted, "mailboxes": drill.mailboxes, "why": str(fault)}
        hooks.add(session, Event.DRILL_FAILED, **facts)
        log.error("drill failed", **facts)


def ended(parts: Parts, drill_id: int) -> bool:
    """Return whether a drill is over."""
    look(parts)
    with parts.database.transaction() as session:
        return drills.get(session, drill_id).ended_at is not None


def lamp(parts: Parts) -> Lamp:
    """Return what is known of the urgent lane."""
    with parts.database.transaction() as session:
        return drills.looked_at(session, now=database.now(session))


def sentence(lit: Lamp, language: str = "en", *, zone: tzinfo | None = UTC, page: bool = False) -> str:
    """Return a lamp in words.

    zone   of its times; None is this machine's
    page   for one: its hours name their zone, and it names no command
    """
    # Every worker loads this story, and those that only send never load babel (decision 4).
    from newsletter.composer import calendars

    def say(message: str, **facts: object) -> str:
        return languages.say(languages.paged(message) if page else message, language, **facts)

    if lit.last is None:
        return say("drill.never")
    clock = _page_clock if page else _clock
    last, since = lit.last, clock(lit.since, zone, language)
    counts = {"accepted": last.accepted, "mailboxes": last.mailboxes}
    told = {name: calendars.digits(str(count), language) for name, count in counts.items()}
    facts = {"at": clock(last.ended_at, zone, language), "since": since} | told
    if lit.what != "proved":
        return say(f"drill.{lit.what}", why=say(f"drill.why-{last.fault}", **facts), **facts)
    quota = calendars.number(last.quota or 0, language)
    reach = calendars.number(last.reach, language) if last.reach else say("drill.reach-nobody")
    allows = say("drill.quota-enough" if last.allowed else "drill.quota-short", quota=quota)
    seconds = calendars.digits(f"{last.seconds:.1f}", language)
    return say("drill.proved", seconds=seconds, reach=reach, quota=allows, **facts)


def _clock(moment: datetime | None, zone: tzinfo | None, language: str) -> str:
    from newsletter.composer import calendars

    if moment is None:
        return "–"
    here = moment.astimezone(zone)
    clock = calendars.digits(f"{here:%H:%M}", language)
    if _today(here):
        return clock
    return f"{here:%d %b} {clock}" if language == "en" else f"{calendars.day(here, language)} {clock}"


def _page_clock(moment: datetime | None, zone: tzinfo | None, language: str) -> str:
    from newsletter.composer import calendars

    if moment is None:
        return "–"
    if _today(moment.astimezone(zone)):
        return calendars.clock(moment, language, zone)
    return calendars.moment(moment, language, zone)


def _today(here: datetime) -> bool:
    return here.date() == datetime.now(here.tzinfo).date()
