"""Who belongs to the team: added, invited, enrolled, helped after a lost phone, ended; and what happens by itself each day."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from newsletter import database, languages
from newsletter.addresses import EmailAddress
from newsletter.composer.content import Action, TeamContent
from newsletter.database import Session
from newsletter.errors import Conflict
from newsletter.jobs import DELIVER, HOOKS, OPERATORS
from newsletter.journeys import notices
from newsletter.journeys.entering import Visitor
from newsletter.journeys.notices import To
from newsletter.journeys.parts import NoSender, Parts
from newsletter.ledger.mailings import Lane
from newsletter.operators import audit, enrolment, factors, hooks, people, pins, sessions, throttle
from newsletter.operators.audit import SHELL, WORKER
from newsletter.operators.enrolment import SIGNATURES, Calling, Given, Invited, Open, Vouching
from newsletter.operators.hooks import Event
from newsletter.operators.passkeys import Site
from newsletter.operators.people import OperatorView
from newsletter.operators.pins import Pin, Pins
from newsletter.operators.roles import May, Role
from newsletter.operators.throttle import Door, Knock, TooMany

log = structlog.get_logger()

HEAD_AT = 5
"""The hour, UTC, from which the day's head is mailed."""
HEAD_KEEPS = timedelta(days=3)
DISABLED_KEEPS = timedelta(days=3)
A_MOMENT = timedelta(minutes=1)
"""So far apart may stand what was done and what was written down of it."""
NEWEST_ACTS = 500
"""Among so many it is looked up who disabled somebody: that was a minute ago."""


class NoSite(Conflict):
    """Passkeys are good for an https address, and NEWSLETTER_BASE_URL is none."""

    def __init__(self, base_url: str) -> None:
        super().__init__("night.no-site", base_url=base_url)


CALLED = frozenset({"mailing", "export"})
"""Facts of the team's mails that call a thing by its number: they stand in commands."""


@dataclass(frozen=True, slots=True)
class Member:
    """One of the team, and who has signed that they lost their phone."""

    operator: OperatorView
    vouching: Vouching | None


def add(parts: Parts, written: str, *, name: str, roles: Iterable[Role]) -> Invited:
    """Add an operator and return their invitation. Raises BadAddress, KnownAlready, NoRole."""
    address = EmailAddress.parse(written)
    with parts.database.transaction() as session:
        now = database.now(session)
        added = people.add(session, address, name=name, given=roles, now=now)
        return enrolment.invite(session, added, Calling.NEW, by=audit.SHELL, now=now)


def invite(parts: Parts, operator_id: int) -> Invited:
    """Return a fresh invitation: the link was lost, or everything. Who was disabled comes back by it. Raises UnknownOperator.

    Between the two nobody acts in their name: of password, app, passkeys and codes nothing is kept.
    """
    with parts.database.transaction() as session:
        return enrolment.invite(session, operator_id, Calling.NEW, by=audit.SHELL, now=database.now(session))


def pin(parts: Parts, path: Path) -> list[Pin]:
    """Write the public keys of those who may approve or send, and which of it, into the file that workers trust; return them.

    Raises NoSite.
    """
    site = Site.at(parts.letterhead.base_url, parts.letterhead.sender_name)
    if site is None:
        raise NoSite(parts.letterhead.base_url)
    with parts.database.transaction() as session:
        trusted = [one for one in people.active(session) if one.may & pins.PINNED]
        keys = [
            Pin(one.id, key.credential, key.public_key, one.may & pins.PINNED)
            for one in trusted
            for key in factors.passkeys_of(session, one.id)
        ]
        listed, now = sorted({pin.operator for pin in keys}), database.now(session)
        audit.append(session, "keys.pinned", by=SHELL, now=now, operators=listed, keys=len(keys))
    pins.write(path, site, _pinned(path).renewed(keys, now=now))
    return keys


def _pinned(path: Path) -> Pins:
    """Return what was pinned so far; nothing of a file that is no file to trust, which is written anew."""
    try:
        return pins.read(path)
    except pins.UNTRUSTED:
        log.warning("pinned keys are not kept", why="the file was damaged, or others might write it")
        return Pins()


def look(parts: Parts, token: str) -> Open:
    """Return what an invitation is for, and change nothing. Raises BadInvitation."""
    with parts.database.transaction() as session:
        return enrolment.look(session, token, now=database.now(session))


