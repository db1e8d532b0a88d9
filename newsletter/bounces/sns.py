"""Amazon's SNS notices: who signed one, whether it is young, and of which topic it speaks.

Any customer of Amazon can have a notice signed, so the signature alone proves nothing: the topic must be the one of the settings,
and the signature covers it. The certificate is fetched from the region of that topic only, over TLS, and kept once a notice has
proved it. What cannot be checked now is said to be for later, since Amazon repeats what was answered with 5xx, and nothing else.
"""

import base64
import binascii
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from newsletter.errors import Conflict, Forbidden, Invalid, NewsletterError
from newsletter.fetching import Fetched

Fetch = Callable[[str], Fetched]
LARGEST = 256 * 1024
"""SNS sends no larger notice."""
WINDOW, AHEAD = timedelta(hours=2), timedelta(minutes=5)
"""SNS repeats a notice for an hour; an older one is replayed by somebody."""
CERTIFICATES = 8
FETCHES_A_MINUTE, FETCHES_OF_ONE = 120, 5
"""How often we ask Amazon for a certificate, in all and for one network that posts to us: one stranger shuts out no other."""
AGAIN_SECONDS, BUSY_SECONDS = 10.0, 3.0
"""How soon one certificate is asked for again, and how long a notice waits while another is asked for."""
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9a-f]{32}\.pem").fullmatch
# What is signed, in this order; Subject only where there is one.
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_SIGNED["UnsubscribeConfirmation"] = _SIGNED["SubscriptionConfirmation"]
_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303  (version 1 is SHA-1)


class BadNotice(Invalid):
    """The body is no notice of SNS."""

    def __init__(self) -> None:
        super().__init__("notice.bad")


class NotBelieved(Forbidden):
    """The notice is not of our topic, not young, or not signed by Amazon; `why` says which."""

    def __init__(self, why: str) -> None:
        super().__init__("notice.not-believed", why=why)


