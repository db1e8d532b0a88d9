"""Hands for the alert: ordinary mail stands aside while the urgent lane has more shards than senders.

A turn of bulk lasts half a minute, and on a machine with two children it has one of them. Where the urgent relay takes as much as
it is given, that child is what an alert lacks; where a limit of the relay holds the alert back, more hands are no help, and
the shares of the lanes decide (`delivery.throttle`). Whoever serves all lanes alone (the lifeboat) leaves bulk for any
other mail: there is nobody else to send it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from newsletter.database import Session
from newsletter.delivery import standing, throttle
from newsletter.ledger import shards
from newsletter.ledger.mailings import Lane
from newsletter.relay.target import Relay


@dataclass(frozen=True, slots=True)
class Deference:
    """Whom a sender of bulk mail stands aside for. relays: of each lane that comes first; alone: nobody else serves these lanes."""

    relays: Mapping[Lane, Sequence[Relay]]
    alone: bool = False

    @classmethod
    def of(cls, relays: Mapping[Lane, Sequence[Relay]], *, alone: bool) -> "Deference":
        """Return the deference of who has these relays."""
        return cls({lane: relays[lane] for lane in (Lane.URGENT, Lane.TRANSACTIONAL)}, alone)


def wanted(session: Session, deference: Deference) -> bool:
    """Return whether a sender of bulk mail should leave its shard."""
    if deference.alone and any(_has_work(session, lane, relays) for lane, relays in deference.relays.items()):
        return True
    urgent = deference.relays[Lane.URGENT]
    return shards.lacks_hands(session, Lane.URGENT) and not all(throttle.limited(session, one, "") for one in urgent)


def _has_work(session: Session, lane: Lane, relays: Sequence[Relay]) -> bool:
    return shards.next_mailing(session, lane) is not None and not standing.all_away(session, relays)
