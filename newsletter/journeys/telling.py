"""What the team and its hook are told of an alert: that it waits for another's word, and that it goes.

Written in the transaction of the act; whoever calls nudges `NUDGES` afterwards. The mail says all of it; the hook, which may be
anybody's service, learns which alert, for how many and its code.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import structlog

from newsletter import database, languages
from newsletter.composer.content import Action, TeamContent
from newsletter.database import Session
from newsletter.errors import NewsletterError
from newsletter.issues import manuscript
from newsletter.jobs import DELIVER, HOOKS, Nudger
from newsletter.journeys import team
from newsletter.journeys.narrowing import Limits
from newsletter.journeys.parts import Parts
from newsletter.journeys.team import say
from newsletter.ledger import lanes, stop_links
from newsletter.ledger.mailings import Lane
from newsletter.ledger.manifest import Manifest, Version, short
from newsletter.operators import audit, hooks, people
from newsletter.operators.hooks import Event
from newsletter.operators.people import OperatorView
from newsletter.operators.roles import May

log = structlog.get_logger()

NUDGES = (HOOKS, DELIVER[Lane.TRANSACTIONAL])
MOST_LETTERS = 20_000
"""Of an alert in the team's mail. Mail programs cut off what is above 100 kB, and letters may be three bytes and more each."""
_LISTED = ("- ", "* ", "+ ", "> ", "#")


def nudge(nudger: Nudger) -> None:
    """Say that somebody is to be told, after the commit."""
    for job in NUDGES:
        nudger.nudge(job)


def tried(parts: Parts, mailing: int, tell: Callable[..., bool], *, failed: str = "the team is not told") -> bool:
    """Tell of one; a mail that cannot be written keeps no sweep from its work, and the next one tries it again.

    tell     called by (session, parts, now=…) in a transaction of its own; returns whether anybody was told
    failed   what the log says where it raises
    """
    try:
        with parts.database.transaction() as session:
            return tell(session, parts, now=database.now(session))
    except NewsletterError as fault:
        log.error(failed, mailing=mailing, why=fault.message)
    except Exception as error:
        if database.fails_all(error):
            raise
        log.exception(failed, mailing=mailing)
    return False


def wanted(session: Session, parts: Parts, manifest: Manifest, *, now: datetime) -> int:
    """Ask everyone who may approve a locked alert, whoever wrote in it aside; return how many were asked."""
    hooks.add(session, Event.APPROVAL_WANTED, **facts_of(manifest))
    asked = approvers(session, (manifest.author, *manifest.writers))

    def write(language: str) -> TeamContent:
        author = name(session, manifest.author, language)
        facts = {"mailing": manifest.mailing, "count": manifest.count, "author": author}
        said = (say("wanted-text", language, **facts), say("alert-code", language))
        return TeamContent(
            subject=say("wanted-subject", language, mailing=manifest.mailing),
            title=say("wanted-title", language, **facts),
            paragraphs=(*said, *_limit(manifest, language), *words(manifest.versions, language)),
            code=short(manifest.fingerprint),
            action=Action(
                say("wanted-button", language), f"{console(parts.letterhead.base_url, manifest.mailing)}/approve"
            ),
        )

    return tell(session, parts, asked, write, expires_at=manifest.expires_at, now=now)


def approvers(session: Session, wrote: Iterable[int | None]) -> list[OperatorView]:
    """Return who may approve an alert: whoever may approve any, those who locked it or wrote in it aside."""
    own = frozenset(wrote)
    return [one for one in people.active(session) if May.APPROVE in one.may and one.id not in own]


def released(
    session: Session, parts: Parts, manifest: Manifest, *, by: int | None, start_at: datetime, now: datetime
) -> int:
    """Tell everyone in the team that an alert goes, or when it will, with a link that stops it; return how many were told.

    Also who was disabled within a day: the link asks for no log-in.
    """
    later, still, base_url = start_at > now, Lane.URGENT in lanes.paused(session), parts.letterhead.base_url
    everyone = people.informed(session, now=now)
    told(session, manifest, starts_at=None if still and not later else start_at)
    how, mark = ("later", "-later") if later else ("paused", "-paused") if still else ("now", "")
    sooner = later and bool(
        approvers(session, (by if isinstance(by, int) else None, manifest.author, *manifest.writers))
    )

    def write(language: str) -> TeamContent:
        facts = {"mailing": manifest.mailing, "count": manifest.count, "by": name(session, by, language)}
        said = [say(f"released-{how}", language, at=moment(parts, start_at, language), **facts)]
        said += [*standstill(session, parts, language), *([say("released-late", language)] if later else [])]
        said.append(say("released-stop", language))
        if sooner:
            said.append(say("released-approve", language, url=f"{console(base_url, manifest.mailing)}/approve"))
        return TeamContent(
            subject=say(f"released-subject{mark}", language, mailing=manifest.mailing),
            title=say("released-title", language, **facts),
            paragraphs=(*said, *_limit(manifest, language), *words(manifest.versions, language), say("code", language)),
            code=short(manifest.fingerprint),
            action=Action(say("released-button", language), stop_url(parts, manifest.mailing, now=now)),
        )

    if later:
        # What one sends alone waits for the others to be told (`delivery.alone` looks): where they cannot be, it does not go.
        about = {stop_links.STOPS: manifest.mailing, "lock": manifest.number}
        expires = manifest.expires_at
        return _tell(session, parts, everyone, write, expires_at=expires, now=now, about=about)
    return tell(session, parts, everyone, write, expires_at=manifest.expires_at, now=now)