def enrol(parts: Parts, token: str, given: Given) -> list[str]:
    """Use an invitation, and return the recovery codes. Raises TooMany and what `enrolment.enrol` raises."""
    with parts.database.transaction() as session:
        # Whoever found a lost phone's link still has to guess a password.
        delay = throttle.count(session, [Knock(Door.LINK, token)], now=database.now(session))
    if delay:
        raise TooMany(delay)
    with parts.database.transaction() as session:
        return enrolment.enrol(session, token, given, now=database.now(session))


def members(parts: Parts) -> list[Member]:
    """Return everyone, in the order they were added."""
    with parts.database.transaction() as session:
        signed = enrolment.vouchings(session, now=database.now(session))
        return [Member(one, signed.get(one.id)) for one in people.listed(session)]


def vouch(parts: Parts, visitor: Visitor, operator_id: int) -> Vouching:
    """Sign that another lost their phone; with the second signature they are mailed a link.

    Raises NotAllowed, NotFresh and what `enrolment.vouch` raises.
    """
    visitor.require(May.TEAM)
    with parts.database.transaction() as session:
        signed = enrolment.vouch(session, operator_id, visitor.fresh(), now=visitor.now)
    if len(signed.signers) >= SIGNATURES:
        parts.nudger.nudge(OPERATORS)
    return signed


def disable(parts: Parts, visitor: Visitor, operator_id: int) -> None:
    """End another's access; a worker tells the team. Raises NotAllowed, NotFresh, UnknownOperator, NotOneself."""
    visitor.require(May.DISABLE)
    visitor.fresh()
    with parts.database.transaction() as session:
        people.disable(session, operator_id, by=visitor.operator.id, now=visitor.now)
        sessions.end_all(session, operator_id, now=visitor.now)
    parts.nudger.nudge(OPERATORS)


def end_sessions(parts: Parts, visitor: Visitor, operator_id: int) -> int:
    """Log another out everywhere: their phone lies on a train. Raises NotAllowed, UnknownOperator."""
    visitor.require(May.DISABLE)
    with parts.database.transaction() as session:
        people.by_id(session, operator_id)
        ended = sessions.end_all(session, operator_id, now=visitor.now)
        by = visitor.operator.id
        audit.append(session, "sessions.ended", by=by, now=visitor.now, operator=operator_id, count=ended)
    return ended


def tend(parts: Parts, *, now: datetime | None = None) -> int:
    """Do what happens by itself: mail who was disabled, the day's head, and links that two have signed for; return mails.

    Safe to repeat: who was disabled and a day are claimed before their mail is written, a rescue ends as its link is made.
    Each by itself, what the pages' role may lock last: no such lock keeps back who was disabled or the day's head.
    """
    with parts.database.transaction() as session:
        moment = now or database.now(session)
        team = people.informed(session, now=moment)
    mails = (_mail_all_disabled, _mail_head, _mail_links) if team and _has_sender(parts) else ()
    mailed = sum(_alone(parts, partial(mail, parts=parts), now=moment) for mail in mails)
    if mailed:
        for job in (HOOKS, DELIVER[Lane.TRANSACTIONAL]):
            parts.nudger.nudge(job)
    for clear in (sessions.clear, throttle.clear):
        _alone(parts, clear, now=moment)
    return mailed


def _has_sender(parts: Parts) -> bool:
    try:
        parts.letterhead.require()
    except NoSender:
        log.warning("operators are not written to", why="no sender or postal address is set")
        return False
    return True


def _alone(parts: Parts, chore: Callable[..., int], *, now: datetime) -> int:
    """Return what a chore returns in a transaction of its own; where it fails the log says so, and the next has its turn."""
    try:
        with parts.database.impatient() as session:
            return chore(session, now=now)
    except Exception:
        log.exception("chore failed")
        return 0


def head_day(now: datetime) -> date | None:
    """Return the day whose head is due by now, or None before its hour."""
    return now.date() if now.hour >= HEAD_AT else None


def _mail_all_disabled(session: Session, *, parts: Parts, now: datetime) -> int:
    return sum(_mail_disabled(session, parts, one, now=now) for one in people.claim_disabled(session))


def _mail_links(session: Session, *, parts: Parts, now: datetime) -> int:
    return sum(_mail_link(session, parts, one, now=now) for one in enrolment.due(session, now=now))


def _mail_head(session: Session, *, parts: Parts, now: datetime) -> int:
    day = head_day(now)
    if day is None or audit.mailed(session, day):
        return 0
    everyone = people.informed(session, now=now)
    head = audit.head(session)
    if not everyone or not audit.claim_day(session, day, number=head.number):
        return 0

    def write(language: str) -> TeamContent:
        return TeamContent(
            subject=say("head-subject", language, day=day.isoformat(), number=head.number),
            title=say("head-title", language),
            paragraphs=(say("head-text", language), say("head-check", language)),
            code=f"newsletter audit verify --against {head}",
        )

    tell(session, parts, everyone, write, expires_at=now + HEAD_KEEPS, now=now)
    return len(everyone)


