"""A stopped alert is put before nobody any more: it is no article from then on, and no digest tells it.

The stop itself waits for none of this, and the pages' role may not do it: whoever sweeps, cuts an issue or plans one does.
"""

from datetime import datetime

from newsletter.database import Session
from newsletter.issues import withdrawal
from newsletter.ledger import hushed, mailings


def hush(session: Session, *, now: datetime) -> list[int]:
    """Withdraw what stopped alerts became as articles, and hold whatever else carries it; return their numbers. Safe to repeat.

    The mail of the alert itself is not held: whoever has it may look at it in a browser.
    """
    done = withdrawal.standing(session, hushed.listed(session))
    for alert in done:
        for article in withdrawal.of_alert(session, alert, now=now):
            mailings.hold(session, article, why=mailings.WITHDRAWN, but=alert)
    return done
