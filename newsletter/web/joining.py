"""The pages by which somebody joins: a form, the page that says where to look, and the button behind the mail's link.

A form on another site may post here as well and lands on our page: no page of ours for the public has a cookie, so there is nothing
that it could use.
"""

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse

from newsletter import languages
from newsletter.assembly import Newsletter
from newsletter.errors import NewsletterError
from newsletter.issues import digests
from newsletter.issues.digests import DigestView
from newsletter.journeys import joining
from newsletter.subscribers.signup import Wish
from newsletter.web import security
from newsletter.web.pages import SPOKEN, Pages

router = APIRouter()
READ = ["GET", "HEAD"]
LONGEST_NAME, LONGEST_FORM, LONGEST_PAGE = 100, 40, 500

Text = Annotated[str, Form()]
Texts = Annotated[list[str], Form()]


def _made(request: Request) -> Newsletter:
    made: Newsletter = request.app.state.newsletter
    return made


def _pages(request: Request) -> Pages:
    pages: Pages = request.app.state.pages
    return pages


@router.api_route("/join", methods=READ)
def form(request: Request, language: str = "", digest: str = "", form: str = "page") -> HTMLResponse:
    """Show the form. language, digest: what the page that links here is written in, and about."""
    return _form(request, spoken(request, language), chosen=(digest,), form=form)


@router.post("/join")
def join(
    request: Request,
    email: Text = "",
    digest: Texts = [],  # noqa: B006 FastAPI copies it
    language: Text = "",
    name: Text = "",
    form: Text = "page",
    website: Text = "",
) -> HTMLResponse:
    """Keep the wish and say where to look: the same page whoever it is. website: no person sees it, so only programs fill it in."""
    tongue = spoken(request, language)
    found = _digests(request)
    only = [found[0].key] if len(found) == 1 and not digest else digest
    wish = wished(request, found, email=email, keys=only, language=tongue, name=name, form=_trapped(form, website))
    try:
        pending = joining.ask(_made(request).parts, wish)
    except NewsletterError as refusal:
        if refusal.status != 422:
            raise
        problem = (refusal.message, refusal.facts)
        return _form(request, tongue, chosen=tuple(digest), form=form, email=email, problem=problem, status=422)
    return _look_for_mail(request, tongue, pending)


@router.post("/join/code")
def code(request: Request, pending: Text = "", code: Text = "", language: Text = "") -> HTMLResponse:
    """Take the figures of the mail, on the page where they were asked for."""
    tongue = spoken(request, language)
    try:
        joining.confirm_by_code(_made(request).parts, pending, code)
    except joining.WrongCode as refusal:
        return _look_for_mail(request, tongue, pending, problem=(refusal.message, refusal.facts), status=422)
    except joining.NoTryLeft as refusal:
        return _look_for_mail(request, tongue, "", problem=(refusal.message, refusal.facts), status=422)
    return _pages(request).show("public/joined.html", language=tongue)


@router.api_route("/c/{token}", methods=READ)
def offer(request: Request, token: str, language: str = "") -> HTMLResponse:
    """Show the button. Mail scanners follow this link: nothing changes."""
    joining.look(_made(request).parts, token)
    return _pages(request).show("public/confirm.html", language=spoken(request, language), token=token)


@router.post("/c/{token}")
def confirm(request: Request, token: str, language: Text = "") -> HTMLResponse:
    """Say yes."""
    joining.confirm(_made(request).parts, token)
    return _pages(request).show("public/joined.html", language=spoken(request, language))


def spoken(request: Request, asked: str) -> str:
    """Return the language of a page: the one asked for, else the first that the browser wants and we speak, else English."""
    wanted = [asked, *(part.split(";")[0] for part in request.headers.get("accept-language", "").split(","))]
    bases = (one.strip().split("-")[0].lower() for one in wanted)
    return next((base for base in bases if base in SPOKEN), "en")


def wished(
    request: Request, found: list[DigestView], *, email: str, keys: list[str], language: str, name: str, form: str
) -> Wish:
    """Return what a form asks for, each digest in its own rhythm, with what shows later how it was asked."""
    rhythms = {digest.key: str(digest.rhythm) for digest in found}
    peer = request.client.host if request.client else ""
    made = _made(request)
    address = security.client(peer, request.headers.get("x-forwarded-for", ""), made.settings.trusted_proxies)
    return Wish(
        address=email.strip(),
        language=language,
        choices={key: rhythms.get(key, "weekly") for key in keys},
        name=name.strip()[:LONGEST_NAME],
        wording=wording(made, language),
        form=form[:LONGEST_FORM],
        page=_page(request),
        network=security.network(address),
    )


def wording(made: Newsletter, language: str) -> str:
    """Return what whoever presses the button agrees to; where the cause is sensitive, expressly, by its name (GDPR Art. 9)."""
    organisation, cause = made.parts.letterhead.sender_name, made.settings.sensitive_cause
    if cause:
        return languages.say("web.join-agree-sensitive", language, organisation=organisation, cause=cause)
    return languages.say("web.join-agree", language, organisation=organisation)


def _page(request: Request) -> str:
    """Where the form stood, without what may name a person behind a "?"."""
    parts = urlsplit(request.headers.get("referer", request.headers.get("origin", "")))
    return f"{parts.scheme}://{parts.netloc}{parts.path}"[:LONGEST_PAGE] if parts.netloc else ""


def _trapped(form: str, website: str) -> str:
    return joining.TRAP if website.strip() else form


def _digests(request: Request) -> list[DigestView]:
    with _made(request).parts.database.transaction() as session:
        return digests.listed(session)


def _form(
    request: Request,
    language: str,
    *,
    chosen: tuple[str, ...] = (),
    form: str = "page",
    email: str = "",
    problem: tuple[str, dict[str, object]] | None = None,
    status: int = 200,
) -> HTMLResponse:
    facts = {"digests": _digests(request), "chosen": chosen, "form": form, "email": email, "problem": problem}
    agree = wording(_made(request), language)
    return _pages(request).show("public/join.html", language=language, status=status, agree=agree, **facts)


def _look_for_mail(
    request: Request,
    language: str,
    pending: str,
    *,
    problem: tuple[str, dict[str, object]] | None = None,
    status: int = 200,
) -> HTMLResponse:
    facts = {"pending": pending, "problem": problem}
    return _pages(request).show("public/look.html", language=language, status=status, **facts)
