"""The hot loop: a compiled message and a person become the bytes that go on the wire.

Everything that does not differ between readers is encoded when the `Stamper` is made; `stamp` fills in a list and joins it.
This module imports no template engine and no lxml: a sending process stays small. A stamped message has CRLF line ends, no
line over 76 characters in its bodies and no line that begins with a dot.
"""

import hashlib
import html
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import quote

from newsletter.composer import headers, transfer
from newsletter.composer.message import Compiled, Gap, Kind, Piece, Slot
from newsletter.errors import Invalid

_TOKEN = re.compile(r"[A-Za-z0-9_~-]{0,200}")


class BadToken(Invalid):
    """A token holds characters that would not survive in a link."""

    def __init__(self, slot: Slot) -> None:
        super().__init__("mail.bad-token", slot=slot)


@dataclass(frozen=True, slots=True)
class Person:
    """What a message needs to know about one recipient.

    address        wire form (A-label domain)
    name           salutation name, "" = the language's fallback word
    reference      the public supporter reference
    message_id     without angle brackets
    date           as RFC 5322 §3.3 writes it
    action_token   for the one thing this mail asks for (confirm, sign); "" where it asks nothing
    """

    address: str
    name: str
    reference: str
    leave_token: str
    preferences_token: str
    message_id: str
    date: str
    action_token: str = ""


@dataclass(frozen=True, slots=True)
class Parts:
    """A stamped message before any transfer encoding: for the archive, previews and "view in browser"."""

    subject: str
    html: str
    text: str


_Reading = Callable[[Person], str]
_READ: dict[Slot, _Reading] = {
    Slot.NAME: lambda person: person.name,
    Slot.REFERENCE: lambda person: person.reference,
    Slot.LEAVE: lambda person: person.leave_token,
    Slot.PREFERENCES: lambda person: person.preferences_token,
    Slot.ACTION: lambda person: person.action_token,
    Slot.ADDRESS: lambda person: person.address,
    Slot.MESSAGE_ID: lambda person: person.message_id,
    Slot.DATE: lambda person: person.date,
}


class Stamper:
    """Stamps one compiled message for many people.

    Making one encodes the static text (about 1 ms for 33 kB); keep it for as long as the mailing lasts.
    """

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        boundary = "=_" + hashlib.sha256(compiled.head.dump()).hexdigest()[:24]
        # "=_" occurs in neither encoding, so the boundary cannot occur in a body (RFC 2045 §6.7).
        head = (*compiled.head.fields, *_multipart(boundary))
        text = transfer.prefers_base64(_static(compiled.text))
        page = transfer.prefers_base64(_static(compiled.html))
        self._sections: tuple[_Section, ...] = (
            _Header(head, compiled.head.subject),
            _Header(_part_head(boundary, "plain", based=text)),
            (_Based if text else _Quoted)(compiled.text),
            _Header(_part_head(boundary, "html", based=page)),
            (_Based if page else _Quoted)(compiled.html),
            _Header((f"\r\n--{boundary}--\r\n",)),
        )

    def stamp(self, person: Person) -> bytes:
        """Return the whole message (RFC 5322): CRLF, ready for DATA.

        Raises headers.BadAddress, headers.BadHeader or BadToken when the person's values could break out of their place.
        """
        checked(person)
        out: list[bytes] = []
        for section in self._sections:
            section.write(person, out)
        return b"".join(out)

    def parts(self, person: Person) -> Parts:
        """Return the subject and both parts as the reader will see them."""
        checked(person)
        compiled = self._compiled
        return Parts(
            subject=_filled(compiled.head.subject, person),
            html=_filled(compiled.html, person),
            text=_filled(compiled.text, person),
        )


def checked(person: Person) -> None:
    """Raise when a person's values could break out of their place in a header or a link."""
    headers.spelled("To", person.address)
    headers.spelled("Message-ID", person.message_id)
    if headers.FORBIDDEN.search(person.date) or headers.FORBIDDEN.search(person.name):
        raise headers.BadHeader("Date" if headers.FORBIDDEN.search(person.date) else "name")
    for slot in (Slot.LEAVE, Slot.PREFERENCES, Slot.ACTION, Slot.REFERENCE):
        if not _TOKEN.fullmatch(_READ[slot](person)):
            raise BadToken(slot)


