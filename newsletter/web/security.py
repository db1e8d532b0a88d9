"""What every answer carries, whatever the route: no scripts, no frames, no third party, no trace in a Referer."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from newsletter import languages
from newsletter.web import speaking

LARGEST_BODY = 64 * 1024
LARGEST_NOTICE = 256 * 1024
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# Pages that ask for a passkey, and a form in a wave, need one script of ours; it speaks to nobody.
OWN_SCRIPT_POLICY = f"{POLICY}; script-src 'self'"
PASSKEY_POLICY = OWN_SCRIPT_POLICY
# The mail in the archive brings its styles in attributes; in its sandbox it can run nothing, post nothing, reach nothing.
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; form-action 'none'; frame-ancestors 'none';"
    " base-uri 'none'; sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
)


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


def base(host: str, mirror: str) -> str:
    """Return the second host's address where a page is asked for there; "" stands for the first, whatever a request calls it.

    host     as the request names it: only compared, and never printed
    mirror   the address that is set, "" where there is none
    """
    return mirror if mirror and host.lower() == urlsplit(mirror).netloc.lower() else ""


class Guard:
    """Adds the headers, and refuses bodies that no form of ours sends."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._https = https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with its answer's headers set."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        largest = LARGEST_NOTICE if scope["path"].startswith("/hooks/") else LARGEST_BODY
        seen = 0

        async def bounded() -> Message:
            # A body in chunks names no length: what is too much ends as if the client had gone.
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return message if seen <= largest else {"type": "http.disconnect"}

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                if seen > largest:
                    message["status"] = 413
                dress(MutableHeaders(scope=message), scope["path"], https=self._https)
            await send(message)

        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > largest:
            language = speaking.chosen("", dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1"))
            kind = (b"content-type", b"text/plain; charset=utf-8")
            body = f"{languages.say('web.too-large', language)}\n".encode()
            await guarded({"type": "http.response.start", "status": 413, "headers": [kind]})
            await guarded({"type": "http.response.body", "body": body})
            return
        await self._app(scope, bounded, guarded)


def dress(headers: MutableHeaders, path: str, *, https: bool) -> None:
    """Set what every answer carries."""
    headers.setdefault("content-security-policy", POLICY)
    # The path of a page may hold a token: it must not travel to the next site.
    headers["referrer-policy"] = "no-referrer"
    headers["x-content-type-options"] = "nosniff"
    headers["cross-origin-opener-policy"] = "same-origin"
    headers["permissions-policy"] = "camera=(), microphone=(), geolocation=(), interest-cohort=()"
    if path[:3] in ("/u/", "/p/", "/c/", "/s/", "/e/", "/h/") or path.startswith(("/console", "/api/", "/join")):
        headers["cache-control"] = "no-store"
        headers["x-robots-tag"] = "noindex, nofollow"
    if https:
        headers["strict-transport-security"] = "max-age=63072000; includeSubDomains"
