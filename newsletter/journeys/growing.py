"""Adding the further readers of an alert that goes to its first already."""

from newsletter import database
from newsletter.delivery import planning
from newsletter.jobs import DELIVER
from newsletter.journeys.parts import Parts
from newsletter.ledger import mailings


def grow(parts: Parts, mailing_id: int) -> None:
    """Write the rows of all further readers of a mailing that goes to its first already, pass by pass."""
    growing = True
    while growing:
        with parts.database.transaction() as session:
            growing = planning.grow(session, mailing_id, now=database.now(session), portions=parts.portions)
            lane = mailings.get(session, mailing_id).lane
        parts.nudger.nudge(DELIVER[lane])
