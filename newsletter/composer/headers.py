"""The serialiser of header fields: RFC 5322 folding, RFC 2047 words, RFC 2369, 2919 and 8058 lists.

It is ours because Python's `email` encodes a long List-Unsubscribe (one-click dies), splits code points across encoded words
and writes IDN domains as encoded words. Every function returns a whole field, folded, ending in CRLF, or raises `Invalid`.
"""

import base64
import re
from collections.abc import Iterator

from newsletter.composer.message import Gap, Kind, Piece, Slot
from newsletter.errors import Invalid

# C0, DEL, C1, line and paragraph separators, bidi embeddings, overrides and isolates: none may reach a header or an envelope.
FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
WIDTH = 78  # RFC 5322 §2.1.1: lines SHOULD be at most 78 characters
_WORD_LINE = 76  # RFC 2047 §2: a line that holds an encoded word is at most 76 characters
_WORD = 75  # RFC 2047 §2: an encoded word is at most 75 characters
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_ADDRESS = re.compile(r"[^\s<>,;:\"()\\]+@[^\s<>,;:\"()\\@]+")


class BadHeader(Invalid):
    """A value holds characters that no header may carry."""

    def __init__(self, field: str) -> None:
        super().__init__("mail.bad-header", field=field)


class BadAddress(Invalid):
    """A value that should be an address in wire form is not."""

    def __init__(self, field: str) -> None:
        super().__init__("mail.bad-address", field=field)


def clean(field: str, value: str) -> str:
    """Return the value with its blanks collapsed; BadHeader when it holds a control or a bidi override."""
    if not value.isprintable() and (FORBIDDEN.search(value) or not _encodable(value)):
        raise BadHeader(field)
    return " ".join(value.split(" ")) if "  " not in value else re.sub(" +", " ", value)


def unstructured(field: str, value: str) -> str:
    """Return a field of free text (Subject): ASCII as it is, anything else as encoded words."""
    value = clean(field, value).strip(" ")
    if _plain(value):
        line = f"{field}: {value}\r\n"
        return line if len(line) <= WIDTH + 2 else fold(field, value.split(" "))
    return field + ": " + "\r\n ".join(_words(value, len(field) + 2)) + "\r\n"


def mailbox(field: str, name: str, address: str) -> str:
    """Return a field with one mailbox (From): display name quoted or encoded, the address never (RFC 2047 §5)."""
    name = clean(field, name).strip(" ")
    spec = f"<{spelled(field, address)}>"
    if not name:
        return fold(field, [spec])
    if _plain(name) and len(name) <= 60:
        shown = name if _ATOM.fullmatch(name) else '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
        return fold(field, [shown, spec])
    return field + ": " + "\r\n ".join([*_words(name, len(field) + 2), spec]) + "\r\n"


def spelled(field: str, address: str) -> str:
    """Return an address in wire form, or raise BadAddress: no blank, no bracket, no control, one @ at least."""
    # A printable text holds none of the forbidden characters; asking that first is cheap.
    forbidden = not address.isprintable() and FORBIDDEN.search(address)
    if forbidden or not _ADDRESS.fullmatch(address) or not address.rpartition("@")[2].isascii():
        raise BadAddress(field)
    return address


def fold(field: str, words: list[str]) -> str:
    """Return a field folded before words that would pass column 78; a word is never broken, whatever its length."""
    lines, line = [], f"{field}:"
    for number, word in enumerate(words):
        # A first word stays on the first line if it can: some parsers stumble over an empty one.
        if len(line) + 1 + len(word) > WIDTH and (number or len(word) < 900):
            lines.append(line)
            line = ""
        line += f" {word}"
    lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def listed(field: str, urls: list[str]) -> str:
    """Return a field of <url>s (RFC 2369 §2); a url is never encoded, only put on its own line."""
    for url in urls:
        if not url.isascii() or not url.isprintable() or re.search(r"[<>\s]", url):
            raise BadHeader(field)
    bracketed = [f"<{url}>" for url in urls]
    return fold(field, [f"{url}," for url in bracketed[:-1]] + bracketed[-1:])


def list_id(name: str, key: str, domain: str) -> str:
    """Return List-Id (RFC 2919); a name that is not ASCII is left out, since list fields carry no encoded words."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+", key) or not re.fullmatch(r"[A-Za-z0-9.-]+", domain):
        raise BadHeader("List-Id")
    name = clean("List-Id", name).strip(" ")
    quoted = ['"' + re.sub(r'(["\\])', r"\\\1", name) + '"'] if _plain(name) and name else []
    return fold("List-Id", [*quoted, f"<{key}.{domain}>"])


def feedback_id(campaign: str, key: str, kind: str, sender: str) -> str:
    """Return Feedback-ID: four fields, the last naming the sender in 5 to 15 letters as its readers ask."""
    fields = [re.sub(r"[^A-Za-z0-9._-]+", "-", part).strip("-") or "all" for part in (campaign, key, kind)]
    letters = re.sub(r"[^a-z0-9]+", "", sender.lower())[:15]
    return fold("Feedback-ID", [":".join([*fields, letters.ljust(5, "0")])])


def addressed() -> tuple[Piece, ...]:
    """Return the fields that differ by reader: Date, Message-ID and To, one recipient and no other."""
    return (
        "Date: ",
        Gap(Slot.DATE, Kind.HEADER),
        "\r\nMessage-ID: <",
        Gap(Slot.MESSAGE_ID, Kind.HEADER),
        ">\r\nTo: <",
        Gap(Slot.ADDRESS, Kind.HEADER),
        ">\r\n",
    )


def answering(message_ids: tuple[str, ...]) -> str:
    """Return In-Reply-To and References (RFC 5322 §3.6.4), each id on a line of its own; nothing where none is answered.

    message_ids   without angle brackets, the thread's first one first; the last is answered
    """
    if not message_ids:
        return ""
    ids = [f"<{spelled('References', one)}>" for one in message_ids]
    return f"In-Reply-To: {ids[-1]}\r\nReferences: " + "\r\n ".join(ids) + "\r\n"


def _plain(value: str) -> bool:
    # "=?" in plain text would be read as an encoded word; a word no line can hold must be encoded to be folded.
    return value.isascii() and "=?" not in value and max(map(len, value.split(" "))) <= 60


def _encodable(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _words(value: str, column: int) -> Iterator[str]:
    """Yield encoded words of whole code points (RFC 2047 §5): the first fits after `column`, the rest on lines of their own."""
    q, b = _q(value), base64.b64encode(value.encode())
    shape = "?utf-8?q?" if len(q) <= len(b) else "?utf-8?b?"
    encode = _q if len(q) <= len(b) else _b
    room = min(_WORD, _WORD_LINE - column) - len(shape) - 3
    taken = ""
    for character in value:
        if taken and len(encode(taken + character)) > room:
            yield f"={shape}{encode(taken)}?="
            taken, room = "", _WORD - len(shape) - 3
        taken += character
    yield f"={shape}{encode(taken)}?="


def _q(value: str) -> str:
    return "".join("_" if byte == 32 else chr(byte) if byte in _Q_SAFE else f"={byte:02X}" for byte in value.encode())


def _b(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
