"""From an approved mailing to rows: who gets it, in which version, and who is left out for which reason."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Select

from newsletter import errors
from newsletter.database import Session
from newsletter.delivery import alone, following, hushing, pacing
from newsletter.errors import Conflict, NewsletterError
from newsletter.issues import digests, rhythms, withdrawal
from newsletter.ledger import books, deliveries, locks, mailings, refusals, translating, variants
from newsletter.ledger import planning as rows
from newsletter.ledger.mailings import ORDINARY, Kind, Lane, State, WrongState
from newsletter.ledger.manifest import Manifest
from newsletter.operators import audit, hooks
from newsletter.operators.hooks import Event
from newsletter.subscribers import recipients, segments, topics

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Portions:
    """In how many passes an urgent mailing is planned: to more than `large` it starts with its `first`, then come all.

    To more than `huge` the `next` come between. The rows of a million take a minute, those of the first two thousand a
    twentieth of a second, and fifty thousand by themselves as long as two hundred thousand at once.
    """

    large: int = 10_000
    first: int = 2_000
    huge: int = 200_000
    next: int = 50_000

    def beginning(self, size: int) -> int | None:
        """Return how many an audience of that size starts with; None: all."""
        return self.first if size > self.large else None

    def after(self, planned: int, size: int) -> int | None:
        """Return how many of an audience of that size follow those who are planned; None: all."""
        return self.next if size > self.huge and planned <= self.first else None


PORTIONS = Portions()


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


class Expired(Conflict):
    """The time for which an alert was locked is over: whoever got it now would be told what was true then."""

    def __init__(self, mailing_id: int, expires: datetime) -> None:
        super().__init__("alert.expired", mailing=mailing_id, expires=errors.fact(expires))


@dataclass(frozen=True, slots=True)
class Begun:
    """What became of an approved mailing. refused: why it is a draft again; None: it goes."""

    mailing: int
    refused: NewsletterError | None = None


def plan(
    session: Session,
    mailing_id: int,
    *,
    now: datetime,
    tranche_pause: timedelta = timedelta(0),
    portions: Portions = PORTIONS,
) -> rows.Plan:
    """Write every delivery of an approved mailing, start it, and return the counts.

    tranche_pause   how long a large bulk mailing waits after its first tranche; alerts never do

    A large urgent one starts with its first readers, and `grow` adds the others. An update ends what it follows. Raises
    Expired, following.OnTheWire for a retraction whose time has not come, or a language whose alert still grows, and what
    `following.require_going` raises for one whose alert was ended.
    """
    mailing = mailings.get(session, mailing_id)
    if mailing.kind is Kind.ALERT:
        require_in_time(session, mailing_id, at=now)
    if mailing.translates is not None:
        following.require_going(session, mailing.translates)
        translating.one_at_a_time(session, mailing.translates)
        following.require_grown(session, mailing)
    locked = locks.current(session, mailing_id) if mailing.kind is Kind.ALERT else None
    if locked and described(session, mailing) != locked.audience:
        raise OtherAudience(mailing_id)
    if mailing.kind is Kind.RETRACTION:
        following.taken_back(session, mailing)
    first = portions.beginning(_size(session, mailing))
    if locked and first and not _surely_same(session, mailing, locked):
        _require_count(locked, rows.count(session, mailing, audience(session, mailing)))
    pause = tranche_pause if mailing.lane is Lane.BULK else timedelta(0)
    planned = _pass(session, mailing, first, now=now, tranche_pause=pause)
    paused = False
    if mailing.translates is not None:
        paused = following.require_going(session, mailing.translates, held=True).state is State.PAUSED
    if locked and not first:
        _require_count(locked, planned.planned)
    rows.look(session, mailing, written=planned.planned)
    if locked:
        _publish(session, mailing, locked, now=now)
        following.supersede(session, mailing, now=now)
    else:
        _hold_withdrawn(session, mailing_id, now=now)
    mailings.start(session, mailing_id)
    # An audience of nobody is done at once. While an alert is paused its further languages wait with it.
    if not books.finish(session, mailing_id) and paused:
        mailings.pause_along(session, mailing_id)
    log.info("planned", mailing=mailing_id, audience=planned.audience, planned=planned.planned, shards=planned.shards)
    return planned


def require_in_time(session: Session, mailing_id: int, *, at: datetime) -> None:
    """Raise Expired where an alert would go when its time is over: it would reach nobody, and look as if it had gone."""
    expires = mailings.get(session, mailing_id).expires_at
    if expires is not None and expires <= at:
        raise Expired(mailing_id, expires)


def _surely_same(session: Session, mailing: mailings.MailingView, locked: Manifest) -> bool:
    """Of a language that came later the count hangs on what people have had as well: it is counted."""
    return mailing.translates is None and locked.surely_same(measure(session, mailing))


def measure(session: Session, mailing: mailings.MailingView) -> tuple[int, ...]:
    """Return what the count of an alert depends on, in figures that are counted in a moment: what a lock compares.

    First those of its digest. One whose figures are fewer than they might be is counted.
    """
    digest, terms = digests.get(session, mailing.digest_id or 0), translating.terms(mailing)
    figures: tuple[int, ...] = recipients.measure(session, digest.id)
    if {"later", "only"} & terms.keys():
        written = variants.languages(session, [mailing.id])
        figures += recipients.spoken(session, [*written, *terms.get("later", ()), *digest.languages])
    for topic in terms.get("topics", ()):
        figures += (topics.measure(session, int(topic["id"])),)
    if "segment" in terms:
        segment = segments.from_data(terms["segment"]["all"])
        figures += segments.measure(session, segment, digests=_keys(session))
    return figures


def _require_count(locked: Manifest, count: int) -> None:
    if locked.moved(count):
        raise CountMoved(locked.mailing, locked.count, count)


def _size(session: Session, mailing: mailings.MailingView) -> int:
    """Return to how many an urgent mailing goes, as far as it is known before it is planned; 0 for another."""
    if mailing.kind is Kind.RETRACTION:
        return mailings.planned(session, mailing.retracts or 0)
    try:
        return locks.current(session, mailing.id).count if mailing.kind is Kind.ALERT else 0
    except locks.Broken:
        return 0  # no worker sends it


SPARE = 20_000
"""How many more people of zones that are awake are looked at than a pass takes: they may read other digests, or have a row."""


def _pass(
    session: Session, mailing: mailings.MailingView, first: int | None, *, now: datetime, tranche_pause: timedelta
) -> rows.Plan:
    """Write the rows of all who have none, or of the `first`. An alert goes first where people are awake: they can act at once."""
    awake = pacing.awake(now=now) if mailing.kind is Kind.ALERT else None
    foremost = None
    if first is not None:
        near = recipients.Near(awake, first + SPARE) if awake is not None else None
        foremost = rows.First(first, audience(session, mailing, near=near) if near else None)
    everybody = audience(session, mailing)
    return rows.plan(session, mailing, everybody, now=now, tranche_pause=tranche_pause, awake=awake, first=foremost)


def grow(session: Session, mailing_id: int, *, now: datetime, portions: Portions = PORTIONS) -> bool:
    """Write the rows of further readers of a mailing that goes to its first already; return whether there are still more.

    False also where somebody else is at it, and where the mailing was ended meanwhile. Whether the audience is the locked one to
    the last row, the worker looks before each shard.
    """
    if not mailings.alone(session, mailing_id):
        return False
    mailing = mailings.get(session, mailing_id)
    if not mailing.growing or mailing.state not in (State.SENDING, State.PAUSED):
        return False
    try:
        with session.begin_nested():
            first = portions.after(mailings.planned(session, mailing_id), _size(session, mailing))
            add = partial(_pass, session, mailing, now=now, tranche_pause=timedelta(0))
            grown = add(first)
            if first is not None and not grown.planned:
                first, grown = None, add(None)  # those it looked at are left out, and would be looked at again
    except WrongState:
        return False
    rows.look(session, mailing, written=grown.planned, more=first is not None)
    if not grown.shards:
        books.finish(session, mailing_id)
    log.info("grown", mailing=mailing_id, planned=grown.planned, shards=grown.shards, more=first is not None)
    return first is not None


def _publish(session: Session, mailing: mailings.MailingView, locked: Manifest, *, now: datetime) -> None:
    """An alert that goes is an article from then on, and everything that it carries is held with it."""
    # Here: it loads what reads feeds, and every sender plans (decision 4).
    from newsletter.campaigns import alerts

    found = alerts.publish(session, locked, page=str(mailing.content.get("page", "")), now=now)
    variants.carries(session, mailing.id, found)


def _hold_withdrawn(session: Session, mailing_id: int, *, now: datetime) -> None:
    """What was composed while an article was being withdrawn carries it, and nobody has held it yet."""
    hushing.hush(session, now=now)
    for article in withdrawal.among(session, variants.carried(session, mailing_id)):
        mailings.hold(session, article, why=mailings.WITHDRAWN)


def described(session: Session, mailing: mailings.MailingView) -> dict[str, Any]:
    """Return an alert's audience as it is stored, every part of it spelled out: what a lock fixes."""
    if mailing.digest_id is None:
        raise NobodyChosen(mailing.id)
    digest = digests.get(session, mailing.digest_id)
    named = {"id": digest.id, "key": digest.key, "languages": list(digest.languages)}
    return {"digest": named} | translating.terms(mailing)


