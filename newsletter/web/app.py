"""The application: routes, and the product it stands on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from anyio import CapacityLimiter
from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute

from newsletter import assembly, database, logs
from newsletter.assembly import Newsletter
from newsletter.journeys import leaving, spooling
from newsletter.journeys.headcount import Headcount
from newsletter.journeys.parts import Parts
from newsletter.web import api, choosing, console, hooks, joining, privacy, public, refusals, security, stopping
from newsletter.web.fresh import Doorstep, Fresh
from newsletter.web.pages import Pages
from newsletter.web.turns import Turns

log = structlog.get_logger()


def _routes() -> list[BaseRoute]:
    """Return what there is to ask for: made once, since working out what each wants of a request takes 50 ms."""
    all_of_them = APIRouter()
    for part in (public, joining, privacy, choosing, console, api, hooks, stopping):
        all_of_them.include_router(part.router)
    return all_of_them.routes


ROUTES = _routes()


def create(newsletter: Newsletter | None = None) -> FastAPI:
    """Return the application over an assembled product; by default one assembled from the environment, as the web's role."""
    logs.configure()
    made = newsletter or assembly.assemble(role="web")

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        app.state.pages.learn()
        _drain(made.parts)
        draining = asyncio.create_task(_drain_again_and_again(made.parts))
        yield
        draining.cancel()
        await asyncio.gather(draining, return_exceptions=True)
        made.close()

    # The description is our own, of the API alone (api/describing). A redirect to the path without its last slash would repeat
    # whatever the request calls our host.
    app = FastAPI(
        lifespan=lifespan, routes=ROUTES, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    app.state.newsletter = made
    app.state.pages = Pages(made)
    app.state.fresh = Fresh()
    app.state.counts = Headcount()
    app.state.exports, app.state.tries = Turns(privacy.EXPORTS), Turns(joining.JUDGED)
    app.state.joining = CapacityLimiter(joining.JOINING)
    app.add_middleware(Doorstep, fresh=app.state.fresh)
    app.add_middleware(security.Guard, https=made.settings.base_url.startswith("https://"))
    refusals.word(app)
    return app


def _drain(parts: Parts) -> None:
    """Act on what this machine accepted while the database was away, or its disk full.

    Whatever becomes of it, the pages go on: by them people leave, and alerts are stopped.
    """
    try:
        leaving.drain(parts)
    except (*database.FAILURES, OSError):  # no file can be opened at this moment
        log.exception("wishes wait")


async def _drain_again_and_again(parts: Parts) -> None:
    """Do so as often as the sweep comes: where the pages have a folder of their own no worker sees what they keep."""
    while True:
        await asyncio.sleep(spooling.AGAIN_SECONDS)
        await asyncio.to_thread(_drain, parts)
