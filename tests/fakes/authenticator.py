"""An authenticator in software: makes and keeps ES256 passkeys as a phone does (WebAuthn level 2, §6), honestly or not."""

import hashlib
import json
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import bytes_to_base64url
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.encode_cbor import encode_cbor

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


@dataclass
class Authenticator:
    """One passkey for one site.

    host, origin   what the browser says it is on
    counts         whether it counts its uses; those that sync between devices do not
    flags          owner present and verified; a thief's has the first alone
    """

    host: str
    origin: str
    counts: bool = True
    flags: int = PRESENT | VERIFIED
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    count: int = 0

    def create(self, options: str) -> str:
        """Answer navigator.credentials.create with these options (JSON)."""
        client = self._client("webauthn.create", json.loads(options)["challenge"])
        attested = bytes(16) + len(self.credential).to_bytes(2) + self.credential + self._cose()
        data = self._data(self.flags | ATTESTED) + attested
        attestation = encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(clientDataJSON=client, attestationObject=attestation)

    def get(self, options: str) -> str:
        """Answer navigator.credentials.get with these options (JSON)."""
        return self.sign(json.loads(options)["challenge"])

    def sign(self, challenge: str) -> str:
        """Answer over a challenge in base64url, whatever it is."""
        client = self._client("webauthn.get", challenge)
        self.count += self.counts
        data = self._data(self.flags)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(clientDataJSON=client, authenticatorData=data, signature=signature)

    def _client(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}).encode()

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.host.encode()).digest() + bytes((flags,)) + self.count.to_bytes(4)

    def _cose(self) -> bytes:
        """RFC 9053 §7.1.1: an EC2 key on P-256."""
        point = self.key.public_key().public_numbers()
        names = {1: 2, 3: COSEAlgorithmIdentifier.ECDSA_SHA_256.value, -1: 1}
        return encode_cbor(names | {-2: point.x.to_bytes(32), -3: point.y.to_bytes(32)})

    def _answer(self, **response: bytes) -> str:
        said = {name: bytes_to_base64url(value) for name, value in response.items()}
        identity = bytes_to_base64url(self.credential)
        return json.dumps({"id": identity, "rawId": identity, "type": "public-key", "response": said})
