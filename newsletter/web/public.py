"""The pages that readers come to from a mail: leave, preferences, the archive, privacy, and two for machines."""

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Path, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from newsletter import database
from newsletter.campaigns import atom
from newsletter.database import DatabaseUnreachable
from newsletter.issues import cutting, digests
from newsletter.journeys import feeding, leaving, lessening, picturing, previews, publicity
from newsletter.journeys.lessening import Less
from newsletter.web import pages, security
from newsletter.web.fresh import shared
from newsletter.web.security import MAIL_POLICY
from newsletter.web.speaking import choices, spoken

router = APIRouter()
READ = ["GET", "HEAD"]
# What the columns can hold: anything else is nobody's number, and not a question for the database.
Id = Annotated[int, Path(ge=1, le=2**63 - 1)]
Place = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.api_route("/u/{token}", methods=READ)
def offer_to_leave(request: Request, token: str) -> HTMLResponse:
    """Show the button. Mail scanners follow this link: nothing changes."""
    offer = leaving.offer(pages.product(request).parts, token)
    return pages.of(request).show("public/leave.html", language=offer.language, offer=offer, token=token)


@router.post("/u/{token}")
def leave(request: Request, token: str) -> HTMLResponse:
    """Leave: from the button, or from a mail program's one-click POST (RFC 8058), which needs neither page nor cookie.

    The body is not read: whatever it says, whoever posts to this link wants to leave.
    """
    parts = pages.product(request).parts
    leaving.leave(parts, token)
    offer = leaving.offer(parts, token)
    return pages.of(request).show("public/left.html", language=offer.language, offer=offer, token=token)


@router.post("/u/{token}/less")
def take_less(request: Request, token: str, instead: Annotated[Less, Form()]) -> HTMLResponse:
    """Give less of a digest instead of nothing. A place of its own: a POST to the link itself leaves, whatever it says."""
    parts = pages.product(request).parts
    lessening.take(parts, token, instead)
    offer = leaving.offer(parts, token)
    return pages.of(request).show(
        "public/less.html", language=offer.language, offer=offer, token=token, instead=instead
    )


@router.api_route("/archive/{digest}", methods=READ)
async def archive(request: Request, digest: str) -> Response:
    """List the issues of a digest that have gone out."""
    return await shared(request, _archive, digest)


def _archive(request: Request, digest: str) -> HTMLResponse:
    with pages.product(request).parts.database.transaction() as session:
        found = digests.by_key(session, digest)
        issues = cutting.in_archive(session, digest)
    tongue = spoken(request, otherwise=found.languages[0])
    return pages.of(request).show(
        "public/archive.html", language=tongue, digest=found, issues=issues, choices=choices(request)
    )


@router.api_route("/archive/{digest}/{mailing}/{number}", methods=READ)
def mail_in_browser(request: Request, digest: str, mailing: Id, number: Place) -> Response:
    """Show a mail as it was sent, with links that do nothing, in a sandbox of its own."""
    shown = previews.shown(pages.product(request).parts, digest, mailing, number)
    if shown is None:
        raise HTTPException(404)
    if not shown.html:
        return PlainTextResponse(shown.text)
    return HTMLResponse(shown.html, headers={"content-security-policy": MAIL_POLICY})


@router.api_route("/alerts/{number}/cap.xml", methods=READ)
def bulletin(request: Request, number: Id) -> Response:
    """Give an alert to machines: CAP 1.2."""
    found = publicity.bulletin(pages.product(request).parts, number)
    if found is None:
        raise HTTPException(404)
    return Response(found, media_type="application/cap+xml")


@router.api_route(feeding.PLACE, methods=READ)
async def alerts(request: Request) -> Response:
    """Give the newest alerts to feed readers: Atom, in the language the address names, or the reader's program wants."""
    return await shared(request, _alerts)


def _alerts(request: Request) -> Response:
    parts, tongue = pages.product(request).parts, spoken(request)
    base = security.base(request.headers.get("host", ""), parts.letterhead.mirror_url)
    headers = {"content-language": tongue, "vary": "accept-language"}
    return Response(feeding.feed(parts, tongue, base_url=base), headers=headers, media_type=atom.MEDIA_TYPE)


@router.api_route("/alerts/{number}", methods=READ)
@router.api_route("/alerts/{number}/{language}", methods=READ)
async def alert(request: Request, number: Id, language: str | None = None) -> Response:
    """Show an alert to anyone, in a language. Thousands come at once: for half a second all of them are shown one page."""
    return await shared(request, _alert, number, language, in_one_language=True)


def _alert(request: Request, number: int, language: str | None) -> Response:
    base = security.base(request.headers.get("host", ""), pages.product(request).parts.letterhead.mirror_url)
    found = publicity.page(pages.product(request).parts, number, language, base_url=base)
    if found is None:
        raise HTTPException(404)
    return pages.of(request).show("public/alert.html", language=found.language, page=found)


@router.api_route("/privacy", methods=READ)
async def privacy(request: Request) -> Response:
    """Say what is kept of a reader, and what is never done."""
    return await shared(request, _privacy)


def _privacy(request: Request) -> HTMLResponse:
    letterhead = pages.product(request).parts.letterhead
    tongue = spoken(request)
    return pages.of(request).show(
        "public/privacy.html", language=tongue, letterhead=letterhead, choices=choices(request)
    )


@router.api_route("/help", methods=READ)
async def help_(request: Request) -> Response:
    """Say how to leave and whom to ask."""
    return await shared(request, _help)


def _help(request: Request) -> HTMLResponse:
    letterhead = pages.product(request).parts.letterhead
    tongue = spoken(request)
    return pages.of(request).show("public/help.html", language=tongue, letterhead=letterhead, choices=choices(request))


@router.api_route("/", methods=READ)
async def front(request: Request) -> Response:
    """Say whose pages these are."""
    return await shared(request, _front)


def _front(request: Request) -> HTMLResponse:
    with pages.product(request).parts.database.transaction() as session:
        found = digests.listed(session)
    tongue = spoken(request)
    return pages.of(request).show("public/front.html", language=tongue, digests=found, choices=choices(request))


@router.api_route("/pictures/{name}.jpg", methods=READ)
def picture(request: Request, name: str) -> Response:
    """Serve a picture of an article; its name is that of its content, so it never changes."""
    found = picturing.shown(pages.product(request).parts, name)
    if found is None:
        raise HTTPException(404)
    headers = {"cache-control": "public, max-age=31536000, immutable", "cross-origin-resource-policy": "cross-origin"}
    return Response(found, media_type="image/jpeg", headers=headers)


@router.api_route("/style.css", methods=READ)
def style(request: Request) -> Response:
    """The one style sheet."""
    return Response(pages.of(request).style, media_type="text/css", headers={"cache-control": "public, max-age=3600"})


@router.api_route("/exit.js", methods=READ)
def way_out(request: Request) -> Response:
    """The way out of a page that leaves no entry behind it."""
    headers = {"cache-control": "public, max-age=3600"}
    return Response(pages.of(request).leaving, media_type="text/javascript", headers=headers)


@router.api_route("/healthz", methods=READ)
def alive() -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok\n")


@router.api_route("/readyz", methods=READ)
def ready(request: Request) -> JSONResponse:
    """The process can do its work: the database answers."""
    try:
        database.ask(pages.product(request).parts.database, "SELECT 1")
    except DatabaseUnreachable:
        return JSONResponse({"database": False}, status_code=503)
    return JSONResponse({"database": True})