class NotNow(Conflict):
    """Whether the notice is to be believed cannot be told now; brought again, it may be. `why` says what is missing."""

    def __init__(self, why: str) -> None:
        super().__init__("notice.not-now", why=why)


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice that is believed. confirm: the address that confirms a subscription, "" for any other kind."""

    kind: str
    name: str
    message: str
    confirm: str = ""


class Receiver:
    """Believes the notices of one topic. Safe to share between threads."""

    def __init__(self, topic: str, fetch: Fetch) -> None:
        self._topic, self._fetch = topic, fetch
        partition, region = topic.split(":")[1], topic.split(":")[3]
        self._host = f"sns.{region}.amazonaws.com" + (".cn" if partition == "aws-cn" else "")
        self._certificates = _Certificates(fetch)

    def believe(self, body: bytes, *, now: datetime, network: str = "") -> Notice:
        """Return what a body says. Raises BadNotice, NotBelieved, NotNow.

        network   it came from, "" where that is not known
        """
        fields = _read(body)
        if fields.get("TopicArn") != self._topic:
            raise NotBelieved("another topic")
        _young(fields.get("Timestamp", ""), now)
        self._signed(fields, now, network)
        confirms = fields["Type"] == "SubscriptionConfirmation"
        return Notice(
            fields["Type"], fields["MessageId"], fields["Message"], fields["SubscribeURL"] if confirms else ""
        )

    def confirm(self, url: str) -> bool:
        """Follow the address that confirms our subscription, if it does just that; return whether it was followed."""
        parts = urlsplit(url)
        asked = parse_qs(parts.query)
        ours = asked.get("Action") == ["ConfirmSubscription"] and asked.get("TopicArn") == [self._topic]
        if not self._pinned(url) or parts.path not in ("", "/") or not ours:
            return False
        self._fetch(url)
        return True

    def _pinned(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
            return parts.scheme == "https" and parts.netloc == self._host
        except ValueError:
            return False

    def _signed(self, fields: dict[str, str], now: datetime, network: str) -> None:
        algorithm = _HASHES.get(fields.get("SignatureVersion", ""))
        if algorithm is None:
            raise NotBelieved("unknown signature version")
        url, signature = fields.get("SigningCertURL", ""), _signature(fields)
        if not self._pinned(url) or not _CERTIFICATE(urlsplit(url).path) or urlsplit(url).query:
            raise NotBelieved("certificate from elsewhere")
        certificate = self._certificates.get(url, network)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise NotBelieved("certificate out of date")
        key = certificate.public_key()
        assert isinstance(key, rsa.RSAPublicKey)  # as it was kept
        try:
            key.verify(signature, _what_is_signed(fields), padding.PKCS1v15(), algorithm)
        except (InvalidSignature, ValueError):
            raise NotBelieved("bad signature") from None
        self._certificates.proved(url, certificate)


class _Certificates:
    """Amazon's certificates by address. One that has proved a notice is kept, and no name that strangers make up displaces it."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._lock, self._proving = threading.Lock(), threading.Lock()
        self._proved: dict[str, x509.Certificate] = {}
        self._others: dict[str, x509.Certificate] = {}
        self._asked: dict[str, float] = {}
        self._minute, self._spent = 0.0, Counter[str]()

    def proved(self, url: str, certificate: x509.Certificate) -> None:
        """Hear that a notice is signed by it."""
        if url not in self._proved:
            with self._proving:
                _keep(self._proved, url, certificate)

    def get(self, url: str, network: str) -> x509.Certificate:
        """Return the certificate of an address, for a notice from a network. Raises NotBelieved, NotNow."""
        # Those that are known wait for nobody.
        if known := self._known(url):
            return known
        if not self._lock.acquire(timeout=BUSY_SECONDS):
            raise NotNow("another certificate is asked for")
        try:
            return self._known(url) or self._fetched(url, network)
        finally:
            self._lock.release()

    def _known(self, url: str) -> x509.Certificate | None:
        return self._proved.get(url) or self._others.get(url)

    def _fetched(self, url: str, network: str) -> x509.Certificate:
        self._spend(url, network, time.monotonic())
        try:
            fetched = self._fetch(url)
        except NewsletterError as error:
            raise NotNow(f"no certificate: {error.message}") from None
        if fetched.url != url:
            raise NotBelieved("certificate from elsewhere")
        certificate = _rsa(fetched.body)
        _keep(self._others, url, certificate)
        return certificate

    def _spend(self, url: str, network: str, moment: float) -> None:
        """Ask for one certificate now and then only, and for few in a minute; what is not known of a network counts in all."""
        if moment - self._minute >= 60:
            self._minute = moment
            self._spent.clear()
            self._asked = {one: at for one, at in self._asked.items() if moment - at < AGAIN_SECONDS}
        if moment - self._asked.get(url, -AGAIN_SECONDS) < AGAIN_SECONDS:
            raise NotNow("its certificate could not be had a moment ago")
        if self._spent.total() >= FETCHES_A_MINUTE or (network and self._spent[network] >= FETCHES_OF_ONE):
            raise NotNow("too many certificates")
        self._spent[network] += 1
        self._asked[url] = moment


def _keep(known: dict[str, x509.Certificate], url: str, certificate: x509.Certificate) -> None:
    if url not in known and len(known) >= CERTIFICATES:
        known.pop(next(iter(known)), None)
    known[url] = certificate


def _rsa(pem: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise NotNow("no certificate") from None
    if not isinstance(certificate.public_key(), rsa.RSAPublicKey):
        raise NotNow("no certificate")
    return certificate


def _signature(fields: dict[str, str]) -> bytes:
    """Return what may be a signature by RSA: whoever sends less makes us ask nobody for a certificate."""
    try:
        signature = base64.b64decode(fields.get("Signature", ""), validate=True)
    except (binascii.Error, ValueError):
        raise NotBelieved("bad signature") from None
    if not 128 <= len(signature) <= 512:
        raise NotBelieved("bad signature")
    return signature


def _read(body: bytes) -> dict[str, str]:
    try:
        document = json.loads(body) if len(body) <= LARGEST else None
    except (ValueError, RecursionError):
        raise BadNotice from None
    if not isinstance(document, dict):
        raise BadNotice
    fields = {name: value for name, value in document.items() if isinstance(value, str)}
    needed = _SIGNED.get(fields.get("Type", ""))
    if (
        needed is None
        or any(name not in fields for name in needed if name != "Subject")
        or len(fields["MessageId"]) > 100
    ):
        raise BadNotice
    return fields


def _young(stamp: str, now: datetime) -> None:
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        raise BadNotice from None
    if at.tzinfo is None or not now - WINDOW <= at <= now + AHEAD:
        raise NotBelieved("too old")


def _what_is_signed(fields: dict[str, str]) -> bytes:
    names = [name for name in _SIGNED[fields["Type"]] if name in fields]
    return "".join(f"{name}\n{fields[name]}\n" for name in names).encode()
