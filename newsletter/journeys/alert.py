"""An alert from its text to its release: drafted, locked, approved by another, let go.

What is locked is fixed word for word (`ledger.manifest`); who must agree is a rule (`operators.night`); that both held is looked
at once more by the worker that sends (`delivery.vouching`).
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from newsletter import database
from newsletter.database import Session
from newsletter.delivery import alone as solo
from newsletter.delivery import planning
from newsletter.jobs import DELIVER, HOOKS, SWEEP
from newsletter.journeys import acting, agreeing, announcing, drafting, fixing, growing, mailing, stopping, telling
from newsletter.journeys.acting import NotAnAlert as NotAnAlert
from newsletter.journeys.acting import allowed as _allowed
from newsletter.journeys.agreeing import NotEnough as NotEnough
from newsletter.journeys.agreeing import enough as _enough
from newsletter.journeys.agreeing import over as _over
from newsletter.journeys.agreeing import words as _words
from newsletter.journeys.drafting import Hand
from newsletter.journeys.parts import Parts
from newsletter.journeys.standings import Locked, Standing
from newsletter.ledger import expiry, locks, mailings, refusals, translating
from newsletter.ledger import planning as rows
from newsletter.ledger.mailings import RELEASED, Lane, MailingView, State
from newsletter.ledger.manifest import Manifest, short
from newsletter.operators import approval, audit, night
from newsletter.operators.night import Fault, Rule, Word
from newsletter.operators.roles import May
from newsletter.operators.sessions import Factor

WENT = RELEASED - {State.STOPPED, State.RETRACTED}
"""It goes, or has gone: whoever still gives a word for it hears that, and no refusal."""


def lock(
    parts: Parts, mailing_id: int, *, by: int | None = None, seen: str | None = None, anew: bool = False
) -> Locked:
    """Fix everything about a draft and return its fingerprint.

    Raises NotEnough, WrongState, NotAnAlert, ChangedMeanwhile, and lasting.MessageOver of what an authority said.

    seen   `drafting.print_of` of the words that were before them; None: whatever they are now, if nobody wrote in them unnamed
    anew   also where it is locked or approved, which is void by that: its readers or its time are others by now
    """
    _allowed(parts, by, May.SEND)
    parts.letterhead.require()
    with parts.database.transaction() as session:
        now = database.now(session)
        acting.an_alert(session, mailing_id)
        view = mailings.take(session, mailing_id)
        if seen is not None and seen != drafting.print_of(view):
            raise drafting.ChangedMeanwhile(mailing_id)
        if anew and view.state is not State.DRAFT:
            view = drafting.unlock(session, parts, view, Hand(by or audit.SHELL, now), anew=True)
        mailings.require(session, mailing_id, State.LOCKED)
        drafting.compose_anew(session, parts, view, now=now)
        manifest = fixing.manifest(session, parts, view, by=by, now=now)
        expiry.expire(session, mailing_id, manifest.expires_at)
        locks.add(session, manifest)
        made = _locked(session, parts, manifest, now=now)
        fault = night.unlockable(by, unread=seen is None and drafting.unnamed(view), few=made.few)
        if fault is not None:
            raise NotEnough(fault, count=made.count, together=made.together, few=parts.house.rules.few)
        if not made.few:
            telling.wanted(session, parts, manifest, now=now)
        facts = {"mailing": mailing_id, "number": made.number, "count": made.count, "fingerprint": made.fingerprint}
        audit.append(session, "alert.locked", by=by or audit.SHELL, now=now, **facts)
    telling.nudge(parts.nudger)
    return made


def _locked(session: Session, parts: Parts, manifest: Manifest, *, now: datetime) -> Locked:
    fingerprint, rules = manifest.fingerprint, parts.house.rules
    about = agreeing.matter(session, parts, manifest, now=now)
    by_one, by_code = night.one_person(about, rules) is None, night.by_code(about, rules) is None
    shown = fingerprint.hex(), short(fingerprint)
    return Locked(manifest.mailing, manifest.number, manifest.count, *shown, about.together, by_one, by_code)


def would_lock(parts: Parts, mailing_id: int) -> int:
    """Return by how many it would be judged whether one person may send an alert, and change nothing.

    With those of its other languages; of one limited to some of its digest's readers all of them.
    """
    with parts.database.transaction() as session:
        view = acting.an_alert(session, mailing_id)
        count = rows.count(session, view, planning.audience(session, view))
        whole = planning.whole(session, view) if translating.limited(translating.terms(view)) else 0
        return max(count + translating.beside(session, mailing_id), whole)


def approve_by_code(parts: Parts, mailing_id: int, *, by: int, code: str, seen: str | None = None) -> None:
    """Give another operator's word by the code their phone shows now. What one person sends alone goes by it at once.

    seen   the fingerprint of what was before their eyes; None: whatever it is now

    Raises NotEnough, WrongFactor, Locked, NotAllowed, ChangedMeanwhile.
    """

    def require(session: Session) -> Manifest:
        manifest = _require_approver(session, parts, mailing_id, by=by, factor=Factor.TOTP, assertion=None)
        return _as_seen(manifest, seen)

    def act(session: Session) -> list[int] | None:
        view = mailings.take(session, mailing_id)
        manifest = require(session)
        approval.add(session, _over(manifest), Rule.TWO, by=by, factor=Factor.TOTP)
        return _agreed(session, parts, view, manifest, by=by, factor=Factor.TOTP)

    _after(parts, mailing_id, acting.by_factor(parts, by, Factor.TOTP, code, before=require, act=act))


def sign(parts: Parts, mailing_id: int, *, by: int, factor: Factor, answer: str, seen: str) -> None:
    """Write down another operator's word: all that the pages may do of an approval. `settle` follows.

    answer   the code of the phone, or a passkey's assertion over the fingerprint
    seen     the fingerprint of what was before their eyes, in hexadecimal

    Raises NotEnough, WrongFactor, Locked, NotAllowed, ChangedMeanwhile.
    """
    assertion = answer if factor is Factor.PASSKEY else None

    def require(session: Session) -> Manifest:
        manifest = _require_approver(session, parts, mailing_id, by=by, factor=factor, assertion=assertion)
        return _as_seen(manifest, seen)

    def add(session: Session) -> None:
        approval.add(session, _over(require(session)), Rule.TWO, by=by, factor=factor, assertion=assertion)
        audit.append(session, "alert.signed", by=by, now=database.now(session), mailing=mailing_id, factor=factor)

    acting.by_factor(parts, by, factor, answer, before=require, act=add)


def has_word(parts: Parts, mailing_id: int, *, by: int, seen: str) -> bool:
    """Return whether an alert is approved, or whether somebody's word for it as they saw it is there already: a tap twice."""
    found = standing(parts, mailing_id)
    if found.locked is None or found.locked.fingerprint != seen:
        return False
    return (found.state in WENT | {State.APPROVED} and not found.alone) or by in found.approved_by