def _value(gap: Gap, person: Person) -> str:
    """Return what stands in a gap of a body, before any transfer encoding."""
    value = _READ[gap.slot](person) or gap.fallback
    match gap.kind:
        case Kind.HTML:
            return html.escape(value)
        case Kind.URL:
            return html.escape(quote(value, safe=""))
        case _:
            return value


def _filled(pieces: Iterable[Piece], person: Person) -> str:
    return "".join(piece if isinstance(piece, str) else _value(piece, person) for piece in pieces)


def _static(pieces: Iterable[Piece]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


def _merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Return the pieces with neighbouring texts joined and empty ones dropped."""
    merged: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        elif piece != "":
            merged.append(piece)
    return merged


def _multipart(boundary: str) -> tuple[Piece, ...]:
    return (f'MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n',)


def _part_head(boundary: str, subtype: str, *, based: bool) -> tuple[Piece, ...]:
    encoding = "base64" if based else "quoted-printable"
    return (
        f"\r\n--{boundary}\r\nContent-Type: text/{subtype}; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n",
    )


class _Section:
    """A stretch of the message in one encoding."""

    def write(self, person: Person, out: list[bytes]) -> None:
        """Append this stretch for one person."""
        raise NotImplementedError


class _Header(_Section):
    """Header fields and boundaries: ASCII, with values of headers in the gaps."""

    def __init__(self, pieces: Iterable[Piece], subject: tuple[Piece, ...] = ()) -> None:
        self._pieces: list[bytes | Gap] = [
            piece.encode("ascii") if isinstance(piece, str) else piece for piece in _merged(pieces)
        ]
        self._subject = subject
        # A subject without a gap is the same for everyone.
        fixed = all(isinstance(piece, str) for piece in subject)
        self._fixed = headers.unstructured("Subject", _static(subject)).encode("ascii") if subject and fixed else None

    def write(self, person: Person, out: list[bytes]) -> None:
        for piece in self._pieces:
            if isinstance(piece, bytes):
                out.append(piece)
            elif piece.slot is Slot.SUBJECT:
                out.append(
                    self._fixed or headers.unstructured("Subject", _filled(self._subject, person)).encode("ascii")
                )
            else:
                out.append(_READ[piece.slot](person).encode())


class _Quoted(_Section):
    """A body in quoted-printable."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces: list[bytes | Gap] = []
        merged = _merged(pieces)
        for place, piece in enumerate(merged):
            if isinstance(piece, str):
                encoded = transfer.quoted(piece.encode())
                self._pieces.append(transfer.before_gap(encoded) if place + 1 < len(merged) else encoded)
            else:
                self._pieces.append(piece)

    def write(self, person: Person, out: list[bytes]) -> None:
        for piece in self._pieces:
            out.append(piece if isinstance(piece, bytes) else transfer.quoted_gap(_value(piece, person).encode()))


class _Based(_Section):
    """A body in base64: around each gap a few bytes are encoded for the reader, the rest was encoded in three phases."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces: list[transfer.Phases | bytes | Gap] = []
        for piece in _merged(pieces):
            if isinstance(piece, Gap):
                self._pieces.append(piece)
            else:
                octets = piece.encode()
                # Too short to be worth phases: encoded with its gap.
                self._pieces.append(transfer.phased(octets) if len(octets) > 64 else octets)

    def write(self, person: Person, out: list[bytes]) -> None:
        carry = b""
        for piece in self._pieces:
            if isinstance(piece, Gap):
                carry += _value(piece, person).encode()
            elif isinstance(piece, bytes):
                carry += piece
            else:
                phase = -len(carry) % 3
                out.append(transfer.based(carry + piece.heads[phase]))
                out.append(piece.bodies[phase])
                carry = piece.tails[phase]
        out.append(transfer.based(carry))
