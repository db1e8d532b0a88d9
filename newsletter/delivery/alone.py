"""What one person sends alone, as its time comes: it goes while whoever sends it still belongs to the team and may send,
and once somebody else has had the link that stops it for as long as the delay."""

from dataclasses import replace
from datetime import datetime, timedelta

from newsletter import database, errors
from newsletter.database import Session
from newsletter.errors import Conflict
from newsletter.ledger import locks, stop_links
from newsletter.ledger.mailings import Kind, MailingView, State
from newsletter.ledger.stop_links import StopLinks
from newsletter.operators import approval, people
from newsletter.operators.approval import Over
from newsletter.operators.night import Rule
from newsletter.operators.people import OperatorView
from newsletter.operators.roles import May


class SenderLeft(Conflict):
    """Whoever sent an alert alone was disabled while it waited, or may not send any more: nobody's word is left."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.sender-left", mailing=mailing_id)


class Unheard(Conflict):
    """No server has taken the mail to anybody else that says how to stop it: the delay was worth nothing so far."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("night.unheard", mailing=mailing_id)


class HeardLate(Conflict):
    """The mail to somebody else that says how to stop it was late: they have as long as everybody was promised."""

    def __init__(self, mailing_id: int, at: datetime) -> None:
        super().__init__("night.heard-late", mailing=mailing_id, at=errors.fact(at))


def require(session: Session, mailing: MailingView) -> None:
    """Raise why an alert does not go by itself that one person sent alone. Raises SenderLeft, Unheard, locks.Broken."""
    senders = _senders(session, mailing)
    if not senders:
        return
    _require_one(mailing, senders)
    if not _heard(session, mailing, {one.mailbox_id for one in senders}):
        raise Unheard(mailing.id)


def require_heard(session: Session, mailing: MailingView, *, delay: timedelta, now: datetime) -> None:
    """Raise why what one person sent alone goes not yet, delay: how long others have. Raises HeardLate, and as `require`."""
    require(session, mailing)
    if (at := not_before(session, mailing, delay=delay)) is not None and now < at:
        raise HeardLate(mailing.id, at)


def not_before(session: Session, mailing: MailingView, *, delay: timedelta) -> datetime | None:
    """Return until when somebody else may stop what one person sends alone: so long after a server took the first mail to them.

    None: it is none, or no server took one, or there is nobody else; or whoever sent it has left, and it goes no more.
    """
    senders = _senders(session, mailing)
    if not any(one.still(May.SEND) for one in senders):
        return None
    first = _links(session, mailing, {one.mailbox_id for one in senders}).first_at
    return first + delay if first else None


def require_sender(session: Session, mailing: MailingView) -> None:
    """Raise SenderLeft where nobody who sent an alert alone may send any more."""
    _require_one(mailing, _senders(session, mailing))


def _require_one(mailing: MailingView, senders: list[OperatorView]) -> None:
    if not any(one.still(May.SEND) for one in senders):
        raise SenderLeft(mailing.id)


def waits(session: Session, mailing: MailingView) -> bool:
    """Return whether an alert that one person sends alone has not gone yet: for its time, or for anybody else to hear of it."""
    if mailing.state is not State.APPROVED or mailing.start_at is None:
        return False
    try:
        return bool(_senders(session, mailing))
    except locks.Broken:
        return False


def put_off(session: Session, mailing: MailingView) -> bool:
    """Return whether an alert waits for that mail alone: its time has come."""
    try:
        require(session, mailing)
    except Unheard:
        return mailing.state is State.APPROVED
    except (SenderLeft, locks.Broken):
        return False
    return False


def _heard(session: Session, mailing: MailingView, own: set[int]) -> bool:
    """Return whether anybody else has the link that stops an alert; of a team of one there is nobody to tell.

    Who was disabled within a day is somebody: else whoever disables the others sends alone unheard. Where their mailbox has gone
    with them, and the link was refused for good, they are nobody.
    """
    links = _links(session, mailing, own)
    team = {one.mailbox_id for one in people.informed(session, now=database.now(session))} - own
    gone = links.refused - people.mailboxes_of_active(session)
    return bool(links.accepted) or not (team | links.refused | links.open) - gone


def _links(session: Session, mailing: MailingView, own: set[int]) -> StopLinks:
    return stop_links.of(session, mailing.id, locks.current(session, mailing.id).number, but=own)


def _senders(session: Session, mailing: MailingView) -> list[OperatorView]:
    """Return who sent an alert alone, as it is locked now; nobody where it goes by another's word, or is none."""
    if mailing.kind is not Kind.ALERT:
        return []
    lock = locks.current(session, mailing.id)
    said = approval.of(session, Over(mailing.id, lock.number, lock.fingerprint))
    found = [(people.by_id(session, one.operator or 0), one.at) for one in said if one.rule is Rule.ALONE]
    # Who was let back in since has said nothing yet: as good as gone.
    return [who if who.still(May.SEND, said_at=at) else replace(who, enrolled_at=None) for who, at in found]
