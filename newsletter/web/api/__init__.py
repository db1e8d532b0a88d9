"""DOOR for programs: `Authorization: Bearer nl_…`, JSON in and out, refusals as {"error", "sentence"}.

A program may what its token's scopes and its operator's roles both hold. That a token was used is noted (to ten minutes) also for
a GET: its owner must see a token that somebody else uses.
"""

from newsletter.web.api.v1 import router

__all__ = ["router"]
