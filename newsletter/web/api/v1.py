"""The first version of the API: who am I, the head of the audit for a witness elsewhere, and a stop for a watchdog."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field

from newsletter.assembly import Newsletter
from newsletter.issues import digests
from newsletter.journeys import joining as journey
from newsletter.journeys import keeping, stopping
from newsletter.ledger.mailings import State
from newsletter.operators import audit, roles
from newsletter.operators.roles import May
from newsletter.operators.tokens import BadBearer, Bearer
from newsletter.web import joining, speaking

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


class SignupIn(BaseModel):
    """What a program sends for somebody who filled in its form. digests: their keys; none = the only one there is."""

    email: str = Field(max_length=400)
    digests: list[str] = Field(default_factory=list, max_length=50)
    language: str = Field(default="", max_length=40)
    name: str = Field(default="", max_length=100)
    form: str = Field(default="api", max_length=40)


class CodeIn(BaseModel):
    """The figures that came by mail, and the form they are for."""

    pending: str = Field(max_length=100)
    code: str = Field(max_length=40)


@router.post("/signups", status_code=202)
def sign_up(request: Request, body: SignupIn) -> dict[str, str]:
    """Keep a wish to join: its owner is asked by mail, whoever they are. The answer says nothing of them."""
    made = _made(request)
    with made.parts.database.transaction() as session:
        found = digests.listed(session)
    keys = body.digests or ([found[0].key] if len(found) == 1 else [])
    language = speaking.spoken(request, body.language)
    wish = joining.wished(
        request, found, email=body.email, keys=keys, language=language, name=body.name, form=body.form
    )
    return {"pending": journey.ask(made.parts, wish, joining.arrival(request))}


@router.post("/signups/code", status_code=202)
def sign_up_by_code(request: Request, body: CodeIn) -> dict[str, bool]:
    """Say yes by the figures of the mail."""
    journey.confirm_by_code(_made(request).parts, body.pending, body.code)
    return {"confirmed": True}


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