def _mail_disabled(session: Session, parts: Parts, gone: OperatorView, *, now: datetime) -> int:
    """Tell everyone, and whoever it is as well, that somebody was disabled: on a page, at the command line or past both."""
    # Every worker loads this story, and those that only send never load babel (decision 4).
    from newsletter.composer import calendars

    everyone, at = people.informed(session, now=now), gone.disabled_at or now
    actor, names = (
        _who_disabled(session, gone.id, since=at - A_MOMENT),
        {str(one.id): one.name for one in people.listed(session)},
    )
    hooks.add(session, Event.DISABLED, operator=gone.id)

    def write(language: str) -> TeamContent:
        by = say("by-shell", language) if actor == SHELL else names.get(actor, "")
        facts = {"name": gone.name, "by": by, "at": calendars.moment(at, language, parts.zone)}
        said = ("text" if by else "unknown", "day", "wrong")
        return TeamContent(
            subject=say("disabled-subject", language),
            title=say("disabled-title", language, **facts),
            paragraphs=tuple(say(f"disabled-{one}", language, **facts) for one in said),
            code=f"newsletter operators invite {gone.id}",
        )

    tell(session, parts, everyone, write, expires_at=now + DISABLED_KEEPS, now=now)
    return len(everyone)


def _who_disabled(session: Session, operator_id: int, *, since: datetime) -> str:
    """Return as whom the audit names them; "": it does not, as where it was written past the program.

    since   an earlier act was another's: they had been let back in
    """
    acts = (one for one in audit.listed(session, limit=NEWEST_ACTS) if one.at >= since)
    found = (one for one in acts if one.act == "operator.disabled" and one.facts.get("operator") == operator_id)
    return next((one.actor for one in found), "")


def _mail_link(session: Session, parts: Parts, operator_id: int, *, now: datetime) -> int:
    invited = enrolment.invite(session, operator_id, Calling.LOST, by=WORKER, now=now)

    def write(language: str) -> TeamContent:
        return TeamContent(
            subject=say("link-subject", language),
            title=say("link-title", language),
            paragraphs=(say("link-text", language), say("link-otherwise", language)),
            action=Action(say("link-button", language), enrol_url(parts, invited)),
        )

    tell(session, parts, [people.by_id(session, operator_id)], write, expires_at=invited.expires_at, now=now)
    return 1


def enrol_url(parts: Parts, invited: Invited) -> str:
    """Return the address of the page where an invitation is used."""
    return f"{parts.letterhead.base_url}/e/{invited.token}"


def tell(
    session: Session,
    parts: Parts,
    operators: Iterable[OperatorView],
    write: Callable[[str], TeamContent],
    *,
    expires_at: datetime,
    now: datetime,
    lane: Lane = Lane.TRANSACTIONAL,
    about: dict[str, Any] | None = None,
) -> None:
    """Plan one mail to each of some operators, in the transaction of what it tells. Nudge the lane afterwards.

    write   returns the mail in a language: each operator is written to in the one they chose, else in English
    about   numbers by which it is found again

    The subject stands in the mailing's row for everyone with the books: it names nobody. The text says who did what, and is sealed.
    """
    # Every worker loads this story, and those that only send never load premailer and lxml (decision 4).
    from newsletter.composer import notice

    for language, to in sorted(_by_language(operators).items()):
        content = write(language)
        compiled = notice.to_team(content, parts.letterhead.team_frame(language=language), parts.layout)
        more: dict[str, Any] = {"expires_at": expires_at, "now": now, "lane": lane, "about": about}
        notices.post(session, compiled, to, subject=content.subject, language=language, sealed=True, **more)


def _by_language(operators: Iterable[OperatorView]) -> dict[str, list[To]]:
    found: dict[str, list[To]] = {}
    for operator in operators:
        found.setdefault(operator.language or "en", []).append(To(operator.mailbox_id))
    return found


def say(message: str, language: str, /, **facts: object) -> str:
    """Return a sentence of the team's mails; what is counted is written in the language's digits."""
    from newsletter.composer import calendars

    told = {
        name: calendars.digits(str(value), language) if isinstance(value, int) and name not in CALLED else value
        for name, value in facts.items()
    }
    return languages.say(f"mail.{message}", language, **told)
