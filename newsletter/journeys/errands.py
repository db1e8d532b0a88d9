"""From a button on a phone to the worker that does it: asked for by the pages' role, done by a worker's."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import structlog

from newsletter import database
from newsletter.campaigns import errands
from newsletter.campaigns.errands import Act, ErrandView
from newsletter.errors import Conflict, NewsletterError
from newsletter.jobs import ERRANDS, LINKS
from newsletter.journeys import (
    acting,
    alert,
    desk,
    drafting,
    expiring,
    mailing,
    mandates,
    retracting,
    translating,
    wanting,
)
from newsletter.journeys.mandates import Wish
from newsletter.journeys.narrowing import Part
from newsletter.journeys.parts import Parts
from newsletter.ledger import mailings
from newsletter.ledger.mailings import State
from newsletter.operators.roles import May
from newsletter.operators.sessions import Factor

log = structlog.get_logger()

LOOK_SECONDS = 0.05
OLDEST = timedelta(minutes=2)


class TooOld(Conflict):
    """Nobody did what was asked for in time, so it is not done any more."""

    def __init__(self) -> None:
        super().__init__("errand.too-old", minutes=OLDEST // timedelta(minutes=1))


def ask(parts: Parts, act: Act, *, by: int, mailing: int | None = None, once: bool = False, **facts: object) -> int:
    """Write down an errand and call a worker; return its number. Raises UnknownMailing.

    once   of the very same, asked again, that of the first
    """
    add, told = errands.add_once if once else errands.add, {name: _typed(one) for name, one in facts.items()}
    with parts.database.transaction() as session:
        if mailing is not None:
            mailings.get(session, mailing)
        number = add(session, act, by=by, mailing=mailing, **told)
    parts.nudger.nudge(LINKS if act is Act.CHECK else ERRANDS)
    return number


def _typed(fact: object) -> object:
    """Return a fact without what no keyboard types and PostgreSQL stores in no text."""
    if isinstance(fact, str):
        return fact.replace("\0", "")
    return [_typed(one) for one in fact] if isinstance(fact, list | tuple) else fact


def wait(parts: Parts, number: int, *, by: int, seconds: float) -> ErrandView:
    """Return an errand once it is done, or as it stands after so long."""
    until = time.monotonic() + seconds
    while True:
        with parts.database.transaction() as session:
            found = errands.get(session, number, by=by)
        if found.done_at is not None or time.monotonic() > until:
            return found
        time.sleep(LOOK_SECONDS)


def is_so(parts: Parts, ended: ErrandView) -> bool:
    """Return whether an alert is already what somebody pressed for: of two taps the second is refused, and means the same."""
    if ended.mailing is None or ended.act not in _SO:
        return False
    with parts.database.transaction() as session:
        view = mailings.get(session, ended.mailing)
        if view.state not in _SO[ended.act]:
            return False
        match ended.act:
            case Act.LOCK:
                return not ended.facts.get("anew") and ended.facts.get("seen") == drafting.print_of(view)
            case Act.ALONE:
                return _these_words(ended, view) and (view.state is not State.APPROVED or view.start_at is not None)
            case Act.RELEASE | Act.MANDATED:
                return _these_words(ended, view)
            case _:
                return True


def _these_words(ended: ErrandView, view: mailings.MailingView) -> bool:
    """Whether what goes is what they pressed for: somebody may have locked it anew, and it went in other words."""
    seen = ended.facts.get("seen")
    return not seen or view.fingerprint is None or seen == view.fingerprint.hex()


_SO: Mapping[Act, frozenset[State]] = MappingProxyType(
    {
        Act.LOCK: alert.WENT | {State.LOCKED, State.APPROVED},
        Act.SETTLE: alert.WENT | {State.APPROVED},
        Act.RELEASE: alert.WENT,
        Act.ALONE: alert.WENT | {State.APPROVED},
        Act.MANDATED: alert.WENT,
        Act.RETRACT: frozenset({State.RETRACTED}),
        Act.RESUME: frozenset({State.SENDING, State.DONE}),
    }
)


def is_checked(parts: Parts, mailing: int, *, since: timedelta) -> bool:
    """Return whether somebody was asked, no longer ago than this, to try an alert's links, or is trying them."""
    with parts.database.transaction() as session:
        return errands.under_way(session, Act.CHECK, mailing, since=since, now=database.now(session))


