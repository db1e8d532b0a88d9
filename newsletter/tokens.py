"""Signed links for one purpose each, and the other names a message carries.

A token is checked by key alone: a link to leave works years later, under every key ever made, after the issue or the digest is
gone, and while the database is away; it can do nothing else. Whatever else a token may do, it may do for a time (`LIFETIMES`):
it carries the hour it was made in, and a key that writes no more has made none that is dated later. So whoever kept its file forges
links to leave for ever, and every other for that time at most. The ids in it are masked by the key, so that neighbours on a list
do not have neighbouring links.

Layout, 24 bytes in URL-safe base64 (32 characters): purpose and key id (1 + 1), masked subscriber, digest or hour, and mailing
or mailbox (5 + 3 + 5), check (9 bytes = 72 bits). The mask is drawn from the check, and the check from the ids: nothing else is
needed.

A fresh link and one that confirms are 22 characters longer as they are mailed: behind the token stands what workers alone can
make, the *countersign*; behind the address that an answer confirms by, 12. A link that lost some of it reads as one without.
Nothing here can tell a right one from a wrong one, nor can a page (docs/adr/0028, 0032).
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from hashlib import blake2b
from types import MappingProxyType

from newsletter.errors import NotFound

LENGTH, COUNTERSIGN, REPLY_SIGN = 32, 22, 12
_CHECK = 9
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_IDS = 13
# Python's decoder skips what it does not know; a token has one spelling only.
_TOKEN = re.compile(rf"([A-Za-z0-9_-]{{{LENGTH}}})([A-Za-z0-9_-]{{0,{COUNTERSIGN}}})").fullmatch
_HEX = rf"[0-9a-f]{{{2 * (2 + _IDS + _CHECK)}}}"
_RETURN = re.compile(rf"b-({_HEX})").fullmatch
_PROBE = re.compile(rf"p-({_HEX})").fullmatch
_CONFIRM = re.compile(rf"c-({_HEX})([a-z2-7]{{{REPLY_SIGN}}})?").fullmatch


class Purpose(IntEnum):
    """What a link may do. A link of one purpose does nothing in the place of another."""

    PREVIEW = 0
    LEAVE = 1
    PREFERENCES = 2
    RETURN = 3
    PROBE = 4
    STOP = 5
    CONFIRM = 6
    FRESH = 7


LIFETIMES: Mapping[Purpose, timedelta] = MappingProxyType(
    {
        # A reader may look for it in last year's mail. What it does harms nobody.
        Purpose.PREFERENCES: timedelta(days=400),
        # `ledger.returns` refuses what is stale by the hand-over; this bounds what is asked of it. A mailing may have been paused.
        Purpose.RETURN: timedelta(days=90),
        Purpose.PROBE: timedelta(hours=1),
        Purpose.STOP: timedelta(days=400),
        Purpose.CONFIRM: timedelta(days=30),
        # Export, erase, and what else needs a link just mailed to the address on file.
        Purpose.FRESH: timedelta(hours=24),
    }
)
"""How long a token may do what it is for, by whole hours. LEAVE is not among them: for ever. Nor PREVIEW: it does nothing."""

COUNTERSIGNED = frozenset({Purpose.CONFIRM, Purpose.FRESH})
"""What is mailed with a countersign behind it."""

UNDATED = frozenset({Purpose.RETURN, Purpose.STOP})
"""Made without an hour before tokens had one, and good still: each names a mailing, which is over by itself."""

AHEAD = timedelta(hours=24)
"""How far the clock that made a token may be ahead of the one that reads it."""

RESTARTED = timedelta(days=7)
"""How long after a key was retired some process may still write under it: until each has been restarted."""

_FIRST_HOUR = datetime(2020, 1, 1, tzinfo=UTC)
_FIRST_SECOND = int(_FIRST_HOUR.timestamp())


class BadToken(NotFound):
    """The link is damaged, forged, or was made for something else."""

    def __init__(self) -> None:
        super().__init__("token.bad")


class TooOld(BadToken):
    """We made the link, and its time is over. link: whose it was, so that a fresh one can be offered to them."""

    def __init__(self, link: "Link") -> None:
        super().__init__()
        self.message = "token.old"
        self.link = link


@dataclass(frozen=True, slots=True)
class Link:
    """What a token says. Numbers that its purpose does not need are 0. made_at: the hour, None for a token without one.

    written_to    until when its key can have written it; None: it writes still, or nobody knows
    countersign   what stood behind it, unchecked: a secret between the mailed link and the workers
    """

    purpose: Purpose
    subscriber_id: int = 0
    digest_id: int = 0
    mailing_id: int = 0
    made_at: datetime | None = None
    written_to: datetime | None = field(default=None, compare=False)
    countersign: str = field(default="", repr=False)

    @property
    def signup_id(self) -> int:
        """The sign-up that a token to confirm is for."""
        return self.subscriber_id

    @property
    def mailbox_id(self) -> int:
        """To whom a token to confirm was mailed; 0: it does not say, as none did before."""
        return self.mailing_id

    def in_time(self, *, now: datetime) -> bool:
        """Whether it may still do what it is for."""
        if self.purpose not in LIFETIMES:
            return True
        if self.made_at is None:
            # Whoever has the key leaves the hour out as easily: it counts as made at the last moment at which it can have been.
            made_to = self.written_to or now
            return self.purpose in UNDATED and now < made_to + LIFETIMES[self.purpose]
        if self.written_to is not None and self.made_at > self.written_to:
            return False
        # Up to the end of its last hour: its first was begun when it was made.
        return self.made_at - AHEAD <= now < self.made_at + LIFETIMES[self.purpose] + timedelta(hours=1)


class Tokens:
    """Makes and reads tokens under the token keys. Under 2 µs each; share it between threads."""

    def __init__(
        self, live: int, keys: Mapping[int, bytes], retired: Mapping[int, datetime] = MappingProxyType({})
    ) -> None:
        """Remember the keys (32 bytes each, by id), which of them writes, and since when others do not."""
        self._written_to = {key_id: at + RESTARTED for key_id, at in retired.items() if key_id != live}
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
        # A shard's thousands are dated alike; an hour looked up costs a tenth of one reckoned.
        self._dated = (_FIRST_HOUR, 1)
        self._harmless = self._make(Purpose.PREVIEW, 0, 0, 0)

    def leave(self, subscriber_id: int, digest_id: int, mailing_id: int) -> str:
        """Return the link by which a reader leaves a digest."""
        return self._make(Purpose.LEAVE, subscriber_id, digest_id, mailing_id)

    def preferences(self, subscriber_id: int, *, now: datetime) -> str:
        """Return the link by which a reader changes what they get."""
        return self._make(Purpose.PREFERENCES, subscriber_id, self._hour(now), 0)

    def fresh(self, subscriber_id: int, *, now: datetime) -> str:
        """Return the link that says for a day that its holder reads the address on file, to which alone it is mailed.

        Whoever holds the token keys can make one. What takes more than that has a countersign behind it.
        """
        return self._make(Purpose.FRESH, subscriber_id, self._hour(now), 0)

    def confirm(self, signup_id: int, mailbox_id: int = 0, *, now: datetime) -> str:
        """Return the link by which a sign-up is confirmed. Whoever holds the token keys makes one: it is mailed countersigned.

        mailbox_id   to whom, so that its page can say so; 0: it says nothing
        """
        return self._make(Purpose.CONFIRM, signup_id, self._hour(now), mailbox_id)

    def confirm_local(self, signup_id: int, *, now: datetime) -> str:
        """Return the local part of the address to which an answer confirms a sign-up, 50 characters: 62 as it is mailed."""
        return f"c-{self._raw(Purpose.CONFIRM, signup_id, self._hour(now), 0).hex()}"

    def return_path(self, mailing_id: int, mailbox_id: int, *, now: datetime) -> str:
        """Return the local part of a return path (VERP), 50 characters: it names the delivery, not the reader."""
        # Hexadecimal, since some servers fold the case of a local part.
        return f"b-{self._raw(Purpose.RETURN, mailbox_id, self._hour(now), mailing_id).hex()}"

    def probe(self, number: int, *, now: datetime) -> str:
        """Return the local part to which the self-test of what comes back writes."""
        return f"p-{self._raw(Purpose.PROBE, 0, self._hour(now), number).hex()}"

    def stop(self, mailing_id: int, *, now: datetime) -> str:
        """Return the link by which whoever holds it stops a mailing: it goes to the team alone."""
        return self._make(Purpose.STOP, 0, self._hour(now), mailing_id)

    def harmless(self) -> str:
        """Return a link that shows the same pages and does nothing: for previews, tests and the archive."""
        return self._harmless

    def message_id(self, mailing_id: int, mailbox_id: int, occasion: str, domain: str) -> str:
        """Return the Message-ID of a delivery, without angle brackets: the same input gives the same id (standards §6)."""
        state = self._names.copy()
        state.update(f"{mailing_id}/{mailbox_id}/{occasion}".encode())
        return f"{base64.urlsafe_b64encode(state.digest()).decode('ascii')}@{domain}"

    def read(self, token: str, *purposes: Purpose, now: datetime) -> Link:
        """Return what a token of one of these purposes says. Raises BadToken; TooOld where its time is over."""
        return _good(self._of(token), *purposes, now=now)

    def read_leaving(self, token: str) -> Link:
        """Return what a link to leave says, however old it is, or a preview's, which names nobody. Raises BadToken."""
        link = self._of(token)
        if link is None or link.purpose not in (Purpose.LEAVE, Purpose.PREVIEW):
            raise BadToken
        return link

    def read_return_path(self, local: str, *, now: datetime) -> tuple[int, int]:
        """Return (mailing, mailbox) of a return path's local part, in whatever case it comes back. Raises BadToken."""
        link = _good(self._of_local(_RETURN(local.lower())), Purpose.RETURN, now=now)
        return link.mailing_id, link.subscriber_id

    def read_probe(self, local: str, *, now: datetime) -> int:
        """Return the number of a self-test's local part. Raises BadToken."""
        return _good(self._of_local(_PROBE(local.lower())), Purpose.PROBE, now=now).mailing_id

    def read_confirm_local(self, local: str, *, now: datetime) -> Link:
        """Return the sign-up that an answer to this local part is about, and its countersign. Raises BadToken; TooOld."""
        found = _CONFIRM(local.lower())
        link = _good(self._of_local(found), Purpose.CONFIRM, now=now)
        return replace(link, countersign=found[2] or "") if found else link

    def _hour(self, now: datetime) -> int:
        last, hour = self._dated
        if last is not now:
            hour = _hour(now)
            self._dated = (now, hour)
        return hour

    def _of(self, token: str) -> Link | None:
        found = _TOKEN(token)
        link = self._read(base64.urlsafe_b64decode(found[1])) if found else None
        if found is None or link is None or not found[2]:
            return link
        if link.purpose not in COUNTERSIGNED:
            return None
        # Cut off on its way, what is left of a countersign is none.
        return replace(link, countersign=found[2]) if len(found[2]) == COUNTERSIGN else link

    def _of_local(self, found: re.Match[str] | None) -> Link | None:
        return self._read(bytes.fromhex(found[1])) if found else None

    def _read(self, raw: bytes) -> Link | None:
        head, purpose, key_id = raw[:2], raw[0], raw[1]
        if purpose > max(Purpose) or key_id not in self._checks:
            return None
        masked, check = raw[2 : 2 + _IDS], raw[2 + _IDS :]
        ids = int.from_bytes(masked) ^ _digest(self._masks[key_id], check)
        if not hmac.compare_digest(_check(self._checks[key_id], head, ids), check):
            return None
        found = _link(Purpose(purpose), ids >> 64, ids >> 40 & 0xFFFFFF, ids & 0xFFFFFFFFFF)
        return replace(found, written_to=self._written_to[key_id]) if key_id in self._written_to else found

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


def _link(purpose: Purpose, first: int, second: int, third: int) -> Link:
    if purpose not in LIFETIMES:
        return Link(purpose, first, second, third)
    made_at = _FIRST_HOUR + timedelta(hours=second) if second else None
    return Link(purpose, first, 0, third, made_at)


def _good(link: Link | None, *purposes: Purpose, now: datetime) -> Link:
    if link is None or link.purpose not in purposes:
        raise BadToken
    if not link.in_time(now=now):
        raise TooOld(link)
    return link


def _hour(now: datetime) -> int:
    """Return the hours since 2020, which three bytes hold for 1,900 years; never 0, which stands for "not dated"."""
    return max(1, (int(now.timestamp()) - _FIRST_SECOND) // 3600)
