"""An ordinary mailing: drafted from a text, tried on one address, sent or scheduled, paused, stopped."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from newsletter import database, mailboxes
from newsletter.addresses import EmailAddress
from newsletter.composer import lint
from newsletter.composer import mailing as composing
from newsletter.composer.content import MailingContent
from newsletter.composer.message import Compiled
from newsletter.composer.styles import Style
from newsletter.database import Session
from newsletter.delivery import budget, hushing, paces, planning, quotas, roads, standing
from newsletter.delivery import promises as truth
from newsletter.delivery.budget import Promise
from newsletter.delivery.promises import Handed, Hour, Promised
from newsletter.delivery.roads import Bearer, Sentence
from newsletter.errors import Conflict
from newsletter.issues import digests, manuscript
from newsletter.issues.digests import DigestView
from newsletter.jobs import DELIVER, HOOKS, SWEEP
from newsletter.journeys import acting, inbound, styling
from newsletter.journeys.parts import Parts
from newsletter.journeys.publish import NoSuchFile
from newsletter.ledger import books, deliveries, lanes, locks, mailings, promises, shards, tallies, variants
from newsletter.ledger.deliveries import Single
from newsletter.ledger.mailings import NOT_GONE, Draft, Kind, Lane, MailingView, State, WrongState
from newsletter.operators import audit, hooks
from newsletter.operators.hooks import Event
from newsletter.operators.roles import May
from newsletter.subscribers import people, recipients, segments


class OfAnAlert(Conflict):
    """An alert is given up by a stop, which is written down and told; what lies ready to take it back stays while it is there."""

    def __init__(self, mailing_id: int, alert: int) -> None:
        which = "alert.ended-by-stop" if mailing_id == alert else "alert.retraction-stays"
        super().__init__(which, mailing=mailing_id, alert=alert)


def read_manuscript(path: str, *, language: str) -> manuscript.Manuscript:
    """Return the manuscript of a file. Raises NoSuchFile, manuscript.BadManuscript."""
    return manuscript.read(read_file(path), language=language)


def read_file(path: str) -> str:
    """Return the text of a file. Raises NoSuchFile."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise NoSuchFile(path, error.strerror or "unknown reason") from None
    except UnicodeDecodeError:
        raise NoSuchFile(path, "it is not text in UTF-8") from None


@dataclass(frozen=True, slots=True)
class Drafted:
    """A mailing's number, and the ids of sentences that an operator should read before sending it."""

    mailing: int
    warnings: tuple[str, ...] = ()


def draft(parts: Parts, path: str, *, digest_key: str, segment_key: str | None = None) -> Drafted:
    """Compose a mailing from a text file for everyone who takes a digest, or for those of them who are in a segment."""
    parts.letterhead.require()
    with parts.database.transaction() as session:
        digest = digests.by_key(session, digest_key)
        text = read_manuscript(path, language=digest.languages[0])
        narrowed = _narrowed(session, segment_key) if segment_key else None
        new = Draft(Kind.MAILING, Lane.BULK, digest_id=digest.id, subject=text.subject, content=narrowed)
        mailing_id = mailings.draft(session, new, now=database.now(session))
        warnings: dict[str, None] = {}
        for number, look in enumerate(styling.of_readers(session, digest.id), start=1):
            compiled = _compose(session, parts, text, digest, f"{mailing_id}/{number}", Style.parse(look))
            variants.store(session, mailing_id, compiled, number=number, language=text.language, style=look)
            warnings.update(dict.fromkeys(lint.warnings(compiled)))
        return Drafted(mailing_id, tuple(warnings))


def _compose(
    session: Session, parts: Parts, text: manuscript.Manuscript, digest: DigestView, number: str, style: Style
) -> Compiled:
    """Compose a mailing in a style. number: of the mailing and of its version, as the archive knows them."""
    frame = parts.letterhead.frame(
        digest,
        language=text.language,
        kind="mailing",
        archive_path=f"/archive/{digest.key}/{number}",
        mailto=inbound.leave_address(session, parts),
        style=style,
    )
    words = parts.letterhead.links(text.markdown, style)
    content = MailingContent(text.subject, text.preheader, words, database.now(session).date())
    return composing.compose(content, frame, parts.layout)


