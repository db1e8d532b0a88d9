"""Turns at what one worker does at a time: until a transaction ends it holds a row that says nothing.

An advisory lock would do, but any role may take any of these: whoever has the password of the pages, and stays connected, keeps
mail back in silence by one. Nobody locks a row that they may not change, and to these the pages' role has no right. What pages do
in turn themselves (the audit, presses, what lies in the spool) has advisory locks.
"""

from enum import StrEnum
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from newsletter.models.turn import Turn


class What(StrEnum):
    """At what there is a turn. The rows of each are made by a migration."""

    GROWING = "growing"
    LANGUAGE = "later language"
    SIGNUPS = "sign-ups"


PLACES = 64
"""How many rows each has. Of a mailing's there is none to be made first: two whose numbers are so far apart share one."""


def take(session: Session, what: What, of: int = 0) -> bool:
    """Return whether nobody else is at it; nobody will be until the transaction is over.

    of   the mailing whose turn it is, where each has its own
    """
    return session.execute(_row(what, of).with_for_update(key_share=True, skip_locked=True)).first() is not None


def wait(session: Session, what: What, of: int = 0) -> None:
    """Take a turn as `take` does; whoever is at it ends first. Raises OperationalError (LockNotAvailable) after twenty seconds."""
    session.execute(_row(what, of).with_for_update(key_share=True)).one()


def _row(what: What, of: int) -> Select[Any]:
    return select(Turn.place).where(Turn.what == what, Turn.place == of % PLACES)
