"""Seals personal data, and finds it again without opening it.

A seal is AES-256-GCM bound to its place (table, column, row), so that a value copied elsewhere does not open.
A blind index is a keyed digest: equal addresses meet, and without the key nobody can test whether an address is
on the list. The keys live in one file outside the data (`keyring`): whoever loses it loses the list, and whoever has
only the data has nothing.

Pages with a key file of their own (docs/adr/0021) put what they take in into a *box*: X25519 with a key made for it, HKDF, the
same AES-256-GCM. Workers alone open it. Of what is sealed they open the team's own, and nothing of a reader's.
"""

import base64
import hmac
import os
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from types import MappingProxyType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from newsletter.errors import Conflict, Forbidden
from newsletter.keyring import KEY_BYTES, PURPOSES, public_half
from newsletter.keyring import Keyring as Keyring
from newsletter.keyring import KeysExist as KeysExist
from newsletter.keyring import KeysExposed as KeysExposed
from newsletter.keyring import KeysMissing as KeysMissing
from newsletter.keyring import KeysUnreadable as KeysUnreadable
from newsletter.keyring import Proof as Proof
from newsletter.keyring import Ring as Ring

INDEX_BYTES = 20
DIGEST_BYTES = 32
COUNTERSIGN_BYTES = 16
_NONCE = 12  # NIST SP 800-38D §8.2.2: a random nonce of 96 bits; safe for 2^32 seals a key
# A box's key is made for one message, so its nonce says nothing.
_ONCE = bytes(_NONCE)
TEAM = frozenset({"operator", "operator_session"})
"""Tables whose sealed columns are the team's own."""
BY_PAGES = frozenset(
    {b"signup.wish", b"arrival.body", b"consent_detail.details", b"subscriber.name", b"subscriber.postcode"}
)
"""What pages may put into a box. A box proves nothing of who closed it, so nothing may come in one that vouches for more than the
pages' role can write anyway: how a permission was given stands beside an event that it adds itself."""

LETTERS: Mapping[str, str] = MappingProxyType(dict(zip(PURPOSES, "stbik", strict=True)))
"""How `Vault.label` calls the purposes."""

Opener = Callable[[bytes, bytes, bytes], bytes]


class WrongKeys(Conflict):
    """The data was written under other keys than those in the file."""

    def __init__(self, purpose: str, key_id: int) -> None:
        super().__init__("vault.wrong-keys", purpose=purpose, key=key_id)


class CannotUnseal(Conflict):
    """A sealed value was damaged, moved from its place, or sealed with a key we do not have."""

    def __init__(self, table: str, column: str, row_id: int) -> None:
        super().__init__("vault.cannot-unseal", table=table, column=column, row=row_id)


class CannotSeal(Forbidden):
    """The pages have no key for this place, and must leave it to a worker."""

    def __init__(self, table: str, column: str) -> None:
        super().__init__("vault.cannot-seal", table=table, column=column)


