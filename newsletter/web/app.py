"""The application: routes, refusals as pages, and the product it stands on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from newsletter import assembly, languages, logs
from newsletter.assembly import Newsletter
from newsletter.database import DatabaseUnreachable
from newsletter.errors import NewsletterError
from newsletter.journeys import leaving
from newsletter.journeys.spooling import NotKept
from newsletter.operators.factors import NotFresh
from newsletter.operators.sessions import NotLoggedIn
from newsletter.web import api, choosing, console, hooks, joining, privacy, public, security, speaking, stopping
from newsletter.web.console import gate
from newsletter.web.fresh import Fresh
from newsletter.web.pages import Pages

log = structlog.get_logger()
# Where pages are for the team alone, and name its commands.
TEAM = ("/console", "/e/")
# What a public page says of a refusal that is worded for operators: those sentences name commands, and not in every language.
PLAINLY = {404: "web.not-found", 405: "web.not-allowed", 413: "web.too-large", 422: "web.not-understood"}


def create(newsletter: Newsletter | None = None) -> FastAPI:
    """Return the application over an assembled product; by default one assembled from the environment, as the web's role."""
    logs.configure()
    made = newsletter or assembly.assemble(role="web")

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        # What this machine accepted while the database was away.
        with suppress(DatabaseUnreachable):
            leaving.drain(made.parts)
        yield
        made.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.newsletter = made
    app.state.pages = Pages(made)
    app.state.fresh = Fresh()
    app.add_middleware(security.Guard, https=made.settings.base_url.startswith("https://"))
    app.include_router(public.router)
    app.include_router(joining.router)
    app.include_router(privacy.router)
    app.include_router(choosing.router)
    app.include_router(console.router)
    app.include_router(api.router)
    app.include_router(hooks.router)
    app.include_router(stopping.router)
    app.add_exception_handler(NewsletterError, _refused)
    app.add_exception_handler(HTTPException, _not_found)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(Exception, _failed)
    return app


def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, NewsletterError)
    if isinstance(refusal, DatabaseUnreachable):
        if isinstance(refusal, NotKept):
            return _said(request, 503, refusal.message)
        return _said(request, 503, "web.away")
    if isinstance(refusal, NotLoggedIn | NotFresh) and request.url.path.startswith("/console"):
        return RedirectResponse(_way_in(request, refusal), status_code=303)
    return _said(request, refusal.status, refusal.message, **refusal.facts)


def _way_in(request: Request, refusal: NotLoggedIn | NotFresh) -> str:
    """Where somebody proves what was missing; on to the page they wanted, or whose button they pressed."""
    path = request.url.path
    if isinstance(refusal, NotFresh):
        return f"/console/prove?back={'/'.join(path.split('/')[:3])}"
    # What was pressed is no page: of an alert it is the one with the number.
    asked = path if request.method in gate.READ else "/".join(path.split("/")[: 4 if "/alerts/" in path else 3])
    return gate.way("/console/login", asked)


def _not_found(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, HTTPException)
    return _said(request, refusal.status_code, PLAINLY.get(refusal.status_code, "web.failed"))


def _failed(request: Request, _surprise: Exception) -> Response:
    """A surprise: the server logs it. This answer is given outside of the guard, so it is dressed here."""
    made: Newsletter = request.app.state.newsletter
    pages: Pages = request.app.state.pages
    answer = pages.show("public/message.html", language=speaking.of(request), status=500, message="web.failed")
    security.dress(answer.headers, request.url.path, https=made.settings.base_url.startswith("https://"))
    return answer


def _not_understood(request: Request, _refusal: Exception) -> Response:
    return _said(request, 422, "web.not-understood")


def _said(request: Request, status: int, message: str, **facts: Any) -> Response:
    """Word a refusal: as a page, or as JSON for a program."""
    if request.url.path.startswith("/api/"):
        document = {"error": message, "sentence": languages.say(message, speaking.of(request), **facts)}
        headers = {"www-authenticate": "Bearer"} if status == 401 else {}
        return JSONResponse(document, status_code=status, headers=headers)
    pages: Pages = request.app.state.pages
    if not _team(request) and not languages.for_readers(message):
        if status not in PLAINLY:
            # Nobody else will tell an operator of it.
            log.warning("refused", message=message, status=status, **facts)
        message, facts = PLAINLY.get(status, "web.failed"), {}
    language, choices = speaking.of(request), [] if _team(request) else speaking.choices(request)
    return pages.show(
        "public/message.html", language=language, status=status, message=message, facts=facts, choices=choices
    )


def _team(request: Request) -> bool:
    return request.url.path.startswith(TEAM)
