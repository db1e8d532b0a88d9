"""Cookies, forms and who is there: what every page of the console asks first.

Three cookies, all `__Host-` (no other host can set them), Secure and HttpOnly. The session's is SameSite=Lax, so that a link in
a mail to operators leads to the page and not to a log-in; GET changes nothing, and every POST must besides bring a value that only
our own page knows. The other two are Strict: nothing but our own form needs them.
"""

import hmac
import re
import secrets
from typing import Annotated, Any, Literal

from fastapi import Form, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from newsletter.assembly import Newsletter
from newsletter.errors import Forbidden, Invalid, NewsletterError
from newsletter.journeys import entering
from newsletter.journeys.entering import Visitor, Where
from newsletter.operators.passkeys import Site
from newsletter.operators.people import OperatorView
from newsletter.operators.sessions import LIFE, NotLoggedIn
from newsletter.web import security, speaking
from newsletter.web.pages import Pages

Id = Annotated[int, Path(ge=1, le=2**63 - 1)]
"""A number in an address, as far as a column holds it."""
SESSION, DEVICE, FORM = "__Host-session", "__Host-device", "__Host-form"
DEVICE_SECONDS = 180 * 24 * 3600
READ = ("GET", "HEAD")
_INSIDE = re.compile(
    r"/console(/[a-z0-9-]+)*(\?(all|alone|retract|words)=1|\?(translates|updates)=\d{1,18})?"
).fullmatch
"""A page of ours, and of what may stand behind its "?" what our own links say."""
_WRITING = re.compile(r"/console/alerts(?:/\d+/edit)?").fullmatch
"""Where words are posted that somebody wrote for half an hour."""
_HALTING = re.compile(r"/console/alerts/(\d{1,18})/(?:pause|stop|retract)").fullmatch
"""Where somebody presses who must not believe that it was done."""
_DOORS = frozenset({"/console/login", "/console/second", "/console/passkey", "/console/prove", "/console/logout"})
_BROWSERS = ("Edg", "OPR", "Firefox", "FxiOS", "SamsungBrowser", "CriOS", "Chrome", "Safari")
_NAMES = {"Edg": "Edge", "OPR": "Opera", "FxiOS": "Firefox", "SamsungBrowser": "Samsung", "CriOS": "Chrome"}
_SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Macintosh", "Linux")


class ForeignForm(Forbidden):
    """The form was not ours, or not this browser's: another site may have sent it."""

    def __init__(self) -> None:
        super().__init__("operator.foreign-form")


class NotHalted(Forbidden):
    """Whoever pressed is not logged in any more: nothing was done, and there is a way without."""

    status = 401

    def __init__(self, mailing_id: int) -> None:
        super().__init__("operator.not-halted", mailing=mailing_id)


class PasswordsDiffer(Invalid):
    """The password was not typed the same twice."""

    def __init__(self) -> None:
        super().__init__("operator.passwords-differ")


def made(request: Request) -> Newsletter:
    """Return the product."""
    found: Newsletter = request.app.state.newsletter
    return found


def site(request: Request) -> Site | None:
    """Return where passkeys are good, or None where browsers allow none."""
    letterhead = made(request).parts.letterhead
    return Site.at(letterhead.base_url, letterhead.sender_name)


def own_form(request: Request, form: Annotated[str, Form()] = "") -> None:
    """Refuse a POST that our own page in this very browser did not send. Raises ForeignForm.

    Of a text that somebody wrote it only notes that the form is of a session that is over (`stale`): such a one is shown again, and
    nothing is done by it.
    """
    if request.method in READ:
        return
    sender = request.headers.get("sec-fetch-site", "")
    if sender not in ("", "same-origin", "none"):
        raise ForeignForm
    # With our own Referrer-Policy browsers say "null" here, also to ourselves.
    origin = request.headers.get("origin", "null")
    if origin != "null" and security.parsed(origin).netloc != request.headers.get("host"):
        raise ForeignForm
    secret = _secret(request)
    if secret and hmac.compare_digest(form.encode(), _form(request, secret).encode()):
        return
    # Nobody is there, so nothing is done; and they are told that of what they meant to halt.
    if not request.cookies.get(SESSION) and halts(request) is not None:
        return
    # Only where the browser itself says that a page of ours sent it: nobody else puts words into our form.
    if not _by_our_page(request) or not _WRITING(str(request.scope["path"])):
        raise ForeignForm
    request.state.stale = True


def _by_our_page(request: Request) -> bool:
    """Return whether the browser says that a page of ours sent a form: an old one by its Origin, or where it has none its Referer.

    No page sets these of itself, and whoever writes a form has them sent to us (`security.dress`).
    """
    if sender := request.headers.get("sec-fetch-site", ""):
        return sender == "same-origin"
    named = request.headers.get("origin") or request.headers.get("referer", "")
    return bool(named) and security.parsed(named).netloc == request.headers.get("host")


def stale(request: Request) -> bool:
    """Return whether what somebody wrote was posted by a form of a session that is over."""
    return getattr(request.state, "stale", False)


def _secret(request: Request) -> str:
    return request.cookies.get(SESSION) or request.cookies.get(FORM) or ""