class Vault:
    """Seals and indexes under one keyring. Holds no state that changes: share it between threads."""

    __slots__ = (
        "_addresses",
        "_boxes",
        "_countersigns",
        "_digests",
        "_domain",
        "_keyring",
        "_openers",
        "_seal_id",
        "_sealer",
        "_team",
        "_team_id",
    )

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._openers = _openers(keyring)
        self._sealer, self._seal_id = _sealer(keyring.seal)
        self._team, self._team_id = _sealer(keyring.team or keyring.seal)
        self._boxes = keyring.box
        index = keyring.index
        # The live key first: a reader looks there first.
        ids = sorted(index.keys, key=lambda key_id: (key_id != index.live, key_id))
        self._addresses = [(key_id, _keyed(index.keys[key_id], b"address")) for key_id in ids]
        self._domain = _keyed(index.keys[index.live], b"domain")
        # The oldest key: a new one must not end every session and every program's access.
        oldest = keyring.token.keys[min(keyring.token.keys)]
        self._digests = blake2b(key=oldest, digest_size=DIGEST_BYTES, person=b"secret digest")
        held = keyring.seal.keys if keyring.seal else {}
        self._countersigns = {key_id: _countersigning(key) for key_id, key in held.items()}

    def seal(self, table: str, column: str, row_id: int, plaintext: str) -> bytes:
        """Return key id (1 byte), nonce (12), ciphertext, tag (16): 29 bytes more than the text in UTF-8.

        By the pages' file a box: key id (1), a public key (32), ciphertext, tag (16). Raises CannotSeal for what is not theirs.
        """
        place = f"{table}.{column}.{row_id}".encode()
        if self._sealer is None:
            return self._box(table, column, place, plaintext.encode())
        nonce = os.urandom(_NONCE)
        return self._seal_id + nonce + self._sealer(nonce, plaintext.encode(), place)

    def seal_for_team(self, table: str, column: str, row_id: int, plaintext: str) -> bytes:
        """Return a seal that the team's pages open as well."""
        assert self._team is not None
        nonce = os.urandom(_NONCE)
        place = f"{table}.{column}.{row_id}".encode()
        return self._team_id + nonce + self._team(nonce, plaintext.encode(), place)

    def _box(self, table: str, column: str, place: bytes, data: bytes) -> bytes:
        if f"{table}.{column}".encode() not in BY_PAGES:
            raise CannotSeal(table, column)
        assert self._boxes is not None
        live = self._boxes.live
        return _closed(live, self._boxes.keys[live], data, place)

    def unseal(self, table: str, column: str, row_id: int, sealed: bytes) -> str:
        """Return the text that was sealed at this very place. Raises CannotUnseal."""
        try:
            place = f"{table}.{column}.{row_id}".encode()
            return self._openers[sealed[0]](sealed[1:13], sealed[13:], place).decode()
        except (InvalidTag, KeyError, IndexError, ValueError):
            raise CannotUnseal(table, column, row_id) from None

    @property
    def reads_people(self) -> bool:
        """Whether it opens what readers gave: False with the pages' file."""
        return self._sealer is not None

    @property
    def live_ids(self) -> tuple[list[bytes], list[bytes]]:
        """Return with which octet a value of a reader's, and one of the team's, begins under a live key."""
        boxes = [bytes((self._boxes.live,))] if self._boxes else []
        return [self._seal_id, *boxes], [self._team_id]

    @property
    def label(self) -> str:
        """Return, for each purpose, which key writes and which is the newest known: "s1-2 i1-1 t1-1", without any secret."""
        rings = ((letter, self._keyring.ring(purpose)) for purpose, letter in LETTERS.items())
        return " ".join(f"{letter}{ring.live}-{ring.newest}" for letter, ring in rings if ring)

    def index(self, normal: str) -> list[tuple[int, bytes]]:
        """Return (key id, 20-byte digest) of a normalised address for each index key, the live one first."""
        data = normal.encode()
        found = []
        for key_id, state in self._addresses:
            copy = state.copy()
            copy.update(data)
            found.append((key_id, copy.digest()))
        return found

    def domain_index(self, domain: str) -> bytes:
        """Return the 20-byte digest by which mailboxes of one domain are counted, under the live key."""
        copy = self._domain.copy()
        copy.update(domain.encode())
        return copy.digest()

    def digest(self, purpose: str, secret: str) -> bytes:
        """Return the 32-byte digest by which a secret that was handed out (a cookie, a token) is known again.

        purpose   a word of ours, without a NUL: the same secret has another digest for each
        """
        copy = self._digests.copy()
        copy.update(f"{purpose}\0{secret}".encode())
        return copy.digest()

    @property
    def countersigner(self) -> int | None:
        """Return under which key of `seal` this process countersigns; None with the pages' file."""
        ring = self._keyring.seal
        return ring.live if ring else None

    @property
    def countersigners(self) -> list[int]:
        """Return every key of `seal` that is here, the one that countersigns first; none with the pages' file."""
        return sorted(self._countersigns, key=lambda key_id: key_id != self.countersigner)

    def countersign(self, key_id: int, said: str) -> str:
        """Return 22 letters that no page can make, the same for the same words; "" where that key is not here (docs/adr/0028)."""
        if (keyed := self._countersigns.get(key_id)) is None:
            return ""
        copy = keyed.copy()
        copy.update(said.encode())
        return base64.urlsafe_b64encode(copy.digest()).rstrip(b"=").decode("ascii")

    def proofs(self) -> list[Proof]:
        """Return one proof a key, to be stored beside the data it protects."""
        return self._keyring.proofs()

    def check(self, stored: Iterable[tuple[str, int, bytes]]) -> None:
        """Compare (purpose, key id, proof) rows with the keys. Raises WrongKeys for the first not ours."""
        for purpose, key_id, proof in stored:
            if purpose == "seal" and self._keyring.of_pages:
                continue
            ring = self._keyring.ring(purpose) if purpose in PURPOSES else None
            known = ring is not None and key_id in ring.keys
            if not known or not hmac.compare_digest(self._keyring.proof(purpose, key_id), bytes(proof)):
                raise WrongKeys(purpose, key_id)


