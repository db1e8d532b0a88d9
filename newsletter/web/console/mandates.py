"""Watch mandates on a phone: written down and signed by two in the evening, ended by anyone; used on the alert's own page."""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response
from starlette.concurrency import run_in_threadpool

from newsletter.campaigns.errands import Act
from newsletter.errors import NewsletterError
from newsletter.journeys import desk
from newsletter.journeys import mandates as journey
from newsletter.journeys.entering import Visitor
from newsletter.journeys.mandates import Paper
from newsletter.journeys.parts import Parts
from newsletter.ledger.manifest import short
from newsletter.operators.night import SIGNING
from newsletter.operators.roles import May
from newsletter.operators.sessions import Factor
from newsletter.web.console import asking, gate
from newsletter.web.console.gate import Id

router = APIRouter(prefix="/console/mandates")
READ = ["GET", "HEAD"]
HERE = "/console/mandates"
MOST_ALERTS = 10
USUAL = {"digest": "", "cause": "", "until": "08:00", "most_alerts": "3", "most_readers": ""}


@router.api_route("", methods=READ)
def list_(request: Request) -> HTMLResponse:
    """List what holds, what waits for signatures, and what is over."""
    who, parts = gate.visitor(request), gate.made(request).parts
    names, _ = journey.team(parts)
    facts: dict[str, Any] = {"papers": journey.papers(parts), "names": names, "named": _named(names)}
    return gate.show(request, "mandates.html", who=who, may_write=journey.may_write(who.operator.may), **facts)


def _named(names: Mapping[int, str]) -> Callable[[Iterable[int]], list[str]]:
    """Return what says the names of some of the team."""
    return lambda numbers: [names.get(one, str(one)) for one in numbers]


@router.api_route("/new", methods=READ)
def write(request: Request) -> HTMLResponse:
    """Ask what a mandate is to allow."""
    return _form(request, _writer(request), {}, [])


@router.post("")
async def add(request: Request) -> Response:
    """Have a mandate written down, for two others to sign."""
    form = await request.form()
    fields = {name: str(value) for name, value in form.items()}
    frames = [str(one) for one in form.getlist("frame")]
    return await run_in_threadpool(_add, request, fields, frames)


def _writer(request: Request) -> Visitor:
    who = gate.visitor(request)
    if not journey.may_write(who.operator.may):
        who.require(May.SEND)
    return who


def _add(request: Request, fields: dict[str, str], frames: Sequence[str]) -> Response:
    who, parts = _writer(request), gate.made(request).parts
    try:
        ends = journey.until(fields.get("until", "").strip(), now=who.now, zone=parts.zone)
    except NewsletterError as problem:
        return _form(request, who, fields, frames, problem)
    facts: dict[str, Any] = {
        "holder": _number(fields, "holder"),
        "digest": fields.get("digest", ""),
        "cause": fields.get("cause", "").strip()[:200],
        "until": ends.isoformat(),
        "frames": list(frames),
        "most_alerts": min(_number(fields, "most_alerts"), MOST_ALERTS),
        "most_readers": _number(fields, "most_readers"),
    }
    once = {"once": fields["once"][:64]} if fields.get("once") else {}
    ended = asking.ask(request, who, Act.MANDATE, **(facts | once))
    return _form(request, who, fields, frames, asking.refusal(ended)) if ended.refused else asking.go_on(ended)


def _number(fields: dict[str, str], name: str) -> int:
    """Return a number of a form; none, or one that nobody means, is 0 and is refused as such."""
    written = fields.get(name, "").strip()
    return int(written) if written.isdecimal() and len(written) <= 9 else 0


def _form(
    request: Request,
    who: Visitor,
    fields: dict[str, str],
    chosen: Sequence[str],
    problem: NewsletterError | None = None,
) -> HTMLResponse:
    parts = gate.made(request).parts
    _, able = journey.team(parts)
    until = (USUAL | fields)["until"]
    facts: dict[str, Any] = {
        "able": able,
        "once": secrets.token_urlsafe(12),
        "ends": _ends(parts, until, now=who.now),
        "digests": desk.audiences(parts),
        "frames": desk.frames(parts),
        "fields": {"holder": str(who.operator.id)} | USUAL | fields,
        "chosen": chosen,
        "most_alerts": MOST_ALERTS,
    }
    return gate.show(request, "mandate-write.html", who=who, problem=problem, **facts)


def _ends(parts: Parts, until: str, *, now: datetime) -> datetime:
    """Return when it would end, so that its zone is named as it is then: clocks change at night."""
    try:
        return journey.until(until.strip(), now=now, zone=parts.zone)
    except NewsletterError:
        return now


@router.api_route("/{number}", methods=READ)
def show(request: Request, number: Id) -> HTMLResponse:
    """Show all that a mandate allows, and how to sign it."""
    return _shown(request, gate.visitor(request), number)


def _shown(request: Request, who: Visitor, number: int, problem: NewsletterError | None = None) -> HTMLResponse:
    parts = gate.made(request).parts
    found, (names, _) = journey.paper(parts, number), journey.team(parts)
    signs, lost = _signs(found, who), who.operator.id in found.held.lost
    signing = asking.signing(request, who, SIGNING, found.mandate.fingerprint) if signs else None
    facts = {
        "paper": found,
        "names": names,
        "named": _named(names),
        "code": short(found.mandate.fingerprint),
        "signs": signs,
        "came_back": May.APPROVE in who.operator.may and who.operator.id in found.mandate.signers and lost,
        "signing": signing,
        "codes": found.codes,
    }
    return gate.show(request, "mandate.html", who=who, problem=problem, script=signing is not None, **facts)


def _signs(found: Paper, who: Visitor) -> bool:
    """Return whether it is theirs to sign: another's who may hold it, not signed by them yet, and every word before their eyes."""
    mandate, me = found.mandate, who.operator.id
    holder = mandate.terms.holder
    theirs = me != holder and me not in mandate.signers and holder not in found.held.lost
    return May.APPROVE in who.operator.may and theirs and not found.over and found.whole


@router.post("/{number}/sign")
def sign(
    request: Request,
    number: Id,
    factor: Annotated[Factor, Form()] = Factor.TOTP,
    answer: Annotated[str, Form()] = "",
) -> Response:
    """Sign what the page before showed: by a code, or by a passkey over the fingerprint."""
    who = gate.visitor(request)
    who.require(May.APPROVE)
    ended = asking.ask(request, who, Act.SIGN, mandate=number, factor=factor, answer=answer)
    return _shown(request, who, number, asking.refusal(ended)) if ended.refused else asking.go_on(ended)


@router.post("/{number}/end")
def end(request: Request, number: Id) -> Response:
    """End it: one person, and nothing more is asked."""
    who = gate.visitor(request)
    who.require(May.STOP)
    journey.end(gate.made(request).parts, number, by=who.operator.id)
    return gate.go(f"{HERE}/{number}")
