"""Hands for the alert: ordinary mail stands aside while the urgent lane has more shards than senders.

A turn of bulk lasts half a minute, and on a machine with two children it has one of them. Where the urgent relay takes as much as
it is given, that child is what an alert lacks; where a limit of the relay holds the alert back, more hands are no help, and
the shares of the lanes decide (`delivery.throttle`).
"""

from collections.abc import Sequence

from newsletter.database import Session
from newsletter.delivery import throttle
from newsletter.ledger import shards
from newsletter.ledger.mailings import Lane
from newsletter.relay.target import Relay


def wanted(session: Session, urgent: Sequence[Relay]) -> bool:
    """Return whether a sender of bulk mail should leave its shard to what goes through these relays."""
    return shards.lacks_hands(session, Lane.URGENT) and not all(throttle.limited(session, one, "") for one in urgent)
