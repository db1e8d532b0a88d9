"""Whom to call about an alert: who wrote it, who may approve it, who may lock and send it, and with which passkeys."""

from dataclasses import dataclass

from newsletter.database import Session
from newsletter.journeys import acting, telling
from newsletter.journeys.parts import Parts
from newsletter.ledger import locks
from newsletter.ledger.mailings import MailingView
from newsletter.operators import factors, people
from newsletter.operators.people import OperatorView
from newsletter.operators.roles import May


@dataclass(frozen=True, slots=True)
class People:
    """Whom to call, by name.

    author      who locked it, else whoever wrote in it
    approvers   who may approve it, or could once it is locked: not who wrote in it
    senders     who may lock and send it
    """

    author: tuple[str, ...]
    approvers: tuple[str, ...]
    senders: tuple[str, ...]


def whom(parts: Parts, mailing_id: int) -> People:
    """Return whom to call about an alert. Raises UnknownMailing, NotAnAlert."""
    with parts.database.transaction() as session:
        view = acting.an_alert(session, mailing_id)
        author, writers = _author(session, view), view.content.get("by", ())
        wrote = [author] if author is not None else writers
        return People(
            tuple(people.by_id(session, one).name for one in wrote),
            tuple(one.name for one in telling.approvers(session, (author, *writers))),
            tuple(one.name for one in people.active(session) if May.SEND in one.may),
        )


def approvers(parts: Parts, mailing_id: int) -> list[OperatorView]:
    """Return who may approve an alert that is locked, or could once it is: not who wrote in it."""
    with parts.database.transaction() as session:
        view = acting.an_alert(session, mailing_id)
        return telling.approvers(session, (_author(session, view), *view.content.get("by", ())))


def signers(parts: Parts, operator_id: int) -> list[bytes]:
    """Return the credentials by which an operator may sign."""
    with parts.database.transaction() as session:
        return [one.credential for one in factors.passkeys_of(session, operator_id)]


def _author(session: Session, view: MailingView) -> int | None:
    return locks.of(session, view.id, view.fingerprint).author if view.fingerprint else None