def _as_seen(manifest: Manifest, seen: str | None) -> Manifest:
    """Return a lock that is the one before somebody's eyes; `seen` None: whichever it is. Raises ChangedMeanwhile."""
    if seen is not None and manifest.fingerprint.hex() != seen:
        raise drafting.ChangedMeanwhile(manifest.mailing)
    return manifest


def settle(parts: Parts, mailing_id: int, *, by: int) -> None:
    """Take a locked alert for approved, where somebody's word suffices; what one person sends alone goes at once.

    Raises NotEnough, WrongState, and for what is to go at once what `release` raises.
    """
    with parts.database.transaction() as session:
        # Whoever writes in it meanwhile waits: the lock that is weighed is the one that is approved.
        view = mailings.take(session, mailing_id)
        if view.state in WENT:
            return  # its time came between the word and this
        manifest = locks.current(session, mailing_id)
        _enough(session, parts, manifest, agreeing.seconds(session, manifest), now=database.now(session))
        superseded = _agreed(session, parts, view, manifest, by=by)
    _after(parts, mailing_id, superseded)


def _agreed(
    session: Session, parts: Parts, view: MailingView, manifest: Manifest, *, by: int, **facts: object
) -> list[int] | None:
    """Note that another agreed; where whoever sends it alone has asked for it already it goes, and what it supersedes is returned.

    None: it waits for whoever lets it go.
    """
    now = database.now(session)
    if not solo.waits(session, view):
        _approve(session, parts, manifest, by=by, now=now, **facts)
        return None
    solo.require_sender(session, view)
    note = partial(_note, session, manifest, by=by, now=now, **facts)
    return let_go(session, parts, view.id, by=by, seen=manifest.fingerprint.hex(), note=note)


