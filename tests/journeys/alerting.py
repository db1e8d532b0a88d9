"""Alerts in stories: sent to invented readers, read at the sink, and caught on the wire by a worker that dies."""

import email
import email.policy

from sqlalchemy import text

from newsletter.journeys import alert
from newsletter.ledger import books, shards
from tests import house

TEXT = "# Lorries at Sarand\n\nFourteen lorries stand at the second gate.\n"


def sent(made, tmp_path, words, count, **more):
    """Return the number of an alert to so many readers, released and not yet delivered."""
    house.add_readers(made, tmp_path, house.addresses(count))
    return alert.send(made.parts, words, digest_key=house.DIGEST, **more)


def status(made, number):
    with made.parts.database.transaction() as session:
        assert books.faults(session, number) == []
        return books.status(session, number)


def read(message):
    return email.message_from_bytes(message.content, policy=email.policy.default)


def takes_back(message):
    return read(message)["Subject"].startswith("Please disregard")


def recipients(sink, *, back):
    return sorted(message.recipient for message in sink.messages if takes_back(message) is back)


def wire(made, number, *, upto):
    """Take a shard of an alert and announce so much of it, as a worker does that is about to die."""
    with made.parts.database.transaction() as session:
        taken = shards.take(session, "urgent", owner="elsewhere:1")
        assert taken is not None
        assert taken.lease.mailing_id == number
        assert shards.announce(session, taken.lease, first=0, upto=upto) is not None
        return taken.lease


def power_fails(made):
    """The holder's machine is away, and has been for a while."""
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE shard SET lease_until = now() - interval '1 hour' WHERE owner IS NOT NULL"))
