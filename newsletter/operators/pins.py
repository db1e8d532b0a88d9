"""The public keys that workers trust, in a file that neither the pages nor the database can write.

Whoever holds the database could register a passkey of their own and approve with it. So `newsletter operators pin`, run by
whoever runs the machine, copies the team's public keys once into a file beside the program's own keys; a worker asks that file.
"""

import base64
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from newsletter.errors import Conflict, Invalid
from newsletter.operators.passkeys import Site
from newsletter.operators.roles import May

PINNED = frozenset({May.APPROVE, May.SEND})
"""For what a key may be trusted: another's alert, and what one sends alone or by a mandate."""
KEPT = timedelta(days=400)
"""How long a dropped key is kept for words of before: for as long as it is known who had an alert, and can be told of it."""


class BadPins(Invalid):
    """The file of pinned keys cannot be read or is damaged; without it a worker trusts nobody."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__("night.bad-pins", path=path, why=why)


class OthersMayWrite(Conflict):
    """The file of pinned keys may be written by others than its owner."""

    def __init__(self, path: Path) -> None:
        super().__init__("night.others-may-write", path=path)


UNTRUSTED = (BadPins, OthersMayWrite)
"""Why a file of pinned keys is no file to trust."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One passkey of one operator: the identity of the credential and its public half (COSE).

    may     what its owner might as it was pinned. What the database says of roles a worker does not believe
    until   when it was found dropped: words of before still hold by it. None: it is pinned now
    """

    operator: int
    credential: bytes
    public_key: bytes
    may: frozenset[May] = frozenset()
    until: datetime | None = None

    def covers(self, other: "Pin") -> bool:
        """Return whether this is the same key, good for all that the other is."""
        mine, theirs = ((one.operator, one.credential, one.public_key) for one in (self, other))
        return mine == theirs and self.may >= other.may


@dataclass(frozen=True, slots=True)
class Pins:
    """All that are trusted, and the site they were made for. None and empty: nothing is pinned yet."""

    site: Site | None = None
    keys: tuple[Pin, ...] = ()

    def of(self, operator: int, act: May, *, at: datetime) -> list[Pin]:
        """Return the keys of an operator by which they might do something at a moment of the database's clock."""
        mine = [pin for pin in self.keys if pin.operator == operator and act in pin.may]
        return [pin for pin in mine if pin.until is None or at < pin.until]

    def renewed(self, keys: Iterable[Pin], *, now: datetime) -> list[Pin]:
        """Return keys with those that were pinned and are none of them any more: good for words of before `now`."""
        found = list(keys)
        for pin in self.keys:
            if pin.until is None and pin.may and not any(key.covers(pin) for key in found):
                found.append(replace(pin, until=now))
            elif pin.until is not None and now - pin.until < KEPT:
                found.append(pin)
        return found


def read(path: Path) -> Pins:
    """Return what is pinned; nothing where there is no file. Raises BadPins, OthersMayWrite."""
    try:
        if os.stat(path).st_mode & 0o022:
            raise OthersMayWrite(path)
        fields = json.loads(path.read_text(encoding="utf-8"))
        site = Site(fields["site"]["host"], fields["site"]["origin"], fields["site"]["host"])
        keys = [_pin(one) for one in fields["keys"]]
    except FileNotFoundError:
        return Pins()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadPins(path, type(error).__name__) from None
    return Pins(site, tuple(keys))


def write(path: Path, site: Site, keys: Iterable[Pin]) -> None:
    """Write the file whole, or not at all; only its owner may write it again."""
    document = {"site": {"host": site.host, "origin": site.origin}, "keys": [_fields(one) for one in keys]}
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    beside.chmod(0o644)
    beside.replace(path)


def _fields(pin: Pin) -> dict[str, Any]:
    keys = {"credential": _text(pin.credential), "public_key": _text(pin.public_key)}
    until = {} if pin.until is None else {"until": pin.until.isoformat()}
    return {"operator": pin.operator, "may": sorted(pin.may)} | keys | until


def _pin(fields: Mapping[str, Any]) -> Pin:
    # A file of an earlier version says of no key what it is for, so it is for nothing: pin anew.
    may = frozenset(map(May, fields.get("may", ())))
    until = datetime.fromisoformat(fields["until"]) if "until" in fields else None
    if until is not None and until.tzinfo is None:
        raise ValueError("an hour of nowhere")
    return Pin(fields["operator"], _bytes(fields["credential"]), _bytes(fields["public_key"]), may, until)


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