def run(parts: Parts) -> int:
    """Do what was pressed and waits, but try no links; return how many."""
    done = 0
    while _next(parts, links=False):
        done += 1
    return done


def try_links(parts: Parts) -> int:
    """Try the links of one alert whose turn it is, and have those of the next tried; return of how many."""
    tried = _next(parts, links=True)
    if tried and waits(parts, links=True):
        parts.nudger.nudge(LINKS)
    return int(tried)


def waits(parts: Parts, *, links: bool = False) -> bool:
    """Return whether a press is to be done, or links are to be tried."""
    with parts.database.transaction() as session:
        return errands.waiting(session, links=links)


def _next(parts: Parts, *, links: bool) -> bool:
    with parts.database.transaction() as session:
        found = errands.claim(session, now=database.now(session), links=links)
    if found is not None:
        _run(parts, found)
    return found is not None


def _run(parts: Parts, found: ErrandView) -> None:
    mailing, refused = found.mailing, None
    try:
        _require_young(parts, found)
        mailing = _DO[found.act](parts, found) or mailing
    except NewsletterError as refusal:
        refused = (refusal.message, refusal.facts)
        log.info("errand refused", errand=found.id, act=found.act, why=refusal.message)
    except Exception:
        # Whatever it is: the next errand must not wait for it, and whoever asked must not wait for ever.
        log.exception("errand failed", errand=found.id, act=found.act)
        refused = ("errand.failed", {})
    with parts.database.transaction() as session:
        errands.end(session, found.id, mailing=mailing, refused=refused, now=database.now(session))


def _require_young(parts: Parts, found: ErrandView) -> None:
    """Raise TooOld: who pressed a button in the evening, while no worker ran, does not mean it in the morning.

    Links are tried all the same: of what waits to be read it is as good to know.
    """
    if found.act is Act.CHECK:
        return
    with parts.database.transaction() as session:
        if database.now(session) - found.asked_at > OLDEST:
            raise TooOld


def _draft(parts: Parts, found: ErrandView) -> int:
    words, digest, facts = tuple(found.facts["words"]), str(found.facts["digest"]), found.facts
    if facts.get("translates"):
        of, also_had = int(facts["translates"]), bool(facts.get("also_had"))
        return translating.draft_words(parts, words, of=of, also_had=also_had, by=found.operator)
    # Of what the form did not ask, what follows an alert is as that is.
    lists = tuple(facts.get("later", ())), tuple(facts["only"]) if "only" in facts else None, _part(facts)
    wish = drafting.Wish(words, digest, facts.get("updates"), *lists)
    return drafting.draft_words(parts, wish, by=found.operator)


def _edit(parts: Parts, found: ErrandView) -> None:
    seen, words = str(found.facts["seen"]), tuple(found.facts["words"])
    later, only = (None if one is None else tuple(one) for one in map(found.facts.get, ("later", "only")))
    revision = drafting.Revision(words, seen, later, only, _part(found.facts))
    drafting.edit_words(parts, found.mailing or 0, revision, by=found.operator)


def _part(facts: Mapping[str, Any]) -> Part | None:
    """Return to which part of its readers an alert is to be limited; None: the form did not ask."""
    if "topics" not in facts:
        return None
    return Part(tuple(map(str, facts["topics"])), str(facts.get("segment", "")))


def _lock(parts: Parts, found: ErrandView) -> None:
    seen, anew = str(found.facts["seen"]), bool(found.facts.get("anew"))
    alert.lock(parts, found.mailing or 0, by=found.operator, seen=seen, anew=anew)


