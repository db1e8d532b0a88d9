"""Signed links for one purpose each, and the other names a message carries.

A token is checked by key alone: it works years later, after the issue or the digest is gone, and while the database is away.
The ids in it are masked by the key, so that neighbours on a list do not have neighbouring links.

Layout, 24 bytes in URL-safe base64 (32 characters): purpose and key id (1 + 1), masked subscriber, digest and mailing
(5 + 3 + 5), check (9 bytes = 72 bits). The mask is drawn from the check, and the check from the ids: nothing else is needed.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b

from newsletter.errors import NotFound

LENGTH = 32
_CHECK = 9
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_IDS = 13
# Python's decoder skips what it does not know; a token has one spelling only.
_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{{LENGTH}}}").fullmatch
_HEX = rf"[0-9a-f]{{{2 * (2 + _IDS + _CHECK)}}}"
_RETURN = re.compile(rf"b-({_HEX})").fullmatch
_PROBE = re.compile(rf"p-({_HEX})").fullmatch


class Purpose(IntEnum):
    """What a link may do. A link of one purpose does nothing in the place of another."""

    PREVIEW = 0
    LEAVE = 1
    PREFERENCES = 2
    RETURN = 3
    PROBE = 4
    STOP = 5


class BadToken(NotFound):
    """The link is damaged, forged, or was made for something else."""

    def __init__(self) -> None:
        super().__init__("token.bad")


@dataclass(frozen=True, slots=True)
class Link:
    """What a token says. Numbers that its purpose does not need are 0."""

    purpose: Purpose
    subscriber_id: int = 0
    digest_id: int = 0
    mailing_id: int = 0


class Tokens:
    """Makes and reads tokens under the token keys. Under 2 µs each; share it between threads."""

    def __init__(self, live: int, keys: Mapping[int, bytes]) -> None:
        """Remember the keys (32 bytes each, by id) and which of them writes."""
        self._heads = tuple(bytes((purpose, live)) for purpose in Purpose)
        # A keyed state to copy costs 0.3 µs a digest, a fresh HMAC ten times that.
        self._checks: Mapping[int, blake2b] = {
            key_id: blake2b(key=key, digest_size=_CHECK, person=b"token check") for key_id, key in keys.items()
        }
        self._masks: Mapping[int, blake2b] = {
            key_id: blake2b(key=key, digest_size=_IDS, person=b"token mask") for key_id, key in keys.items()
        }
        self._live_check, self._live_mask = self._checks[live], self._masks[live]
        # Message-IDs must be the same for ever, so they are drawn from the oldest key.
        self._names = blake2b(key=keys[min(keys)], digest_size=18, person=b"message id")
        self._harmless = self._make(Purpose.PREVIEW, 0, 0, 0)

    def leave(self, subscriber_id: int, digest_id: int, mailing_id: int) -> str:
        """Return the link by which a reader leaves a digest."""
        return self._make(Purpose.LEAVE, subscriber_id, digest_id, mailing_id)

    def preferences(self, subscriber_id: int) -> str:
        """Return the link by which a reader changes what they get."""
        return self._make(Purpose.PREFERENCES, subscriber_id, 0, 0)

    def return_path(self, mailing_id: int, mailbox_id: int) -> str:
        """Return the local part of a return path (VERP), 50 characters: it names the delivery, not the reader."""
        # Hexadecimal, since some servers fold the case of a local part.
        return f"b-{self._raw(Purpose.RETURN, mailbox_id, 0, mailing_id).hex()}"

    def probe(self, number: int) -> str:
        """Return the local part to which the self-test of what comes back writes."""
        return f"p-{self._raw(Purpose.PROBE, 0, 0, number).hex()}"

    def stop(self, mailing_id: int) -> str:
        """Return the link by which whoever holds it stops a mailing: it goes to the team alone."""
        return self._make(Purpose.STOP, 0, 0, mailing_id)

    def harmless(self) -> str:
        """Return a link that shows the same pages and does nothing: for previews, tests and the archive."""
        return self._harmless

    def message_id(self, mailing_id: int, mailbox_id: int, occasion: str, domain: str) -> str:
        """Return the Message-ID of a delivery, without angle brackets: the same input gives the same id (standards §6)."""
        state = self._names.copy()
        state.update(f"{mailing_id}/{mailbox_id}/{occasion}".encode())
        return f"{base64.urlsafe_b64encode(state.digest()).decode('ascii')}@{domain}"

    def read(self, token: str, *purposes: Purpose) -> Link:
        """Return what a token says. Raises BadToken, also when it was made for another purpose."""
        if not _TOKEN(token):
            raise BadToken
        link = self._read(base64.urlsafe_b64decode(token))
        if link is None or (purposes and link.purpose not in purposes):
            raise BadToken
        return link

    def read_return_path(self, local: str) -> tuple[int, int]:
        """Return (mailing, mailbox) of a return path's local part, in whatever case it comes back. Raises BadToken."""
        link = self._read_local(_RETURN(local.lower()), Purpose.RETURN)
        return link.mailing_id, link.subscriber_id

    def read_probe(self, local: str) -> int:
        """Return the number of a self-test's local part. Raises BadToken."""
        return self._read_local(_PROBE(local.lower()), Purpose.PROBE).mailing_id

    def _read_local(self, found: re.Match[str] | None, purpose: Purpose) -> Link:
        link = self._read(bytes.fromhex(found[1])) if found else None
        if link is None or link.purpose is not purpose:
            raise BadToken
        return link

    def _read(self, raw: bytes) -> Link | None:
        head, purpose, key_id = raw[:2], raw[0], raw[1]
        if purpose > max(Purpose) or key_id not in self._checks:
            return None
        masked, check = raw[2 : 2 + _IDS], raw[2 + _IDS :]
        ids = int.from_bytes(masked) ^ _digest(self._masks[key_id], check)
        if not hmac.compare_digest(_check(self._checks[key_id], head, ids), check):
            return None
        return Link(Purpose(purpose), ids >> 64, ids >> 40 & 0xFFFFFF, ids & 0xFFFFFFFFFF)

    def _make(self, purpose: Purpose, subscriber_id: int, digest_id: int, mailing_id: int) -> str:
        raw = self._raw(purpose, subscriber_id, digest_id, mailing_id)
        # base64.urlsafe_b64encode without its detours: half a microsecond a token.
        return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE).decode("ascii")

    def _raw(self, purpose: Purpose, first: int, second: int, third: int) -> bytes:
        if second >> 24 or third >> 40:
            raise OverflowError("a digest or mailing number beyond what a token holds")
        ids = first << 64 | second << 40 | third
        head = self._heads[purpose]
        check = _check(self._live_check, head, ids)
        return head + (ids ^ _digest(self._live_mask, check)).to_bytes(_IDS) + check


def _check(keyed: blake2b, head: bytes, ids: int) -> bytes:
    state = keyed.copy()
    state.update(head + ids.to_bytes(_IDS))
    return state.digest()


def _digest(keyed: blake2b, data: bytes) -> int:
    state = keyed.copy()
    state.update(data)
    return int.from_bytes(state.digest())
