"""Where an invitation is used: a password, an authenticator app, and ten codes for paper. One form, so nothing is half done."""

from typing import Annotated

import segno
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse

from newsletter.errors import NewsletterError
from newsletter.journeys import team
from newsletter.operators import codes
from newsletter.operators.enrolment import Calling, Given
from newsletter.operators.factors import WrongFactor
from newsletter.operators.passwords import SHORTEST, WeakPassword
from newsletter.operators.throttle import TooMany
from newsletter.web.console import gate
from newsletter.web.console.gate import PasswordsDiffer

router = APIRouter()


@router.api_route("/e/{token}", methods=["GET", "HEAD"])
def ask(request: Request, token: str) -> HTMLResponse:
    """Show the form with a fresh secret for the app, which is kept nowhere until it is proven."""
    return _asked(request, token, codes.new_secret())


@router.post("/e/{token}")
def enrol(
    request: Request,
    token: str,
    password: Annotated[str, Form()] = "",
    again: Annotated[str, Form()] = "",
    secret: Annotated[str, Form()] = "",
    code: Annotated[str, Form()] = "",
) -> HTMLResponse:
    """Take password and app, and show the recovery codes: this once."""
    parts = gate.made(request).parts
    try:
        if team.look(parts, token).calling is Calling.NEW and password != again:
            raise PasswordsDiffer
        made = team.enrol(parts, token, Given(password, secret, code))
    except (PasswordsDiffer, WeakPassword, WrongFactor, TooMany) as problem:
        return _asked(request, token, secret if codes.read_secret(secret) else codes.new_secret(), problem)
    return gate.show(request, "recovery.html", codes=made, begun=True)


def _asked(request: Request, token: str, secret: str, problem: NewsletterError | None = None) -> HTMLResponse:
    parts = gate.made(request).parts
    found = team.look(parts, token)
    request.state.language = found.operator.language
    link = codes.app_link(secret, account=found.operator.masked, issuer=parts.letterhead.sender_name or "Newsletter")
    return gate.show(
        request,
        "enrol.html",
        problem=problem,
        invited=found,
        token=token,
        lost=found.calling is Calling.LOST,
        secret=secret,
        link=link,
        picture=segno.make(link, error="m").svg_inline(omitsize=True, dark="#000", light="#fff"),
        shortest=SHORTEST,
    )
