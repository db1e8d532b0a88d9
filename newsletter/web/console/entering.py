"""Log in (password, then code or passkey), prove it again, log out."""

import re
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from newsletter.errors import NewsletterError, NotFound
from newsletter.journeys import desk, stopping
from newsletter.journeys import entering as journey
from newsletter.journeys.entering import Answer, Visitor
from newsletter.operators.factors import Locked, WrongFactor
from newsletter.operators.passwords import Busy
from newsletter.operators.sessions import Factor, NotLoggedIn, Stage
from newsletter.operators.throttle import TooMany
from newsletter.web.console import gate

router = APIRouter(prefix="/console")
READ = ["GET", "HEAD"]


@router.api_route("", methods=READ)
def front(request: Request) -> HTMLResponse:
    """Say who is logged in, which alerts wait for them, and what they may do."""
    who = gate.visitor(request)
    waits = desk.waits(gate.made(request).parts, who.operator, now=who.now)
    return gate.show(request, "front.html", who=who, waits=waits)


@router.api_route("/login", methods=READ)
def ask(request: Request, back: str = "") -> Response:
    """Ask for address and password. back: the page that somebody wanted to see."""
    token = request.cookies.get(gate.SESSION, "")
    if token and journey.who(gate.made(request).parts, token):
        return gate.go(gate.inside(back))
    return gate.door(request, back, halts=_halts(request, back))


def _halts(request: Request, back: str) -> int | None:
    """Return the alert that somebody watched until their session was idle: they halt it from here, and see nothing of it."""
    watched = re.fullmatch(r"/console/alerts/(\d{1,18})", back.partition("?")[0])
    if watched is None:
        return None
    try:
        gate.halter(request)
        return int(watched[1]) if stopping.may_halt(gate.made(request).parts, int(watched[1])) else None
    except (NotLoggedIn, NotFound):
        return None


@router.post("/login")
def enter(
    request: Request,
    address: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    back: Annotated[str, Form()] = "",
) -> Response:
    """Look at address and password; go on to the second factor."""
    try:
        token = journey.enter(gate.made(request).parts, address, password, gate.where(request))
    except (journey.WrongLogin, TooMany, Busy) as problem:
        return gate.door(request, back, problem=problem)
    answer = gate.go(gate.way("/console/second", back))
    gate.put_session(answer, token)
    return answer


@router.api_route("/second", methods=READ)
def ask_second(request: Request, back: str = "") -> HTMLResponse:
    """Ask for a code or a passkey."""
    return _asked(request, gate.half(request), back=back)


@router.post("/second")
def second(
    request: Request,
    factor: Annotated[Factor, Form()] = Factor.TOTP,
    answer: Annotated[str, Form()] = "",
    back: Annotated[str, Form()] = "",
) -> Response:
    """Look at the second factor, and let them in, to the page they wanted."""
    shown = Answer(factor, answer)
    token = request.cookies.get(gate.SESSION, "")
    try:
        entered = journey.second(gate.made(request).parts, token, shown, gate.where(request), gate.site(request))
    except (WrongFactor, Locked) as problem:
        return _asked(request, gate.half(request), problem, back=back)
    inside = gate.go("/console/account" if factor is Factor.RECOVERY else gate.inside(back))
    gate.put_session(inside, entered.token)
    gate.put(inside, gate.DEVICE, entered.cookie, same_site="strict", seconds=gate.DEVICE_SECONDS)
    inside.delete_cookie(gate.FORM, path="/", secure=True, httponly=True, samesite="strict")
    return inside


@router.post("/passkey")
def ask_passkey(request: Request, back: Annotated[str, Form()] = "") -> Response:
    """Make ready what a passkey signs, for somebody on the way in or inside; then show the page again."""
    parts, token = gate.made(request).parts, request.cookies.get(gate.SESSION, "")
    who = journey.who(parts, token) or journey.half(parts, token)
    journey.ask_passkey(parts, who)
    if who.session.stage is Stage.HALF:
        return gate.go(gate.way("/console/second", back))
    return gate.go(gate.way("/console/prove", back))


@router.api_route("/prove", methods=READ)
def ask_again(request: Request, back: str = "") -> HTMLResponse:
    """Ask for the second factor once more, before something that opens a door."""
    return _asked(request, gate.visitor(request), back=back, again=True)


@router.post("/prove")
def prove(
    request: Request,
    factor: Annotated[Factor, Form()] = Factor.TOTP,
    answer: Annotated[str, Form()] = "",
    back: Annotated[str, Form()] = "",
) -> Response:
    """Look at it, and go back to what was wanted."""
    who = gate.visitor(request)
    try:
        journey.prove(gate.made(request).parts, who, Answer(factor, answer), gate.site(request))
    except (WrongFactor, Locked) as problem:
        return _asked(request, who, problem, back=back, again=True)
    return gate.go(gate.inside(back))


def _asked(
    request: Request, who: Visitor, problem: NewsletterError | None = None, *, back: str, again: bool = False
) -> HTMLResponse:
    """One page for both. again: somebody is inside, and proves themselves once more."""
    offer = journey.offer(gate.made(request).parts, who, gate.site(request))
    action = "/console/prove" if again else "/console/second"
    return gate.show(
        request,
        "second.html",
        who=who if again else None,
        problem=problem,
        script=offer.request is not None,
        offer=offer,
        action=action,
        again=again,
        back=gate.inside(back),
    )


@router.post("/logout")
def leave(request: Request) -> Response:
    """Log out on this device."""
    journey.leave(gate.made(request).parts, gate.visitor(request))
    answer = gate.go("/console/login")
    gate.drop_session(answer)
    return answer


@router.api_route("/passkey.js", methods=READ)
def script(request: Request) -> Response:
    """The one script: it hands a passkey's answer to a form."""
    return Response(request.app.state.pages.script, media_type="text/javascript")
