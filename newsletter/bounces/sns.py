"""Amazon's SNS notices: who signed one, whether it is young, and of which topic it speaks.

Any customer of Amazon can have a notice signed, so the signature alone proves nothing: the topic must be the one of the settings,
and the signature covers it. The certificate is fetched from the region of that topic only, over TLS, and kept.
"""

import base64
import binascii
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from newsletter.errors import Forbidden, Invalid
from newsletter.fetching import Fetched

Fetch = Callable[[str], Fetched]
LARGEST = 256 * 1024
"""SNS sends no larger notice."""
WINDOW, AHEAD = timedelta(hours=2), timedelta(minutes=5)
"""SNS repeats a notice for an hour; an older one is replayed by somebody."""
CERTIFICATES, FETCHES_A_MINUTE = 8, 5
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
        self._certificates: dict[str, x509.Certificate] = {}
        self._fetched: deque[float] = deque(maxlen=FETCHES_A_MINUTE)
        self._lock = threading.Lock()

    def believe(self, body: bytes, *, now: datetime) -> Notice:
        """Return what a body says. Raises BadNotice, NotBelieved, and what fetching the certificate raises."""
        fields = _read(body)
        if fields.get("TopicArn") != self._topic:
            raise NotBelieved("another topic")
        _young(fields.get("Timestamp", ""), now)
        self._signed(fields, now)
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

    def _signed(self, fields: dict[str, str], now: datetime) -> None:
        algorithm = _HASHES.get(fields.get("SignatureVersion", ""))
        if algorithm is None:
            raise NotBelieved("unknown signature version")
        certificate = self._certificate(fields.get("SigningCertURL", ""))
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise NotBelieved("certificate out of date")
        key = certificate.public_key()
        assert isinstance(key, rsa.RSAPublicKey)  # as it was kept
        try:
            signature = base64.b64decode(fields.get("Signature", ""), validate=True)
            key.verify(signature, _what_is_signed(fields), padding.PKCS1v15(), algorithm)
        except (InvalidSignature, binascii.Error, ValueError):
            raise NotBelieved("bad signature") from None

    def _certificate(self, url: str) -> x509.Certificate:
        with self._lock:
            known = self._certificates.get(url)
            if known is None:
                if not self._pinned(url) or not _CERTIFICATE(urlsplit(url).path) or urlsplit(url).query:
                    raise NotBelieved("certificate from elsewhere")
                known = self._load(url)
                if len(self._certificates) >= CERTIFICATES:
                    self._certificates.pop(next(iter(self._certificates)))
                self._certificates[url] = known
            return known

    def _load(self, url: str) -> x509.Certificate:
        """Fetch a certificate; a stranger who makes names up makes us fetch five a minute at most."""
        started = time.monotonic()
        if len(self._fetched) == FETCHES_A_MINUTE and started - self._fetched[0] < 60:
            raise NotBelieved("too many certificates")
        self._fetched.append(started)
        fetched = self._fetch(url)
        if fetched.url != url:
            raise NotBelieved("certificate from elsewhere")
        try:
            certificate = x509.load_pem_x509_certificate(fetched.body)
        except ValueError:
            raise NotBelieved("no certificate") from None
        if not isinstance(certificate.public_key(), rsa.RSAPublicKey):
            raise NotBelieved("no certificate")
        return certificate


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
