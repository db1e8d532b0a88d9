"""The pages by which somebody joins: a form, the page that says where to look, and the button behind the mail's link.

A form on another site may post here as well and lands on our page: no page of ours for the public has a cookie, so there is nothing
that it could use.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, TypeVar

from anyio import to_thread
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from newsletter.errors import NewsletterError
from newsletter.issues import digests
from newsletter.issues.digests import DigestView
from newsletter.journeys import confirming, consenting, joining
from newsletter.journeys.confirming import Trial
from newsletter.journeys.parts import Parts
from newsletter.journeys.privacy import NotYet
from newsletter.subscribers.agreements import Agreement
from newsletter.subscribers.forms import Arrival
from newsletter.subscribers.signup import Wish
from newsletter.web import pages, security
from newsletter.web.fresh import shared
from newsletter.web.speaking import choices
from newsletter.web.speaking import spoken as spoken

router = APIRouter()
READ = ["GET", "HEAD"]
WAIT_SECONDS, LOOK_SECONDS = 5.0, 0.1
"""How long a page waits for a worker to judge figures, and how often it looks: a look is a transaction in a thread."""
JOINING = 2
"""How many sign-ups of a process are kept at once. The others wait in no thread, for leaving and stopping need those."""
JUDGED = 20
"""How many tries of a process wait at once; the next are told "not yet": leaving must never wait for them."""
LONGEST_NAME, LONGEST_FORM, LONGEST_PAGE = 100, 40, 500

Text = Annotated[str, Form()]
Answer = TypeVar("Answer")


@router.api_route("/join", methods=READ)
async def form(request: Request, language: str = "", digest: str = "", form: str = "page") -> Response:
    """Show the form. language, digest: what the page that links here is written in, and about."""
    return await shared(request, _empty, language, digest, form)


def _empty(request: Request, language: str, digest: str, form: str) -> HTMLResponse:
    return _form(request, Filled(language=language, digest=[digest], form=form))


class Filled(BaseModel):
    """The form as it was filled in. website: no person sees it, so only programs fill it in.

    stamp, proof: what our own form brings along; wording: the version of the words that a form shows
    """

    email: str = ""
    digest: list[str] = []
    language: str = ""
    name: str = ""
    form: str = "page"
    website: str = ""
    stamp: str = ""
    proof: str = ""
    wording: str = ""


@router.post("/join")
async def join(request: Request, filled: Annotated[Filled, Form()]) -> HTMLResponse:
    """Keep the wish and say where to look: the same page whoever it is."""
    return await in_turn(request, partial(_join, request, filled))


async def in_turn(request: Request, keep: Callable[[], Answer]) -> Answer:
    """Keep a wish to join in a thread: whoever waits for one waits for others who join, and only they do."""
    return await to_thread.run_sync(keep, limiter=request.app.state.joining)


def ask(request: Request, filled: Filled) -> str:
    """Keep a wish to join, and return by what its figures are tried."""
    came = _arrival(request, stamp=filled.stamp, proof=filled.proof)
    return joining.ask(pages.product(request).parts, _wished(request, filled), came)


def _join(request: Request, filled: Filled) -> HTMLResponse:
    try:
        pending = ask(request, filled)
    except NewsletterError as refusal:
        if refusal.status != 422:
            raise
        return _form(request, filled, problem=(refusal.message, refusal.facts), status=422)
    return _look_for_mail(request, spoken(request, filled.language), pending)


@router.post("/join/code")
async def code(
    request: Request, pending: Text = "", code: Text = "", language: Text = "", wording: Text = ""
) -> Response:
    """Take the figures of the mail, on the page where they were asked for."""
    tongue = spoken(request, language)
    answer = partial(_look_for_mail, request, tongue)
    try:
        await tried(request, pending, code, wording)
    except (confirming.WrongCode, confirming.NotJudged) as refusal:
        problem = (refusal.message, refusal.facts)
        return await run_in_threadpool(answer, pending, problem=problem, status=refusal.status)
    except confirming.NoTryLeft as refusal:
        return await run_in_threadpool(answer, "", problem=(refusal.message, refusal.facts), status=refusal.status)
    return pages.of(request).show("public/joined.html", language=tongue)


async def tried(request: Request, pending: str, code: str, wording: str) -> None:
    """Try figures, and wait for what a worker says of them: no page knows them. Raises WrongCode, NoTryLeft, NotJudged."""
    parts, until = pages.product(request).parts, time.monotonic() + WAIT_SECONDS
    trial = await run_in_threadpool(confirming.try_code, parts, pending, code, wording=wording)
    try:
        with request.app.state.tries.taken(trial.answer_id):
            right = await _judged(parts, trial, until)
    except NotYet:
        raise confirming.NotJudged from None
    if not right:
        raise trial.refusal


async def _judged(parts: Parts, trial: Trial, until: float) -> bool:
    """Return whether a worker believes figures. until: of the monotonic clock. Raises NotJudged."""
    while True:
        right = await run_in_threadpool(confirming.believed, parts, trial)
        if right is not None:
            return right
        if time.monotonic() + LOOK_SECONDS > until:
            raise confirming.NotJudged
        # It sleeps in no thread: every other page needs those.
        await asyncio.sleep(LOOK_SECONDS)


@router.api_route("/c/{token}", methods=READ)
def offer(request: Request, token: str, language: str = "") -> HTMLResponse:
    """Show the button, and for whom it acts. Mail scanners follow this link: nothing changes."""
    tongue = spoken(request, language)
    who = confirming.look(pages.product(request).parts, token)
    facts = {"token": token, "who": who, "agree": _agreement(request, tongue), "choices": choices(request)}
    return pages.of(request).show("public/confirm.html", language=tongue, status=200, **facts)


@router.post("/c/{token}")
def confirm(request: Request, token: str, language: Text = "", wording: Text = "") -> HTMLResponse:
    """Say yes. wording: the version of the words above the button. By a link that proves nothing they are mailed another."""
    tongue = spoken(request, language)
    if not confirming.confirm(pages.product(request).parts, token, wording=wording):
        return _look_for_mail(request, tongue, "")
    return pages.of(request).show("public/joined.html", language=tongue)


def _wished(request: Request, filled: Filled) -> Wish:
    """Return what a form asks for, each digest in its own rhythm, with what shows later how it was asked."""
    found = _digests(request)
    rhythms = {digest.key: str(digest.rhythm) for digest in found}
    keys = filled.digest or (list(rhythms) if len(rhythms) == 1 else [])
    return Wish(
        address=filled.email.strip(),
        language=spoken(request, filled.language),
        choices={key: rhythms.get(key, "weekly") for key in keys},
        name=filled.name.strip()[:LONGEST_NAME],
        form=joining.form_name(_trapped(filled.form, filled.website)[:LONGEST_FORM]),
        page=_page(request),
        network=security.network(_client(request)),
        given=filled.wording[:LONGEST_FORM],
    )


def _arrival(request: Request, *, stamp: str = "", proof: str = "") -> Arrival:
    """Return how a form came in: from where, behind the proxies that are trusted, and what our own form brought along."""
    address = _client(request)
    return Arrival(client=address, net=security.network(address), stamp=stamp, proof=proof)


def _client(request: Request) -> str:
    peer = request.client.host if request.client else ""
    forwarded = request.headers.get("x-forwarded-for", "")
    return security.client(peer, forwarded, pages.product(request).settings.trusted_proxies)


def _page(request: Request) -> str:
    """Where the form stood, without what may name a person behind a "?"."""
    parts = security.parsed(request.headers.get("referer", request.headers.get("origin", "")))
    return f"{parts.scheme}://{parts.netloc}{parts.path}"[:LONGEST_PAGE] if parts.netloc else ""


def _trapped(form: str, website: str) -> str:
    return joining.TRAP if website.strip() else form


def _digests(request: Request) -> list[DigestView]:
    with pages.product(request).parts.database.transaction() as session:
        return digests.listed(session)


def _form(
    request: Request, filled: Filled, *, problem: tuple[str, dict[str, object]] | None = None, status: int = 200
) -> HTMLResponse:
    language = spoken(request, filled.language)
    asking = joining.form(pages.product(request).parts, stamp=filled.stamp)
    facts = {"asking": asking, "chosen": tuple(filled.digest), "form": filled.form, "email": filled.email}
    facts |= {"problem": problem, "choices": choices(request), "agree": _agreement(request, language)}
    return pages.of(request).show("public/join.html", language=language, status=status, **facts)


def _agreement(request: Request, language: str) -> Agreement:
    return consenting.agreement(pages.product(request).parts, language)


@router.api_route("/join.js", methods=READ)
def script(request: Request) -> Response:
    """The sum that a form does in a wave."""
    headers = {"cache-control": "public, max-age=3600"}
    return Response(pages.of(request).sums, media_type="text/javascript", headers=headers)


def _look_for_mail(
    request: Request,
    language: str,
    pending: str,
    *,
    problem: tuple[str, dict[str, object]] | None = None,
    status: int = 200,
) -> HTMLResponse:
    facts = {"pending": pending, "problem": problem, "agree": _agreement(request, language)}
    return pages.of(request).show("public/look.html", language=language, status=status, **facts)
