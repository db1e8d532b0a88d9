"""From an approved mailing to rows: who gets it, in which version, and who is left out for which reason."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Select

from newsletter import database
from newsletter.database import Session
from newsletter.delivery import following, pacing
from newsletter.errors import Conflict
from newsletter.issues import digests, withdrawal
from newsletter.ledger import books, deliveries, locks, mailings, translating, variants
from newsletter.ledger import planning as rows
from newsletter.ledger.mailings import Kind, Lane, State
from newsletter.operators import audit
from newsletter.subscribers import recipients

log = structlog.get_logger()

MANY = 5_000
"""Rows from which a look at the statistics pays: it takes 50 ms for twenty thousand."""


class NobodyChosen(Conflict):
    """The mailing has no digest, so there is no audience to plan."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("planning.no-audience", mailing=mailing_id)


class OtherAudience(Conflict):
    """The audience is described otherwise than when the alert was locked."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.other-audience", mailing=mailing_id)


class CountMoved(Conflict):
    """The audience has grown or shrunk by more than 2 % since the alert was locked."""

    def __init__(self, mailing_id: int, locked: int, now: int) -> None:
        super().__init__("alert.count-moved", mailing=mailing_id, locked=locked, now=now)


def plan(session: Session, mailing_id: int, *, now: datetime, tranche_pause: timedelta = timedelta(0)) -> rows.Plan:
    """Write every delivery of an approved mailing, start it, and return the counts.

    tranche_pause   how long a large bulk mailing waits after its first tranche; alerts never do

    An update ends what it follows. Raises following.OnTheWire for a retraction whose time has not come, and what
    `following.require_going` raises for a language whose alert was ended.
    """
    mailing = mailings.get(session, mailing_id)
    if mailing.translates is not None:
        following.require_going(session, mailing.translates)
        translating.one_at_a_time(session, mailing.translates)
    locked = locks.current(session, mailing_id) if mailing.kind is Kind.ALERT else None
    if locked and described(session, mailing) != locked.audience:
        raise OtherAudience(mailing_id)
    if mailing.kind is Kind.RETRACTION:
        following.taken_back(session, mailing)
    pause = tranche_pause if mailing.lane is Lane.BULK else timedelta(0)
    # An alert goes first where people are awake: whoever can act at once is told at once.
    later = partial(pacing.asleep, now=now) if locked else _nobody
    planned = rows.plan(session, mailing, audience(session, mailing), now=now, tranche_pause=pause, later=later)
    if mailing.translates is not None:
        following.require_going(session, mailing.translates, held=True)
    if locked and locked.moved(planned.planned):
        raise CountMoved(mailing_id, locked.count, planned.planned)
    if planned.planned >= MANY:
        database.refresh_statistics(session, "delivery", "shard")
    if locked:
        _publish(session, mailing, now=now)
        following.supersede(session, mailing, now=now)
    else:
        _hold_withdrawn(session, mailing_id)
    mailings.start(session, mailing_id)
    books.finish(session, mailing_id)  # an audience of nobody is done at once
    log.info("planned", mailing=mailing_id, audience=planned.audience, planned=planned.planned, shards=planned.shards)
    return planned


def _publish(session: Session, mailing: mailings.MailingView, *, now: datetime) -> None:
    """An alert that goes is an article from then on, and everything that it carries is held with it."""
    # Here: it loads what reads feeds, and every sender plans (decision 4).
    from newsletter.campaigns import alerts

    language = digests.get(session, mailing.digest_id or 0).languages[0]
    found = alerts.publish(session, mailing.id, mailing.content, language=language, now=now)
    variants.carries(session, mailing.id, found)


def _hold_withdrawn(session: Session, mailing_id: int) -> None:
    """What was composed while an article was being withdrawn carries it, and nobody has held it yet."""
    for article in withdrawal.among(session, variants.carried(session, mailing_id)):
        mailings.hold(session, article, why=mailings.WITHDRAWN)


def _nobody(_zones: Iterable[str]) -> list[str]:
    return []


def described(session: Session, mailing: mailings.MailingView) -> dict[str, Any]:
    """Return an alert's audience as it is stored, every part of it spelled out: what a lock fixes."""
    if mailing.digest_id is None:
        raise NobodyChosen(mailing.id)
    digest = digests.get(session, mailing.digest_id)
    named = {"id": digest.id, "key": digest.key, "languages": list(digest.languages)}
    return {"digest": named} | translating.terms(mailing)


