"""One reader's finished envelope: the stamper of their variant, their links and codes, a signature, a return path."""

import os
import socket
from collections import OrderedDict
from dataclasses import dataclass, field

from newsletter.campaigns.drills import Terms
from newsletter.composer.signing import Signer
from newsletter.composer.stamping import Person, Stamper
from newsletter.database import Database, Session
from newsletter.delivery import asking, vouching
from newsletter.delivery.leasing import Work
from newsletter.delivery.vouching import NotVouched
from newsletter.ledger import variants
from newsletter.ledger.deliveries import Row
from newsletter.ledger.manifest import Manifest
from newsletter.ledger.shards import Lease
from newsletter.relay.envelope import Envelope
from newsletter.tokens import Tokens

STAMPERS = 64


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sends.

    sender         the From address, in wire form
    bounce_domain  the domain of return paths; None where bounces come to From
    signer         signs each message; None where the relay does
    """

    sender: str
    bounce_domain: str | None
    signer: Signer | None = None
    owner: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")

    @property
    def domain(self) -> str:
        """The sending domain."""
        return self.sender.rpartition("@")[2]


class Envelopes:
    """Makes envelopes for one identity; keeps the stampers of the last 64 variants. Not for use by two threads at once."""

    def __init__(self, database: Database, tokens: Tokens, identity: Identity) -> None:
        """Remember the parts; variants are loaded on first use."""
        self._database, self._tokens, self._identity = database, tokens, identity
        self._stampers: OrderedDict[int, Stamper] = OrderedDict()
        self._vouched: set[tuple[bytes, int, str]] = set()

    def require(self, session: Session, manifest: Manifest | Terms, lease: Lease, variant: int) -> None:
        """Load a variant that a manifest vouches for. Raises NotVouched where its bytes are others.

        What was looked at is what is stamped, whatever the rows hold later.
        """
        # With the kind: an alert and its retraction have one lock, and each goes in its own words only.
        seen = (lease.fingerprint, variant, str(lease.kind))
        if seen in self._vouched:
            return
        try:
            compiled = variants.load(session, variant)
        except (ValueError, KeyError, TypeError):
            raise NotVouched(lease.mailing_id, "bytes") from None  # they are no message at all any more
        vouching.require_bytes(manifest, lease, compiled)
        self._keep(variant, Stamper(compiled))
        self._vouched.add(seen)

    def make(self, work: Work, row: Row, date: str) -> Envelope:
        """Return one recipient's finished envelope, of this date. Raises Invalid where their values fit into no message."""
        lease, reader, tokens, identity = work.lease, work.readers[row.mailbox_id], self._tokens, self._identity
        message = self._stamper(row.variant_id).stamp(self._person(work, row, date))
        if identity.signer:
            message = identity.signer.sign(message, relaxed=True)
        token = tokens.return_path(lease.mailing_id, row.mailbox_id, now=lease.planned_at)
        sender = f"{token}@{identity.bounce_domain}" if identity.bounce_domain else identity.sender
        # Whatever we write is ASCII but an address that is not, in To and From.
        plain = reader.address.isascii() and identity.sender.isascii()
        return Envelope(row.id, sender, reader.address, message, token, vouched=plain)

    def _person(self, work: Work, row: Row, date: str) -> Person:
        lease, reader, tokens, domain = work.lease, work.readers[row.mailbox_id], self._tokens, self._identity.domain
        harmless = row.subscriber_id is None
        thread = work.threads.get(row.mailbox_id, work.thread) if work.threads else work.thread
        subscriber, digest = row.subscriber_id or 0, lease.digest_id or 0
        # Dated by the planning: what goes twice goes with the same bytes.
        vault = self._database.vault
        question = asking.asked(tokens, vault, row.occasion, mailbox_id=row.mailbox_id, now=lease.planned_at)
        return Person(
            address=reader.address,
            name=reader.name,
            reference=reader.reference,
            leave_token=tokens.harmless() if harmless else tokens.leave(subscriber, digest, lease.mailing_id),
            preferences_token=tokens.harmless() if harmless else tokens.preferences(subscriber, now=lease.planned_at),
            message_id=tokens.message_id(lease.mailing_id, row.mailbox_id, row.occasion, domain),
            date=date,
            action_token=question.action,
            code=question.code,
            reply=question.reply,
            thread=tuple([tokens.message_id(one, row.mailbox_id, "", domain) for one in thread]) if thread else (),
        )

    def _stamper(self, variant_id: int) -> Stamper:
        stamper = self._stampers.get(variant_id)
        if stamper is None:
            with self._database.transaction() as session:
                stamper = Stamper(variants.load(session, variant_id))
            self._keep(variant_id, stamper)
        else:
            self._stampers.move_to_end(variant_id)
        return stamper

    def _keep(self, variant_id: int, stamper: Stamper) -> None:
        self._stampers[variant_id] = stamper
        self._stampers.move_to_end(variant_id)
        if len(self._stampers) > STAMPERS:
            gone, _ = self._stampers.popitem(last=False)
            self._vouched = {one for one in self._vouched if one[1] != gone}
