"""The one way to fetch from outside: public addresses only, looked up once and pinned, bounded in size and time (standards §24)."""

import ipaddress
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import idna
from urllib3 import BaseHTTPResponse, exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection

from newsletter.errors import Forbidden, Invalid, NotFound

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
MAX_BYTES = 5 * 2**20
TIMEOUT_SECONDS = 10.0
REDIRECTS = 5
_CHUNK = 64 * 1024
_BROKEN = "what it sent is damaged or broke off"
_AS_IT_IS = "/?%:@!$&'()*+,;=~"


class BadUrl(Invalid):
    """The text is no http or https address."""

    def __init__(self) -> None:
        super().__init__("fetch.bad-url")


class NotPublic(Forbidden):
    """The address lies inside some network, where a feed has no business."""

    def __init__(self, host: str) -> None:
        super().__init__("fetch.not-public", host=host)


class Unreachable(NotFound):
    """Nobody answered, or not with the document."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__("fetch.unreachable", host=host, reason=reason)


class TooMuch(Invalid):
    """The answer is larger than any feed."""

    def __init__(self, host: str, limit: str) -> None:
        super().__init__("fetch.too-much", host=host, limit=limit)


class TooSlow(NotFound):
    """The answer was not there in time."""

    def __init__(self, host: str, seconds: float) -> None:
        super().__init__("fetch.too-slow", host=host, seconds=f"{seconds:g}")


@dataclass(frozen=True, slots=True)
class _Bounds:
    allow: Sequence[Network]
    max_bytes: int
    seconds: float
    deadline: float

    def left(self, host: str) -> float:
        """Return the seconds that are left; TooSlow when there are none."""
        if (left := self.deadline - time.monotonic()) <= 0:
            raise TooSlow(host, self.seconds)
        return left


@dataclass(frozen=True, slots=True)
class _Target:
    """An address of the web, taken apart and found good. host: in ASCII; authority: host and port as they were written."""

    url: str
    scheme: str
    host: str
    port: int
    authority: str
    path: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document, decompressed, from the last address of its redirects."""

    url: str
    body: bytes
    content_type: str


def fetch(
    url: str, *, allow: Sequence[Network] = (), max_bytes: int = MAX_BYTES, timeout_seconds: float = TIMEOUT_SECONDS
) -> Fetched:
    """Return the document at an address.

    allow  networks that may be fetched from besides public ones

    Raises BadUrl, NotPublic, Unreachable, TooMuch, TooSlow. The limit of time holds for everything together: looking the
    name up, redirects, and an answer that drips.
    """
    bounds = _Bounds(allow, max_bytes, timeout_seconds, time.monotonic() + timeout_seconds)
    for _ in range(REDIRECTS + 1):
        target = _target(url)
        found = _once(target, bounds)
        if isinstance(found, Fetched):
            return found
        url = found
    raise Unreachable(target.host, "it redirects in circles")


def post(
    url: str, body: bytes, *, content_type: str, allow: Sequence[Network] = (), timeout_seconds: float = TIMEOUT_SECONDS
) -> None:
    """Hand a document to an address; whatever it answers with 2xx is enough, and is not read. It is not followed elsewhere.

    Raises BadUrl, NotPublic, Unreachable, TooSlow.
    """
    bounds = _Bounds(allow, MAX_BYTES, timeout_seconds, time.monotonic() + timeout_seconds)
    target = _target(url)
    with _open(target, bounds) as connection:
        headers = {"Host": target.authority, "Content-Type": content_type, "User-Agent": "newsletter-hook"}
        connection.request("POST", target.path, body, headers, preload_content=False, decode_content=False)
        answer = connection.getresponse()
        answer.close()
        if not 200 <= answer.status < 300:
            raise Unreachable(target.host, f"it answered {answer.status}")


def _target(url: str) -> _Target:
    try:
        parts = urlsplit(url)
        port = parts.port
        host = _ascii(parts.hostname or "")
    except (ValueError, UnicodeError):
        raise BadUrl from None
    if parts.scheme not in ("http", "https") or not host or parts.username is not None or port == 0:
        raise BadUrl
    named = f"[{host}]" if ":" in host else host
    return _Target(
        url=url,
        scheme=parts.scheme,
        host=host,
        port=port or (443 if parts.scheme == "https" else 80),
        authority=f"{named}:{port}" if port else named,
        path=quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_AS_IT_IS),
    )


def _ascii(host: str) -> str:
    """Return a name as DNS has it (RFC 5891): "müller.example" is asked for as "xn--mller-kva.example"."""
    if any(not "!" <= letter <= "~" for letter in host):
        return idna.encode(host, uts46=True).decode("ascii")
    return host


def _once(target: _Target, bounds: _Bounds) -> Fetched | str:
    """Return the document, or where it has moved."""
    with _open(target, bounds) as connection:
        return _asked(connection, target, bounds)


