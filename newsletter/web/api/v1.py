"""The first version of the API: sign-ups, who am I, the head of the audit for a witness elsewhere, and a stop for a watchdog.

What each operation takes and answers, with which status, is its description (`describing`): change both in one place, here.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from newsletter.journeys import keeping, stopping
from newsletter.ledger.mailings import State
from newsletter.operators import audit, roles
from newsletter.operators.roles import May
from newsletter.operators.tokens import BadBearer, Bearer
from newsletter.web import joining, pages
from newsletter.web.api.reading import StrictRoute
from newsletter.web.api.shapes import (
    Caller,
    CodeIn,
    Confirmed,
    Head,
    Pending,
    Scope,
    SignupIn,
    Stopped,
    refuses,
)

router = APIRouter(prefix="/api/v1", route_class=StrictRoute)
TOKEN = HTTPBearer(
    scheme_name="token",
    bearerFormat="nl_…",
    description="A key for a program, from `newsletter operators tokens add` or the team's account page.",
    auto_error=False,
)
ASKED_WHO = {"WWW-Authenticate": {"description": "`Bearer`.", "required": True, "schema": {"const": "Bearer"}}}


def known(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the refusals of an operation that asks who calls."""
    return refuses(401, *statuses, 500, 503, s401={"headers": ASKED_WHO})


def bearer(request: Request, shown: Annotated[HTTPAuthorizationCredentials | None, Security(TOKEN)]) -> Bearer:
    """Return whom a program acts as. Raises BadBearer."""
    if shown is None:
        raise BadBearer
    return keeping.bearer(pages.product(request).parts, shown.credentials.strip())


def scoped(act: May) -> Callable[[Bearer], Bearer]:
    """Return the dependency of an endpoint that needs a scope. Raises NotAllowed."""

    def check(caller: Annotated[Bearer, Depends(bearer)]) -> Bearer:
        roles.require(caller.may, act)
        return caller

    return check


@router.post(
    "/signups",
    operation_id="sign_up",
    summary="Sign somebody up",
    status_code=202,
    response_description="Kept. The owner of the address is asked by mail, and the answer says nothing of them.",
    responses=refuses(404, 408, 413, 415, 422, 500, 503)
    | {
        202: {
            "links": {
                "code": {
                    "operationId": "sign_up_by_code",
                    "requestBody": {"pending": "$response.body#/pending"},
                    "description": "The same form says yes by the figures of the mail.",
                }
            }
        }
    },
)
async def sign_up(request: Request, body: SignupIn) -> Pending:
    """Keep a wish to join, whosever address it is: its owner is asked by mail, and comes in by their own yes.

    Too many from one place are held for an operator and answered like all others. Let your server pass on `X-Forwarded-For`.
    """
    filled = joining.Filled(
        email=body.email,
        digest=body.digests,
        language=body.language,
        name=body.name,
        form=body.form,
        wording=body.wording_version,
    )
    return Pending(pending=await joining.in_turn(request, partial(joining.ask, request, filled)))


@router.post(
    "/signups/code",
    operation_id="sign_up_by_code",
    summary="Say yes by the figures of the mail",
    status_code=202,
    response_description="They are the right ones.",
    responses=refuses(408, 413, 415, 422, 500, 503),
)
async def sign_up_by_code(request: Request, body: CodeIn) -> Confirmed:
    """Confirm a sign-up as the button in the mail does: five tries, within an hour. What is wrong is refused with 422."""
    await joining.tried(request, body.pending, body.code, body.wording_version)
    return Confirmed(confirmed=True)


@router.get(
    "/me",
    operation_id="me",
    summary="Say whom a token acts as",
    response_description="Its operator, its own number, and its scopes that are good at present.",
    responses=known(),
)
def me(caller: Annotated[Bearer, Depends(bearer)]) -> Caller:
    """Say whom a token acts as and what it may do."""
    return Caller(operator=caller.operator.id, token=caller.token_id, may=[Scope(one) for one in sorted(caller.may)])


@router.get(
    "/audit/head",
    operation_id="audit_head",
    summary="Read the head of the audit",
    response_description="The last row there is.",
    responses=known(403),
)
def head(request: Request, _caller: Annotated[Bearer, Security(scoped(May.AUDIT), scopes=[May.AUDIT])]) -> Head:
    """Return the head of the audit, to be kept elsewhere and compared by `newsletter audit verify --against`. Scope: audit."""
    with pages.product(request).parts.database.transaction() as session:
        found = audit.head(session)
    return Head(number=found.number, head=str(found))


@router.post(
    "/alerts/{number}/stop",
    operation_id="stop_alert",
    summary="Stop an alert",
    response_description="Nothing more of it is handed over.",
    responses=known(403, 404, 409, 413, 422),
)
def stop(
    request: Request,
    number: Annotated[
        int, Path(ge=1, le=2**63 - 1, description="The alert's number, as its page and its mails name it.")
    ],
    caller: Annotated[Bearer, Security(scoped(May.STOP), scopes=[May.STOP])],
) -> Stopped:
    """End an alert for good, in all its languages, or give up one that has not begun. Scope: stop."""
    state = stopping.by_hand(pages.product(request).parts, number, State.STOPPED, by=caller.operator.id)
    return Stopped(mailing=number, state=state)
