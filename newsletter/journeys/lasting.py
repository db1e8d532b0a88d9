"""How long an alert may go that an authority's message asks for: as long as the message says, and no longer."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from newsletter import errors
from newsletter.campaigns import alerts
from newsletter.campaigns.cap import CapMessage
from newsletter.database import Session
from newsletter.errors import Conflict
from newsletter.ledger import mailings
from newsletter.ledger.mailings import MailingView

_UNTIL = "until"


class MessageOver(Conflict):
    """The authority's message, of which an alert was made, was valid until a moment that has passed."""

    def __init__(self, mailing_id: int, until: datetime) -> None:
        super().__init__("alert.message-over", mailing=mailing_id, until=errors.fact(until))


def stored(message: CapMessage) -> dict[str, str]:
    """Return what stands in a draft of how long its message holds: the largest that it says; nothing where it says none."""
    ends = [info.expires for info in message.infos if info.expires is not None]
    return {_UNTIL: max(ends).isoformat()} if ends else {}


def kept(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a draft's content what stays, whoever writes in it."""
    return {_UNTIL: content[_UNTIL]} if _UNTIL in content else {}


def without(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a draft's content without it."""
    return {name: value for name, value in content.items() if name != _UNTIL}


def until(session: Session, view: MailingView) -> datetime | None:
    """Return until when the message holds of which an alert was made, or that of which it is a language; None: no message says."""
    of = view if view.translates is None else mailings.get(session, view.translates)
    said = of.content.get(_UNTIL)
    return datetime.fromisoformat(said) if said else None


def expires(session: Session, view: MailingView, *, now: datetime) -> datetime:
    """Return when an alert expires that is locked now. Raises MessageOver."""
    over = until(session, view)
    if over is not None and over <= now:
        raise MessageOver(view.id, over)
    usual = now + alerts.EXPIRES_AFTER
    return usual if over is None else min(usual, over)


def latest(session: Session, view: MailingView, expires_at: datetime) -> datetime:
    """Return up to when the team may put that off."""
    over, usual = until(session, view), expires_at + alerts.PUT_OFF
    return usual if over is None else min(usual, over)
