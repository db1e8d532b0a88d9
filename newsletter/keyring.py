"""The keys and the file they lie in: made, added to, taken from, and the part of it that the pages get (docs/adr/0021).

Five purposes, each with keys by id. What is sealed begins with the id of its key, so each purpose that seals has ids of its own:

seal    addresses, names, postcodes: the workers alone
team    what the team's own pages must read: operators' names, addresses and TOTP secrets
box     what the pages take in and only workers open; the pages hold the public half
index   finds an address
token   signs links, and names what was handed out
"""

import base64
import binascii
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from newsletter.errors import Conflict, Forbidden, Invalid, NotFound

KEY_BYTES = 32
FORMAT = 2
PURPOSES = ("seal", "team", "box", "index", "token")
IDS: Mapping[str, range] = MappingProxyType(
    {
        "seal": range(1, 128),
        "team": range(128, 192),
        "box": range(192, 256),
        "index": range(1, 256),
        "token": range(1, 256),
    }
)
_FIRST = ("seal", "index", "token")
_PUBLIC = "box-public"
_WARNING = "Who loses this file loses every sealed address. Keep a copy apart from the backups of the data."
_FOR_PAGES = "For the pages alone: what they take in can be sealed with it, and no address of a reader opened."


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


class OfThePages(Forbidden):
    """What was asked for needs every key, and this is the pages' file."""

    def __init__(self) -> None:
        super().__init__("vault.of-the-pages")


class NoKeyLeft(Conflict):
    """A purpose has used up its ids: those that were dropped are never given again."""

    def __init__(self, purpose: str) -> None:
        super().__init__("vault.no-key-left", purpose=purpose)


class Proof(NamedTuple):
    """What the database remembers of one key, to recognise it: 16 bytes that reveal nothing of it."""

    purpose: str
    key_id: int
    proof: bytes


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys of one purpose by id (32 bytes each), and the id of the one that writes.

    spent     the highest id ever given
    retired   since when a key writes no more, by id; one that stopped before this was kept has its moment from the next change
    """

    live: int
    keys: Mapping[int, bytes] = field(repr=False)
    spent: int = 0
    retired: Mapping[int, datetime] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def newest(self) -> int:
        """The id of the key made last: live, or about to be."""
        return max(self.keys)


@dataclass(frozen=True, slots=True)
class Keyring:
    """Every key in use. Old ones only read; every index key writes while it is here.

    seal        None in the pages' file
    team, box   None in a file from before there were any: `seal` then does their work
    box         in the pages' file the public halves
    """

    seal: Ring | None
    index: Ring
    token: Ring
    team: Ring | None = None
    box: Ring | None = None

    @staticmethod
    def make() -> "Keyring":
        """Return a keyring of fresh random keys, held in memory only."""
        return Keyring(**{purpose: _fresh(purpose) for purpose in PURPOSES})

    @staticmethod
    def create(path: Path) -> "Keyring":
        """Write fresh keys to `path` (0600, its folder 0700), whole or not at all. Raises KeysExist."""
        keyring = Keyring.make()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(path, keyring, once=True)
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

    def save(self, path: Path) -> None:
        """Put this keyring in the place of the file at `path`, whole or not at all; who may read it stays as it was."""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(path, self, once=False)
        except OSError as error:
            raise KeysUnreadable(path, error.strerror or "it cannot be written") from None

    @property
    def of_pages(self) -> bool:
        """Whether this is the pages' part."""
        return self.seal is None

    def ring(self, purpose: str) -> Ring | None:
        """Return the ring of a purpose."""
        found: Ring | None = getattr(self, purpose)
        return found

    def with_key(self, purpose: str) -> "Keyring":
        """Return it with one more key of a purpose, known and not yet live. Raises OfThePages, NoKeyLeft."""
        ring = self.ring(purpose)
        if self.of_pages:
            raise OfThePages
        if ring is None:
            return self._with(purpose, _fresh(purpose))
        key_id = max(ring.newest, ring.spent) + 1
        if key_id not in IDS[purpose]:
            raise NoKeyLeft(purpose)
        keys = {**ring.keys, key_id: secrets.token_bytes(KEY_BYTES)}
        return self._with(purpose, replace(ring, keys=keys, spent=key_id))

    def with_live(self, purpose: str, key_id: int, *, now: datetime) -> "Keyring":
        """Return it writing under a key that it knows; every other that wrote is retired."""
        ring = self.ring(purpose)
        assert ring is not None
        assert key_id in ring.keys
        retired = {known: now for known in ring.keys if known < key_id} | dict(ring.retired)
        return self._with(purpose, replace(ring, live=key_id, retired=MappingProxyType(retired)))

    def without(self, purpose: str, key_id: int) -> "Keyring":
        """Return it without a key that is not live."""
        ring = self.ring(purpose)
        assert ring is not None
        assert ring.live != key_id
        kept = {known: key for known, key in ring.keys.items() if known != key_id}
        retired = {known: at for known, at in ring.retired.items() if known != key_id}
        spent = max(ring.newest, ring.spent)
        return self._with(purpose, Ring(ring.live, kept, spent, MappingProxyType(retired)))

    def only(self, purpose: str, key_id: int) -> dict[str, Any]:
        """Return one key as it stands in a file, to be kept by itself."""
        ring = self.ring(purpose)
        assert ring is not None
        return {"format": FORMAT, purpose: _ring_json(Ring(key_id, {key_id: ring.keys[key_id]}))}

    def for_pages(self) -> "Keyring":
        """Return the part that takes people in and opens nothing of theirs; `team` and `box` must be there. Raises OfThePages."""
        if self.of_pages:
            raise OfThePages
        assert self.team is not None
        assert self.box is not None
        public = {key_id: public_half(key) for key_id, key in self.box.keys.items()}
        return Keyring(None, self.index, self.token, self.team, Ring(self.box.live, public, self.box.spent))

    def proofs(self) -> list[Proof]:
        """Return one proof a key, to be stored beside the data it protects."""
        return [
            Proof(purpose, key_id, self.proof(purpose, key_id))
            for purpose in PURPOSES
            if (ring := self.ring(purpose))
            for key_id in ring.keys
        ]

    def proof(self, purpose: str, key_id: int) -> bytes:
        """Return what recognises a key: of a box's, by its public half, which both files hold."""
        ring = self.ring(purpose)
        assert ring is not None
        key = ring.keys[key_id]
        if purpose == "box" and not self.of_pages:
            key = public_half(key)
        return blake2b(purpose.encode(), key=key, digest_size=16, person=b"key proof").digest()

    def _with(self, purpose: str, ring: Ring) -> "Keyring":
        changed: Keyring = replace(self, **{purpose: replace(ring, keys=MappingProxyType(dict(ring.keys)))})
        return changed


