"""Alerts on a phone: write, look, lock, approve, send, watch, end. No page needs JavaScript but to sign with a passkey."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from newsletter.campaigns.errands import Act
from newsletter.errors import NewsletterError
from newsletter.journeys import (
    alert,
    bulletins,
    calling,
    desk,
    drilling,
    errands,
    expiring,
    mandates,
    previews,
    stopping,
    translating,
)
from newsletter.journeys.entering import Visitor
from newsletter.journeys.expiring import Longer
from newsletter.journeys.parts import Parts
from newsletter.ledger.mailings import NOT_GONE, State
from newsletter.ledger.tallies import WITH_ALERT
from newsletter.operators.night import Rule
from newsletter.operators.roles import May
from newsletter.operators.sessions import Factor
from newsletter.web.console import asking, gate
from newsletter.web.console.gate import Id
from newsletter.web.security import MAIL_POLICY

router = APIRouter(prefix="/console/alerts")
READ = ["GET", "HEAD"]
Place = Annotated[int, Path(ge=1, le=2**31 - 1)]
LONGER_HOURS = 12
LOOKS = {"waiting": 1, "going": 3, "locked": 5, "alone": 15}
"""After how many seconds a page asks anew: while a worker is at it, while an alert goes, while it waits for another's word, and at
most while it waits for its time, and another's word would let it go sooner."""
CHECK_PATIENCE = timedelta(seconds=20)
"""How long a page waits for links to be tried: where no worker runs it must not ask for ever."""


@router.api_route("", methods=READ)
def list_(request: Request, all_: Annotated[bool, Query(alias="all")] = False) -> HTMLResponse:
    """List the newest alerts, and above them what authorities said of any. all: every message of these, however many."""
    who = gate.visitor(request)
    parts = gate.made(request).parts
    lit = drilling.lamp(parts)
    cancelled = bulletins.cancelled(parts)
    facts: dict[str, Any] = {
        "alerts": desk.listed(parts),
        "held": bulletins.held_words(parts, limit=None if all_ else bulletins.MOST_HELD),
        "held_of": bulletins.held_count(parts),
        "cancelled": cancelled if all_ else cancelled[: bulletins.MOST_CANCELLED],
        "cancelled_of": len(cancelled),
        "still": desk.standstill(parts),
    }
    return gate.show(
        request,
        "alerts.html",
        who=who,
        lamp=lit.ok,
        lane=drilling.sentence(lit, gate.language(request, who.operator), zone=parts.zone, page=True),
        **facts,
    )


@router.api_route("/{number}", methods=READ)
def show(request: Request, number: Id, retract: bool = False, alone: bool = False, words: bool = False) -> HTMLResponse:
    """Show where an alert stands, and what may be done with it.

    Under no reload where something is typed or read: retract, alone   with the button that takes it back, or the field for a
    code of one's own; words   with its words, while it goes
    """
    asked = {"retract": retract, "alone": alone, "words": words}
    return _shown(request, gate.visitor(request), number, still=frozenset(one for one in asked if asked[one]))


def _shown(
    request: Request,
    who: Visitor,
    number: int,
    problem: NewsletterError | None = None,
    *,
    still: frozenset[str] = frozenset(),
) -> HTMLResponse:
    parts = gate.made(request).parts
    found = desk.shown(parts, number, reader=who.operator.id if May.APPROVE in who.operator.may else None)
    waits = found.standing.state in NOT_GONE
    checked = desk.checked(parts, found, request.app.state.counts) if waits else None
    rules = parts.house.rules
    locked = found.standing.locked
    alone = locked is not None and found.standing.state is State.LOCKED and May.SEND in who.operator.may
    signing = asking.signing(request, who, Rule.ALONE, bytes.fromhex(locked.fingerprint)) if locked and alone else None
    offer = mandates.offer(parts, number, by=who.operator.id) if alone and locked and not locked.few else None
    whom = calling.whom(parts, number)
    typed = problem or still or (offer and not offer.refusal)
    back, place = desk.taken_back(parts, found), translating.languages(parts, number)
    goes = place.sending or (back is not None and not back.over and back.state != State.PAUSED)
    looks = None if typed else _looks(parts, found, checked, goes=goes, approvers=bool(whom.approvers), now=who.now)
    answer = gate.show(
        request,
        "alert.html",
        moves=looks is not None,
        script=signing is not None,
        signing=signing,
        thumb=_thumb(request, who, found, offer),
        codes=locked is not None and locked.codes,
        who=who,
        problem=problem,
        still=still,
        alert=found,
        whom=whom,
        cancelled=bulletins.cancelled(parts, among=number),
        back=back,
        trying=errands.is_checked(parts, number, since=CHECK_PATIENCE),
        place=place,
        waiting=checked.waiting if checked else None,
        halted=found.status.halted and f"halted.{found.status.halted}",
        along=found.status.halted == WITH_ALERT,
        checked=checked,
        kept=() if waits else desk.kept(parts, found),
        rules=rules,
        longer=_longer(found, now=who.now),
        longer_hours=LONGER_HOURS,
        few=locked is not None and locked.few,
        offer=offer,
    )
    if looks is not None:
        answer.headers["refresh"] = str(looks)
    return answer


