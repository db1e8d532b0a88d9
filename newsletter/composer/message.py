"""A compiled message: a head and blocks of static text with slots.

Composing is slow and done once; stamping is fast and done for each reader. This is the value between them,
stored by the ledger and loaded by senders, so it knows neither templates nor lxml. Two variants that share
an article share its block.
"""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any, TypeAlias


class Slot(StrEnum):
    """What is filled in for each recipient."""

    NAME = "name"
    REFERENCE = "reference"
    LEAVE = "leave"
    PREFERENCES = "preferences"
    ACTION = "action"
    CODE = "code"
    REPLY = "reply"
    ADDRESS = "address"
    MESSAGE_ID = "message-id"
    DATE = "date"
    SUBJECT = "subject"
    THREAD = "thread"


class Kind(StrEnum):
    """How a value is written into its gap, fixed when the message is compiled.

    HTML     escaped
    TEXT     as it is
    URL      percent-quoted, then escaped
    HEADER   RFC 2047 where needed
    TOKEN    letters, digits, "-", "_", "~" only: as it is, everywhere
    """

    HTML = auto()
    TEXT = auto()
    URL = auto()
    HEADER = auto()
    TOKEN = auto()


@dataclass(frozen=True, slots=True)
class Gap:
    """A place in static text for one recipient's value; `fallback` is printed when the value is empty."""

    slot: Slot
    kind: Kind
    fallback: str = ""


Piece: TypeAlias = str | Gap


@dataclass(frozen=True, slots=True)
class Block:
    """A compiled piece of both parts: static text and gaps. Lines end in CRLF."""

    html: tuple[Piece, ...]
    text: tuple[Piece, ...]

    def dump(self) -> bytes:
        """Return the block as canonical JSON: equal blocks give equal bytes."""
        return _dump({"html": _listed(self.html), "text": _listed(self.text)})

    @classmethod
    def load(cls, stored: bytes) -> "Block":
        """Return the block `dump` wrote."""
        fields = json.loads(stored)
        return cls(html=_pieces(fields["html"]), text=_pieces(fields["text"]))

    @property
    def digest(self) -> bytes:
        """SHA-256 of `dump()`: the identity of the block."""
        return hashlib.sha256(self.dump()).digest()


@dataclass(frozen=True, slots=True)
class Head:
    """The header fields of a message, folded, with gaps; each line ends in CRLF. Content fields are added
    by `stamping`.

    fields    all but the body's own; one gap, Slot.SUBJECT, stands for the subject, one, Slot.THREAD, for what is answered
    subject   not yet encoded, since it may hold a reader's name
    """

    fields: tuple[Piece, ...]
    subject: tuple[Piece, ...]

    def dump(self) -> bytes:
        """Return the head as canonical JSON."""
        return _dump({"fields": _listed(self.fields), "subject": _listed(self.subject)})

    @classmethod
    def load(cls, stored: bytes) -> "Head":
        """Return the head `dump` wrote."""
        fields = json.loads(stored)
        return cls(fields=_pieces(fields["fields"]), subject=_pieces(fields["subject"]))


@dataclass(frozen=True, slots=True)
class Compiled:
    """A whole message for a set of readers: everything but what differs between them."""

    head: Head
    blocks: tuple[Block, ...]

    @property
    def html(self) -> tuple[Piece, ...]:
        """The pieces of the HTML part in order."""
        return tuple(piece for block in self.blocks for piece in block.html)

    @property
    def text(self) -> tuple[Piece, ...]:
        """The pieces of the text part in order."""
        return tuple(piece for block in self.blocks for piece in block.text)

    @property
    def html_bytes(self) -> int:
        """Decoded size of the HTML part's static text, in bytes."""
        return sum(len(piece.encode()) for piece in self.html if isinstance(piece, str))


def _dump(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _listed(pieces: tuple[Piece, ...]) -> list[str | list[str]]:
    return [piece if isinstance(piece, str) else [piece.slot, piece.kind, piece.fallback] for piece in pieces]


def _pieces(listed: list[str | list[str]]) -> tuple[Piece, ...]:
    return tuple(piece if isinstance(piece, str) else Gap(Slot(piece[0]), Kind(piece[1]), piece[2]) for piece in listed)
