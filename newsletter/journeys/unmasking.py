"""Somebody of the team is shown a person in clear: a few alone; more is the list itself, person by person, and takes two.

People count once within the 30 days of `listing.COUNTED`, together with what the same officer took out alone. Beyond that an export
that another agreed to opens them too, for its hour and as many people as it is for. Where nobody is of the team yet there is no
second one, and whoever types has the machine and its keys: nothing is counted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from newsletter import database
from newsletter.database import Session
from newsletter.errors import Forbidden
from newsletter.journeys.parts import Parts
from newsletter.operators import audit
from newsletter.operators.audit import Entry
from newsletter.subscribers import listing

FEW = 3
"""So many people may be shown to one alone whatever else they took: a regulator's question is answered on any day."""
LETTERS = 100
"""So many letters within 30 days are shown to one officer with their address, at least: whoever answers them looks nobody up."""
REPORTED, EXPORTED, ASKED, READ = "person.reported", "person.exported", "list.asked", "letter.read"


class NeedsAnother(Forbidden):
    """So many people are not shown in clear to one alone."""

    def __init__(self, most: int) -> None:
        super().__init__("people.needs-another", most=most)


@dataclass(frozen=True, slots=True)
class Leave:
    """Whether somebody may be shown one more. export: the one that two agreed to, where one alone may not."""

    given: bool
    most: int
    export: int | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """Return what the row of the act says of it: the next act is counted by that."""
        if not self.given:
            return {"refused": True}
        return {"export": self.export} if self.export else {}

    def require(self) -> None:
        """Raise NeedsAnother where it is not given; that somebody asked is committed by then."""
        if not self.given:
            raise NeedsAnother(self.most)


def leave(session: Session, parts: Parts, who: int | str, mailbox_id: int) -> Leave:
    """Return whether somebody may be shown a person in clear; no two of theirs at once may be counted by it."""
    most = max(parts.export_alone, FEW)
    if not isinstance(who, int):
        return Leave(True, most)
    now = database.now(session)
    lately = _lately(session, who, now)
    shown = _alone(lately)
    taken = listing.taken_alone(session, who, now=now)
    if mailbox_id in shown or len(shown) < FEW or len(shown) + taken < parts.export_alone:
        return Leave(True, most)
    export = _agreed(session, lately, who, mailbox_id, now)
    return Leave(export is not None, most, export)


def of_letter(session: Session, parts: Parts, who: int | str, letter: int) -> bool:
    """Return whether somebody may be shown whom a letter is from; no two of theirs at once may be counted by it.

    Letters count by themselves: whoever reads them all month can still answer a regulator.
    """
    if not isinstance(who, int):
        return True
    lately = audit.since(session, READ, by=who, at=database.now(session) - listing.COUNTED)
    shown = {row.facts.get("letter", 0) for row in lately if not row.facts.get("masked")}
    return letter in shown or len(shown) < max(parts.export_alone, LETTERS)


def count(session: Session, by: int, *, now: datetime) -> int:
    """Return how many people somebody was shown alone lately; no two of theirs at once may be counted by it."""
    return len(_alone(_lately(session, by, now)))


def _lately(session: Session, by: int, now: datetime) -> list[Entry]:
    return audit.since(session, REPORTED, EXPORTED, ASKED, by=by, at=now - listing.COUNTED)


def _alone(lately: Iterable[Entry]) -> set[int]:
    """Return whose rows say neither that it was refused nor that another agreed."""
    mine = (row.facts for row in lately if row.act != ASKED)
    return {facts.get("mailbox", 0) for facts in mine if not {"refused", "export"} & facts.keys()}


def _agreed(session: Session, lately: Iterable[Entry], by: int, mailbox_id: int, now: datetime) -> int | None:
    """Return an export that another agreed to, of which everybody was told, and that is for one more."""
    told = {row.facts.get("export") for row in lately if row.act == ASKED and not row.facts.get("alone", True)}
    for found in listing.agreed(session, by, now=now):
        under = (row.facts for row in lately if row.act != ASKED and row.facts.get("export") == found.id)
        shown = {facts.get("mailbox", 0) for facts in under}
        if found.id in told and len(shown | {mailbox_id}) <= found.people:
            return found.id
    return None