def _longer(found: desk.Alert, *, now: datetime) -> Longer | None:
    """Return what the button for longer would give; None: its lock allows no more, nobody is due, or it does not go."""
    if found.expires_at is None or found.latest is None or not found.status.anyone_due:
        return None
    return expiring.offer(found.expires_at, found.latest, timedelta(hours=LONGER_HOURS), now=now)


def _thumb(request: Request, who: Visitor, found: desk.Alert, offer: mandates.Offer | None) -> str | None:
    """Return what a mandate's holder signs with their passkey."""
    if offer is None or found.standing.locked is None:
        return None
    fingerprint = bytes.fromhex(found.standing.locked.fingerprint)
    return asking.signing(request, who, Rule.MANDATE, fingerprint, mandate=offer.mandate.fingerprint)


def _looks(
    parts: Parts, found: desk.Alert, checked: desk.Checks | None, *, goes: bool, approvers: bool, now: datetime
) -> int | None:
    """Return after how many seconds a page on which nobody types asks anew; None: never.

    goes       what takes it back goes, or a language of it that was written later
    approvers  there are any
    """
    state, starts = found.standing.state, found.standing.start_at
    if goes or state is State.SENDING or found.out:
        return LOOKS["going"]
    if state is State.LOCKED:
        return LOOKS["locked"]
    if state is State.APPROVED and starts is not None:
        left = max(LOOKS["going"], int((starts - now).total_seconds()) + 1)
        return min(left, LOOKS["alone"]) if approvers else left
    if checked is None or checked.links is not None:
        return None
    return LOOKS["waiting"] if errands.is_checked(parts, found.standing.mailing, since=CHECK_PATIENCE) else None


@router.api_route("/{number}/preview/{version}", methods=READ)
def preview(request: Request, number: Id, version: Place, name: str = "") -> Response:
    """Show a version as a reader of that name sees it, in a sandbox of its own; one of plain text as that."""
    gate.visitor(request)
    found = previews.of_version(gate.made(request).parts, number, version, name=name[:80])
    if found is None:
        raise HTTPException(404)
    if not found.html:
        return PlainTextResponse(found.text)
    return HTMLResponse(found.html, headers={"content-security-policy": MAIL_POLICY})


@router.post("/{number}/lock")
def lock(
    request: Request, number: Id, seen: Annotated[str, Form()] = "", anew: Annotated[bool, Form()] = False
) -> Response:
    """Fix everything about an alert, as it was before their eyes; anew: also where it is locked, which is void by that."""
    return _errand(request, number, Act.LOCK, May.SEND, seen=seen, anew=anew)


@router.post("/{number}/want-lock")
def want_lock(request: Request, number: Id) -> Response:
    """Ask those who may lock it to do so."""
    return _errand(request, number, Act.WANT_LOCK, May.WRITE)


@router.api_route("/{number}/as/{version}", methods=READ)
def preview_as(request: Request, number: Id, version: Place) -> HTMLResponse:
    """Ask as which reader a version is to be seen: on a page of its own, which no reload empties."""
    who = gate.visitor(request)
    found = desk.shown(gate.made(request).parts, number)
    return gate.show(request, "alert-preview.html", who=who, alert=found, version=version)


@router.post("/{number}/release")
def release(request: Request, number: Id, seen: Annotated[str, Form()] = "") -> Response:
    """Let it go now, as it was before their eyes."""
    return _errand(request, number, Act.RELEASE, May.SEND, seen=seen)


@router.post("/{number}/alone")
def alone(
    request: Request,
    number: Id,
    fingerprint: Annotated[str, Form()] = "",
    factor: Annotated[Factor, Form()] = Factor.TOTP,
    answer: Annotated[str, Form()] = "",
) -> Response:
    """Let it go after the delay in which everyone may stop it, by the same proof as an approval."""
    return _errand(request, number, Act.ALONE, May.SEND, factor=factor, answer=answer, seen=fingerprint)


@router.post("/{number}/mandated")
def mandated(
    request: Request,
    number: Id,
    mandate: Annotated[int, Form(ge=0, le=2**63 - 1)] = 0,
    fingerprint: Annotated[str, Form()] = "",
    factor: Annotated[Factor, Form()] = Factor.TOTP,
    answer: Annotated[str, Form()] = "",
) -> Response:
    """Let it go by a mandate that two others signed: one thumb."""
    facts = {"mandate": mandate, "factor": factor, "answer": answer, "seen": fingerprint}
    return _errand(request, number, Act.MANDATED, May.SEND, **facts)


@router.post("/{number}/retract")
def retract(request: Request, number: Id) -> Response:
    """Take it back from everyone who has it."""
    return _errand(request, number, Act.RETRACT, May.STOP)


