"""The application: routes, refusals as pages, and the product it stands on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from newsletter import assembly, logs
from newsletter.assembly import Newsletter
from newsletter.database import DatabaseUnreachable
from newsletter.errors import NewsletterError
from newsletter.journeys import leaving
from newsletter.web import hooks, public, security
from newsletter.web.pages import Pages


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
    app.add_middleware(security.Guard, https=made.settings.base_url.startswith("https://"))
    app.include_router(public.router)
    app.include_router(hooks.router)
    app.add_exception_handler(NewsletterError, _refused)
    app.add_exception_handler(HTTPException, _not_found)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(Exception, _failed)
    return app


def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, NewsletterError)
    pages: Pages = request.app.state.pages
    if isinstance(refusal, DatabaseUnreachable):
        return pages.show("public/message.html", status=503, message="web.away")
    return pages.show("public/message.html", status=refusal.status, message=refusal.message, facts=refusal.facts)


def _not_found(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, HTTPException)
    pages: Pages = request.app.state.pages
    known = {404: "web.not-found", 405: "web.not-allowed", 413: "web.too-large"}
    return pages.show(
        "public/message.html", status=refusal.status_code, message=known.get(refusal.status_code, "web.failed")
    )


def _failed(request: Request, _surprise: Exception) -> Response:
    """A surprise: the server logs it. This answer is given outside of the guard, so it is dressed here."""
    made: Newsletter = request.app.state.newsletter
    pages: Pages = request.app.state.pages
    answer = pages.show("public/message.html", status=500, message="web.failed")
    security.dress(answer.headers, request.url.path, https=made.settings.base_url.startswith("https://"))
    return answer


def _not_understood(request: Request, _refusal: Exception) -> Response:
    pages: Pages = request.app.state.pages
    return pages.show("public/message.html", status=422, message="web.not-understood")
