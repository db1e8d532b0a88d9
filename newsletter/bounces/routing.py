"""Whom a mail that came in is for: told from its recipient and the keys alone, so that a flood of nonsense costs microseconds."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from newsletter.tokens import BadToken, Tokens

_DESK = ("postmaster", "abuse", "fbl")
LEAVE = "leave"
LARGEST = 12 * 2**20
"""Octets of a message that is taken in."""


class Place(StrEnum):
    """Where a mail goes. NOBODY: an address of ours that was never given out; ELSEWHERE: a domain that is not ours."""

    RETURN = "return"
    LEAVE = "leave"
    PROBE = "probe"
    CONFIRM = "confirm"
    DESK = "desk"
    NOBODY = "nobody"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Route:
    """A place, with the delivery that a return path names, the number of a probe, or the sign-up that an answer is about.

    countersign   what stood behind the sign-up's address, unchecked
    """

    place: Place
    mailing_id: int = 0
    mailbox_id: int = 0
    probe: int = 0
    signup: int = 0
    countersign: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Arrived:
    """One mail for one recipient. sender: of the envelope, "" for the null sender; both without angle brackets."""

    sender: str
    recipient: str
    content: bytes


def _system_clock() -> datetime:
    # Not the database's: a flood of nonsense must not reach it, and an hour more or less does not matter here.
    return datetime.now(UTC)


class Router:
    """Knows the addresses of one bounce domain and of the sender."""

    def __init__(
        self, tokens: Tokens, *, domain: str, sender: str, clock: Callable[[], datetime] = _system_clock
    ) -> None:
        self._tokens, self._clock = tokens, clock
        self._sender = sender.lower()
        self.domain = domain

    @property
    def leaving(self) -> str:
        """The address to which List-Unsubscribe's mailto: writes, the link's token in the subject."""
        return f"{LEAVE}@{self.domain}"

    def probe(self, number: int) -> str:
        """Return the address of a self-test."""
        return f"{self._tokens.probe(number, now=self._clock())}@{self.domain}"

    def route(self, recipient: str) -> Route:
        """Return where a mail goes."""
        if recipient.lower() == self._sender:
            return Route(Place.DESK)
        local, _, domain = recipient.lower().rpartition("@")
        if domain != self.domain:
            return Route(Place.ELSEWHERE)
        if local == LEAVE:
            return Route(Place.LEAVE)
        return Route(Place.DESK) if local in _DESK else self._by_token(local)

    def _by_token(self, local: str) -> Route:
        try:
            if local.startswith("p-"):
                return Route(Place.PROBE, probe=self._tokens.read_probe(local, now=self._clock()))
            if local.startswith("c-"):
                asked = self._tokens.read_confirm_local(local, now=self._clock())
                return Route(Place.CONFIRM, signup=asked.signup_id, countersign=asked.countersign)
            mailing_id, mailbox_id = self._tokens.read_return_path(local, now=self._clock())
        except BadToken:
            return Route(Place.NOBODY)
        return Route(Place.RETURN, mailing_id, mailbox_id)


def raised_in(error: BaseException) -> str:
    """Return "file.py:line" where an error came from: its own words may repeat what was read."""
    found = traceback.extract_tb(error.__traceback__)
    return f"{Path(found[-1].filename).name}:{found[-1].lineno}" if found else ""
