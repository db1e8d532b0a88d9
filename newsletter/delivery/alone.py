"""What one person sends alone, as its time comes: it goes while whoever sends it still belongs to the team."""

from newsletter.database import Session
from newsletter.errors import Conflict
from newsletter.ledger import locks
from newsletter.ledger.mailings import Kind, MailingView
from newsletter.operators import approval, people
from newsletter.operators.approval import Over
from newsletter.operators.night import Rule
from newsletter.operators.people import OperatorView


class SenderLeft(Conflict):
    """Whoever sent an alert alone was disabled while it waited: nobody's word is left."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.sender-left", mailing=mailing_id)


def require(session: Session, mailing: MailingView) -> None:
    """Raise why an alert does not go by itself that one person sent alone. Raises SenderLeft, locks.Broken."""
    senders = _senders(session, mailing)
    if senders and not any(one.active for one in senders):
        raise SenderLeft(mailing.id)


def _senders(session: Session, mailing: MailingView) -> list[OperatorView]:
    """Return who sent an alert alone, as it is locked now; nobody where it goes by another's word, or is none."""
    if mailing.kind is not Kind.ALERT:
        return []
    lock = locks.current(session, mailing.id)
    said = approval.of(session, Over(mailing.id, lock.number, lock.fingerprint))
    return [people.by_id(session, one.operator or 0) for one in said if one.rule is Rule.ALONE]
