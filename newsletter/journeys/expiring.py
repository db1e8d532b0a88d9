"""Before an alert expires with people still due, the team is asked; afterwards nobody could do anything about it.

Where nothing ran in those hours it was asked nothing, and is told at least.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from newsletter import database, errors
from newsletter.composer.content import Action, TeamContent
from newsletter.database import Session
from newsletter.delivery import budget, quotas
from newsletter.errors import Conflict
from newsletter.jobs import DELIVER
from newsletter.journeys import acting, announcing, team, telling
from newsletter.journeys.parts import Parts
from newsletter.journeys.waiting import waits
from newsletter.ledger import books, expiry, locks, mailings, shards, tallies
from newsletter.ledger.mailings import Lane, MailingView, State
from newsletter.operators import audit, hooks, people
from newsletter.operators.hooks import Event
from newsletter.operators.roles import May

log = structlog.get_logger()

KEEPS = timedelta(hours=24)
"""How long the question itself is worth sending."""
LOOKS_BACK = timedelta(days=7)
"""How long after its end the team is told of an alert that left people out unasked: whoever mends a dead machine reads it then."""


class NotUnderWay(Conflict):
    """Only what is being sent, or is paused, can be given longer."""

    def __init__(self, mailing_id: int, state: State) -> None:
        super().__init__("alert.not-under-way", mailing=mailing_id, state=state)


class NobodyDue(Conflict):
    """Everyone has the alert, or its time was over before it reached them: what is paused gives its readers up at its end."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.nobody-due", mailing=mailing_id)


class NoLonger(Conflict):
    """The alert may be sent as long as its lock allows, and that is over or reached."""

    def __init__(self, mailing_id: int, latest: datetime) -> None:
        super().__init__("alert.no-longer", mailing=mailing_id, latest=errors.fact(latest))


@dataclass(frozen=True, slots=True)
class Extended:
    """Until when an alert goes now. latest: as far as its lock allows; shortened: more was asked for than that."""

    mailing: int
    expires_at: datetime
    latest: datetime
    shortened: bool


@dataclass(frozen=True, slots=True)
class Longer:
    """Until when an alert would go that were given longer. less: its lock does not allow all of what was asked for."""

    until: datetime
    less: bool


def offer(expires: datetime, latest: datetime, longer: timedelta, *, now: datetime) -> Longer | None:
    """Return until when an alert would go by so much more; None where its lock allows nothing more. latest: that of its lock."""
    begins = max(expires, now)
    if latest <= begins:
        return None
    return Longer(min(begins + longer, latest), begins + longer > latest)


def extend(parts: Parts, mailing_id: int, longer: timedelta, *, by: int | None = None) -> Extended:
    """Give an alert longer, as far as its lock allows. Raises NotUnderWay, NobodyDue, NoLonger, NotAnAlert, NotAllowed."""
    acting.allowed(parts, by, May.SEND)
    with parts.database.transaction() as session:
        now = database.now(session)
        acting.an_alert(session, mailing_id)
        alert = mailings.take(session, mailing_id)
        made = _extended(session, alert, longer, now=now)
        expiry.expire(session, mailing_id, made.expires_at)
        if now < _asks_from(alert, made.expires_at) and made.expires_at < made.latest:
            expiry.ask_again(session, mailing_id)
        facts = {"mailing": mailing_id, "expires_at": made.expires_at.isoformat()}
        audit.append(session, "alert.extended", by=by or audit.SHELL, now=now, **facts)
    parts.nudger.nudge(DELIVER[Lane.URGENT])
    return made


def _extended(session: Session, alert: MailingView, longer: timedelta, *, now: datetime) -> Extended:
    if alert.state not in (State.SENDING, State.PAUSED):
        raise NotUnderWay(alert.id, alert.state)
    if not books.status(session, alert.id).anyone_due:
        raise NobodyDue(alert.id)
    latest = locks.current(session, alert.id).latest
    found = offer(alert.expires_at or now, latest, longer, now=now)
    if found is None:
        raise NoLonger(alert.id, latest)
    return Extended(alert.id, found.until, latest, found.less)


def _asks_from(alert: MailingView, ends: datetime) -> datetime:
    return ends - expiry.asks_before(alert.planned_at, ends)


def ask(parts: Parts) -> int:
    """Ask the team about each alert that will expire before all have it, and say of each that did so unasked; return how many.

    Safe to repeat: of each it is asked or told once, and once more shortly before the end if that was long before it.
    """
    with parts.database.transaction() as session:
        now = database.now(session)
        soon = [alert.id for alert in expiry.expiring(session) if _runs_out(session, parts, alert, now=now)]
        found = expiry.unwritten(session, before=now + expiry.ASK_BEFORE, now=now)
        lapsed = [one.id for one in expiry.lapsed(session, since=now - LOOKS_BACK, now=now)]
        unwritten = [(one, of) for one, of in found if now >= _asks_from(one, one.expires_at or now)]
    tried = partial(telling.tried, parts, failed="the team is not asked")
    asked = sum([tried(alert, partial(_ask, alert_id=alert)) for alert in soon])
    asked += sum([tried(one.id, partial(_ask_for, alert_id=one.id, languages=of)) for one, of in unwritten])
    asked += sum([telling.tried(parts, one, partial(_tell_unreached, alert_id=one)) for one in lapsed])
    if asked:
        telling.nudge(parts.nudger)
    return asked


