"""A reader's own data, behind a link just mailed to the address on file and no other: what was sent, taken out, and erased."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, Response

from newsletter.journeys import privacy
from newsletter.web import pages

router = APIRouter()
READ = ["GET", "HEAD"]
EXPORTS = 4
"""How many pages of a process wait for a worker's file at once, of the forty with a thread: leaving must never wait for them."""


@router.api_route("/p/{token}/sent", methods=READ)
def sent(request: Request, token: str, page: Annotated[int, Query(ge=1, le=privacy.PAGES)] = 1) -> HTMLResponse:
    """Show what was sent to whoever has this link, a page of it: nothing changes."""
    found = privacy.sent(pages.product(request).parts, token, page=page)
    return pages.of(request).show(
        "public/sent.html", language=found.language, sent=found, token=token, most=privacy.PAGES
    )


@router.post("/p/{token}/export")
def export(request: Request, token: str) -> Response:
    """Hand out all that is held of whoever has this link, as a file."""
    parts, turns = pages.product(request).parts, request.app.state.exports
    with turns.taken(privacy.whose(parts, token)):
        document = privacy.take_out(parts, token)
    headers = {"content-disposition": 'attachment; filename="my-data.json"', "cache-control": "no-store"}
    return Response(document, media_type="application/json", headers=headers)


@router.api_route("/p/{token}/erase", methods=READ)
def offer(request: Request, token: str) -> HTMLResponse:
    """Say what is erased and what stays, with a button: nothing changes."""
    own = privacy.look(pages.product(request).parts, token)
    return pages.of(request).show("public/erase.html", language=own.language, own=own, token=token)


@router.post("/p/{token}/erase")
def erase(request: Request, token: str, fingerprint: Annotated[str, Form()] = "") -> HTMLResponse:
    """Erase. fingerprint: whether one of the address stays, so that no list brings its owner back."""
    parts = pages.product(request).parts
    own = privacy.look(parts, token)
    privacy.ask_erasure(parts, token, may_come_back=not fingerprint)
    return pages.of(request).show("public/erased.html", language=own.language)
