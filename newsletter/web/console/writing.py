"""An alert is written on a phone: a form with fields for each language, kept as it was where something is wrong with it."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, Response
from starlette.concurrency import run_in_threadpool

from newsletter.campaigns.errands import Act
from newsletter.errors import Conflict, Invalid, NewsletterError
from newsletter.issues import manuscript
from newsletter.issues.manuscript import BadManuscript, Manuscript
from newsletter.journeys import desk, translating
from newsletter.journeys.entering import Visitor
from newsletter.journeys.narrowing import EVERYBODY
from newsletter.journeys.parts import Parts
from newsletter.operators.roles import May
from newsletter.operators.sessions import NotLoggedIn
from newsletter.web.console import asking, forming, gate
from newsletter.web.console.forming import ACTIONS, Form
from newsletter.web.console.gate import Id

router = APIRouter(prefix="/console/alerts")
READ = ["GET", "HEAD"]
MOST_FRAMES = 10
_WORDS = ("subject-", "headline-", "says-", "text-", "label-", "url-")
"""How the fields begin that people type into."""


class BadButton(Invalid):
    """A button says nothing, or leads nowhere a mail may lead."""

    def __init__(self, label: str, url: str) -> None:
        super().__init__("alert.bad-button", label=label or "–", url=url or "–")


class NothingWritten(Conflict):
    """No language has a text."""

    def __init__(self) -> None:
        super().__init__("alert.nothing-written")


class NobodyTicked(Invalid):
    """An alert is for readers of no language at all."""

    def __init__(self) -> None:
        super().__init__("alert.nobody-ticked")


@router.api_route("/new", methods=READ)
def write(
    request: Request,
    like: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    frame: Annotated[list[str], Query(max_length=MOST_FRAMES)] = [],  # noqa: B006 (FastAPI copies it)
    translates: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    updates: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> HTMLResponse:
    """Ask for a text: from nothing, an earlier alert or a frame a language; in a further language of one, or to follow it."""
    who = gate.visitor(request)
    who.require(May.WRITE)
    parts = gate.made(request).parts
    if like is not None:
        found = desk.shown(parts, like)
        return _form(request, who, _as_that(parts, Form([found.digest], found.texts), like))
    # Of two in one language the later one: whoever chose again meant that.
    texts = list({text.language: text for text in (desk.framed(parts, one) for one in frame)}.values())
    form = Form(desk.audiences(parts), texts, translates=translates, updates=None if translates else updates)
    more = {name: one for name, one in (("translates", form.translates), ("updates", form.updates)) if one}
    for about in more.values():
        form = replace(form, digests=[desk.shown(parts, about).digest])
    if form.updates is not None:
        form = _as_that(parts, form, form.updates)
    return _form(request, who, replace(form, offers=_frames(parts, texts, **more)))


def _as_that(parts: Parts, form: Form, number: int) -> Form:
    """Return a form for the readers of an alert: whoever wants more of them unticks what stands there."""
    only, part = desk.limits(parts, number)
    return replace(form, only=only, part=part)


def _frames(parts: Parts, chosen: Sequence[Manuscript], **more: int) -> dict[str, list[tuple[str, str]]]:
    """Return for each language the frames in it, and where each leads: with those that are chosen in other languages."""

    def place(name: str, language: str) -> str:
        names = [*(text.frame for text in chosen if text.language != language), name]
        return f"/console/alerts/new?{urlencode([*more.items(), *(('frame', one) for one in names)])}"

    return {
        language: [(name, place(name, language)) for name in names] for language, names in desk.frames_in(parts).items()
    }


@router.post("")
async def draft(request: Request) -> Response:
    """Have an alert composed."""
    return await _written(request, None)


@router.api_route("/{number}/edit", methods=READ)
def rewrite(request: Request, number: Id) -> HTMLResponse:
    """Show an alert's text to be changed."""
    who = gate.visitor(request)
    who.require(May.WRITE)
    found = desk.shown(gate.made(request).parts, number)
    return _form(request, who, Form([found.digest], found.texts, number=number, seen=found.print))