@router.post("/{number}/extend")
def extend(request: Request, number: Id, seen: Annotated[str, Form()] = "") -> Response:
    """Give it longer, as far as its lock allows. seen: until when it was to go as they pressed."""
    return _errand(request, number, Act.EXTEND, May.SEND, hours=LONGER_HOURS, seen=seen)


def _errand(request: Request, number: int, act: Act, needs: May, **facts: object) -> Response:
    """Have a worker do something, and show the alert; or why it was refused."""
    who = gate.visitor(request)
    who.require(needs)
    ended = asking.ask(request, who, act, mailing=number, **facts)
    if ended.refused and not errands.is_so(gate.made(request).parts, ended):
        return _shown(request, who, number, asking.refusal(ended))
    return asking.go_on(ended)


@router.api_route("/errands/{errand}", methods=READ)
def wait(request: Request, errand: Id) -> Response:
    """Wait for a worker, and go on to what it did."""
    who = gate.visitor(request)
    ended = errands.wait(gate.made(request).parts, errand, by=who.operator.id, seconds=0)
    if ended.done_at is None and who.now - ended.asked_at > errands.OLDEST:
        # It will not be done any more, also not when the desk is back.
        return gate.show(request, "alert-waits.html", who=who, problem=errands.TooOld(), away=True)
    if ended.done_at is None:
        answer = gate.show(request, "alert-waits.html", who=who, away=False)
        answer.headers["refresh"] = str(LOOKS["waiting"])
        return answer
    if not ended.refused or errands.is_so(gate.made(request).parts, ended):
        return asking.go_on(ended)
    if ended.mailing is None:
        return gate.show(request, "alert-waits.html", who=who, problem=asking.refusal(ended), away=False)
    return _shown(request, who, ended.mailing, asking.refusal(ended))


@router.api_route("/{number}/approve", methods=READ)
def ask_approval(request: Request, number: Id) -> HTMLResponse:
    """Show every word that is to be approved, what is another than before, and how to sign."""
    return _approval(request, gate.visitor(request), number)


def _approval(request: Request, who: Visitor, number: int, problem: NewsletterError | None = None) -> HTMLResponse:
    who.require(May.APPROVE)
    parts = gate.made(request).parts
    found = desk.shown(parts, number, reader=who.operator.id)
    locked = found.standing.locked
    if not found.standing.approvable or locked is None:
        return _shown(request, who, number, problem)
    signing = asking.signing(request, who, Rule.TWO, bytes.fromhex(locked.fingerprint))
    facts = {
        "alert": found,
        "locked": locked,
        "signing": signing,
        "codes": locked.codes,
        "place": translating.languages(parts, number),
        "whom": calling.whom(parts, number),
        "checked": desk.checked(parts, found, request.app.state.counts),
        "trying": errands.is_checked(parts, number, since=CHECK_PATIENCE),
        "own": who.operator.id in found.standing.wrote,
    }
    return gate.show(request, "alert-approve.html", who=who, problem=problem, script=signing is not None, **facts)


@router.post("/{number}/approve")
def approve(
    request: Request,
    number: Id,
    fingerprint: Annotated[str, Form()] = "",
    factor: Annotated[Factor, Form()] = Factor.TOTP,
    answer: Annotated[str, Form()] = "",
) -> Response:
    """Sign what the page before showed: by a code, or by a passkey over the fingerprint."""
    who = gate.visitor(request)
    who.require(May.APPROVE)
    parts = gate.made(request).parts
    try:
        alert.sign(parts, number, by=who.operator.id, factor=factor, answer=answer, seen=fingerprint)
    except NewsletterError as problem:
        if not alert.has_word(parts, number, by=who.operator.id, seen=fingerprint):
            return _approval(request, who, number, problem)
    return _errand(request, number, Act.SETTLE, May.APPROVE)


@router.post("/{number}/pause")
def pause(request: Request, number: Id) -> Response:
    """Halt it: it can go on."""
    return _halt(request, number, State.PAUSED)


@router.post("/{number}/resume")
def resume(request: Request, number: Id) -> Response:
    """Let it go on where it stood."""
    return _errand(request, number, Act.RESUME, May.SEND)


@router.post("/{number}/stop")
def stop(request: Request, number: Id) -> Response:
    """End it for good: one person, and nothing more is asked."""
    return _halt(request, number, State.STOPPED)


def _halt(request: Request, number: int, to: State) -> Response:
    """Halt an alert. Whoever only watched it until their session was idle halts it all the same, and sees nothing else."""
    who, idle = gate.halter(request)
    who.require(May.STOP)
    parts, here = gate.made(request).parts, f"/console/alerts/{number}"
    try:
        stopping.by_hand(parts, number, to, by=who.operator.id)
    except NewsletterError as problem:
        # Of two taps the second is refused, and means the same.
        if not stopping.is_so(parts, number, to):
            return gate.door(request, here, problem=problem) if idle else _shown(request, who, number, problem)
    return gate.door(request, here, done=f"login-{to}", number=number) if idle else gate.go(here)