def whole(session: Session, mailing: mailings.MailingView) -> int:
    """Return to how many an alert that is cut into parts would go uncut: to all who take its digest; 0 of one that is not cut.

    Whoever cuts one into parts, each to few, reaches them all: by this it is judged who may send it.
    """
    return reach(session, digests.get(session, mailing.digest_id or 0)) if translating.terms(mailing) else 0


def reach(session: Session, digest: digests.DigestView) -> int:
    """Return to how many an alert to a whole digest would go now."""
    everyone = recipients.of_digest(digest.id, rhythms=None, languages=digest.languages, urgent=True)
    return recipients.count(session, everyone)


def audience(session: Session, mailing: mailings.MailingView, *, near: recipients.Near | None = None) -> Select[Any]:
    """Return the query for a mailing's readers.

    For an issue those who want it that often (`issues.rhythms`), all who take the digest for a mailing or an alert, all who have
    an alert for what takes it back; for a language that came later those of the alert's readers who read it.

    near   of an alert, the first of those who live there; of a later language those alone who wait for it
    """
    if mailing.kind is Kind.RETRACTION:
        return handed(mailings.get(session, mailing.retracts or 0))
    if mailing.digest_id is None:
        raise NobodyChosen(mailing.id)
    digest = digests.get(session, mailing.digest_id)
    issue = mailing.rhythm if mailing.kind == Kind.DIGEST else None
    terms = translating.terms(mailing)
    if mailing.translates is not None:
        had = bool(terms["also_had"])
        return late(session, mailing.translates, terms["languages"], also_had=had, but=mailing.id, near=near)
    written = variants.languages(session, [mailing.id]) if mailing.kind is Kind.ALERT else None
    later = terms.get("later", ())
    whole = recipients.of_digest(
        digest.id,
        rhythms=rhythms.readers_of(issue, own=digest.rhythm) if issue else None,
        languages=digest.languages,
        urgent=mailing.kind not in ORDINARY,
        written=written,
        later=later,
        only=terms.get("only", ()),
        near=near,
    )
    return _narrowed(session, mailing, whole)


