"""The hot loop: a compiled message and a person become the bytes that go on the wire.

Everything that does not differ between readers is encoded when the `Stamper` is made; `stamp` fills in a list and joins it.
This module imports no template engine and no lxml: a sending process stays small. A stamped message has CRLF line ends, no
line over 76 characters in its bodies and no line that begins with a dot.
"""

import hashlib
import html
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from newsletter.composer import headers, transfer
from newsletter.composer.message import Compiled, Gap, Head, Kind, Piece, Slot
from newsletter.errors import Invalid

_TOKEN = re.compile(r"[A-Za-z0-9_~-]{0,200}")
# One search for what is nearly always well, each before a blank that none of them may hold: six tokens, an id, an address.
_WELL = re.compile(r"(?:[A-Za-z0-9_~-]{0,200} ){6}(?:[^\s<>,;:\"()\\]+@[A-Za-z0-9.-]+ ){2}").fullmatch
_TOKENS = (Slot.LEAVE, Slot.PREFERENCES, Slot.ACTION, Slot.REFERENCE, Slot.CODE, Slot.REPLY)


class BadToken(Invalid):
    """A token holds characters that would not survive in a link."""

    def __init__(self, slot: Slot) -> None:
        super().__init__("mail.bad-token", slot=slot)


class Person(NamedTuple):
    """What a message needs to know about one recipient.

    address        wire form (A-label domain)
    name           salutation name, "" = the language's fallback word
    reference      the public supporter reference
    message_id     without angle brackets
    date           as RFC 5322 §3.3 writes it
    action_token   for the one thing this mail asks for (confirm, sign); "" where it asks nothing
    code           the figures that do the same on the page where it was asked for
    reply          local part of the address that takes a yes by mail, written into Reply-To
    thread         ids of the mails it answers, without angle brackets, the first of the thread first
    """

    address: str
    name: str
    reference: str
    leave_token: str
    preferences_token: str
    message_id: str
    date: str
    action_token: str = ""
    code: str = ""
    reply: str = ""
    thread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parts:
    """A stamped message before any transfer encoding: for the archive, previews and "view in browser"."""

    subject: str
    html: str
    text: str


_Reading = Callable[[Person], str]
_Maker = Callable[[Person], bytes]
_READ: dict[Slot, _Reading] = {
    Slot.NAME: lambda person: person.name,
    Slot.REFERENCE: lambda person: person.reference,
    Slot.LEAVE: lambda person: person.leave_token,
    Slot.PREFERENCES: lambda person: person.preferences_token,
    Slot.ACTION: lambda person: person.action_token,
    Slot.CODE: lambda person: person.code,
    Slot.REPLY: lambda person: person.reply,
    Slot.ADDRESS: lambda person: person.address,
    Slot.MESSAGE_ID: lambda person: person.message_id,
    Slot.DATE: lambda person: person.date,
    # Whole fields, checked as they are made: what answers nothing pays nothing.
    Slot.THREAD: lambda person: headers.answering(person.thread),
}