def _narrowed(session: Session, key: str) -> dict[str, Any]:
    """Spelled out, the segment of a mailing stays what it was when the mailing was composed; who is in it is asked anew."""
    return {"segment": segments.as_data(segments.spelled(session, segments.by_key(session, key)))}


def test(parts: Parts, mailing_id: int, address: str) -> int:
    """Send the first version of a mailing to one address, with links that do nothing; return the test's mailing."""
    to = may_test(parts, mailing_id, address)
    with parts.database.transaction() as session:
        now = database.now(session)
        tested = mailings.get(session, mailing_id)
        new = Draft(kind=Kind.TEST, lane=Lane.TRANSACTIONAL, digest_id=None, subject=f"Test of {tested.subject}")
        test_id = mailings.draft(session, new, now=now)
        variant = variants.copy(session, variants.of(session, mailing_id)[0].id, to_mailing=test_id)
        mailings.lock(session, test_id)
        mailings.approve(session, test_id, start_at=now)
        mailings.start(session, test_id)
        single = Single(variant, mailboxes.find_or_make(session, to), None, to.provider)
        deliveries.ask(session, mailings.get(session, test_id), single, now=now)
    parts.nudger.nudge(DELIVER[Lane.TRANSACTIONAL])
    return test_id


def may_test(parts: Parts, mailing_id: int, address: str) -> EmailAddress:
    """Return the address of a test. Raises what `test` would raise, and sends nothing."""
    parts.letterhead.require()
    with parts.database.transaction() as session:
        mailings.get(session, mailing_id)
    return EmailAddress.parse(address)


def status(parts: Parts, mailing_id: int) -> books.Status:
    """Return the books of a mailing."""
    with parts.database.transaction() as session:
        return books.status(session, mailing_id)


def promise(parts: Parts, mailing_id: int, *, readers: int | None = None) -> Promise | None:
    """Return when what is left of a mailing will have been handed over; None where nothing limits its lane's relays.

    readers   of one that has not gone, to how many it would, where somebody has counted; None: counted here

    A pace that a relay's refusals taught counts from the start, a provider's once it is known who is written to.
    """
    groups: dict[str, int] = {}
    with parts.database.transaction() as session:
        mailing = mailings.get(session, mailing_id)
        now = database.now(session)
        if mailing.state in NOT_GONE and mailing.planned_at is None:
            due = _audience(session, mailing) if readers is None else readers
        else:
            groups = shards.due_by_provider(session, mailing_id)
            due = sum(groups.values()) + locks.to_come(session, mailing)
        begins = max(now, mailing.start_at or now)
        promised = _promised(session, parts, mailing.lane, due, groups, begins=begins)
        return budget.not_before(promised, due, _waiting(session, mailing_id, groups).until)


def _audience(session: Session, mailing: MailingView) -> int:
    return recipients.count(session, planning.audience(session, mailing)) if mailing.digest_id else 0


def paused_lane(parts: Parts, mailing_id: int) -> tuple[Lane, datetime] | None:
    """Return the lane of a mailing, and since when it hands nothing over; None: it goes, or the mailing is over."""
    with parts.database.transaction() as session:
        lane = mailings.get(session, mailing_id).lane
        since = lanes.paused(session).get(lane)
        return None if since is None or books.status(session, mailing_id).over else (lane, since)


def standstill(session: Session, lane: Lane) -> tuple[Sentence, ...]:
    """Return what is said of an alert's lane that stands still; nothing of one that goes."""
    since = lanes.paused(session).get(lane)
    return () if since is None else (("plan.paused", {"since": Hour(since, database.now(session))}),)


def _promised(
    session: Session, parts: Parts, lane: Lane, due: int, groups: Mapping[str, int], *, begins: datetime
) -> Promise | None:
    if not due:
        return None
    lessons = paces.lessons(session, parts.relays[lane])
    promised = budget.promise(due, quotas.bearing(session, parts.relays, lane, now=database.now(session)), now=begins)
    for provider, taught in lessons.items():
        promised = budget.promise_to_group(promised, due, groups.get(provider, 0), taught, now=begins)
    return promised


