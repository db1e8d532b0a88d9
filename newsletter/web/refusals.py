"""Every way in which a request does not succeed, worded: as a page for people, as {"error", "sentence"} for programs."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from newsletter import languages
from newsletter.assembly import Newsletter
from newsletter.database import DatabaseUnreachable, DiskFull, HeldUp, NotMigrated
from newsletter.errors import NewsletterError
from newsletter.journeys.spooling import NotKept
from newsletter.operators.factors import NotFresh
from newsletter.operators.sessions import NotLoggedIn
from newsletter.web import security, speaking
from newsletter.web.console import gate
from newsletter.web.pages import Pages

log = structlog.get_logger()
# Where pages are for the team alone, and name its commands.
TEAM = ("/console", "/e/")
# What a public page says of a refusal that is worded for operators: those sentences name commands, and not in every language.
KNOWN = {
    400: "web.not-understood",
    404: "web.not-found",
    405: "web.not-allowed",
    413: "web.too-large",
    422: "web.not-understood",
}
# What a person is told to do with a form, a program is told of its request.
FOR_PROGRAMS = {
    "web.not-found": "api.not-found",
    "web.not-allowed": "api.not-allowed",
    "web.not-understood": "api.not-understood",
    "web.too-large": "api.too-large",
}


def word(app: FastAPI) -> None:
    """Let an application answer its failures so."""
    app.add_exception_handler(NewsletterError, _refused)
    app.add_exception_handler(HeldUp, _held_up)
    app.add_exception_handler(HTTPException, _by_status)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _failed)


def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, NewsletterError)
    if isinstance(refusal, NotKept):
        return said(request, 503, refusal.message)
    if isinstance(refusal, DatabaseUnreachable | DiskFull | NotMigrated):
        # Ours to mend, and where our database stands is nobody's business out there.
        return said(request, 503, "web.away")
    if isinstance(refusal, NotLoggedIn) and (alert := gate.halts(request)) is not None:
        return gate.door(request, f"/console/alerts/{alert}", problem=gate.NotHalted(alert))
    if isinstance(refusal, NotLoggedIn | NotFresh) and _path(request).startswith("/console"):
        return RedirectResponse(_way_in(request, refusal), status_code=303)
    return said(request, refusal.status, refusal.message, **refusal.facts)


def _held_up(request: Request, _refusal: Exception) -> Response:
    """A list that names them is being taken back, or two tabs pressed at once: nobody sits before a blank page until then."""
    return said(request, 503, "web.held-up")


def _path(request: Request) -> str:
    # As the server read it: request.url is put together with whatever Host says.
    return str(request.scope["path"])


def _way_in(request: Request, refusal: NotLoggedIn | NotFresh) -> str:
    """Where somebody proves what was missing; on to the page they wanted, or whose button they pressed."""
    path = _path(request)
    if isinstance(refusal, NotFresh):
        return f"/console/prove?back={'/'.join(path.split('/')[:3])}"
    # What was pressed is no page: of an alert it is the one with the number.
    asked = (
        gate.asked(request)
        if request.method in gate.READ
        else "/".join(path.split("/")[: 4 if "/alerts/" in path else 3])
    )
    return gate.way("/console/login", asked)


def _by_status(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, HTTPException)
    answer = said(request, refusal.status_code, KNOWN.get(refusal.status_code, "web.failed"))
    for name, value in (refusal.headers or {}).items():
        answer.headers[name] = value  # Allow, with a 405 (RFC 9110 §15.5.6)
    return answer


def _failed(request: Request, _surprise: Exception) -> Response:
    """A surprise: the server logs it. This answer is given outside of the guard, so it is dressed here."""
    made: Newsletter = request.app.state.newsletter
    answer = said(request, 500, "web.failed")
    security.dress(answer.headers, _path(request), https=made.settings.base_url.startswith("https://"))
    return answer


def _gone(request: Request, _refusal: Exception) -> Response:
    """Whoever sent half a body is not there to hear it; the guard says so itself where it cut the body off."""
    return said(request, 400, "web.not-understood")


def _not_understood(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, RequestValidationError)
    if not for_program(request):
        return said(request, 422, "web.not-understood")
    errors = refusal.errors()
    if any(one["loc"] == ("body",) and one["type"] != "missing" for one in errors) and not _json(request):
        return said(request, 415, "api.not-json")
    return said(request, 422, "api.not-understood", where=", ".join(sorted({_place(one) for one in errors})))


def _json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _place(error: dict[str, Any]) -> str:
    """Where something is wrong: never by a name that came in the request, which may hold anything."""
    known = error["loc"][:1] if error["type"] in ("extra_forbidden", "json_invalid") else error["loc"][:2]
    return f"{'.'.join(map(str, known))} ({error['type']})"


def for_program(request: Request) -> bool:
    """Whether a program asks."""
    return _path(request).startswith("/api/")


def said(request: Request, status: int, message: str, **facts: Any) -> Response:
    """Word a refusal: as a page, or as JSON for a program."""
    if for_program(request):
        return _document(request, status, message, facts)
    pages: Pages = request.app.state.pages
    if not _team(request) and not languages.for_readers(message):
        if status not in KNOWN:
            # Nobody else will tell an operator of it.
            log.warning("refused", message=message, status=status, **facts)
        message, facts = KNOWN.get(status, "web.failed"), {}
    language, choices = speaking.of(request), [] if _team(request) else speaking.choices(request)
    more = {"facts": facts, "choices": choices, "exits": not _path(request).startswith(security.WITHOUT_EXIT)}
    return pages.show("public/message.html", language=language, status=status, message=message, **more)


def _team(request: Request) -> bool:
    return _path(request).startswith(TEAM)


def _document(request: Request, status: int, message: str, facts: dict[str, Any]) -> Response:
    named = FOR_PROGRAMS.get(message, message)
    if named == "api.not-understood":
        facts = {"where": "body"} | facts
    document = {"error": named, "sentence": languages.say(named, speaking.of(request), **facts)}
    headers = {"www-authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse(document, status_code=status, headers=headers)
