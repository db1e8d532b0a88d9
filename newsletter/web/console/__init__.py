"""The pages of those who log in. `gate` knows cookies and forms; the other modules are the pages, a few lines each."""

from fastapi import APIRouter, Depends

from newsletter.web.console import account, alerts, enrolling, entering, gate, mandates, signups, team, writing

router = APIRouter(dependencies=[Depends(gate.own_form)])
for part in (entering, enrolling, account, team, writing, alerts, mandates, signups):
    router.include_router(part.router)

__all__ = ["router"]