def keep_promise(session: Session, parts: Parts, mailing_id: int, *, due: int, begins: datetime) -> None:
    """Write down what is promised of a mailing to so many as it is let go; nothing where nothing limits its relays.

    Of a lane that stands still nothing is promised: nobody knows until when.
    """
    lane = mailings.get(session, mailing_id).lane
    promised = _promised(session, parts, lane, due, {}, begins=begins)
    if promised is not None and lane not in lanes.paused(session):
        promises.keep(session, mailing_id, Promised(due, begins, promised).facts)


def promise_kept(parts: Parts, status: books.Status) -> tuple[Sentence, ...]:
    """Return what was promised of a mailing as it was let go and what became of it; nothing where nothing was promised.

    And of what still goes, that its lane stands still.
    """
    with parts.database.transaction() as session:
        facts = promises.kept(session, status.mailing)
        now = database.now(session)
        held = _waiting(session, status.mailing)
        halted = () if status.over else standstill(session, mailings.get(session, status.mailing).lane)
    if facts is None:
        return halted
    whole = max(status.planned, int(facts["due"])) if status.growing else status.planned
    handed = Handed(status.accepted, whole, status.finished_at if status.over else None, held.due, held.until)
    return (*truth.kept(Promised.of(facts), handed, now=now), *halted)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """For how many a mailing waits because their provider refuses it, and until when at the latest; None: for nobody."""

    due: int = 0
    until: datetime | None = None


def _waiting(session: Session, mailing_id: int, groups: Mapping[str, int] | None = None) -> _Waiting:
    if not (held := tallies.held(session, mailing_id)):
        return _Waiting()
    by = shards.due_by_provider(session, mailing_id) if groups is None else groups
    waits = {provider: until for provider, until in held.items() if by.get(provider)}
    return _Waiting(sum(by[one] for one in waits), max(waits.values(), default=None))


def road(parts: Parts, mailing_id: int, *, due: int) -> tuple[Sentence, ...]:
    """Return in sentences by which relays an alert will travel to so many, at what pace, and beside what."""
    with parts.database.transaction() as session:
        now, lane = database.now(session), mailings.get(session, mailing_id).lane
        by = parts.relays[lane]
        bears = quotas.limits(session, by, lane, now=now)
        away = [standing.of(session, relay).closed_since is not None for relay in by]
        digest = any(mailings.get(session, one).lane is Lane.BULK for one in mailings.under_way(session))
        halted = standstill(session, lane)
    bulk = {relay.name for relay in parts.relays[Lane.BULK]}
    bearers = [
        Bearer(relay.name, limits, relay.daily, relay.reserve, gone, relay.name in bulk)
        for relay, limits, gone in zip(by, bears, away, strict=True)
    ]
    return roads.plan(due, bearers, digest=digest, now=now, halted=halted)


def relays_away(parts: Parts, mailing_id: int) -> tuple[str, ...]:
    """Return the relays of a mailing's lane if none of them answers, else nothing."""
    with parts.database.transaction() as session:
        relays = parts.relays[mailings.get(session, mailing_id).lane]
        return tuple(relay.name for relay in relays) if standing.all_away(session, relays) else ()


def listed(parts: Parts, *, limit: int = 50) -> list[books.Status]:
    """Return the books of the newest mailings."""
    with parts.database.transaction() as session:
        return [books.status(session, row.id) for row in mailings.listed(session, limit=limit)]