def _narrowed(session: Session, mailing: mailings.MailingView, whole: Select[Any]) -> Select[Any]:
    """Return those of an audience who are in the mailing's segment, if it has one, and chose the topics of an alert."""
    if mailing.kind is Kind.ALERT:
        return part(session, translating.terms(mailing), whole)
    if mailing.kind is not Kind.MAILING or "segment" not in mailing.content:
        return whole
    return _inside(session, mailing.content["segment"], whole)


def part(session: Session, terms: Mapping[str, Any], whole: Select[Any]) -> Select[Any]:
    """Return those of a digest's readers to whom an alert is limited by topics and segment. Raises segments.BadSegment.

    Nobody is added by that: whoever does not take the digest, or may not be mailed, is in no part of it.
    """
    if chosen := terms.get("topics"):
        whole = whole.where(recipients.among(topics.choosers([int(one["id"]) for one in chosen])))
    return _inside(session, terms["segment"]["all"], whole) if terms.get("segment") else whole


def require_part(session: Session, terms: Mapping[str, Any]) -> None:
    """Raise what `part` would raise."""
    if terms.get("segment"):
        _in_segment(session, terms["segment"]["all"])


def _inside(session: Session, conditions: Any, whole: Select[Any]) -> Select[Any]:
    return whole.where(_in_segment(session, conditions))


def _in_segment(session: Session, conditions: Any) -> ColumnElement[bool]:
    meant, keys = segments.from_data(conditions), _keys(session)
    return segments.holds(session, meant, recipients.READER, digests=keys)


def _keys(session: Session) -> dict[str, int]:
    return {key: number for number, key in digests.keys(session).items()}


