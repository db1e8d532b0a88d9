"""What a message must not be: too large, without a postal address, with links that mail clients drop."""

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


def warnings(compiled: Compiled) -> list[str]:
    """Return what an operator should know before sending: ids of sentences of the catalogue."""
    return ["mail.nearly-too-large"] if size(compiled) > WARN_BYTES else []
