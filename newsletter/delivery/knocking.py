"""Asking a relay whether it answers, before any mail is taken for it: what waits for a silent one is nobody's."""

from newsletter.database import Database
from newsletter.delivery import standing
from newsletter.delivery.throttle import Choice
from newsletter.relay.pool import Pool
from newsletter.relay.target import Relay

BRIEF_SECONDS = 2.0
"""How long a relay is waited for where another one could take the mail; else it is given the minutes of RFC 5321."""
LATER_SECONDS = 20.0
"""How long, where another could that strangers fill, or whose day is used up: one that greets after three is the only one then."""


async def knock(pool: Pool, choice: Choice, database: Database) -> None:
    """Have a session with the chosen relay; raises opening.Unreachable.

    While it is silent it counts as away, and one process alone asks on.
    """
    brief = BRIEF_SECONDS if choice.others else LATER_SECONDS if choice.later else None
    await pool.knock(brief=brief, another=_Hold(database, pool.relay, mine=choice.probe).still)


class _Hold:
    """One process's right to ask a relay that is silent."""

    def __init__(self, database: Database, relay: Relay, *, mine: bool) -> None:
        self._database = database
        self._relay = relay
        self._mine = mine

    def still(self) -> bool:
        """Return whether it is ours to ask on: another that asks as well gives up."""
        with self._database.transaction() as session:
            self._mine = standing.hold(session, self._relay, mine=self._mine)
        return self._mine
