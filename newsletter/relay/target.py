"""Where a relay is and what it bears, read from one URL of the settings.

    smtp://user:password@host:port?connections=8&rate=14&hourly=40000&daily=50000&ahead=2000
        &weight=1&reserve=40000

`smtps` speaks TLS from the first byte. `smtp` to another machine, or with a password, must offer STARTTLS;
plain text goes to this machine only.
"""

import hashlib
import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from newsletter.errors import Invalid

CONNECTIONS = 8
"""Connections where the URL names none: 4 to 10 fill one machine, and few relays allow more than 10."""

_BOUNDS: dict[str, tuple[float, float]] = {
    "connections": (1, 500),
    "rate": (0.01, 100_000),
    "hourly": (1, 10**9),
    "daily": (1, 10**9),
    "ahead": (1, 10**9),
    "weight": (1, 1000),
    "reserve": (0, 10**9),
    "plain": (0, 1),
}
_HOST = re.compile(r"[A-Za-z0-9_.:%-]{1,253}", re.ASCII)


class InvalidRelay(Invalid):
    """A relay URL cannot be understood or contradicts itself.

    The facts never hold the URL: it may carry a password.
    """

    def __init__(self, problem: str, **facts: object) -> None:
        super().__init__(f"relay.{problem}", **facts)


@dataclass(frozen=True, slots=True)
class Relay:
    """One relay.

    implicit_tls  TLS from the first byte (smtps) instead of STARTTLS
    connections   open at once, at most
    rate          messages a second; None is unlimited, as in the next three
    hourly daily  messages an hour, a day
    ahead         messages that may go at once after a pause: into the relay's own queue, beside a rate
    weight        share of the mail this relay takes beside others of the same lane
    reserve       messages of a day that bulk mail may not use: they are kept for alerts
    plain         1: without encryption on this host's own network, for an inbox to look at; never with a password
    """

    host: str
    port: int
    implicit_tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    connections: int = CONNECTIONS
    rate: float | None = None
    hourly: int | None = None
    daily: int | None = None
    ahead: int | None = None
    weight: int = 1
    reserve: int = 0
    plain: int = 0

    @classmethod
    def parse(cls, url: str) -> "Relay":
        """Return the relay a URL names; raises InvalidRelay, which holds no part of the credentials."""
        parts = _split(url)
        user, password = _credentials(parts)
        implicit_tls = parts.scheme == "smtps"
        relay = cls(
            host=_host(parts),
            port=_port(parts) or (465 if implicit_tls else 587 if user else 25),
            implicit_tls=implicit_tls,
            user=user,
            password=password,
            **_parameters(parts.query),  # type: ignore[arg-type]
        )
        return relay._sensible()

    @classmethod
    def parse_all(cls, urls: str) -> tuple["Relay", ...]:
        """Return the relays of a setting that holds one or several URLs separated by blanks."""
        relays = tuple(cls.parse(url) for url in urls.split())
        if not relays:
            raise InvalidRelay("url-missing")
        return relays

    @property
    def limited(self) -> bool:
        """Whether it bears only so much a second, an hour or a day."""
        return self.rate is not None or self.hourly is not None or self.daily is not None

    @property
    def loopback(self) -> bool:
        """Whether the relay is on this machine: plain text is safe and session limits are pointless."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.rstrip(".").lower() == "localhost"

    @property
    def starttls(self) -> bool:
        """Whether the session must be upgraded before anything else is said (RFC 3207): a password never goes without TLS."""
        return not self.implicit_tls and (not self.near or self.user is not None)

    @property
    def near(self) -> bool:
        """Whether it stands on this machine or its own network, where nobody's patience is tried by what we send."""
        return self.loopback or bool(self.plain)

    @property
    def name(self) -> str:
        """host:port, for people and logs: no credentials."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def account(self) -> str | None:
        """Eight figures that tell the accounts of one relay apart in rows and on screens; no user name is read from them."""
        return hashlib.blake2b(self.user.encode(), digest_size=4).hexdigest() if self.user else None

    @property
    def key(self) -> str:
        """The name, and which account: what a provider counts, slows and closes is an account, not a host."""
        return f"{self.name}#{self.account}" if self.account else self.name

    def _sensible(self) -> "Relay":
        if self.plain and (self.user or self.implicit_tls):
            raise InvalidRelay("plain-with-secrets")
        if self.hourly and self.daily and self.hourly > self.daily:
            raise InvalidRelay("hourly-above-daily", hourly=self.hourly, daily=self.daily)
        if self.ahead is not None and self.rate is None:
            raise InvalidRelay("ahead-without-rate", ahead=self.ahead)
        if self.reserve and self.daily is None:
            raise InvalidRelay("reserve-without-daily", reserve=self.reserve)
        if self.daily is not None and self.reserve >= self.daily:
            raise InvalidRelay("reserve-above-daily", reserve=self.reserve, daily=self.daily)
        return self


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        raise InvalidRelay("url-unreadable") from None
    if parts.scheme not in ("smtp", "smtps"):
        raise InvalidRelay("url-scheme")
    if parts.path not in ("", "/") or parts.fragment:
        raise InvalidRelay("url-path")
    return parts


def _host(parts: SplitResult) -> str:
    if not parts.hostname or not _HOST.fullmatch(parts.hostname):
        raise InvalidRelay("url-host")
    return parts.hostname


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        raise InvalidRelay("url-port") from None
    if port == 0:
        raise InvalidRelay("url-port")
    return port


def _credentials(parts: SplitResult) -> tuple[str | None, str | None]:
    if parts.username is None and parts.password is None:
        return None, None
    if not parts.username or not parts.password:
        raise InvalidRelay("url-credentials")
    return unquote(parts.username), unquote(parts.password)


def _parameters(query: str) -> dict[str, int | float]:
    """Return the numbers after "?"; whole numbers but for rate."""
    found: dict[str, int | float] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _BOUNDS:
            raise InvalidRelay("parameter-unknown", name=name, known=", ".join(_BOUNDS))
        if name in found:
            raise InvalidRelay("parameter-twice", name=name)
        found[name] = _number(name, value)
    return found


def _number(name: str, value: str) -> int | float:
    low, high = _BOUNDS[name]
    pattern = r"[0-9]{1,9}(\.[0-9]{1,4})?" if name == "rate" else r"[0-9]{1,10}"
    if not re.fullmatch(pattern, value, re.ASCII) or not low <= float(value) <= high:
        raise InvalidRelay("parameter-number", name=name, value=value, low=low, high=high)
    return float(value) if name == "rate" else int(value)
