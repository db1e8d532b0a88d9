"""What other programs post to us: notices of Amazon SES over SNS. Checked, stored sealed, and dealt with by a worker."""

from ipaddress import ip_network
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import PlainTextResponse
from starlette.requests import ClientDisconnect

from newsletter.assembly import Newsletter
from newsletter.bounces import sns
from newsletter.journeys import returns
from newsletter.web import security

log = structlog.get_logger()
router = APIRouter()


async def _body(request: Request) -> bytes:
    """Return the body, however it is sent, and no more of it than any notice has."""
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > sns.LARGEST:
                raise HTTPException(413)
    except ClientDisconnect:
        raise HTTPException(413) from None  # cut off by the guard, or nobody is there to hear it
    return bytes(body)


@router.post("/hooks/ses")
def ses(request: Request, body: Annotated[bytes, Depends(_body)]) -> PlainTextResponse:
    """Take a notice in. 200 also for one that was here before: SNS repeats itself until it hears so. 503: to be repeated."""
    made: Newsletter = request.app.state.newsletter
    if made.parts.notices is None:
        raise HTTPException(404)
    try:
        returns.receive(made.parts, body, network=_network(request))
    except sns.NotNow as later:
        # Amazon repeats what was answered so, and what was refused it does not.
        log.warning("notice not taken", why=later.facts["why"])
        raise HTTPException(503) from None
    return PlainTextResponse("ok\n")


def _network(request: Request) -> str:
    """Return the public network a request comes from; "" where a proxy of ours hides it."""
    made: Newsletter = request.app.state.newsletter
    peer = request.client.host if request.client else ""
    forwarded = request.headers.get("x-forwarded-for", "")
    found = security.network(security.client(peer, forwarded, made.settings.trusted_proxies))
    return found if found and ip_network(found).is_global else ""