def public_half(key: bytes) -> bytes:
    """Return the half of a box's key that closes it and does not open it."""
    return X25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep others from changing the key file meanwhile: of two that do, one would lose the other's key."""
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except FileNotFoundError:
        raise KeysMissing(path) from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def keep_aside(path: Path, keyring: Keyring, purpose: str, key_id: int) -> Path:
    """Write one key beside the file, for the backups of its time, and return where."""
    aside = path.with_name(f"{path.stem}.retired-{purpose}-{key_id}.json")
    _replace(aside, json.dumps(keyring.only(purpose, key_id), indent=2).encode() + b"\n", like=path)
    return aside


def _fresh(purpose: str) -> Ring:
    key_id = IDS[purpose].start
    return Ring(key_id, MappingProxyType({key_id: secrets.token_bytes(KEY_BYTES)}), key_id)


def _ring_json(ring: Ring) -> dict[str, Any]:
    keys = {str(key_id): base64.b64encode(key).decode() for key_id, key in ring.keys.items()}
    retired = {str(key_id): at.isoformat() for key_id, at in ring.retired.items()}
    found = {"live": ring.live, "keys": keys, "spent": max(ring.newest, ring.spent)}
    return found | ({"retired": retired} if retired else {})


def _to_json(keyring: Keyring) -> dict[str, Any]:
    document: dict[str, Any] = {"format": FORMAT, "warning": _FOR_PAGES if keyring.of_pages else _WARNING}
    for purpose in PURPOSES:
        if ring := keyring.ring(purpose):
            name = _PUBLIC if purpose == "box" and keyring.of_pages else purpose
            document[name] = _ring_json(ring)
    return document


def _from_json(document: dict[str, Any]) -> Keyring:
    """Raises ValueError, KeyError or TypeError when anything is missing or of the wrong size."""
    if document["format"] not in (1, FORMAT):
        raise ValueError
    if _PUBLIC in document:
        parts = ("index", "token", "team")
        return Keyring(
            seal=None, box=_ring("box", document[_PUBLIC]), **{name: _ring(name, document[name]) for name in parts}
        )
    wanted = _FIRST if document["format"] == 1 else (*_FIRST, *(name for name in ("team", "box") if name in document))
    return Keyring(**{purpose: _ring(purpose, document[purpose]) for purpose in wanted})


def _ring(purpose: str, part: dict[str, Any]) -> Ring:
    try:
        keys = {int(key_id): base64.b64decode(text, validate=True) for key_id, text in part["keys"].items()}
    except binascii.Error:
        raise ValueError from None
    live = int(part["live"])
    allowed = IDS[purpose]
    if live not in keys or any(len(key) != KEY_BYTES or key_id not in allowed for key_id, key in keys.items()):
        raise ValueError
    retired = {int(key_id): _moment(at) for key_id, at in part.get("retired", {}).items()}
    return Ring(live, MappingProxyType(keys), int(part.get("spent", 0)), MappingProxyType(retired))


def _moment(written: str) -> datetime:
    at = datetime.fromisoformat(written)
    if at.tzinfo is None:
        raise ValueError
    return at


def _write(path: Path, keyring: Keyring, *, once: bool) -> None:
    data = json.dumps(_to_json(keyring), indent=2).encode() + b"\n"
    if once:
        _write_once(path, data)
    else:
        _replace(path, data, like=path)


def _draft(path: Path, data: bytes) -> Path:
    """Write a file beside `path`, durable, that only we may read."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _write_once(path: Path, data: bytes) -> None:
    """Write a file that is whole or absent, and durable. Raises KeysExist."""
    draft = _draft(path, data)
    try:
        # A hard link, unlike a rename, never replaces what is already there.
        os.link(draft, path)
    except FileExistsError:
        raise KeysExist(path) from None
    finally:
        draft.unlink()
    _settle(path.parent)


def _replace(path: Path, data: bytes, *, like: Path) -> None:
    """Write a file in the place of another at once, for those who might read `like`."""
    draft = _draft(path, data)
    try:
        if like.exists():
            was = like.stat()
            os.chmod(draft, stat.S_IMODE(was.st_mode))
            if (was.st_uid, was.st_gid) != (os.geteuid(), os.getegid()):
                os.chown(draft, was.st_uid, was.st_gid)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    _settle(path.parent)


def _settle(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
