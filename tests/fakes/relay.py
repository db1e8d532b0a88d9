"""A relay by aiosmtpd that keeps what it is given, with the return path each message left by."""

from dataclasses import dataclass, field

from aiosmtpd.smtp import SMTP, Envelope, Session

from newsletter.cli.inbox import Inbox


@dataclass
class Relay(Inbox):
    """As an inbox; `senders` holds the envelope senders, in the order of `received`."""

    senders: list[str] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep a message; called by aiosmtpd."""
        self.senders.extend(envelope.mail_from or "" for _ in envelope.rcpt_tos)
        return await super().handle_DATA(server, session, envelope)

    def of(self, address: str) -> tuple[str, bytes]:
        """Return the return path and the bytes of the last message to an address."""
        place = max(place for place, (recipient, _) in enumerate(self.received) if recipient == address)
        return self.senders[place], self.received[place][1]