def _after(parts: Parts, mailing_id: int, superseded: list[int] | None) -> None:
    """Have those told who are to hear of an approval, and what goes by it leave."""
    if superseded is None:
        telling.nudge(parts.nudger)
    else:
        went(parts, mailing_id, superseded)


def _approve(session: Session, parts: Parts, manifest: Manifest, *, by: int, now: datetime, **facts: object) -> None:
    """Note that an alert may go, and tell whoever lets it go: they sit before a page, or sleep beside a phone."""
    mailings.approve(session, manifest.mailing, start_at=None)
    announcing.approved(session, parts, manifest, by=by, now=now)
    _note(session, manifest, by=by, now=now, **facts)


def _note(session: Session, manifest: Manifest, *, by: int | str, now: datetime, **facts: object) -> None:
    facts = {"mailing": manifest.mailing, "number": manifest.number} | facts
    audit.append(session, "alert.approved", by=by, now=now, **facts)


def _require_approver(
    session: Session, parts: Parts, mailing_id: int, *, by: int, factor: Factor, assertion: str | None
) -> Manifest:
    acting.require(session, by, May.APPROVE)
    view = acting.an_alert(session, mailing_id)
    if solo.waits(session, view):
        solo.require_sender(session, view)
    else:
        mailings.require(session, mailing_id, State.APPROVED)
    manifest = locks.current(session, mailing_id)
    word = Word(Rule.TWO, by, factor, assertion, database.now(session))
    planning.require_in_time(session, mailing_id, at=word.at)
    _enough(session, parts, manifest, [word], now=word.at)
    return manifest


def release(parts: Parts, mailing_id: int, *, by: int | None = None, seen: str | None = None) -> State:
    """Let an alert go that is approved, or that one person may send; return its state.

    seen   the fingerprint of what was before their eyes; None: whatever it is now

    Raises NotEnough where somebody's word is missing, ChangedMeanwhile, CountMoved and OtherAudience where the audience is
    another by now.
    """
    _allowed(parts, by, May.SEND)
    parts.letterhead.require()
    with parts.database.transaction() as session:
        superseded = let_go(session, parts, mailing_id, by=by, seen=seen)
    return went(parts, mailing_id, superseded)


def let_go(
    session: Session,
    parts: Parts,
    mailing_id: int,
    *,
    by: int | None,
    seen: str | None,
    note: Callable[[], object] | None = None,
) -> list[int]:
    """Release an alert in the transaction of the caller, and return what it supersedes: `went` follows. Raises as `release`.

    note   writes down by whose word it goes, once what it follows is held: whoever stops that holds it as they write that down,
           and two who took the audit and the alert in two orders would wait for each other
    """
    now = database.now(session)
    acting.an_alert(session, mailing_id)
    view = mailings.take(session, mailing_id)
    manifest = _as_seen(locks.current(session, mailing_id), seen)
    if view.state is not State.APPROVED:
        note = _admit(session, parts, manifest, by=by, now=now)
    said = _words(session, manifest)
    _enough(session, parts, manifest, said, now=now)
    alone = any(word.rule is Rule.ALONE for word in said)
    if alone and not agreeing.by_others(session, parts, manifest, said, now=now):
        solo.require_heard(session, view, delay=parts.house.rules.alone or timedelta(0), now=now)
    mailings.start_at(session, mailing_id, now)
    planning.plan(session, mailing_id, now=now, portions=parts.portions)
    # Once more, of the moment by which the worker asks: a mandate that was over while rows were written would go to nobody.
    planned = mailings.get(session, mailing_id).planned_at
    _enough(session, parts, manifest, _words(session, manifest, went=planned), now=database.now(session))
    if note is not None:
        note()
    _released(session, parts, manifest, by=by, start_at=now, now=now)
    return [one for each in mailings.followed(session, mailing_id) for one in mailings.in_all_languages(session, each)]


def _admit(
    session: Session, parts: Parts, manifest: Manifest, *, by: int | None, now: datetime
) -> Callable[[], object] | None:
    """Take a locked alert for approved: somebody's word is there and an errand was lost that would settle it, or it needs none.

    Return how that is written down; None of what one person sends, whose own word is a row. Raises NotEnough.
    """
    if not agreeing.approved(session, parts, manifest, now=now):
        _by_one(session, parts, manifest.mailing, by=by, now=now)
        return None
    mailings.approve(session, manifest.mailing, start_at=None)
    return partial(_note, session, manifest, by=by or audit.SHELL, now=now)


