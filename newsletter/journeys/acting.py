"""Who asks, and over which alert: what every story of alerts looks at first."""

from newsletter.database import Session
from newsletter.errors import Conflict
from newsletter.journeys.parts import Parts
from newsletter.ledger import mailings
from newsletter.ledger.mailings import Kind, MailingView
from newsletter.operators import people, roles
from newsletter.operators.roles import May


class NotAnAlert(Conflict):
    """The number is that of another kind of mailing."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.not-an-alert", mailing=mailing_id)


def an_alert(session: Session, mailing_id: int) -> MailingView:
    """Return an alert. Raises NotAnAlert, UnknownMailing."""
    view = mailings.get(session, mailing_id)
    if view.kind is not Kind.ALERT:
        raise NotAnAlert(mailing_id)
    return view


def allowed(parts: Parts, by: int | None, act: May) -> None:
    """Raise where the operator who is named may not do this. None: whoever runs the machine."""
    if by is None:
        return
    with parts.database.transaction() as session:
        operator = people.by_id(session, by)
        if not operator.active:
            raise people.Disabled(by)
        roles.require(operator.may, act)