def _check(parts: Parts, found: ErrandView) -> None:
    desk.try_links(parts, found.mailing or 0)


def _settle(parts: Parts, found: ErrandView) -> None:
    alert.settle(parts, found.mailing or 0, by=found.operator)


def _release(parts: Parts, found: ErrandView) -> None:
    alert.release(parts, found.mailing or 0, by=found.operator, seen=str(found.facts.get("seen", "")))


def _alone(parts: Parts, found: ErrandView) -> None:
    factor, answer, seen = (str(found.facts[name]) for name in ("factor", "answer", "seen"))
    alert.send_alone(parts, found.mailing or 0, by=found.operator, factor=Factor(factor), answer=answer, seen=seen)


def _retract(parts: Parts, found: ErrandView) -> None:
    retracting.retract(parts, found.mailing or 0, by=found.operator)


def _extend(parts: Parts, found: ErrandView) -> None:
    if not _as_seen(parts, found):
        return  # somebody has, since that page was shown: of two taps the first
    expiring.extend(parts, found.mailing or 0, timedelta(hours=int(found.facts["hours"])), by=found.operator)


def _as_seen(parts: Parts, found: ErrandView) -> bool:
    """Return whether an alert still goes until when its page said; a page of before did not say."""
    try:
        seen = datetime.fromisoformat(str(found.facts.get("seen", "")))
    except ValueError:
        return True
    with parts.database.transaction() as session:
        return mailings.get(session, found.mailing or 0).expires_at == seen


def _resume(parts: Parts, found: ErrandView) -> None:
    acting.allowed(parts, found.operator, May.SEND)
    with parts.database.transaction() as session:
        number = acting.an_alert(session, found.mailing or 0).id
    mailing.resume(parts, number, by=found.operator)


def _mandate(parts: Parts, found: ErrandView) -> None:
    said = found.facts
    wish = Wish(
        holder=int(said["holder"]),
        digest=str(said["digest"]),
        cause=str(said["cause"]),
        until=datetime.fromisoformat(str(said["until"])),
        frames=tuple(map(str, said["frames"])),
        most_alerts=int(said["most_alerts"]),
        most_readers=int(said["most_readers"]),
    )
    mandates.add(parts, wish, by=found.operator)


def _sign(parts: Parts, found: ErrandView) -> None:
    number, factor, answer = int(found.facts["mandate"]), str(found.facts["factor"]), str(found.facts["answer"])
    if Factor(factor) is Factor.PASSKEY:
        mandates.sign_by_passkey(parts, number, by=found.operator, assertion=answer)
    else:
        mandates.sign_by_code(parts, number, by=found.operator, code=answer)


def _mandated(parts: Parts, found: ErrandView) -> None:
    number, mandate, by = found.mailing or 0, int(found.facts["mandate"]), found.operator
    factor, answer, seen = (str(found.facts[name]) for name in ("factor", "answer", "seen"))
    if Factor(factor) is Factor.PASSKEY:
        mandates.release_by_passkey(parts, number, mandate=mandate, by=by, assertion=answer, seen=seen)
    else:
        mandates.release_by_code(parts, number, mandate=mandate, by=by, code=answer, seen=seen)


def _want_lock(parts: Parts, found: ErrandView) -> None:
    wanting.ask_for_lock(parts, found.mailing or 0, by=found.operator)


_DO: Mapping[Act, Callable[[Parts, ErrandView], int | None]] = MappingProxyType(
    {
        Act.DRAFT: _draft,
        Act.EDIT: _edit,
        Act.CHECK: _check,
        Act.LOCK: _lock,
        Act.SETTLE: _settle,
        Act.RELEASE: _release,
        Act.ALONE: _alone,
        Act.RETRACT: _retract,
        Act.EXTEND: _extend,
        Act.RESUME: _resume,
        Act.MANDATE: _mandate,
        Act.SIGN: _sign,
        Act.MANDATED: _mandated,
        Act.WANT_LOCK: _want_lock,
    }
)