def pause(parts: Parts, mailing_id: int, *, by: int | str = audit.SHELL) -> list[int]:
    """Halt a mailing, an alert in all its languages; nothing new is handed over after at most half a second. Return which.

    by   as for audit.append

    As whichever role, and one after the other: the alert itself waits for no language that is being planned. Raises
    WrongState where nothing of it is under way.
    """
    with signed_after(parts, Event.PAUSED, by=by) as halted:
        with parts.database.transaction() as session:
            itself = mailings.get(session, mailing_id).state is State.SENDING or not _under_way(session, mailing_id)
            if itself:
                mailings.pause(session, mailing_id)
        halted += [mailing_id] * itself
        with parts.database.transaction() as session:
            languages = _under_way(session, mailing_id)
        for one in languages:
            with suppress(WrongState):
                with parts.database.transaction() as session:
                    mailings.pause_along(session, one)
                halted.append(one)
    _to_tell(parts)
    return halted


def _under_way(session: Session, mailing_id: int) -> list[int]:
    """Return the later languages of an alert that go, or are about to."""
    going = (State.SENDING, State.APPROVED)
    return [one.id for one in mailings.translations(session, mailing_id) if one.state in going]


def note(session: Session, what: Event, mailing_id: int) -> None:
    """Write down that a mailing was resumed or stopped: what the hook and the team are told of (`halts`).

    They are told of alerts, and of what takes one back: of nothing else were they told that it goes. What a function of the
    owner's halts (`mailings.stop`, `mailings.pause`) is told of by that: it is only signed.
    """
    view = mailings.get(session, mailing_id)
    became = {"state": view.state} if what is Event.STOPPED else {}
    match view.kind:
        case Kind.ALERT:
            hooks.add(session, what, alert=mailing_id, **became)
        case Kind.RETRACTION:
            hooks.add(session, what, alert=view.retracts, retraction=mailing_id, **became)


def _note_resumed(session: Session, mailing_id: int, *, by: int | str) -> None:
    note(session, Event.RESUMED, mailing_id)
    sign(session, Event.RESUMED, mailing_id, by=by)


def sign(session: Session, what: Event, mailing_id: int, *, by: int | str) -> None:
    """Write into the audit who paused, resumed or stopped a mailing."""
    view = mailings.get(session, mailing_id)
    act = "alert" if view.kind in (Kind.ALERT, Kind.RETRACTION) else "mailing"
    audit.append(session, f"{act}.{what}", by=by, now=database.now(session), mailing=mailing_id)


@contextmanager
def signed_after(parts: Parts, what: Event, *, by: int | str) -> Iterator[list[int]]:
    """Sign, once all of it stands, for each mailing that is put into this list as it is halted; whatever fails of the others."""
    halted: list[int] = []
    try:
        yield halted
    finally:
        if halted:
            acting.sign_after(parts, *(partial(sign, what=what, mailing_id=one, by=by) for one in halted))


def asks(parts: Parts, operator: int | None, act: May) -> int | str:
    """Return who asks for an act, for the audit: an operator who may, or whoever runs the machine. Raises NotAllowed."""
    acting.allowed(parts, operator, act)
    return operator or audit.SHELL


def _to_tell(parts: Parts) -> None:
    """A worker tells the team."""
    for job in (SWEEP, HOOKS):
        parts.nudger.nudge(job)


def may(parts: Parts, mailing_id: int, to: State) -> None:
    """Raise what a move would raise, and change nothing: what --dry-run asks."""
    with parts.database.transaction() as session:
        if to is State.SENDING:
            mailing_id = _to_resume(session, mailing_id)
        if to is State.SENDING and mailings.get(session, mailing_id).state is not State.PAUSED:
            if tallies.along(session, mailing_id) or _held(session, mailing_id):
                return
            raise mailings.WrongState(mailing_id, mailings.get(session, mailing_id).state, to)
        if to is State.CANCELLED:
            _require_no_alert(mailings.get(session, mailing_id))
        mailings.require(session, mailing_id, to)