def handed(mailing: mailings.MailingView) -> Select[Any]:
    """Return the query for everyone who has a mailing, or may have it, with the style they want now."""
    return recipients.styled(deliveries.handed(mailing))


def late(
    session: Session,
    mailing_id: int,
    wanted: Sequence[str],
    *,
    also_had: bool,
    but: int | None = None,
    near: recipients.Near | None = None,
) -> Select[Any]:
    """Return the query for the readers of an alert who would get it now in these languages, as a language that came later.

    also_had   those as well who were handed another language
    but        the one that is to go: what it has planned itself does not count
    near       as for `audience`
    """
    alert = mailings.get(session, mailing_id)
    digest = digests.get(session, alert.digest_id or 0)
    others = [one for one in mailings.translations(session, mailing_id) if one.planned_at and one.id != but]
    gone = [alert, *others]
    # Of a language that the digest does not list a reader may have the alert as well.
    written = [*variants.languages(session, [one.id for one in gone]), *digest.languages]
    terms = translating.terms(alert if but is None else mailings.get(session, but))
    only = terms.get("only", ())
    whole = recipients.of_digest(
        digest.id, rhythms=None, languages=digest.languages, urgent=True, written=written, only=only, near=near
    )
    whole = part(session, terms, whole)
    return translating.narrowed(whole, gone, wanted, also_had=also_had, waiting=near is not None)


def begin_due(
    session: Session,
    mailing_id: int,
    *,
    now: datetime,
    tranche_pause: timedelta = timedelta(0),
    portions: Portions = PORTIONS,
) -> Begun | None:
    """Plan an approved mailing if its time has come; None: it has not, or somebody else is at it. Two at once are harmless.

    In a transaction of its own: until that ends nobody can stop the mailing, nor is anything of it sent.
    """
    taken = mailings.take_to_start(session, mailing_id, now=now)
    if taken is None:
        return None

    def plan_one(mailing_id: int) -> None:
        if taken.kind is Kind.ALERT:
            require_in_time(session, mailing_id, at=now)
            alone.require(session, taken)
        plan(session, mailing_id, now=now, tranche_pause=tranche_pause, portions=portions)

    return _planned(session, mailing_id, plan_one, now=now)


def plan_if_approved(session: Session, mailing_id: int, *, now: datetime, portions: Portions = PORTIONS) -> bool:
    """Plan a mailing unless somebody has; return whether it is no longer waiting."""
    if mailings.take(session, mailing_id).state is not State.APPROVED:
        return True
    begun = _planned(session, mailing_id, partial(plan, session, now=now, portions=portions), now=now)
    return begun is not None and begun.refused is None


_UNLOCKS = (
    OtherAudience,
    CountMoved,
    Expired,
    locks.Broken,
    alone.SenderLeft,
    following.Retracted,
    following.NotRetracted,
    following.NotGoing,
    following.OfAnother,
    following.OtherDigest,
    following.Followed,
    segments.BadSegment,
)
"""What makes a draft again of an approved mailing: it is no longer what somebody's word was given for."""


def _planned(session: Session, mailing_id: int, plan_one: Callable[[int], object], *, now: datetime) -> Begun | None:
    """Plan one; what is no longer as it was locked becomes a draft again, and keeps nobody else waiting.

    None: a retraction whose alert is still on the wire waits for the next sweep, and so does an alert that nobody else can stop.
    """
    try:
        with session.begin_nested():
            plan_one(mailing_id)
    except following.OnTheWire:
        return None
    except alone.Unheard as waits:
        if hooks.add_once(session, Event.UNHEARD, alert=mailing_id, lock=locks.newest(session, mailing_id)):
            log.error("put off", mailing=mailing_id, why=waits.message)
        return None
    except _UNLOCKS as refused:
        session.expire_all()
        _refuse(session, mailing_id, refused, now=now)
        return Begun(mailing_id, refused)
    return Begun(mailing_id)


def _refuse(session: Session, mailing_id: int, refused: NewsletterError, *, now: datetime) -> None:
    """Make a draft of what does not go, and have team and hook told: whoever sent it believes that it does."""
    locks.unlock(session, mailing_id)
    refusals.add(session, mailing_id, refused, halted=False)
    hooks.add(session, Event.REFUSED, alert=mailing_id, why=refused.message)
    audit.append(session, "alert.unlocked", by=audit.WORKER, now=now, mailing=mailing_id, why=refused.message)
    log.error("not planned", mailing=mailing_id, why=refused.message)
