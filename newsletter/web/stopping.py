"""The page of a stop link: for the team, without logging in. Looking changes nothing; the button stops."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from newsletter.assembly import Newsletter
from newsletter.journeys import stopping
from newsletter.web import speaking
from newsletter.web.pages import Pages

router = APIRouter()


@router.api_route("/h/{token}", methods=["GET", "HEAD"])
def ask(request: Request, token: str) -> HTMLResponse:
    """Show what would be stopped, and the button."""
    made: Newsletter = request.app.state.newsletter
    return _shown(request, token, stopping.offer(made.parts, token))


@router.post("/h/{token}")
def stop(request: Request, token: str) -> HTMLResponse:
    """Stop it. The body is not read: whoever posts to this link wants that."""
    made: Newsletter = request.app.state.newsletter
    return _shown(request, token, stopping.by_link(made.parts, token))


def _shown(request: Request, token: str, offer: stopping.Offer) -> HTMLResponse:
    pages: Pages = request.app.state.pages
    return pages.show("public/stop.html", language=speaking.spoken(request), offer=offer, token=token)