def _runs_out(session: Session, parts: Parts, alert: MailingView, *, now: datetime) -> bool:
    """Whether an alert expires soon, or its relays cannot take all of it before then."""
    expires = alert.expires_at
    if expires is None:
        return False
    if now >= _asks_from(alert, expires):
        return True
    bears = quotas.bearing(session, parts.relays, alert.lane, now=now)
    left = shards.left(session, alert.id)
    promise = budget.promise(left, bears, now=now) if left else None
    # What is held at a provider goes later by as much, where anybody there is still due.
    due = shards.due_by_provider(session, alert.id)
    until = max((at for provider, at in tallies.held(session, alert.id).items() if due.get(provider)), default=now)
    return (promise.ends_at if promise else now) + (until - now) > expires


def _ask(session: Session, parts: Parts, *, alert_id: int, now: datetime) -> bool:
    alert, everyone = mailings.get(session, alert_id), people.active(session)
    due = books.status(session, alert.id).due if everyone else 0
    if everyone and alert.expires_at is not None and now < alert.expires_at:
        due += locks.to_come(session, alert)
    if not due or not expiry.ask_once(session, alert.id, now=now):
        return False
    parts.letterhead.require()
    latest = locks.current(session, alert.id).latest
    expires = alert.expires_at or now
    write = partial(question, session, parts, Ending(alert.id, due, expires, latest, alert.state is State.PAUSED))
    team.tell(session, parts, everyone, write, expires_at=now + KEEPS, now=now)
    hooks.add(session, Event.EXPIRING, alert=alert.id, due=due, expires_at=expires.isoformat())
    audit.append(session, "alert.asked", by=audit.WORKER, now=now, mailing=alert.id, due=due)
    log.warning("alert expires", mailing=alert.id, due=due)
    return True


def _tell_unreached(session: Session, parts: Parts, *, alert_id: int, now: datetime) -> bool:
    if not people.active(session):
        return False
    status = books.status(session, alert_id)
    # Whoever never had a row, since writing them failed, has it no more than those whose row is over.
    unwritten = locks.to_come(session, mailings.get(session, alert_id))
    status = replace(status, expired=status.expired + unwritten)
    # Noted of one that all have as well: each is counted once.
    if status.due or not expiry.ask_once(session, alert_id, now=now) or not status.expired:
        return False
    parts.letterhead.require()
    ended = mailings.get(session, alert_id).expires_at or now
    announcing.unreached(session, parts, status, ended=ended, now=now)
    log.warning("alert expired", mailing=alert_id, unreached=status.expired)
    return True


def _ask_for(session: Session, parts: Parts, *, alert_id: int, languages: Sequence[str], now: datetime) -> bool:
    """Ask about those who wait for a language: they have no rows, so nothing of the alert is due and it may long be done."""
    everyone, alert = people.active(session), mailings.take(session, alert_id)
    expires = alert.expires_at or now
    facts = {"alert": alert.id, "languages": list(languages), "expires_at": expires.isoformat()}
    if not everyone or hooks.said(session, Event.EXPIRING, **facts):
        return False
    waiting = sum(one.waiting for one in waits(session, alert) if one.language in languages)
    if not waiting:
        return False
    parts.letterhead.require()
    write = partial(missing, parts, alert.id, waiting, languages, expires)
    team.tell(session, parts, everyone, write, expires_at=now + KEEPS, now=now)
    hooks.add(session, Event.EXPIRING, **facts)
    audit.append(session, "alert.asked", by=audit.WORKER, now=now, mailing=alert.id, waiting=waiting)
    log.warning("alert expires", mailing=alert.id, waiting=waiting)
    return True


def missing(
    parts: Parts, mailing_id: int, waiting: int, languages: Sequence[str], expires: datetime, language: str = "en"
) -> TeamContent:
    """Return the mail that asks for the languages of an alert that its readers still wait for."""
    moment, codes = telling.moment(parts, expires, language), ", ".join(languages)

    def say(what: str) -> str:
        return team.say(
            f"language-{what}", language, mailing=mailing_id, waiting=waiting, languages=codes, expires=moment
        )

    page = f"{parts.letterhead.base_url}/console/alerts/new?translates={mailing_id}"
    said = (say("text"), say("otherwise"), say("shell"))
    code = f"newsletter alerts send {languages[0]}.md --translates {mailing_id}"
    return TeamContent(say("subject"), say("title"), said, code, Action(say("button"), page))


@dataclass(frozen=True, slots=True)
class Ending:
    """An alert that expires with so many still due. latest: as far as its lock allows; paused: it does not go at all now."""

    mailing: int
    due: int
    expires: datetime
    latest: datetime
    paused: bool


def question(session: Session, parts: Parts, ending: Ending, language: str) -> TeamContent:
    """Return the mail that asks what is to become of an alert's last readers."""
    hours = {name: telling.moment(parts, getattr(ending, name), language) for name in ("expires", "latest")}
    facts = {"mailing": ending.mailing, "due": ending.due} | hours

    def say(what: str) -> str:
        return team.say(f"expiry-{what}", language, **facts)

    halted = ((say("paused"),) if ending.paused else ()) + telling.standstill(session, parts, language)
    text = (say("text"), *halted)
    longer = int((ending.latest - ending.expires).total_seconds()) // 3600
    page = telling.console(parts.letterhead.base_url, ending.mailing)
    if not longer:
        code, look = f"newsletter alerts status {ending.mailing}", Action(say("look"), page)
        return TeamContent(say("subject"), say("title"), (*text, say("last")), code, look)
    code, extend = f"newsletter alerts extend {ending.mailing} --hours {min(longer, 24)}", Action(say("button"), page)
    return TeamContent(say("subject"), say("title"), (*text, say("otherwise"), say("extend")), code, extend)
