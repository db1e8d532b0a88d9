"""One's own account: devices, passkeys, recovery codes, keys for programs."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from newsletter.errors import Conflict, NewsletterError
from newsletter.journeys import keeping
from newsletter.journeys.entering import Visitor
from newsletter.operators.factors import PasskeyTaken, TooManyPasskeys, WrongFactor
from newsletter.operators.passkeys import BadPasskey, Site
from newsletter.operators.passwords import SHORTEST, WeakPassword
from newsletter.operators.people import NotSpoken
from newsletter.operators.roles import May
from newsletter.operators.throttle import TooMany
from newsletter.operators.tokens import FOR_PROGRAMS, BadLife, BadScopes
from newsletter.web.console import gate
from newsletter.web.console.gate import Id, PasswordsDiffer
from newsletter.web.pages import SPOKEN

router = APIRouter(prefix="/console/account")
HERE = "/console/account"


class NoPasskeysHere(Conflict):
    """Browsers make no passkeys for this address."""

    def __init__(self) -> None:
        super().__init__("operator.no-passkeys-here")


@router.api_route("", methods=["GET", "HEAD"])
def show(request: Request) -> HTMLResponse:
    """Show what there is."""
    return _shown(request, gate.visitor(request))


def _shown(request: Request, who: Visitor, problem: NewsletterError | None = None, *, saved: str = "") -> HTMLResponse:
    parts = gate.made(request).parts
    scopes = sorted(who.operator.may & FOR_PROGRAMS)
    return gate.show(
        request,
        "account.html",
        who=who,
        problem=problem,
        saved=saved,
        shortest=SHORTEST,
        account=keeping.account(parts, who),
        scopes=scopes,
        passkeys_here=gate.site(request) is not None,
        languages=SPOKEN,
    )


@router.post("/language")
def speak(request: Request, language: Annotated[str, Form(max_length=35)] = "") -> Response:
    """Choose the language of pages and mails; nothing chosen: as the browser asks."""
    who = gate.visitor(request)
    try:
        keeping.speak(gate.made(request).parts, who, language or None)
    except NotSpoken as problem:
        return _shown(request, who, problem)
    return gate.go(HERE)


@router.post("/sessions/{session}/end")
def end_session(request: Request, session: Id) -> Response:
    """Log out one device."""
    keeping.end_session(gate.made(request).parts, gate.visitor(request), session)
    return gate.go(HERE)


@router.post("/sessions/end")
def end_others(request: Request) -> Response:
    """Log out every other device."""
    keeping.end_others(gate.made(request).parts, gate.visitor(request))
    return gate.go(HERE)


@router.post("/passkeys")
def begin_passkey(request: Request) -> Response:
    """Make ready for a new passkey."""
    who = gate.visitor(request)
    _site(request)
    keeping.begin_passkey(gate.made(request).parts, who)
    return gate.go(f"{HERE}/passkey")


@router.api_route("/passkey", methods=["GET", "HEAD"])
def ask_passkey(request: Request) -> Response:
    """Show the page whose script makes the passkey."""
    who = gate.visitor(request)
    options = keeping.passkey_creation(gate.made(request).parts, who, _site(request))
    if options is None:
        return gate.go(HERE)
    return gate.show(request, "passkey.html", who=who, script=True, options=options)


@router.post("/passkey")
def add_passkey(request: Request, answer: Annotated[str, Form()] = "", label: Annotated[str, Form()] = "") -> Response:
    """Keep the passkey the browser made."""
    who = gate.visitor(request)
    try:
        keeping.add_passkey(gate.made(request).parts, who, _site(request), answer, label=label)
    except (BadPasskey, PasskeyTaken, TooManyPasskeys) as problem:
        return _shown(request, who, problem)
    return gate.go(HERE)


def _site(request: Request) -> Site:
    found = gate.site(request)
    if found is None:
        raise NoPasskeysHere
    return found


@router.post("/passkeys/{passkey}/remove")
def remove_passkey(request: Request, passkey: Id) -> Response:
    """Forget a passkey."""
    keeping.remove_passkey(gate.made(request).parts, gate.visitor(request), passkey)
    return gate.go(HERE)


@router.post("/password")
def change_password(
    request: Request,
    present: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    again: Annotated[str, Form()] = "",
) -> HTMLResponse:
    """Take another password."""
    who = gate.visitor(request)
    try:
        if password != again:
            raise PasswordsDiffer
        keeping.change_password(gate.made(request).parts, who, present=present, new=password)
    except (PasswordsDiffer, WeakPassword, WrongFactor, TooMany) as problem:
        return _shown(request, who, problem)
    return _shown(request, who, saved="password-changed")


@router.post("/recovery")
def renew_recovery(request: Request) -> HTMLResponse:
    """Show ten new recovery codes: this once."""
    who = gate.visitor(request)
    made = keeping.renew_recovery(gate.made(request).parts, who)
    return gate.show(request, "recovery.html", who=who, codes=made, begun=False)


@router.post("/tokens")
def make_token(
    request: Request,
    scope: Annotated[list[May] | None, Form()] = None,
    label: Annotated[str, Form()] = "",
    days: Annotated[int, Form()] = 90,
) -> HTMLResponse:
    """Show a new token: this once."""
    who = gate.visitor(request)
    try:
        made = keeping.make_token(gate.made(request).parts, who, label=label, scopes=scope or [], days=days)
    except (BadScopes, BadLife) as problem:
        return _shown(request, who, problem)
    return gate.show(request, "token.html", who=who, made=made)


@router.post("/tokens/{token}/end")
def end_token(request: Request, token: Id) -> Response:
    """End a token."""
    keeping.end_token(gate.made(request).parts, gate.visitor(request), token)
    return gate.go(HERE)