class Stamper:
    """Stamps one compiled message for many people.

    Making one encodes the static text (about 1 ms for 33 kB); keep it for as long as the mailing lasts. What differs is
    made once for each person, however often it is printed, and laid into the holes of a list.
    """

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        self._form: list[bytes] = []
        self._makers: list[_Maker] = []
        self._holes: list[tuple[int, int]] = []
        known: dict[tuple[str, Gap], int] = {}
        for piece in _header(compiled.head, known, self._makers):
            self._lay(piece)
        self._lay(b"MIME-Version: 1.0\r\n")
        if compiled.html:
            self._lay_parts(compiled, known)
        else:
            self._lay_body("plain", compiled.text, known)

    def _lay_parts(self, compiled: Compiled, known: "_Known") -> None:
        """Text first, HTML last (RFC 2046 §5.1.4)."""
        # "=_" occurs in neither encoding, so the boundary cannot occur in a body (RFC 2045 §6.7).
        boundary = "=_" + hashlib.sha256(compiled.head.dump()).hexdigest()[:24]
        self._lay(f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n'.encode())
        for subtype, pieces in (("plain", compiled.text), ("html", compiled.html)):
            self._lay(f"\r\n--{boundary}\r\n".encode())
            self._lay_body(subtype, pieces, known)
        self._lay(f"\r\n--{boundary}--\r\n".encode())

    def _lay_body(self, subtype: str, pieces: tuple[Piece, ...], known: "_Known") -> None:
        based = transfer.prefers_base64(_static(pieces))
        encoding = "base64" if based else "quoted-printable"
        fields = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        self._lay(fields.encode())
        for piece in (_based if based else _quoted)(pieces, known, self._makers):
            self._lay(piece)

    def _lay(self, piece: bytes | int) -> None:
        """Append static bytes, or a hole for what the maker of that number makes."""
        if isinstance(piece, int):
            self._holes.append((len(self._form), piece))
            self._form.append(b"")
        elif self._form and (not self._holes or self._holes[-1][0] != len(self._form) - 1):
            self._form[-1] += piece
        else:
            self._form.append(piece)

    def stamp(self, person: Person) -> bytes:
        """Return the whole message (RFC 5322): CRLF, ready for DATA.

        Raises headers.BadAddress, headers.BadHeader or BadToken when the person's values could break out of their place.
        """
        checked(person)
        made = [make(person) for make in self._makers]
        form = self._form.copy()
        for place, number in self._holes:
            form[place] = made[number]
        return b"".join(form)

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
    _, name, reference, leave, preferences, message_id, date, action, code, reply, _ = person
    strict = f"{leave} {preferences} {action} {reference} {code} {reply} {message_id} {person.address} "
    # A printable text holds none of the forbidden characters; asking that first is cheap.
    if not (_WELL(strict) and f"{strict}{date}{name}".isprintable()):
        _look(person)


def _look(person: Person) -> None:
    """Raise for the first value that could break out of its place; some only look as if they could."""
    headers.spelled("To", person.address)
    headers.spelled("Message-ID", person.message_id)
    for field, value in (("Date", person.date), ("name", person.name)):
        if headers.FORBIDDEN.search(value):
            raise headers.BadHeader(field)
    if bad := [slot for slot in _TOKENS if not _TOKEN.fullmatch(_READ[slot](person))]:
        raise BadToken(bad[0])


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


_Known = dict[tuple[str, Gap], int]
"""The numbers of the makers that exist, by encoding and gap."""


def _number(way: str, gap: Gap, make: _Maker, known: _Known, makers: list[_Maker]) -> int:
    """Return the number of the maker of a gap's value in one encoding; equal gaps share it."""
    if (way, gap) not in known:
        known[way, gap] = len(makers)
        makers.append(make)
    return known[way, gap]


def _header(head: Head, known: _Known, makers: list[_Maker]) -> Iterator[bytes | int]:
    """Yield the header fields: ASCII, with values of headers in the holes."""
    for piece in _merged(head.fields):
        if isinstance(piece, str):
            yield piece.encode("ascii")
        elif piece.slot is not Slot.SUBJECT:
            yield _number("header", piece, _plainly(_READ[piece.slot]), known, makers)
        elif all(isinstance(part, str) for part in head.subject):
            # A subject without a gap is the same for everyone.
            yield headers.unstructured("Subject", _static(head.subject)).encode("ascii")
        else:
            yield _number("header", piece, _subject(head.subject), known, makers)


def _plainly(read: _Reading) -> _Maker:
    return lambda person: read(person).encode()


def _subject(pieces: tuple[Piece, ...]) -> _Maker:
    return lambda person: headers.unstructured("Subject", _filled(pieces, person)).encode("ascii")


def _quoted(pieces: Iterable[Piece], known: _Known, makers: list[_Maker]) -> Iterator[bytes | int]:
    """Yield a body in quoted-printable, each hole on lines of its own."""
    merged = _merged(pieces)
    for place, piece in enumerate(merged):
        if isinstance(piece, Gap):
            yield _number("quoted", piece, _quoting(piece), known, makers)
        else:
            encoded = transfer.quoted(piece.encode())
            yield transfer.before_gap(encoded) if place + 1 < len(merged) else encoded


def _quoting(gap: Gap) -> _Maker:
    read, fallback = _READ[gap.slot], gap.fallback
    if gap.kind in (Kind.HTML, Kind.URL):
        return lambda person: transfer.quoted_gap(_value(gap, person).encode())
    # Written as it is, which is most gaps: links are tokens.
    return lambda person: transfer.quoted_gap((read(person) or fallback).encode())


def _based(pieces: Iterable[Piece], known: _Known, makers: list[_Maker]) -> Iterator[bytes | int]:
    """Yield a body in base64 as one hole: what stands after a gap depends on how long its value is."""
    makers.append(_Based(pieces))
    yield len(makers) - 1


class _Based:
    """Makes a body in base64: around each gap a few bytes are encoded for the reader, the rest was in three phases."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._gaps: list[Gap] = []
        self._pieces: list[transfer.Phases | bytes | int] = []
        for piece in _merged(pieces):
            if isinstance(piece, Gap):
                if piece not in self._gaps:
                    self._gaps.append(piece)
                self._pieces.append(self._gaps.index(piece))
            else:
                octets = piece.encode()
                # Too short to be worth phases: encoded with its gap.
                self._pieces.append(transfer.phased(octets) if len(octets) > 64 else octets)

    def __call__(self, person: Person) -> bytes:
        """Return the encoded body."""
        values = [_value(gap, person).encode() for gap in self._gaps]
        out: list[bytes] = []
        carry = b""
        for piece in self._pieces:
            if isinstance(piece, int):
                carry += values[piece]
            elif isinstance(piece, bytes):
                carry += piece
            else:
                phase = -len(carry) % 3
                out.append(transfer.based(carry + piece.heads[phase]))
                out.append(piece.bodies[phase])
                carry = piece.tails[phase]
        out.append(transfer.based(carry))
        return b"".join(out)