def audience(session: Session, mailing: mailings.MailingView) -> Select[Any]:
    """Return the query for a mailing's readers.

    Those of a rhythm for an issue, all who take the digest for a mailing or an alert, all who have an alert for what takes
    it back; for a language that came later those of the alert's readers who read it.
    """
    if mailing.kind is Kind.RETRACTION:
        return deliveries.handed(mailings.get(session, mailing.retracts or 0))
    if mailing.digest_id is None:
        raise NobodyChosen(mailing.id)
    digest = digests.get(session, mailing.digest_id)
    rhythm = mailing.rhythm if mailing.kind == Kind.DIGEST else None
    terms = translating.terms(mailing)
    if mailing.translates is not None:
        return late(session, mailing.translates, terms["languages"], also_had=terms["also_had"], but=mailing.id)
    return recipients.of_digest(digest.id, rhythm=rhythm, languages=digest.languages, later=terms.get("later", ()))


def late(
    session: Session, mailing_id: int, wanted: Sequence[str], *, also_had: bool, but: int | None = None
) -> Select[Any]:
    """Return the query for the readers of an alert who would get it now in these languages, as a language that came later.

    also_had   those as well who were handed another language
    but        the one that is to go: what it has planned itself does not count
    """
    alert = mailings.get(session, mailing_id)
    digest = digests.get(session, alert.digest_id or 0)
    whole = recipients.of_digest(digest.id, rhythm=None, languages=digest.languages)
    others = [one for one in mailings.translations(session, mailing_id) if one.planned_at and one.id != but]
    return translating.narrowed(whole, [alert, *others], wanted, also_had=also_had)


def plan_due(session: Session, *, now: datetime, tranche_pause: timedelta = timedelta(0)) -> list[int]:
    """Plan the approved mailings whose time has come; return their numbers. Two sweeps at once are harmless."""
    due = mailings.to_start(session, now=now)
    return [mailing_id for mailing_id in due if _planned(session, mailing_id, now=now, tranche_pause=tranche_pause)]


def plan_if_approved(session: Session, mailing_id: int, *, now: datetime) -> bool:
    """Plan a mailing unless somebody has; return whether it is no longer waiting."""
    if mailings.take(session, mailing_id).state is not State.APPROVED:
        return True
    return _planned(session, mailing_id, now=now, tranche_pause=timedelta(0))


_UNLOCKS = (
    OtherAudience,
    CountMoved,
    locks.Broken,
    following.Retracted,
    following.NotRetracted,
    following.NotGoing,
    following.OfAnother,
    following.Followed,
)
"""What makes a draft again of an approved mailing: it is no longer what somebody's word was given for."""


def _planned(session: Session, mailing_id: int, *, now: datetime, tranche_pause: timedelta) -> bool:
    """Plan one; what is no longer as it was locked becomes a draft again, and keeps nobody else waiting.

    A retraction whose alert is still on the wire waits for the next sweep.
    """
    if mailings.get(session, mailing_id).state is not State.APPROVED:
        return False  # an update planned a moment ago took its place
    try:
        with session.begin_nested():
            plan(session, mailing_id, now=now, tranche_pause=tranche_pause)
    except following.OnTheWire:
        return False
    except _UNLOCKS as refused:
        session.expire_all()
        mailings.unlock(session, mailing_id)
        audit.append(session, "alert.unlocked", by=audit.WORKER, now=now, mailing=mailing_id, why=refused.message)
        log.error("not planned", mailing=mailing_id, why=refused.message)
        return False
    return True
