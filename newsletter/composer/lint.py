"""What a message must not be: too large, without a postal address, with links that mail clients drop."""

import html
import re
from collections.abc import Iterable, Iterator

from newsletter.composer.content import Frame
from newsletter.composer.message import Compiled, Gap, Piece
from newsletter.errors import Invalid

LARGEST_BYTES = 100_000
"""Gmail clips a message whose HTML is above about 102 kB, and with it the unsubscribe link."""
WARN_BYTES = 80_000


class TooLarge(Invalid):
    """The message is larger than mail clients show."""

    def __init__(self, size: int) -> None:
        super().__init__("mail.too-large", size=size // 1000, limit=LARGEST_BYTES // 1000)


class NoPostalAddress(Invalid):
    """Bulk mail without a postal address may not be released (CAN-SPAM §7704, CASL §6)."""

    def __init__(self) -> None:
        super().__init__("mail.no-postal-address")


def size(compiled: Compiled) -> int:
    """Return how large the HTML part may be for a reader, in bytes: its static text and 100 for each gap. Without one, the text."""
    pieces = compiled.html or compiled.text
    return sum(100 if isinstance(piece, Gap) else len(piece.encode()) for piece in pieces)


def require(compiled: Compiled, frame: Frame) -> Compiled:
    """Return the message, or raise TooLarge or NoPostalAddress."""
    if size(compiled) > LARGEST_BYTES:
        raise TooLarge(size(compiled))
    if not frame.postal_address.strip():
        raise NoPostalAddress
    return compiled


_HREF = re.compile(r"""\bhref=["']([^"']+)["']""", re.IGNORECASE)
_SRC = re.compile(r"""\b(?:src|background)=["']([^"']+)["']""", re.IGNORECASE)


_WRITTEN = re.compile(r"(?:https?://|mailto:|tel:)[^\s<>()]*[^\s<>().,;:!?]")


def links(compiled: Compiled) -> Iterator[str]:
    """Yield where a reader may be led; a gap for a reader's own value is written as {name of the slot}.

    Of a message of plain text alone: every address that is written in it.
    """
    if not compiled.html:
        return iter(_WRITTEN.findall(_whole(compiled.text)))
    return _found(_HREF, compiled)


def images(compiled: Compiled) -> Iterator[str]:
    """Yield which pictures a mail program would fetch."""
    return _found(_SRC, compiled)


def _found(pattern: re.Pattern[str], compiled: Compiled) -> Iterator[str]:
    return (html.unescape(found) for found in pattern.findall(_whole(compiled.html)))


def _whole(pieces: Iterable[Piece]) -> str:
    return "".join(piece if isinstance(piece, str) else f"{{{piece.slot}}}" for piece in pieces)


def warnings(compiled: Compiled) -> list[str]:
    """Return what an operator should know before sending: ids of sentences of the catalogue."""
    return ["mail.nearly-too-large"] if size(compiled) > WARN_BYTES else []