def went(parts: Parts, mailing_id: int, superseded: Sequence[int]) -> State:
    """See to it that an alert leaves that was let go, and return its state."""
    with parts.database.transaction() as session:
        state = mailings.get(session, mailing_id).state
    parts.nudger.nudge(DELIVER[Lane.URGENT])
    telling.nudge(parts.nudger)
    growing.grow(parts, mailing_id)
    for one in superseded:
        mailing.cancel_rest(parts, one)
    return state


def _released(
    session: Session, parts: Parts, manifest: Manifest, *, by: int | None, start_at: datetime, now: datetime
) -> None:
    """Tell the team what goes and when, and write it into the audit; what is promised of it is kept."""
    mailing.keep_promise(session, parts, manifest.mailing, due=manifest.count, begins=start_at)
    telling.released(session, parts, manifest, by=by, start_at=start_at, now=now)
    facts = {"mailing": manifest.mailing, "start_at": start_at.isoformat()}
    audit.append(session, "alert.released", by=by or audit.SHELL, now=now, **facts)


def may_release(parts: Parts, mailing_id: int, *, alone: bool = False) -> int:
    """Return how many an alert would go to if it were released now, and change nothing. Raises what `release` raises."""
    parts.letterhead.require()
    with parts.database.transaction() as session:
        view, manifest = acting.an_alert(session, mailing_id), locks.current(session, mailing_id)
        if view.state is not State.APPROVED:
            mailings.require(session, mailing_id, State.APPROVED)
            now = database.now(session)
            if not agreeing.approved(session, parts, manifest, now=now):
                _rule_of_one(session, parts, manifest, alone=alone, now=now)
        else:
            _enough(session, parts, manifest, _words(session, manifest), now=database.now(session))
        planning.require_in_time(session, mailing_id, at=database.now(session))
        if planning.described(session, view) != manifest.audience:
            raise planning.OtherAudience(mailing_id)
        count = rows.count(session, view, planning.audience(session, view))
        if manifest.moved(count):
            raise planning.CountMoved(mailing_id, manifest.count, count)
        return count


def _rule_of_one(session: Session, parts: Parts, manifest: Manifest, *, alone: bool, now: datetime) -> Rule:
    """Return the rule that lets one person send: few readers, in all languages together. Raises NotEnough where none does."""
    about = agreeing.matter(session, parts, manifest, now=now)
    if night.one_person(about, parts.house.rules) is None:
        return Rule.FEW
    if alone and parts.house.rules.alone is not None:
        return Rule.ALONE
    raise agreeing.refusal(Fault.NOT_ALONE if alone else Fault.NOBODY, parts, manifest, about)


def _by_one(session: Session, parts: Parts, mailing_id: int, *, by: int | None, now: datetime) -> None:
    """Write down one person's own word, where few readers let one person send. Raises NotEnough."""
    mailings.require(session, mailing_id, State.APPROVED)
    manifest = locks.current(session, mailing_id)
    if manifest.translates is not None:
        # Two languages at once must not both count without the other.
        translating.one_at_a_time(session, manifest.translates)
    approval.add(session, _over(manifest), _rule_of_one(session, parts, manifest, alone=False, now=now), by=by)
    mailings.approve(session, mailing_id, start_at=now)