def _sealer(ring: Ring | None) -> tuple[Callable[[bytes, bytes, bytes], bytes] | None, bytes]:
    return (AESGCM(ring.keys[ring.live]).encrypt, bytes((ring.live,))) if ring else (None, b"")


def _openers(keyring: Keyring) -> dict[int, Opener]:
    """Return what opens a value by its first octet: one look, whatever it is."""
    found: dict[int, Opener] = {}
    for ring in (keyring.seal, keyring.team):
        found |= {key_id: AESGCM(key).decrypt for key_id, key in (ring.keys if ring else {}).items()}
    if keyring.box and not keyring.of_pages:
        found |= {key_id: _box_opener(key_id, key) for key_id, key in keyring.box.keys.items()}
    return found


def _box_opener(key_id: int, key: bytes) -> Opener:
    private, public = X25519PrivateKey.from_private_bytes(key), public_half(key)

    def opened(first: bytes, rest: bytes, place: bytes) -> bytes:
        if place.rpartition(b".")[0] not in BY_PAGES:
            raise InvalidTag
        theirs = first + rest[: KEY_BYTES - _NONCE]
        shared = private.exchange(X25519PublicKey.from_public_bytes(theirs))
        return AESGCM(_derived(shared, key_id, theirs, public)).decrypt(_ONCE, rest[KEY_BYTES - _NONCE :], place)

    return opened


def _closed(key_id: int, public: bytes, data: bytes, place: bytes) -> bytes:
    mine = X25519PrivateKey.generate()
    theirs = mine.public_key().public_bytes_raw()
    shared = mine.exchange(X25519PublicKey.from_public_bytes(public))
    return bytes((key_id,)) + theirs + AESGCM(_derived(shared, key_id, theirs, public)).encrypt(_ONCE, data, place)


def _derived(shared: bytes, key_id: int, theirs: bytes, public: bytes) -> bytes:
    """Return the key of one box (RFC 5869), bound to both public keys as RFC 9180 does."""
    info = b"newsletter box" + bytes((key_id,)) + theirs + public
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(shared)


def _countersigning(key: bytes) -> blake2b:
    """Return a state keyed with what is drawn from a key of `seal` for this alone (RFC 5869)."""
    drawn = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"newsletter countersign").derive(key)
    return blake2b(key=drawn, digest_size=COUNTERSIGN_BYTES)


def _keyed(key: bytes, person: bytes) -> "blake2b":
    """Return a keyed state to copy (0.3 µs a digest; a fresh keyed one costs twice that)."""
    return blake2b(key=key, digest_size=INDEX_BYTES, person=person)