def resume(parts: Parts, mailing_id: int, *, by: int | str = audit.SHELL) -> list[int]:
    """Let a paused mailing go on, an alert with the languages that were paused with it; return which. Raises WrongState.

    What goes, and is held at some provider, goes on there: an alert in all its languages. Of one that was taken back, what takes
    it back.
    """
    with parts.database.transaction() as session:
        mailing_id = _to_resume(session, mailing_id)
        view, along = mailings.get(session, mailing_id), tallies.along(session, mailing_id)
        lifted = [one for one in _held(session, mailing_id) if tallies.lift(session, one)]
        for one in lifted:
            _note_resumed(session, one, by=by)
    resumed = [mailing_id] if view.state is State.PAUSED or not (along or lifted) else []
    for one in (*resumed, *along):
        with parts.database.transaction() as session:
            mailings.resume(session, one)
            tallies.forget(session, one)
            _note_resumed(session, one, by=by)
    parts.nudger.nudge(DELIVER[view.lane])
    _to_tell(parts)
    return list(dict.fromkeys([*resumed, *lifted, *along]))


def _to_resume(session: Session, mailing_id: int) -> int:
    """Return the mailing that would go on: what takes an alert back, where it was taken back."""
    view = mailings.get(session, mailing_id)
    taken_back = view.kind is Kind.ALERT and view.state is State.RETRACTED
    return mailings.retraction_of(session, mailing_id) if taken_back else mailing_id


def _held(session: Session, mailing_id: int) -> list[int]:
    """Return what goes of a mailing and is held at some provider: itself, an alert's later languages, what takes these back."""
    retracts = mailings.get(session, mailing_id).retracts
    every = mailings.in_all_languages(session, retracts or mailing_id)
    if retracts:
        every = [mailings.retraction_of(session, one) for one in every]
    going = (one for one in every if mailings.get(session, one).state is State.SENDING)
    return [one for one in going if tallies.held(session, one)]


def stop(parts: Parts, mailing_id: int, *, by: int | str = audit.SHELL) -> int:
    """End a mailing for good, an alert in all its languages; return how many deliveries were cancelled. by: as for audit.append."""
    with parts.database.transaction() as session:
        now = database.now(session)
        every = mailings.take_all(session, lambda: mailings.in_all_languages(session, mailing_id))
        under_way = (State.SENDING, State.PAUSED)
        stopped = [one for one in every if one == mailing_id or mailings.get(session, one).state in under_way]
        for one in stopped:
            mailings.move(session, one, State.STOPPED, finished_at=now)
            note(session, Event.STOPPED, one)
    with signed_after(parts, Event.STOPPED, by=by) as halted:
        halted += stopped
    _to_tell(parts)
    return sum(cancel_rest(parts, one) for one in stopped)


def cancel_rest(parts: Parts, mailing_id: int) -> int:
    """Cancel what is left of a stopped mailing; return how many. The stop itself does not wait for a million rows."""
    cancelled = 0
    with parts.database.transaction() as session:
        hushing.hush(session, now=database.now(session))
    for waiting in (False, True):
        with parts.database.transaction() as session:
            stopped = mailings.get(session, mailing_id)
            reason = "superseded" if mailings.superseded(session, mailing_id) else "stopped"
            cancelled += deliveries.cancel_all(session, stopped, reason=reason, waiting=waiting)
    return cancelled


def cancel(parts: Parts, mailing_id: int) -> None:
    """Give up a mailing that has not begun. Raises WrongState, OfAnAlert."""
    with parts.database.transaction() as session:
        _require_no_alert(mailings.get(session, mailing_id))
        mailings.move(session, mailing_id, State.CANCELLED)


def _require_no_alert(view: MailingView) -> None:
    if view.kind in (Kind.ALERT, Kind.RETRACTION):
        raise OfAnAlert(view.id, view.retracts or view.id)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reader who may have had a mail without anybody's word for it. reference None: a test. state: what followed."""

    reference: str | None
    uncertain_at: datetime
    state: str


def in_doubt(parts: Parts, mailing_id: int) -> list[Doubt]:
    """Return everyone of whom it was ever uncertain whether the mail arrived, oldest first."""
    with parts.database.transaction() as session:
        found = deliveries.in_doubt(session, mailings.get(session, mailing_id))
        references = people.references(session, [one.subscriber_id for one in found if one.subscriber_id])
    return [Doubt(references.get(one.subscriber_id or 0), one.uncertain_at, one.state) for one in found]
