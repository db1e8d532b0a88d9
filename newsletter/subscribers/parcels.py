"""What a worker hands to a page for its reader: sealed to a key that lives in that page's request and nowhere else. Pure.

So a page may fetch what its reader asked for, and whoever reads the database, or takes the pages over later, may not.
X25519 (RFC 7748), HKDF with SHA-256 (RFC 5869), AES-256-GCM; the worker's half of the exchange is used once.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from newsletter.errors import Conflict

_NONCE, _KEY = 12, 32


class Damaged(Conflict):
    """The parcel is not the one this key was made for."""

    def __init__(self) -> None:
        super().__init__("privacy.failed")


class Reader:
    """The reader's half: made for one request, never written down."""

    def __init__(self) -> None:
        self._key = X25519PrivateKey.generate()

    @property
    def public(self) -> bytes:
        """Return what the worker seals to, 32 bytes."""
        return self._key.public_key().public_bytes_raw()

    def open(self, parcel: bytes) -> bytes:
        """Return what is in a parcel. Raises Damaged."""
        try:
            theirs = X25519PublicKey.from_public_bytes(parcel[:_KEY])
            key = _derived(self._key.exchange(theirs), parcel[:_KEY], self.public)
            return AESGCM(key).decrypt(parcel[_KEY : _KEY + _NONCE], parcel[_KEY + _NONCE :], None)
        except (InvalidTag, ValueError):
            raise Damaged from None


def pack(content: bytes, reader: bytes) -> bytes:
    """Return content sealed to a reader's public key: our half (32 bytes), nonce (12), ciphertext and tag. Raises Damaged."""
    ours = X25519PrivateKey.generate()
    half = ours.public_key().public_bytes_raw()
    try:
        key = _derived(ours.exchange(X25519PublicKey.from_public_bytes(reader)), half, reader)
    except ValueError:
        raise Damaged from None
    nonce = os.urandom(_NONCE)
    return half + nonce + AESGCM(key).encrypt(nonce, content, None)


def _derived(shared: bytes, ours: bytes, theirs: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"newsletter parcel" + ours + theirs).derive(shared)
