"""What every answer carries, whatever the route: no script but ours, no frames, no third party, no trace in a Referer."""

import asyncio
import math
import re
import time
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from newsletter import languages
from newsletter.web import speaking

LARGEST_BODY = 64 * 1024
LARGEST_NOTICE = 256 * 1024
PATIENCE = 60.0
"""How long a whole body may take, in seconds: the largest, on a phone that hardly has a signal, is there by then."""
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# The way out of a reader's page, a passkey, the sum of a form in a wave: each is a script of ours that speaks to nobody.
OWN_SCRIPT_POLICY = f"{POLICY}; script-src 'self'"
# The mail in the archive brings its styles in attributes; in its sandbox it can run nothing, post nothing, reach nothing.
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; form-action 'none'; frame-ancestors 'none';"
    " base-uri 'none'; sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
)
# Paths with a mailed token, and what beside our forms is no secret: the script of a sum, and the description of the API.
WITH_TOKEN = ("/u/", "/p/", "/c/", "/s/", "/e/", "/h/")
SAME_FOR_ALL = ("/join.js", "/api/v1/openapi.json")
# Where the team works, and programs: there is no way out to be shown, and no script unless a page says so.
WITHOUT_EXIT = ("/console", "/e/", "/api/", "/hooks/")


def client(peer: str, forwarded: str, trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """Return the address a request comes from, as attempts are counted by: an IPv6 one by its /64, which is one household's.

    peer        who opened the connection
    forwarded   X-Forwarded-For: read from its end, and only as far as proxies that are trusted wrote it
    """
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    while hops and _within(peer, trusted):
        peer = hops.pop()
    try:
        found = ip_address(peer)
    except ValueError:
        return "unknown"
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or IPv6Network((found, 64), strict=False))


def network(address: str) -> str:
    """Return the network of an address: enough to show later where a wish came from, and not whose line it was ("" = unknown)."""
    try:
        found = ip_address(address.partition("/")[0])
    except ValueError:
        return ""
    return str(ip_network(f"{found}/{48 if isinstance(found, IPv6Address) else 24}", strict=False))


def _within(peer: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        return any(ip_address(peer) in network for network in networks)
    except ValueError:
        return False


def parsed(url: str) -> SplitResult:
    """Return the parts of an address that a browser named, all empty where it is none ("http://[")."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def base(host: str, mirror: str) -> str:
    """Return the second host's address where a page is asked for there; "" stands for the first, whatever a request calls it.

    host     as the request names it: only compared, and never printed
    mirror   the address that is set, "" where there is none
    """
    return mirror if mirror and host.lower() == urlsplit(mirror).netloc.lower() else ""


class Guard:
    """Adds the headers, and refuses bodies that no form of ours sends."""

    def __init__(self, app: ASGIApp, *, https: bool, patience: float = PATIENCE) -> None:
        self._app = app
        self._https = https
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with its answer's headers set."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        largest = LARGEST_NOTICE if scope["path"].startswith("/hooks/") else LARGEST_BODY
        body = _Body(receive, largest, time.monotonic() + self._patience)
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if body.refused and not started:
                return  # whatever was made of the half of it
            if message["type"] == "http.response.start":
                started = True
                dress(MutableHeaders(scope=message), scope["path"], https=self._https)
            await send(message)

        if _announced(scope) > largest:
            body.refused = 413
        else:
            await self._app(_utf8(scope), body.receive, guarded)
        if body.refused and not started:
            await self._refuse(scope, body.refused, send)

    async def _refuse(self, scope: Scope, status: int, send: Send) -> None:
        language = speaking.chosen("", dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1"))
        answer = _refusal(scope["path"], status, language)
        dress(answer.headers, scope["path"], https=self._https)
        await send({"type": "http.response.start", "status": status, "headers": answer.raw_headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else bytes(answer.body)})


class _Body:
    """A body as the pages are given it: one in chunks names no length, and one may never end.

    What is too much or too late ends as if the client had gone. refused: the status for it, 0 = all is well
    """

    def __init__(self, receive: Receive, largest: int, until: float) -> None:
        self._receive, self._largest, self._until = receive, largest, until
        self._seen, self._whole = 0, False
        self.refused = 0

    async def receive(self) -> Message:
        """Return the next piece."""
        if self._whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._until - time.monotonic()))
        except TimeoutError:
            self.refused = 408
            return {"type": "http.disconnect"}
        self._seen += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._seen > self._largest:
            self.refused = 413
            return {"type": "http.disconnect"}
        return message


def _refusal(path: str, status: int, language: str) -> Response:
    """Return what is answered to a body that is larger than any of ours, or that does not come."""
    name = {408: "too-slow", 413: "too-large"}[status]
    headers = {"connection": "close"}
    if path.startswith("/api/"):
        document = {"error": f"api.{name}", "sentence": languages.say(f"api.{name}", language)}
        return JSONResponse(document, status_code=status, headers=headers)
    return PlainTextResponse(languages.say(f"web.{name}", language) + "\n", status_code=status, headers=headers)


def _utf8(scope: Scope) -> Scope:
    """Return a request without the word by which a form names its own charset: ours are UTF-8, and RFC 7578 knows no such word.

    Codecs of Python's that are none of text, or make half a character, must not be chosen by whoever sends a form.
    """
    headers = [(name, _CHARSET(b"x-", value) if name == b"content-type" else value) for name, value in scope["headers"]]
    return {**scope, "headers": headers}


_CHARSET = re.compile(b"(?=charset)", re.IGNORECASE).sub


def _announced(scope: Scope) -> float:
    """Return how long a body is said to be; endless where that is no number."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() and len(length) < 20 else math.inf


_WRITES = re.compile(r"/console/alerts(?:/new|/\d+/edit)?").fullmatch


def dress(headers: MutableHeaders, path: str, *, https: bool) -> None:
    """Set what every answer carries."""
    headers.setdefault("content-security-policy", POLICY if path.startswith(WITHOUT_EXIT) else OWN_SCRIPT_POLICY)
    # The path of a page may hold a token: it must not travel to the next site.
    # But where somebody writes for half an hour an old browser must be able to say that our own page sends it; to us alone.
    headers["referrer-policy"] = "same-origin" if _WRITES(path) else "no-referrer"
    headers["x-content-type-options"] = "nosniff"
    headers["cross-origin-opener-policy"] = "same-origin"
    headers["permissions-policy"] = "camera=(), microphone=(), geolocation=(), interest-cohort=()"
    if path not in SAME_FOR_ALL and (path[:3] in WITH_TOKEN or path.startswith(("/console", "/api/", "/join"))):
        headers["cache-control"] = "no-store"
        headers["x-robots-tag"] = "noindex, nofollow"
    if https:
        headers["strict-transport-security"] = "max-age=63072000; includeSubDomains"