def _form(request: Request, secret: str) -> str:
    return made(request).parts.database.vault.digest("form", secret).hex()


def where(request: Request) -> Where:
    """Return whence a request comes."""
    peer = request.client.host if request.client else ""
    forwarded = request.headers.get("x-forwarded-for", "")
    address = security.client(peer, forwarded, made(request).settings.trusted_proxies)
    return Where(address, device(request.headers.get("user-agent", "")), request.cookies.get(DEVICE, ""))


def device(agent: str) -> str:
    """Return a browser in words that its owner knows it by: "Firefox, Android"."""
    browser = next((name for name in _BROWSERS if f"{name}/" in agent), "")
    system = next((name for name in _SYSTEMS if name in agent), "")
    return ", ".join(word for word in (_NAMES.get(browser, browser), system) if word) or "–"


def visitor(request: Request) -> Visitor:
    """Return who is logged in; a POST keeps the session alive. Raises NotLoggedIn."""
    parts, token = made(request).parts, request.cookies.get(SESSION, "")
    found = entering.who(parts, token) if request.method in READ else entering.acting(parts, token)
    if found is None:
        raise NotLoggedIn
    # A refusal further on is worded without asking again who is there.
    request.state.language = found.operator.language
    return found


def halter(request: Request) -> tuple[Visitor, bool]:
    """Return who is there to halt something, and whether they have been idle for so long that they see nothing else.

    Raises NotLoggedIn.
    """
    parts, token = made(request).parts, request.cookies.get(SESSION, "")
    if entering.who(parts, token):
        return visitor(request), False
    found = entering.halting(parts, token)
    request.state.language = found.operator.language
    return found, True


def halts(request: Request) -> int | None:
    """Return the alert that a press is to halt or to take back; None: it is another press, or none."""
    pressed = _HALTING(str(request.scope["path"])) if request.method not in READ else None
    return int(pressed[1]) if pressed else None


def half(request: Request) -> Visitor:
    """Return who is on the way in. Raises NotLoggedIn."""
    found = entering.half(made(request).parts, request.cookies.get(SESSION, ""))
    request.state.language = found.operator.language
    return found


def language(request: Request, who: OperatorView | None = None) -> str:
    """Return in which language a page is: whoever is there chose it, else the browser asks for it, else English."""
    chosen = who.language if who else getattr(request.state, "language", None)
    return speaking.spoken(request, chosen or "")


def inside(path: str) -> str:
    """Return a path of the console, or its front: nobody is led elsewhere by a link to us."""
    return path if _INSIDE(path) and path.partition("?")[0] not in _DOORS else "/console"


def asked(request: Request) -> str:
    """Return the page that somebody wanted to see: with what stands behind its "?" where it is of our own links."""
    path, query = str(request.scope["path"]), request.scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query and _INSIDE(f"{path}?{query}") else path


def way(door: str, back: str) -> str:
    """Return the address of a door that leads to a page of the console."""
    return f"{door}?back={inside(back)}" if inside(back) != "/console" else door


def go(path: str) -> RedirectResponse:
    """Send the browser on to a page, by GET."""
    return RedirectResponse(path, status_code=303)


def show(
    request: Request,
    name: str,
    *,
    who: Visitor | None = None,
    problem: NewsletterError | None = None,
    script: bool = False,
    **facts: Any,
) -> HTMLResponse:
    """Return a page of the console: its forms carry the value that `own_form` asks for.

    problem   why what was posted was refused: shown above the form, with its status
    """
    pages: Pages = request.app.state.pages
    secret = _secret(request)
    fresh = "" if secret else secrets.token_urlsafe(24)
    answer = pages.show(
        f"console/{name}",
        language=language(request, who.operator if who else None),
        status=problem.status if problem else 200,
        visitor=who,
        problem=problem,
        form=_form(request, secret or fresh),
        **facts,
    )
    if fresh:
        put(answer, FORM, fresh, same_site="strict")
    if script:
        answer.headers["content-security-policy"] = security.OWN_SCRIPT_POLICY
    return answer


def door(
    request: Request, back: str, *, problem: NewsletterError | None = None, done: str = "", **facts: Any
) -> HTMLResponse:
    """Ask for address and password.

    back   the page that somebody wanted to see
    done   an id of the pages' catalogue: what they did, who are shown nothing else before they log in; with its facts
    """
    more = {"back": inside(back), "kept": None, "halts": None} | facts
    return show(request, "login.html", problem=problem, done=done, **more)


def put(
    answer: Response, name: str, value: str, *, same_site: Literal["lax", "strict"], seconds: int | None = None
) -> None:
    """Set one of our cookies."""
    answer.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite=same_site)


def put_session(answer: Response, token: str) -> None:
    """Set the session's cookie; what was there before is forgotten with it."""
    put(answer, SESSION, token, same_site="lax", seconds=int(LIFE.total_seconds()))


def drop_session(answer: Response) -> None:
    """Remove the session's cookie."""
    answer.delete_cookie(SESSION, path="/", secure=True, httponly=True, samesite="lax")
