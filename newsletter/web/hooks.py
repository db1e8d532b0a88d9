"""What other programs post to us: notices of Amazon SES over SNS. Checked, stored sealed, and dealt with by a worker."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import PlainTextResponse
from starlette.requests import ClientDisconnect

from newsletter.assembly import Newsletter
from newsletter.bounces import sns
from newsletter.journeys import returns

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
    """Take a notice in. 200 also for one that was here before: SNS repeats itself until it hears so."""
    made: Newsletter = request.app.state.newsletter
    if made.parts.notices is None:
        raise HTTPException(404)
    returns.receive(made.parts, body)
    return PlainTextResponse("ok\n")
