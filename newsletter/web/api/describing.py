"""The description of the API for programs and their makers: OpenAPI 3.1, made of the routes themselves."""

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response

from newsletter.assembly import Newsletter
from newsletter.web.api import v1

PATH = "/api/v1/openapi.json"
MEDIA = "application/json"
VERSION = "1.0"
ABOUT = """\
For programs that sign people up, watch over the team, or stop an alert.

JSON in and out, in UTF-8; a body names nothing twice and holds no field that is not described here. What is refused is answered by
`{"error": id, "sentence": text}`: the id is for programs and stays, the sentence is for people and follows `Accept-Language` where
we speak it. A method that a path has not is answered by 405 and `Allow`. Within this version answers may get further fields, and
refusals further ids; what is described stays as it is.
"""

router = APIRouter()


def describe(base_url: str) -> dict[str, Any]:
    """Return the document. base_url: where the API is, as the settings say and no request does."""
    return get_openapi(
        title="Newsletter API",
        summary="Sign-ups, the head of the audit, and a stop for alerts.",
        version=VERSION,
        description=ABOUT,
        routes=v1.router.routes,
        servers=[{"url": base_url}],
    )


@router.api_route(PATH, methods=["GET", "HEAD"], include_in_schema=False)
def description(request: Request) -> Response:
    """Give the description to anybody."""
    made: Newsletter = request.app.state.newsletter
    document = json.dumps(describe(made.parts.letterhead.base_url), ensure_ascii=False)
    return Response(document, media_type=MEDIA, headers={"cache-control": "public, max-age=3600"})
