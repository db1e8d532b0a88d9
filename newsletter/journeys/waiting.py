"""Who waits for a language of an alert that comes later. Apart from its writing, since senders ask before an alert is over."""

from collections.abc import Sequence

from newsletter.database import Session
from newsletter.delivery import planning
from newsletter.ledger import translating
from newsletter.ledger.mailings import MailingView
from newsletter.ledger.translating import Waiting


def waits(session: Session, view: MailingView) -> list[Waiting]:
    """Return who waits, now, for the languages of an alert that are to come later."""
    return counted(session, view.id, list(translating.terms(view).get("later", [])))


def counted(session: Session, of: int, languages: Sequence[str]) -> list[Waiting]:
    """Return for each language how many wait for it, and how many had another."""
    if not languages:
        return []
    found = {
        one.language: one for one in translating.count(session, planning.late(session, of, languages, also_had=True))
    }
    return [found.get(one, Waiting(one, 0, 0)) for one in languages]
