"""The one way to fetch from outside: public addresses only, looked up once and pinned, bounded in size and time (standards §24)."""

import ipaddress
import socket
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from newsletter.errors import Forbidden, Invalid, NotFound

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
MAX_BYTES = 5 * 2**20
TIMEOUT_SECONDS = 10.0
REDIRECTS = 5
_CHUNK = 64 * 1024


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
    """The answer is larger or slower than any feed."""

    def __init__(self, host: str, limit: str) -> None:
        super().__init__("fetch.too-much", host=host, limit=limit)


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

    Raises BadUrl, NotPublic, Unreachable, TooMuch. The limit of time holds for everything together, redirects included.
    """
    deadline = time.monotonic() + timeout_seconds
    for _ in range(REDIRECTS + 1):
        found = _once(url, allow, max_bytes, deadline, timeout_seconds)
        if isinstance(found, Fetched):
            return found
        url = found
    raise Unreachable(_host(url), "it redirects in circles")


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _once(url: str, allow: Sequence[Network], max_bytes: int, deadline: float, allowed: float) -> Fetched | str:
    """Return the document, or where it has moved."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise BadUrl from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise BadUrl
    address = _resolve(parts.hostname, port, allow)
    left = deadline - time.monotonic()
    if left <= 0:
        raise TooMuch(parts.hostname, f"{allowed:g} seconds")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    pool = _pool(parts.scheme, parts.hostname, address, port, left)
    headers = {"Host": parts.netloc, "Accept-Encoding": "gzip", "User-Agent": "newsletter-feeds"}
    try:
        with pool:
            answer = pool.request(
                "GET", path, headers=headers, redirect=False, preload_content=False, decode_content=False
            )
            try:
                return _read(answer, url, max_bytes, deadline, allowed)
            finally:
                answer.close()
    except HTTPError as error:
        raise Unreachable(parts.hostname, type(error).__name__) from None


def _resolve(host: str, port: int, allow: Sequence[Network]) -> str:
    """Look a host up once and return an address that may be asked; the connection goes there and nowhere else."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise Unreachable(host, "its name is not known") from None
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    for address in addresses:
        if not _public(ipaddress.ip_address(address), allow):
            raise NotPublic(host)
    return addresses[0]


def _public(address: Address, allow: Sequence[Network]) -> bool:
    if any(address.version == network.version and address in network for network in allow):
        return True
    if isinstance(address, ipaddress.IPv6Address):
        # An inner address in outer clothes: mapped, 6to4, NAT64, Teredo.
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return _public(inner, allow)
        if address in ipaddress.ip_network("64:ff9b::/96") or address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


def _pool(scheme: str, host: str, address: str, port: int, left: float) -> urllib3.HTTPConnectionPool:
    timeout = urllib3.Timeout(connect=left, read=left)
    if scheme == "http":
        return urllib3.HTTPConnectionPool(address, port, timeout=timeout, retries=False)
    # The certificate is checked against the name, the connection is made to the pinned address.
    return urllib3.HTTPSConnectionPool(
        address, port, timeout=timeout, retries=False, server_hostname=host, assert_hostname=host
    )


def _read(answer: urllib3.BaseHTTPResponse, url: str, max_bytes: int, deadline: float, allowed: float) -> Fetched | str:
    if answer.status in (301, 302, 303, 307, 308) and (moved := answer.headers.get("Location")):
        return urljoin(url, moved)
    if answer.status != 200:
        raise Unreachable(_host(url), f"it answered {answer.status}")
    encoding = answer.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise Unreachable(_host(url), f"its encoding {encoding[:20]} is not known")
    unpacker = zlib.decompressobj(wbits=31) if "gzip" in encoding else None
    body = bytearray()
    while chunk := answer.read(_CHUNK):
        # Never more than the limit is unpacked, however small the bomb.
        body += unpacker.decompress(chunk, max_bytes + 1 - len(body)) if unpacker else chunk
        if len(body) > max_bytes:
            raise TooMuch(_host(url), f"{max_bytes // 2**20} MB")
        if time.monotonic() > deadline:
            raise TooMuch(_host(url), f"{allowed:g} seconds")
    return Fetched(url, bytes(body), answer.headers.get("Content-Type", ""))