@router.post("/{number}/edit")
async def edit(request: Request, number: Id) -> Response:
    """Have an alert composed anew; its lock and approval are void."""
    return await _written(request, number)


async def _written(request: Request, number: int | None) -> Response:
    """Read the form, which has fields for each language, and give it to a worker."""
    fields = {name: str(value) for name, value in (await request.form()).items() if name != "form"}
    return await run_in_threadpool(_taken, request, number, fields)


def _taken(request: Request, number: int | None, fields: dict[str, str]) -> Response:
    try:
        who = gate.visitor(request)
    except NotLoggedIn as over:
        return _kept(request, fields, over)
    who.require(May.WRITE)
    chosen = [one for one in desk.audiences(gate.made(request).parts) if one.key == fields.get("digest")]
    if not chosen:
        raise HTTPException(422)
    form = forming.read(fields, chosen[0], number=number)
    if gate.stale(request):
        # It was written in a session that is over: its words come back, and go on by a form of this one.
        return _form(request, who, form, again=True)
    return _have_composed(request, who, form, nobody=forming.nobody(fields))


def _kept(request: Request, fields: dict[str, str], over: NotLoggedIn) -> HTMLResponse:
    """Show what was written to whose session ended meanwhile: before their eyes while they log in beside it, and to go on with."""
    words = [text for name, text in fields.items() if name.startswith(_WORDS) and text.strip()]
    kept = {"words": words, "fields": fields, "action": request.scope["path"]} if words else None
    return gate.door(request, "", problem=over, kept=kept)


def _have_composed(request: Request, who: Visitor, form: Form, *, nobody: bool) -> Response:
    parts = gate.made(request).parts
    try:
        words = [_checked(parts, text, form) for text in form.texts]
        if not words:
            raise NothingWritten
        if nobody:
            raise NobodyTicked
    except NewsletterError as problem:
        return _form(request, who, form, problem)
    act = Act.DRAFT if form.number is None else Act.EDIT
    asked: dict[str, object] = {"words": words, "digest": form.digests[0].key, "seen": form.seen}
    once = {"once": form.once} if form.once else {}
    ended = asking.ask(request, who, act, mailing=form.number, **(asked | form.asked | once))
    return _form(request, who, form, asking.refusal(ended)) if ended.refused else asking.go_on(ended)


def _checked(parts: Parts, text: Manuscript, form: Form) -> str:
    """Return a text's file. Raises BadManuscript, BadButton, and as `desk.file`."""
    if not text.subject:
        raise BadManuscript("no-subject")
    for label, url in text.actions:
        if not label or not re.fullmatch(r"https://[^\s|]+", url):
            raise BadButton(label, url)
    written = desk.file(parts, text, form.said.get(text.language, {}))
    manuscript.read(written, language=text.language)
    return written


def _form(
    request: Request, who: Visitor, form: Form, problem: NewsletterError | None = None, *, again: bool = False
) -> HTMLResponse:
    """Show the form. again: its words were written in a session that is over."""
    written, parts = form.written, gate.made(request).parts
    languages = list(dict.fromkeys([*(language for one in form.digests for language in one.languages), *written]))
    about = form.translates or form.number
    place = translating.languages(parts, about) if about else None
    if place is not None and (form.translates or place.of):
        # Of an alert that has gone only what it has not yet; of a language that came later only that.
        languages = list(place.missing if form.translates else place.own)
    usual = (place.later, place.only, place.limits.part) if place else ((), (), EVERYBODY)
    facts: dict[str, Any] = {
        "wanted": form,
        "once": secrets.token_urlsafe(12),
        "again": again,
        "place": place,
        "offered": translating.offered(parts, form.translates) if form.translates else (),
        "later": usual[0] if form.later is None else form.later,
        "only": usual[1] if form.only is None else form.only,
        "part": usual[2] if form.part is None else form.part,
        "choice": desk.choice(parts),
        "languages": languages,
        "written": written,
        "gaps": form.gaps,
        "actions": range(ACTIONS),
    }
    return gate.show(request, "alert-write.html", who=who, problem=problem, **facts)
