"""The team is told of what did not go: that a worker would not send it, or that it is a draft again; once a refusal.

The row is written with the refusal itself (`ledger.refusals`), by whichever worker it was; the desk's next look finds it and
writes the mail. A worker that only sends never loads what composes one.
"""

from datetime import datetime, timedelta
from functools import partial

from newsletter import database, languages
from newsletter.composer.content import Action, TeamContent
from newsletter.database import Session
from newsletter.delivery import thresholds
from newsletter.journeys import team, telling
from newsletter.journeys.parts import Parts
from newsletter.journeys.team import say
from newsletter.ledger import books, mailings, refusals, service
from newsletter.ledger.mailings import Kind, MailingView
from newsletter.ledger.refusals import RefusalView
from newsletter.ledger.service import Fared
from newsletter.operators import people

KEEPS = timedelta(hours=24)
"""How long the news that something did not go is worth sending."""


def tell(parts: Parts) -> int:
    """Tell the team of each refusal that it has not heard of; return how many. Safe to repeat."""
    with parts.database.transaction() as session:
        found = refusals.untold(session, since=database.now(session) - KEEPS)
    told = sum([telling.tried(parts, one.mailing, partial(_tell, refusal=one)) for one in found])
    if told:
        telling.nudge(parts.nudger)
    return told


def service_mail(parts: Parts) -> Fared:
    """Return how much service mail of the last day servers refuse by policy."""
    with parts.database.transaction() as session:
        return service.lately(session)


def is_blocked(fared: Fared) -> bool:
    """Return whether that is so much that the team is told."""
    return thresholds.blocked(fared.tried, fared.refused)


def _tell(session: Session, parts: Parts, *, refusal: RefusalView, now: datetime) -> bool:
    everyone = people.active(session)
    if not everyone or not refusals.tell_once(session, refusal.id, now=now):
        return False
    parts.letterhead.require()
    team.tell(session, parts, everyone, partial(_news, session, parts, refusal), expires_at=refusal.at + KEEPS, now=now)
    return True


def _news(session: Session, parts: Parts, refusal: RefusalView, language: str) -> TeamContent:
    """Return the mail: what did not go, why, what of it stands, and where to look."""
    if refusal.blocked:
        return TeamContent(
            subject=say("blocked-subject", language),
            title=say("blocked-title", language),
            paragraphs=(*_why(refusal, language), say("blocked-text", language)),
            code="newsletter doctor",
        )
    view = mailings.get(session, refusal.mailing)
    what, alert = _what(view, language), view.retracts or view.id
    status, kind = books.status(session, view.id), _kind(refusal)
    facts = {"mailing": alert, "what": what, "due": status.due, "accepted": status.accepted}
    locked = view.kind in (Kind.ALERT, Kind.RETRACTION)
    where = (
        Action(say("refused-button", language), telling.console(parts.letterhead.base_url, alert)) if locked else None
    )
    return TeamContent(
        subject=say(f"{kind}-subject", language, **facts),
        title=say(f"{kind}-title", language, **facts),
        paragraphs=(*_why(refusal, language), say(f"{kind}-text", language, **facts)),
        code=f"newsletter {'alerts' if locked else 'mailings'} status {alert}",
        action=where,
    )


def _what(view: MailingView, language: str) -> str:
    known = view.kind if view.kind in (Kind.ALERT, Kind.RETRACTION, Kind.DRILL) else "other"
    return say(f"refused-{known}", language, mailing=view.retracts or view.id)


def _kind(refusal: RefusalView) -> str:
    if refusal.held:
        return "held"
    if refusal.by_itself:
        return "stood"
    return "halted" if refusal.halted else "refused"


def _why(refusal: RefusalView, language: str) -> tuple[str, ...]:
    why = languages.say(refusal.why, language, **refusal.facts)
    return (why, languages.say(f"halted.{refusal.facts['why']}", language)) if refusal.held else (why,)
