"""An alert is written on a phone: a form with fields for each language, kept as it was where something is wrong with it."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse, Response
from starlette.concurrency import run_in_threadpool

from newsletter import languages
from newsletter.campaigns.errands import Act
from newsletter.errors import Conflict, Invalid, NewsletterError
from newsletter.issues import manuscript
from newsletter.issues.digests import DigestView
from newsletter.issues.manuscript import BadManuscript, Manuscript
from newsletter.journeys import desk, translating
from newsletter.journeys.entering import Visitor
from newsletter.journeys.parts import Parts
from newsletter.operators.roles import May
from newsletter.operators.sessions import NotLoggedIn
from newsletter.web.console import asking, gate

router = APIRouter(prefix="/console/alerts")
READ = ["GET", "HEAD"]
Id = Annotated[int, Path(ge=1, le=2**63 - 1)]
ACTIONS = 2
MOST_FRAMES = 10


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
    like: int | None = None,
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
        return _form(request, who, [found.digest], found.texts)
    # Of two in one language the later one: whoever chose again meant that.
    texts = list({text.language: text for text in (desk.framed(parts, one) for one in frame)}.values())
    if translates is not None or updates is not None:
        of: dict[str, Any] = {"translates": translates} if translates is not None else {"updates": updates or 0}
        [about] = of.values()
        return _form(request, who, [desk.shown(parts, about).digest], texts, offers=_frames(parts, texts, **of), **of)
    return _form(request, who, desk.audiences(parts), texts, offers=_frames(parts, texts))


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
    return _form(request, who, [found.digest], found.texts, number=number, seen=found.print)


@router.post("/{number}/edit")
async def edit(request: Request, number: Id) -> Response:
    """Have an alert composed anew; its lock and approval are void."""
    return await _written(request, number)


async def _written(request: Request, number: int | None) -> Response:
    """Read the form, which has fields for each language, and give it to a worker."""
    fields = {name: str(value) for name, value in (await request.form()).items()}
    try:
        return await run_in_threadpool(_have_composed, request, number, fields)
    except NotLoggedIn as over:
        # Half an hour of writing outlasts a session: the words stay before their eyes while they log in beside them.
        kept = [text for name, text in fields.items() if name.startswith(("subject-", "text-")) and text.strip()]
        return gate.show(request, "login.html", problem=over, back=gate.inside(""), kept=kept)


def _have_composed(request: Request, number: int | None, fields: dict[str, str]) -> Response:
    who = gate.visitor(request)
    who.require(May.WRITE)
    parts = gate.made(request).parts
    chosen = [one for one in desk.audiences(parts) if one.key == fields.get("digest")]
    if not chosen:
        raise HTTPException(422)
    spoken = _languages(fields, chosen[0].languages)
    texts = _texts(fields, spoken)
    late = _late(fields, spoken, texts)
    try:
        words = [_checked(parts, text) for text in texts]
        if not words:
            raise NothingWritten
        if fields.get("readers") and not any(fields.get(f"only-{one}") for one in spoken):
            raise NobodyTicked
    except NewsletterError as problem:
        return _form(request, who, chosen, texts, number=number, problem=problem, seen=fields.get("seen", ""), **late)
    act = Act.DRAFT if number is None else Act.EDIT
    asked = {"words": words, "digest": chosen[0].key, "seen": fields.get("seen", "")} | late
    ended = asking.ask(request, who, act, mailing=number, **asked)
    if ended.refused:
        seen = fields.get("seen", "")
        return _form(request, who, chosen, texts, number=number, problem=asking.refusal(ended), seen=seen, **late)
    return asking.go_on(ended)


def _late(fields: dict[str, str], languages: Sequence[str], texts: Sequence[Manuscript]) -> dict[str, Any]:
    """Return which alert the texts are languages of, and for whom; or which one they follow, which come later, and who gets it."""
    if (of := fields.get("translates", "")).isdecimal():
        return {"translates": int(of[:18]), "also_had": fields.get("for") == "also-had"}
    written = {text.language for text in texts}
    late: dict[str, Any] = {"later": [one for one in languages if fields.get(f"later-{one}") and one not in written]}
    updates = fields.get("updates", "")
    late |= {"updates": int(updates[:18])} if updates.isdecimal() else {}
    if not fields.get("readers"):
        return late
    only = [one for one in languages if fields.get(f"only-{one}")]
    return late | {"only": [] if len(only) == len(languages) else only}


def _languages(fields: dict[str, str], usual: Sequence[str]) -> list[str]:
    """Return the languages that a form has fields for: the digest's first, then others in which the alert was written elsewhere."""
    written = (languages.tag(name.removeprefix("subject-")) for name in fields if name.startswith("subject-"))
    return list(dict.fromkeys([*usual, *filter(None, written)]))


def _texts(fields: dict[str, str], languages: Sequence[str]) -> list[Manuscript]:
    """Return what was written in each language; nothing for those left empty."""
    found = []
    for language in languages:
        subject, text = (fields.get(f"{name}-{language}", "").strip() for name in ("subject", "text"))
        pairs = [
            (fields.get(f"label-{language}-{one}", "").strip(), fields.get(f"url-{language}-{one}", "").strip())
            for one in range(ACTIONS)
        ]
        actions = tuple(pair for pair in pairs if any(pair))
        if subject or text or actions:
            frame = fields.get(f"frame-{language}", "").strip()
            written = text.replace("\r\n", "\n") + "\n"
            headline, preheader, url = (
                fields.get(f"{name}-{language}", "").strip() for name in ("headline", "preheader", "page")
            )
            found.append(Manuscript(subject, headline or subject, preheader, language, url, actions, written, frame))
    return found


def _checked(parts: Parts, text: Manuscript) -> str:
    """Return a text's file. Raises BadManuscript."""
    if not text.subject:
        raise BadManuscript("no-subject")
    for label, url in text.actions:
        if not label or not re.fullmatch(r"https://[^\s|]+", url):
            raise BadButton(label, url)
    written = desk.file(parts, text)
    manuscript.read(written, language=text.language)
    return written


def _form(
    request: Request,
    who: Visitor,
    digests: Sequence[DigestView],
    texts: Sequence[Manuscript],
    *,
    number: int | None = None,
    problem: NewsletterError | None = None,
    seen: str = "",
    later: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
    translates: int | None = None,
    also_had: bool = False,
    updates: int | None = None,
    offers: Mapping[str, Sequence[tuple[str, str]]] = MappingProxyType({}),
) -> HTMLResponse:
    """Show the form. offers: for each language the frames to begin with; none where that would throw away what is written."""
    written = {text.language: text for text in texts}
    languages = list(dict.fromkeys([*(language for one in digests for language in one.languages), *written]))
    about = translates or number
    place = translating.languages(gate.made(request).parts, about) if about else None
    if place is not None and (translates or place.of):
        # Of an alert that has gone only what it has not yet; of a language that came later only that.
        languages = list(place.missing if translates else place.own)
    if later is None:
        later = place.later if place else ()
    if only is None:
        only = place.only if place else ()
    facts: dict[str, Any] = {
        "frames": offers,
        "seen": seen,
        "digests": digests,
        "place": place,
        "offered": translating.offered(gate.made(request).parts, translates) if translates else (),
        "later": later,
        "only": only,
        "translates": translates,
        "also_had": also_had,
        "updates": updates,
        "languages": languages,
        "written": written,
        "mailing": number,
        "actions": range(ACTIONS),
    }
    return gate.show(request, "alert-write.html", who=who, problem=problem, **facts)
