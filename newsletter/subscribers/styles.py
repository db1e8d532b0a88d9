"""Readers at risk: how their mail is to look, and that no name of theirs is kept.

What a style does to a mail is the composer's; which styles a mailing is composed in hangs on who its readers are.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import exists, select, update

from newsletter.composer.styles import Style
from newsletter.database import Session
from newsletter.errors import NotFound
from newsletter.models.subscriber import Subscriber, Subscription


class NobodyThere(NotFound):
    """The person has been erased."""

    def __init__(self) -> None:
        super().__init__("person.unknown")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a reader asked for. nameless: their name is not kept."""

    style: Style
    nameless: bool = False


def of(session: Session, subscriber_id: int) -> Wish:
    """Return what a reader asked for. Raises NobodyThere."""
    wanted = select(Subscriber.style, Subscriber.nameless).where(Subscriber.id == subscriber_id)
    found = session.execute(wanted).one_or_none()
    if found is None:
        raise NobodyThere
    return Wish(Style.parse(found.style), found.nameless)


def of_mailboxes(session: Session, mailbox_ids: Iterable[int]) -> dict[int, str]:
    """Return the code of the style in which mail to a mailbox comes, for those of some that are a reader's who asked for one."""
    query = select(Subscriber.mailbox_id, Subscriber.style)
    asked = query.where(Subscriber.mailbox_id.in_(list(mailbox_ids)), Subscriber.style != "")
    return {row.mailbox_id: row.style for row in session.execute(asked)}


def choose(session: Session, subscriber_id: int, wish: Wish) -> bool:
    """Keep what a reader asks for; return whether it was something else before. Safe to repeat. Raises NobodyThere.

    A name that is kept is deleted by the database in the same statement, and none is taken in any more, whoever brings it. The
    caller cancels mail not yet handed over that would show more, in the same transaction.
    """
    if of(session, subscriber_id) == wish:
        return False
    mine = update(Subscriber).where(Subscriber.id == subscriber_id)
    statement = mine.values(style=wish.style.code, nameless=wish.nameless)
    session.execute(statement.execution_options(synchronize_session=False))
    session.expire_all()
    return True


def of_readers(session: Session, digest_id: int) -> list[str]:
    """Return the styles that readers of a digest have, as they are stored; those who have none aside.

    By the index of those who have one: a million who have none are not looked at.
    """
    live = (
        Subscription.subscriber_id == Subscriber.id,
        Subscription.digest_id == digest_id,
        Subscription.ended_at.is_(None),
    )
    found = select(Subscriber.style).where(Subscriber.style != "", exists().where(*live)).distinct()
    return sorted(session.execute(found).scalars())
