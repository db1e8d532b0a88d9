"""What our own form brings back with a wish: when it was shown, and in a wave the answer to a sum.

Both are signs and no gate. A form on another site and a program bring neither, and are judged by where they come from alone; a
browser without JavaScript does no sum, and has less room for it (`waves`).
"""

import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from newsletter.vault import Vault

SHORTEST = timedelta(seconds=2)
"""Nobody reads the form and writes an address in less; browsers that fill it in for them still need a press."""
GOOD_FOR = timedelta(hours=12)
SUMS, ZEROS = 32, 11
"""Many small sums instead of one great one: 66,000 digests, and hardly ever a third more by bad luck: 0.2 s on a desktop's core,
within a second on a phone (docs/adr/0020-sign-ups-under-attack.md)."""
_STAMP = re.compile(r"([0-9]{1,15})\.([0-9a-f]{20})").fullmatch
_PROOF = re.compile(r"[0-9a-f]{1,7}(?:\.[0-9a-f]{1,7}){31}").fullmatch


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a form came in.

    client   who sent it, as attempts are counted; "" = nobody knows
    net      its network: "203.0.113.0/24"
    stamp    what our own form was shown with; "" = it is another's
    proof    what it worked out, in a wave
    """

    client: str = ""
    net: str = ""
    stamp: str = ""
    proof: str = ""


UNKNOWN = Arrival()
"""A form of which nothing is known."""


def stamp(vault: Vault, *, now: datetime) -> str:
    """Return what a form is shown with: when, signed."""
    shown = str(int(now.timestamp() * 1000))
    return f"{shown}.{_signed(vault, shown)}"


def age(vault: Vault, written: str, *, now: datetime) -> timedelta | None:
    """Return how long ago a form was shown, or None where the stamp is none of ours or older than a form stands open."""
    found = _STAMP(written)
    if found is None or not hmac.compare_digest(found[2], _signed(vault, found[1])):
        return None
    since = now - datetime.fromtimestamp(int(found[1]) / 1000, UTC)
    return since if since <= GOOD_FOR else None


def _signed(vault: Vault, shown: str) -> str:
    return vault.digest("form stamp", shown)[:10].hex()


def quick(vault: Vault, written: str, *, now: datetime) -> bool:
    """Whether our own form came back sooner than a person sends it."""
    since = age(vault, written, now=now)
    return since is not None and since < SHORTEST


def proved(vault: Vault, came: Arrival, address: str, *, now: datetime) -> bool:
    """Whether the sums of a form are right: done for this stamp and this address, so that none serves for a second one."""
    if not _PROOF(came.proof) or age(vault, came.stamp, now=now) is None:
        return False
    seed = sha256(f"{came.stamp}|{address.strip()}".encode()).digest()
    return all(_right(seed, place, int(part, 16)) for place, part in enumerate(came.proof.split(".")))


def _right(seed: bytes, place: int, number: int) -> bool:
    found = sha256(seed + bytes((place,)) + number.to_bytes(4, "big")).digest()
    return int.from_bytes(found[:4], "big") >> (32 - ZEROS) == 0


def work(written: str, address: str) -> str:
    """Return the sums' answers, as the page's script finds them."""
    seed = sha256(f"{written}|{address.strip()}".encode()).digest()
    return ".".join(f"{next(n for n in range(1 << 28) if _right(seed, place, n)):x}" for place in range(SUMS))
