"""What is handed to a relay: who it is from, who it is for, and the bytes.

The message is finished: CRLF line ends, seven-bit, lines within limits. The relay changes nothing in it.
"""

import re
from dataclasses import dataclass

from newsletter.errors import Invalid

# RFC 5321 §4.1.2: a path holds no control, no blank and no angle bracket outside a quoted string; we
# never send one inside either, because a CR LF or a ">" that slips through would start a command of its
# own.
_UNSAFE = re.compile(r"[\x00-\x20<>\x7f-\x9f\u2028\u2029\ud800-\udfff]").search


class UnsafeEnvelope(Invalid):
    """An envelope address could be read as more than an address, or is missing."""

    def __init__(self, part: str) -> None:
        super().__init__(f"relay.unsafe-{part}", part=part)


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message for one recipient.

    key        the caller's number for it, handed back unread
    sender     return path without angle brackets; empty for the null sender
    recipient  one mailbox, domain as A-labels; a local part beyond ASCII needs a relay that offers SMTPUTF8
    message    complete header and body, CRLF only, not dot-stuffed
    envid      what a report on this delivery repeats (RFC 3461 §4.4): printable ASCII; empty asks for nothing
    vouched    who made the message vouches that it is ASCII and that no line of it begins with a dot: looking costs 12 µs
    """

    key: int
    sender: str
    recipient: str
    message: bytes
    envid: str = ""
    vouched: bool = False

    def __post_init__(self) -> None:
        # One search for all three: it is made for each message.
        unsafe = _UNSAFE(f"{self.sender}{self.recipient}{self.envid}")
        if unsafe and _UNSAFE(self.sender):
            raise UnsafeEnvelope("sender")
        if not self.recipient or (unsafe and _UNSAFE(self.recipient)):
            raise UnsafeEnvelope("recipient")
        if unsafe or len(self.envid) > 100 or not self.envid.isascii():
            raise UnsafeEnvelope("envid")

    @property
    def seven_bit(self) -> bool:
        """Whether any server takes the message as it is."""
        return self.vouched or self.message.isascii()
