"""Seals personal data, and finds it again without opening it.

A seal is AES-256-GCM bound to its place (table, column, row), so that a value copied elsewhere does not open.
A blind index is a keyed digest: equal addresses meet, and without the key nobody can test whether an address is
on the list. The keys live in one file outside the data: whoever loses it loses the list, and whoever has only
the data has nothing.
"""

import base64
import binascii
import hmac
import json
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from newsletter.errors import Conflict, Forbidden, Invalid, NotFound

KEY_BYTES = 32
INDEX_BYTES = 20
DIGEST_BYTES = 32
FORMAT = 1
_NONCE = 12  # NIST SP 800-38D §8.2.2: a random nonce of 96 bits; safe for 2^32 seals a key
_WARNING = "Who loses this file loses every sealed address. Keep a copy apart from the backups of the data."
_PURPOSES = ("seal", "index", "token")


class KeysMissing(NotFound):
    """No key file lies where the settings say."""

    def __init__(self, path: Path) -> None:
        super().__init__("vault.keys-missing", path=str(path))


class KeysUnreadable(Invalid):
    """The key file is there but cannot be read or understood; `why` never repeats its content."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__("vault.keys-unreadable", path=str(path), why=why)


class KeysExposed(Forbidden):
    """Others on this machine could read or replace the key file."""

    def __init__(self, path: Path, mode: int) -> None:
        super().__init__("vault.keys-exposed", path=str(path), mode=f"{mode:04o}")


class KeysExist(Conflict):
    """New keys would overwrite old ones, and with them everything they opened."""

    def __init__(self, path: Path) -> None:
        super().__init__("vault.keys-exist", path=str(path))


class WrongKeys(Conflict):
    """The data was written under other keys than those in the file."""

    def __init__(self, purpose: str, key_id: int) -> None:
        super().__init__("vault.wrong-keys", purpose=purpose, key=key_id)


class CannotUnseal(Conflict):
    """A sealed value was damaged, moved from its place, or sealed with a key we do not have."""

    def __init__(self, table: str, column: str, row_id: int) -> None:
        super().__init__("vault.cannot-unseal", table=table, column=column, row=row_id)


class Proof(NamedTuple):
    """What the database remembers of one key, to recognise it: 16 bytes that reveal nothing of it."""

    purpose: str
    key_id: int
    proof: bytes


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys of one purpose by id (1 … 255, 32 bytes each), and the id of the one that writes."""

    live: int
    keys: Mapping[int, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keyring:
    """Every key ever made. Old seal and token keys only read; every index key writes while it is here."""

    seal: Ring
    index: Ring
    token: Ring

    @staticmethod
    def make() -> "Keyring":
        """Return a keyring of fresh random keys, held in memory only."""
        fresh = {name: Ring(1, MappingProxyType({1: secrets.token_bytes(KEY_BYTES)})) for name in _PURPOSES}
        return Keyring(**fresh)

    @staticmethod
    def create(path: Path) -> "Keyring":
        """Write fresh keys to `path` (0600, its folder 0700), whole or not at all. Raises KeysExist."""
        keyring = Keyring.make()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_once(path, json.dumps(_to_json(keyring), indent=2).encode() + b"\n")
        except OSError as error:
            raise KeysUnreadable(path, error.strerror or "it cannot be written") from None
        return keyring

    @staticmethod
    def load(path: Path) -> "Keyring":
        """Return the keys in `path`; its group may read it. Raises KeysMissing, KeysUnreadable, KeysExposed."""
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o027:
                raise KeysExposed(path, mode)
            return _from_json(json.loads(path.read_bytes()))
        except FileNotFoundError:
            raise KeysMissing(path) from None
        except OSError as error:
            raise KeysUnreadable(path, error.strerror or "it cannot be read") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            # from None: what Python says of bad JSON quotes it.
            raise KeysUnreadable(path, "it is not a complete key file") from None


class Vault:
    """Seals and indexes under one keyring. Holds no state that changes: share it between threads."""

    __slots__ = ("_addresses", "_digests", "_domain", "_keyring", "_live", "_openers", "_seal_id", "_sealer")

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._openers = {key_id: AESGCM(key).decrypt for key_id, key in keyring.seal.keys.items()}
        self._sealer = AESGCM(keyring.seal.keys[keyring.seal.live]).encrypt
        self._seal_id = bytes((keyring.seal.live,))
        index = keyring.index
        # The live key first: a reader looks there first.
        ids = sorted(index.keys, key=lambda key_id: (key_id != index.live, key_id))
        self._addresses = [(key_id, _keyed(index.keys[key_id], b"address")) for key_id in ids]
        self._domain = _keyed(index.keys[index.live], b"domain")
        # The oldest key: a new one must not end every session and every program's access.
        oldest = keyring.token.keys[min(keyring.token.keys)]
        self._digests = blake2b(key=oldest, digest_size=DIGEST_BYTES, person=b"secret digest")

    def seal(self, table: str, column: str, row_id: int, plaintext: str) -> bytes:
        """Return key id (1 byte), nonce (12), ciphertext, tag (16): 29 bytes more than the text in UTF-8."""
        nonce = os.urandom(_NONCE)
        place = f"{table}.{column}.{row_id}".encode()
        return self._seal_id + nonce + self._sealer(nonce, plaintext.encode(), place)

    def unseal(self, table: str, column: str, row_id: int, sealed: bytes) -> str:
        """Return the text that was sealed at this very place. Raises CannotUnseal."""
        try:
            place = f"{table}.{column}.{row_id}".encode()
            return self._openers[sealed[0]](sealed[1:13], sealed[13:], place).decode()
        except (InvalidTag, KeyError, IndexError, ValueError):
            raise CannotUnseal(table, column, row_id) from None

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

    def proofs(self) -> list[Proof]:
        """Return one proof a key, to be stored beside the data it protects."""
        return [
            Proof(purpose, key_id, _proof(purpose, key))
            for purpose in _PURPOSES
            for key_id, key in getattr(self._keyring, purpose).keys.items()
        ]

    def check(self, stored: Iterable[tuple[str, int, bytes]]) -> None:
        """Compare (purpose, key id, proof) rows with the keys. Raises WrongKeys for the first not ours."""
        for purpose, key_id, proof in stored:
            key = getattr(self._keyring, purpose).keys.get(key_id) if purpose in _PURPOSES else None
            if key is None or not hmac.compare_digest(_proof(purpose, key), bytes(proof)):
                raise WrongKeys(purpose, key_id)


def _keyed(key: bytes, person: bytes) -> "blake2b":
    """Return a keyed state to copy (0.3 µs a digest; a fresh keyed one costs twice that)."""
    return blake2b(key=key, digest_size=INDEX_BYTES, person=person)


def _proof(purpose: str, key: bytes) -> bytes:
    return blake2b(purpose.encode(), key=key, digest_size=16, person=b"key proof").digest()


def _to_json(keyring: Keyring) -> dict[str, Any]:
    document: dict[str, Any] = {"format": FORMAT, "warning": _WARNING}
    for purpose in _PURPOSES:
        ring: Ring = getattr(keyring, purpose)
        keys = {str(key_id): base64.b64encode(key).decode() for key_id, key in ring.keys.items()}
        document[purpose] = {"live": ring.live, "keys": keys}
    return document


def _from_json(document: dict[str, Any]) -> Keyring:
    """Raises ValueError, KeyError or TypeError when anything is missing or of the wrong size."""
    if document["format"] != FORMAT:
        raise ValueError
    return Keyring(**{purpose: _ring(document[purpose]) for purpose in _PURPOSES})


def _ring(part: dict[str, Any]) -> Ring:
    try:
        keys = {int(key_id): base64.b64decode(text, validate=True) for key_id, text in part["keys"].items()}
    except binascii.Error:
        raise ValueError from None
    live = int(part["live"])
    if live not in keys or any(len(key) != KEY_BYTES or not 0 < key_id < 256 for key_id, key in keys.items()):
        raise ValueError
    return Ring(live, MappingProxyType(keys))


def _write_once(path: Path, data: bytes) -> None:
    """Write a file that is whole or absent, and durable. Raises KeysExist."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # A hard link, unlike a rename, never replaces what is already there.
        os.link(draft, path)
    except FileExistsError:
        raise KeysExist(path) from None
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
