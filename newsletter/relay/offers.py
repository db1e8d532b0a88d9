"""What a server offered in its answer to EHLO, and how envelopes are introduced to it accordingly: pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from newsletter.relay.envelope import Envelope
from newsletter.relay.outcome import Rejected, Stage
from newsletter.relay.reply import Reply


@dataclass(frozen=True, slots=True)
class Offers:
    """The extensions that matter here.

    pipelining  RFC 2920
    size        RFC 1870: the parameter may be given
    limit       bytes of the largest message it takes; None where no fixed limit is known
    eight_bit   RFC 6152
    utf8        RFC 6531
    dsn         RFC 3461
    """

    pipelining: bool = False
    size: bool = False
    limit: int | None = None
    eight_bit: bool = False
    utf8: bool = False
    dsn: bool = False

    @classmethod
    def of(cls, extensions: Mapping[str, str]) -> "Offers":
        """Return the offers of an EHLO answer: keyword in small letters → parameters."""
        return cls(
            pipelining="pipelining" in extensions,
            size="size" in extensions,
            limit=_limit(extensions.get("size", "")),
            eight_bit="8bitmime" in extensions,
            utf8="smtputf8" in extensions,
            dsn="dsn" in extensions,
        )

    def plainly(self) -> "Offers":
        """Return what is left when one thing is said after the other and nothing that is not asked for: RFC 5321 alone."""
        return replace(self, pipelining=False, size=False, dsn=False)

    def hindrance(self, envelope: Envelope) -> Rejected | None:
        """Return why this server cannot carry an envelope, found before anything is said about it."""
        size = len(envelope.message)
        if self.limit is not None and size > self.limit:
            words = f"the message has {size} bytes, the relay takes {self.limit}"
            return Rejected(Reply(552, "5.3.4", words), Stage.MAIL)
        # RFC 6531 §3.1: who offers SMTPUTF8 offers 8BITMIME too, and the address stands in the message.
        if not (self.utf8 and self.eight_bit) and not _plain(envelope):
            words = "the relay does not offer SMTPUTF8 with 8BITMIME, which this address needs"
            return Rejected(Reply(553, "5.6.7", words), Stage.RCPT)
        if not self.eight_bit and not envelope.seven_bit:
            words = "the relay does not offer 8BITMIME, which this message needs"
            return Rejected(Reply(554, "5.6.3", words), Stage.MAIL)
        return None

    def mail(self, envelope: Envelope) -> bytes:
        """Return the MAIL command, without its line end."""
        parameters = f" SIZE={len(envelope.message)}" if self.size else ""
        if not envelope.seven_bit:
            parameters += " BODY=8BITMIME"
        if not _plain(envelope):
            parameters += " SMTPUTF8"
        if self.dsn:
            # RFC 3461 §4.3: the return path is a token of its own, so the headers are enough to know the message.
            parameters += " RET=HDRS" + (f" ENVID={xtext(envelope.envid)}" if envelope.envid else "")
        return f"MAIL FROM:<{envelope.sender}>{parameters}".encode()

    def rcpt(self, envelope: Envelope) -> bytes:
        """Return the RCPT command, without its line end."""
        if self.dsn and envelope.recipient.isascii():
            original = xtext(envelope.recipient)
            return f"RCPT TO:<{envelope.recipient}> NOTIFY=FAILURE,DELAY ORCPT=rfc822;{original}".encode()
        return f"RCPT TO:<{envelope.recipient}>".encode()


def _limit(digits: str) -> int | None:
    """RFC 1870 §4: no number, or 0, means that no fixed limit is known; nor is one of more than its twenty digits."""
    return int(digits) or None if digits.isdecimal() and len(digits) <= 20 else None


def _plain(envelope: Envelope) -> bool:
    return envelope.sender.isascii() and envelope.recipient.isascii()


def xtext(text: str) -> str:
    """Return ASCII text as a parameter's value may be written (RFC 3461 §4): "+" and "=" as hexadecimal."""
    if text.isalnum():
        return text
    return "".join(f"+{ord(letter):02X}" if letter in "+=" or not "!" <= letter <= "~" else letter for letter in text)
