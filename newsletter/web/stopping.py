"""The page of a stop link: for the team, without logging in. Looking changes nothing; the button stops."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from newsletter.journeys import stopping
from newsletter.web import pages, speaking

router = APIRouter()


@router.api_route("/h/{token}", methods=["GET", "HEAD"])
def ask(request: Request, token: str) -> HTMLResponse:
    """Show what would be stopped, and the button."""
    return _shown(request, token, stopping.offer(pages.product(request).parts, token))


@router.post("/h/{token}")
def stop(request: Request, token: str) -> HTMLResponse:
    """Stop it. The body is not read: whoever posts to this link wants that."""
    return _shown(request, token, stopping.by_link(pages.product(request).parts, token))


def _shown(request: Request, token: str, offer: stopping.Offer) -> HTMLResponse:
    return pages.of(request).show("public/stop.html", language=speaking.spoken(request), offer=offer, token=token)
