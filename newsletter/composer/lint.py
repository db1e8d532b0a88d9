"""What a message must not be: too large, without a postal address, with links that mail clients drop."""

import html
import re
from collections.abc import Iterator

from newsletter.composer.content import Frame
from newsletter.composer.message import Compiled, Gap
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
    """Return how large the HTML part may be for a reader, in bytes: its static text and 100 for each gap."""
    return compiled.html_bytes + 100 * sum(isinstance(piece, Gap) for piece in compiled.html)


def require(compiled: Compiled, frame: Frame) -> Compiled:
    """Return the message, or raise TooLarge or NoPostalAddress."""
    if size(compiled) > LARGEST_BYTES:
        raise TooLarge(size(compiled))
    if not frame.postal_address.strip():
        raise NoPostalAddress
    return compiled


_HREF = re.compile(r"""\bhref=["']([^"']+)["']""", re.IGNORECASE)
_SRC = re.compile(r"""\b(?:src|background)=["']([^"']+)["']""", re.IGNORECASE)


def links(compiled: Compiled) -> Iterator[str]:
    """Yield where a reader may be led; a gap for a reader's own value is written as {name of the slot}."""
    return _found(_HREF, compiled)


def images(compiled: Compiled) -> Iterator[str]:
    """Yield which pictures a mail program would fetch."""
    return _found(_SRC, compiled)


def _found(pattern: re.Pattern[str], compiled: Compiled) -> Iterator[str]:
    whole = "".join(piece if isinstance(piece, str) else f"{{{piece.slot}}}" for piece in compiled.html)
    return (html.unescape(found) for found in pattern.findall(whole))


def warnings(compiled: Compiled) -> list[str]:
    """Return what an operator should know before sending: ids of sentences of the catalogue."""
    return ["mail.nearly-too-large"] if size(compiled) > WARN_BYTES else []
