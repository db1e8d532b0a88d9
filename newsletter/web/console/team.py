"""The team, for those who may see it, and the record of what was done."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from newsletter.errors import NewsletterError
from newsletter.journeys import team as journey
from newsletter.journeys.entering import Visitor
from newsletter.operators import audit
from newsletter.operators.enrolment import NotEnrolled, NotForYourself, SignedAlready
from newsletter.operators.people import Disabled, NotOneself
from newsletter.operators.roles import May
from newsletter.web.console import gate
from newsletter.web.console.gate import Id

router = APIRouter(prefix="/console")
READ = ["GET", "HEAD"]
HERE = "/console/team"
PAGE = 50


@router.api_route("/team", methods=READ)
def show(request: Request) -> HTMLResponse:
    """Show who logs in."""
    return _shown(request, gate.visitor(request))


def _shown(request: Request, who: Visitor, problem: NewsletterError | None = None) -> HTMLResponse:
    who.require(May.TEAM)
    members = journey.members(gate.made(request).parts)
    names = {member.operator.id: member.operator.name for member in members}
    return gate.show(request, "team.html", who=who, problem=problem, members=members, names=names)


@router.post("/team/{operator}/vouch")
def vouch(request: Request, operator: Id) -> Response:
    """Sign that somebody lost their phone."""
    who = gate.visitor(request)
    try:
        journey.vouch(gate.made(request).parts, who, operator)
    except (NotForYourself, SignedAlready, NotEnrolled, Disabled) as problem:
        return _shown(request, who, problem)
    return gate.go(HERE)


@router.post("/team/{operator}/disable")
def disable(request: Request, operator: Id) -> Response:
    """End somebody's access."""
    who = gate.visitor(request)
    try:
        journey.disable(gate.made(request).parts, who, operator)
    except NotOneself as problem:
        return _shown(request, who, problem)
    return gate.go(HERE)


@router.post("/team/{operator}/logout")
def end_sessions(request: Request, operator: Id) -> Response:
    """Log somebody out everywhere."""
    journey.end_sessions(gate.made(request).parts, gate.visitor(request), operator)
    return gate.go(HERE)


@router.api_route("/audit", methods=READ)
def record(request: Request, before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None) -> HTMLResponse:
    """Show what was done, newest first."""
    who = gate.visitor(request)
    who.require(May.AUDIT)
    with gate.made(request).parts.database.transaction() as session:
        entries = audit.listed(session, limit=PAGE, before=before)
        head = audit.head(session)
    older = entries[-1].number if len(entries) == PAGE and entries[-1].number > 1 else None
    return gate.show(request, "audit.html", who=who, entries=entries, head=head, older=older)