def send_alone(
    parts: Parts, mailing_id: int, *, by: int, factor: Factor, answer: str, seen: str | None = None
) -> State:
    """Let an alert go after the delay in which everyone may stop it: where nobody else can be reached. Return its state.

    answer   the code of their phone, or a passkey's assertion over the fingerprint: what an approval of so many would need
    seen     the fingerprint of what was before their eyes; None: whatever it is now

    Raises NotEnough, WrongFactor, Locked, NotAllowed, ChangedMeanwhile.
    """
    _allowed(parts, by, May.SEND)
    parts.letterhead.require()
    assertion = answer if factor is Factor.PASSKEY else None

    def require(session: Session) -> Manifest:
        acting.an_alert(session, mailing_id)
        mailings.require(session, mailing_id, State.APPROVED)
        manifest = _as_seen(locks.current(session, mailing_id), seen)
        word = Word(Rule.ALONE, by, factor, assertion, database.now(session))
        if (delay := parts.house.rules.alone) is None:
            about = agreeing.matter(session, parts, manifest, now=word.at)
            raise agreeing.refusal(Fault.NOT_ALONE, parts, manifest, about)
        planning.require_in_time(session, mailing_id, at=word.at + delay)
        agreeing.proven(session, parts, manifest, word)
        return manifest

    def add(session: Session) -> None:
        mailings.take(session, mailing_id)
        manifest, now = require(session), database.now(session)
        start_at = now + (parts.house.rules.alone or timedelta(0))
        approval.add(session, _over(manifest), Rule.ALONE, by=by, factor=factor, assertion=assertion)
        mailings.approve(session, mailing_id, start_at=start_at)
        _released(session, parts, manifest, by=by, start_at=start_at, now=now)

    acting.by_factor(parts, by, factor, answer, before=require, act=add)
    telling.nudge(parts.nudger)
    return State.APPROVED


def send(
    parts: Parts,
    paths: Sequence[str],
    *,
    digest_key: str,
    by: int | None = None,
    updates: int | None = None,
    later: Sequence[str] = (),
    only: Sequence[str] = (),
) -> int:
    """Draft and lock an alert, and release it where the rules let one person, as `send_draft`; return its mailing."""
    mailing_id = drafting.draft(parts, paths, digest_key=digest_key, by=by, updates=updates, later=later, only=only)
    send_draft(parts, mailing_id, by=by)
    return mailing_id


def send_draft(parts: Parts, mailing_id: int, *, by: int | None = None) -> NotEnough | None:
    """Lock what was drafted this moment, and release it where the rules let one person.

    Return why it is still a draft where another is to approve it and nobody says who asks; None where it is locked, or goes.
    """
    try:
        made = lock(parts, mailing_id, by=by)
    except NotEnough as refused:
        if refused.fault is not Fault.NO_AUTHOR:
            raise
        return refused
    if made.few:
        release(parts, mailing_id, by=by, seen=made.fingerprint)
    return None


def stop(parts: Parts, mailing_id: int, *, by: int | None = None) -> int:
    """End an alert for good, in all its languages, or give up one that has not begun; return how many it spares.

    One person, no second factor.
    """
    _allowed(parts, by, May.STOP)
    with parts.database.transaction() as session:
        acting.an_alert(session, mailing_id)
    ended = stopping.end_all(parts, mailing_id, by=by or audit.SHELL)
    for job in (SWEEP, HOOKS):
        parts.nudger.nudge(job)
    return sum(mailing.cancel_rest(parts, one) for one in ended)


def standing(parts: Parts, mailing_id: int, *, reader: int | None = None) -> Standing:
    """Return where an alert stands and what it waits for. reader: as for agreeing.since."""
    with parts.database.transaction() as session:
        now = database.now(session)
        view = acting.an_alert(session, mailing_id)
        refused = tuple(refusals.holding(session, mailing_id))
        if view.fingerprint is None:
            return Standing(mailing_id, view.state, None, None, (), None, view.start_at, None, refusals=refused)
        manifest = locks.of(session, mailing_id, view.fingerprint)
        waiting = view.state in (State.LOCKED, State.APPROVED)
        words = _words(session, manifest) if waiting else approval.of(session, _over(manifest))
        waits = agreeing.judged(session, parts, manifest, words, now=now)
        seconded = waits is None and view.state is State.APPROVED
        seconded = seconded and agreeing.by_others(session, parts, manifest, words, now=now)
        if waits is None and view.state is State.APPROVED and not seconded:
            waits = NotEnough(Fault.UNHEARD, mailing=mailing_id) if solo.put_off(session, view) else None
        made = _locked(session, parts, manifest, now=now)
        return Standing(
            mailing_id,
            view.state,
            made,
            manifest.author,
            tuple(word.operator for word in words if word.operator is not None),
            waits if waiting else None,
            view.start_at,
            agreeing.since(session, manifest, reader=reader),
            tuple(one for one in (manifest.author, *manifest.writers) if one is not None),
            refused,
            alone=solo.waits(session, view),
            seconded=seconded,
        )