def told(session: Session, manifest: Manifest, *, starts_at: datetime | None) -> None:
    """Tell the hook that an alert goes, or when it will; None: once its lane goes on, and nobody knows when that is."""
    hour, still = starts_at.isoformat() if starts_at else None, Lane.URGENT in lanes.paused(session)
    hooks.add(session, Event.RELEASED, **facts_of(manifest), starts_at=hour, paused=still)


def moment(parts: Parts, at: datetime, language: str) -> str:
    """Return a moment as the team's mail in a language says it, in our zone."""
    # Every worker loads this story, and those that only send never load babel (decision 4).
    from newsletter.composer import calendars

    return calendars.moment(at, language, parts.zone)


def standstill(session: Session, parts: Parts, language: str) -> tuple[str, ...]:
    """Return what the team's mail says of the urgent lane where it stands still; nothing of one that goes."""
    since = lanes.paused(session).get(Lane.URGENT)
    return () if since is None else (languages.say("plan.paused", language, since=moment(parts, since, language)),)


def console(base_url: str, mailing_id: int) -> str:
    """Return the address of an alert's page for the team."""
    return f"{base_url}/console/alerts/{mailing_id}"


def stop_url(parts: Parts, mailing_id: int, *, now: datetime) -> str:
    """Return the link that stops an alert, without logging in."""
    return f"{parts.letterhead.base_url}/h/{parts.tokens.stop(mailing_id, now=now)}"


def tell(
    session: Session,
    parts: Parts,
    operators: list[OperatorView],
    write: Callable[[str], TeamContent],
    *,
    expires_at: datetime,
    now: datetime,
) -> int:
    """Tell them, or say in the log that it could not be: no alert waits because a template of the team's mail is broken."""
    try:
        with session.begin_nested():
            return _tell(session, parts, operators, write, expires_at=expires_at, now=now)
    except NewsletterError as refusal:
        log.error("team not told", why=refusal.message)
        return 0


def _tell(
    session: Session,
    parts: Parts,
    operators: list[OperatorView],
    write: Callable[[str], TeamContent],
    *,
    expires_at: datetime,
    now: datetime,
    about: dict[str, Any] | None = None,
) -> int:
    if operators and parts.letterhead.sender_address:
        team.tell(session, parts, operators, write, expires_at=expires_at, now=now, about=about)
    return len(operators)


def facts_of(manifest: Manifest) -> dict[str, object]:
    """Return what the hook is told of a locked alert."""
    return {"alert": manifest.mailing, "count": manifest.count, "code": short(manifest.fingerprint)}


def name(session: Session, operator: int | str | None, language: str) -> str:
    """Return who did something: an operator's name, or that it was somebody by a link or at the command line."""
    if isinstance(operator, int):
        return people.by_id(session, operator).name
    return say("by-link" if operator == audit.LINK else "by-shell", language)


def _limit(manifest: Manifest, language: str) -> Iterator[str]:
    """Yield to which of its digest's readers an alert is limited, where it is."""
    if only := manifest.audience.get("only"):
        yield languages.say("alert.reads-only", language, languages=", ".join(only))
    limits = Limits.of(manifest.audience)
    if limits.topics:
        yield languages.say("alert.reads-topics", language, topics=", ".join(limits.topics))
    if limits.segment:
        conditions = "; ".join(limits.conditions) or "–"
        yield languages.say("alert.reads-segment", language, segment=limits.segment, conditions=conditions)


def words(versions: Sequence[Version], language: str) -> Iterator[str]:
    """Yield what every language of an alert says, and no more than a mail takes."""
    left = MOST_LETTERS
    for paragraph in _paragraphs(versions, language):
        left -= len(paragraph)
        if left < 0:
            yield say("words-cut", language)
            return
        yield paragraph


def _paragraphs(versions: Sequence[Version], language: str) -> Iterator[str]:
    """Yield an alert as its page shows it: subject, headline, text and buttons; of the text a paragraph each, and each point."""
    # A language that came later has a second version in the same words, marked.
    for version in {one.language: one for one in reversed(versions)}.values():
        yield say("in-language", language, language=version.language)
        try:
            text = manuscript.read(version.words, language=version.language)
        except NewsletterError:  # what takes an alert back is a text alone
            yield from _text(version.words)
            continue
        yield say("text-subject", language, subject=text.subject)
        yield from (one for one in (text.headline, text.preheader) if one and one != text.subject)
        yield from _text(text.markdown)
        if text.url:
            yield text.url
        for label, url in text.actions:
            yield say("text-button", language, label=label, url=url)


def _text(markdown: str) -> Iterator[str]:
    for paragraph in markdown.split("\n\n"):
        lines = [line for line in paragraph.splitlines() if line.strip()]
        if any(line.lstrip().startswith(_LISTED) for line in lines):
            yield from lines
        elif lines:
            yield " ".join(lines)