@contextmanager
def _open(target: _Target, bounds: _Bounds) -> Iterator[HTTPConnection]:
    """Hold a connection for the length of the block, and within the bounds. Raises NotPublic, Unreachable, TooSlow."""
    connection: HTTPConnection | None = None
    try:
        connection = _connected(target, _resolve(target, bounds), bounds)
        with _ended_in_time(connection, bounds.left(target.host)):
            yield connection
    except (exceptions.HTTPError, HTTPException, OSError, zlib.error) as error:
        bounds.left(target.host)
        raise Unreachable(target.host, _reason(error)) from None
    finally:
        if connection is not None:
            connection.close()


def _connected(target: _Target, addresses: Sequence[str], bounds: _Bounds) -> HTTPConnection:
    """Return a connection to the first of the checked addresses that takes one; half of the time is kept for the next."""
    for address in addresses[:-1]:
        connection = _connection(target, address, bounds.left(target.host) / 2)
        with suppress(exceptions.NewConnectionError, exceptions.ConnectTimeoutError):
            connection.connect()
            return connection
    connection = _connection(target, addresses[-1], bounds.left(target.host))
    connection.connect()
    return connection


def _connection(target: _Target, address: str, seconds: float) -> HTTPConnection:
    """Return a connection, not yet made, by no proxy. A certificate is checked against the name, never the address."""
    if target.scheme == "http":
        return HTTPConnection(address, target.port, timeout=seconds)
    trusted = ssl.create_default_context()
    return HTTPSConnection(address, target.port, timeout=seconds, ssl_context=trusted, server_hostname=target.host)


@contextmanager
def _ended_in_time(connection: HTTPConnection, seconds: float) -> Iterator[None]:
    """Shut the connection when time is up: a timeout of the socket starts anew with every byte that drips in."""
    timer = threading.Timer(seconds, _shut, (connection.sock,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut(used: socket.socket) -> None:
    with suppress(OSError):
        # Not SSLSocket.shutdown, which takes TLS away from under the thread that reads.
        socket.socket.shutdown(used, socket.SHUT_RDWR)


def _asked(connection: HTTPConnection, target: _Target, bounds: _Bounds) -> Fetched | str:
    headers = {"Host": target.authority, "Accept-Encoding": "gzip", "User-Agent": "newsletter-feeds"}
    connection.request("GET", target.path, headers=headers, preload_content=False, decode_content=False)
    answer = connection.getresponse()
    try:
        return _read(answer, target, bounds)
    finally:
        answer.close()


def _resolve(target: _Target, bounds: _Bounds) -> list[str]:
    """Look a host up once and return the addresses, all of which may be asked; the connection goes there and nowhere else."""
    addresses = _looked_up(target, bounds)
    if not addresses:
        raise Unreachable(target.host, "its name is not known")
    for address in addresses:
        if not _public(ipaddress.ip_address(address), bounds.allow):
            raise NotPublic(target.host)
    return addresses


def _looked_up(target: _Target, bounds: _Bounds) -> list[str]:
    """Ask the system's resolver, which knows no limit of time, in a thread that may be left behind."""
    found: list[Any] = []

    def ask() -> None:
        with suppress(OSError, ValueError):  # no such name, a label too long, an embedded NUL
            found.extend(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(bounds.left(target.host))
    bounds.left(target.host)
    return [str(entry[4][0]).partition("%")[0] for entry in found]


def _public(address: Address, allow: Sequence[Network]) -> bool:
    if any(address.version == network.version and address in network for network in allow):
        return True
    if isinstance(address, ipaddress.IPv6Address):
        # An inner address in outer clothes: mapped or 6to4. NAT64 and IPv4-compatible ones are "reserved", Teredo is "private".
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return _public(inner, allow)
        if address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _read(answer: BaseHTTPResponse, target: _Target, bounds: _Bounds) -> Fetched | str:
    if answer.status in (301, 302, 303, 307, 308) and (moved := answer.headers.get("Location")):
        return _moved(target, moved)
    if answer.status != 200:
        raise Unreachable(target.host, f"it answered {answer.status}")
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise Unreachable(target.host, f"its encoding {encoding[:20]} is not known")
    unpacker = zlib.decompressobj(wbits=31) if "gzip" in encoding else None
    body = bytearray()
    # read1 comes back with what is there; read would wait for a whole chunk.
    while chunk := answer.read1(_CHUNK):
        # Never more than the limit is unpacked, however small the bomb.
        body += unpacker.decompress(chunk, bounds.max_bytes + 1 - len(body)) if unpacker else chunk
        if len(body) > bounds.max_bytes:
            raise TooMuch(target.host, f"{bounds.max_bytes / 2**20:g} MB")
        bounds.left(target.host)
    bounds.left(target.host)
    if unpacker and not unpacker.eof:
        raise Unreachable(target.host, _BROKEN)
    return Fetched(target.url, bytes(body), answer.headers.get("Content-Type", ""))


def _moved(target: _Target, location: str) -> str:
    try:
        return urljoin(target.url, location)
    except ValueError:
        raise BadUrl from None


def _reason(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return "its certificate cannot be trusted"
        case ssl.SSLError():
            return "no secure connection could be made"
        case exceptions.NewConnectionError() | ConnectionRefusedError():
            return "it takes no connection"
        case exceptions.TimeoutError() | TimeoutError():
            return "it does not answer"
    return _BROKEN
