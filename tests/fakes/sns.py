"""Amazon's notice service with a certificate of our own: signs notices, and is fetched from without any network."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from newsletter.fetching import Fetched, Unreachable

TOPIC = "arn:aws:sns:eu-west-1:123456789012:returns"
HOST = "sns.eu-west-1.amazonaws.com"
CERTIFICATE = f"https://{HOST}/SimpleNotificationService-{'0' * 32}.pem"
_KEY = rsa.generate_private_key(65537, 2048)
_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}


class Sns:
    """One account's topic. fetched: the addresses asked for, in order; now: when it signs, None: as the clock says."""

    def __init__(self, *, valid_for: timedelta = timedelta(days=1), now: datetime | None = None) -> None:
        self.fetched: list[str] = []
        self._now = now
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        now = datetime.now(UTC)
        made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(_KEY.public_key())
        made = made.serial_number(1).not_valid_before(now - timedelta(days=30)).not_valid_after(now + valid_for)
        self._pem = made.sign(_KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def fetch(self, url: str) -> Fetched:
        """Stand for `fetching.fetch`."""
        self.fetched.append(url)
        if url.startswith(f"https://{HOST}/Simple"):
            return Fetched(url, self._pem, "application/x-pem-file")
        if url.startswith(f"https://{HOST}/?Action=ConfirmSubscription"):
            return Fetched(url, b"<ConfirmSubscriptionResponse/>", "text/xml")
        raise Unreachable("elsewhere.example", "it takes no connection")

    def notice(self, message: str = "{}", *, version: str = "2", **more: str) -> bytes:
        """Return a signed notice."""
        fields: dict[str, Any] = {
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Message": message,
            "Timestamp": (self._now or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            **more,
        }
        fields |= {"SignatureVersion": version, "Signature": _sign(fields, version)}
        return json.dumps({"SigningCertURL": CERTIFICATE} | fields).encode()

    def question(
        self, url: str = f"https://{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f"
    ) -> bytes:
        """Return a signed question whether the subscription was meant."""
        return self.notice("You have chosen …", Type="SubscriptionConfirmation", SubscribeURL=url, Token="2336412f")


def _sign(fields: dict[str, Any], version: str) -> str:
    names = sorted(
        set(fields) & {"Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
    )
    text = "".join(f"{name}\n{fields[name]}\n" for name in names)
    return base64.b64encode(_KEY.sign(text.encode(), padding.PKCS1v15(), _HASHES[version])).decode()
