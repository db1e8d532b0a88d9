"""The first version of the API: who am I, the head of the audit for a witness elsewhere, and a stop for a watchdog."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request

from newsletter.assembly import Newsletter
from newsletter.journeys import keeping, stopping
from newsletter.ledger.mailings import State
from newsletter.operators import audit, roles
from newsletter.operators.roles import May
from newsletter.operators.tokens import BadBearer, Bearer

router = APIRouter(prefix="/api/v1")


def bearer(request: Request) -> Bearer:
    """Return whom a program acts as. Raises BadBearer."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise BadBearer
    return keeping.bearer(_made(request).parts, secret.strip())


def scoped(act: May) -> Callable[[Bearer], Bearer]:
    """Return the dependency of an endpoint that needs a scope. Raises NotAllowed."""

    def check(caller: Annotated[Bearer, Depends(bearer)]) -> Bearer:
        roles.require(caller.may, act)
        return caller

    return check


def _made(request: Request) -> Newsletter:
    found: Newsletter = request.app.state.newsletter
    return found


@router.get("/me")
def me(caller: Annotated[Bearer, Depends(bearer)]) -> dict[str, Any]:
    """Say whom a token acts as and what it may do."""
    return {"operator": caller.operator.id, "token": caller.token_id, "may": sorted(caller.may)}


@router.get("/audit/head")
def head(request: Request, _caller: Annotated[Bearer, Depends(scoped(May.AUDIT))]) -> dict[str, Any]:
    """Return the head of the audit, to be kept elsewhere and compared."""
    with _made(request).parts.database.transaction() as session:
        found = audit.head(session)
    return {"number": found.number, "head": str(found)}


@router.post("/alerts/{number}/stop")
def stop(
    request: Request,
    number: Annotated[int, Path(ge=1, le=2**63 - 1)],
    caller: Annotated[Bearer, Depends(scoped(May.STOP))],
) -> dict[str, Any]:
    """End an alert for good, in all its languages, or give up one that has not begun."""
    state = stopping.by_hand(_made(request).parts, number, State.STOPPED, by=caller.operator.id)
    return {"mailing": number, "state": state}
