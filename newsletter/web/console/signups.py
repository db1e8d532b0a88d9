"""Sign-ups that are held, and what to do with many at once: whence they come, how many, and never whose they are."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, Response

from newsletter.errors import Invalid, NewsletterError, NotFound
from newsletter.journeys import desk, holding
from newsletter.journeys.entering import Visitor
from newsletter.journeys.holding import MONTH, Asked
from newsletter.operators.roles import May
from newsletter.subscribers.waves import Why
from newsletter.web.console import gate

router = APIRouter(prefix="/console/signups")
READ = ["GET", "HEAD"]
HERE = "/console/signups"
Text = Annotated[str, Form(max_length=100)]
Written = Annotated[str, Query(max_length=100)]


@router.api_route("", methods=READ)
def show(
    request: Request,
    minutes: Written = "",
    net: Written = "",
    provider: Written = "",
    form: Written = "",
    digest: Written = "",
    why: Written = "",
    which: Written = "held",
) -> HTMLResponse:
    """Show what is held, or what conditions hold for; how many comes before any button."""
    who = _visitor(request)
    return _shown(request, who, _fields(minutes, net, provider, form, digest, why, which))


def _posted(
    minutes: Text = "",
    net: Text = "",
    provider: Text = "",
    by_form: Text = "",
    digest: Text = "",
    why: Text = "",
    which: Text = "held",
) -> dict[str, str]:
    """Return the conditions that a button carries along."""
    return _fields(minutes, net, provider, by_form, digest, why, which)


Posted = Annotated[dict[str, str], Depends(_posted)]


@router.post("/release")
def release(request: Request, upto: Text, fields: Posted) -> Response:
    """Let held ones through that were counted on the page before."""
    return _act(request, fields | {"which": "held"}, upto, holding.release, "signups-released")


@router.post("/undo")
def undo(request: Request, upto: Text, fields: Posted) -> Response:
    """Take back what was counted on the page before."""
    return _act(request, fields, upto, holding.undo, "signups-undone")


def _act(request: Request, fields: dict[str, str], upto: str, act: Callable[..., int], said: str) -> Response:
    who = _visitor(request)
    try:
        count = act(gate.made(request).parts, _asked(fields, upto=upto), by=who.operator.id)
    except (Invalid, NotFound) as problem:
        return _shown(request, who, fields, problem)
    return _shown(request, who, {}, done=(said, count))


def _visitor(request: Request) -> Visitor:
    """Return who is there. Raises NotLoggedIn, NotAllowed."""
    who = gate.visitor(request)
    if not holding.may_see(who.operator.may):
        who.require(May.PEOPLE)
    return who


def _fields(*written: str) -> dict[str, str]:
    names = ("minutes", "net", "provider", "form", "digest", "why", "which")
    # PostgreSQL stores no NUL in a text: a condition that holds one would hold for nothing.
    return {name: value.replace("\0", "").strip() for name, value in zip(names, written, strict=True)}


def _asked(fields: dict[str, str], *, upto: str = "") -> Asked:
    """Return conditions as they were written; what nobody can mean is no condition. The span is kept as it was when counted."""
    minutes, why = fields.get("minutes", ""), fields.get("why", "")
    return Asked(
        minutes=min(int(minutes), MONTH) if minutes.isdecimal() and len(minutes) <= 9 and int(minutes) else None,
        net=fields.get("net", ""),
        provider=fields.get("provider", ""),
        form=fields.get("form", ""),
        digest=fields.get("digest", ""),
        why=Why(why) if why in list(Why) else None,
        held=fields.get("which", "held") != "all",
        upto=int(upto) if upto.isdecimal() and len(upto) <= 18 else None,
    )


def _shown(
    request: Request,
    who: Visitor,
    fields: dict[str, str],
    problem: NewsletterError | None = None,
    done: tuple[str, int] | None = None,
) -> HTMLResponse:
    parts = gate.made(request).parts
    try:
        seen = holding.look(parts, _asked(fields))
    except (Invalid, NotFound) as refusal:
        problem, seen = refusal, holding.look(parts, Asked())
    facts: dict[str, Any] = {
        "seen": seen,
        "fields": fields,
        "done": done,
        "whys": list(Why),
        "digests": desk.audiences(parts),
    }
    return gate.show(request, "signups.html", who=who, problem=problem, **facts)
