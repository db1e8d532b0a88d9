"""DOOR for programs: `Authorization: Bearer nl_…`, JSON in and out, refusals as {"error", "sentence"}.

`v1` are the operations, `shapes` what they take and answer, `reading` how a body is read, and `describing` gives all that out as an
OpenAPI document. A program may what its token's scopes and its operator's roles both hold. That a token was used is noted (to ten
minutes) also for a GET: its owner must see a token that somebody else uses.
"""

from fastapi import APIRouter

from newsletter.web.api import describing, v1

router = APIRouter()
router.include_router(v1.router)
router.include_router(describing.router)

__all__ = ["router"]
