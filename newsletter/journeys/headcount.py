"""How many an alert would go to now: counted once, and then no more than once a minute, however often its page is asked for.

Of a million readers a count takes a second, and a page that waits asks every five. It is kept by a process of the pages and in no
row: whoever has a worker's password could write another number there, and an approver would read it. Release and worker count
for themselves.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from newsletter import database
from newsletter.database import Session
from newsletter.delivery import planning
from newsletter.journeys.waiting import waits
from newsletter.ledger import locks, mailings
from newsletter.ledger import planning as rows
from newsletter.ledger.mailings import MailingView
from newsletter.ledger.translating import Waiting, terms

LASTS = timedelta(minutes=1)
MOST = 200


@dataclass(frozen=True, slots=True)
class Counted:
    """To how many an alert would go, who waits for each of its languages that come later, and when they were counted."""

    readers: int
    waiting: tuple[Waiting, ...]
    at: datetime


class Headcount:
    """The newest counts of one process. lasts: how long each is good enough for a page."""

    def __init__(self, lasts: timedelta = LASTS) -> None:
        self._lasts = lasts
        self._kept: OrderedDict[str, Counted] = OrderedDict()
        self._turn = threading.Lock()

    def of(self, session: Session, mailing_id: int, key: str) -> Counted:
        """Return how many an alert would go to. key: another where its words or its lock are others; two at once count once."""
        now = database.now(session)
        if (kept := self._fresh(self._kept.get(key), now)) is not None:
            return kept
        with self._turn:
            kept = self._fresh(self._kept.get(key), now)
            found = kept or self._fresh(as_locked(session, mailing_id), now) or count(session, mailing_id, now=now)
            self._kept[key] = found
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
            return found

    def _fresh(self, found: Counted | None, now: datetime) -> Counted | None:
        return found if found is not None and now - found.at < self._lasts else None


def as_locked(session: Session, mailing_id: int) -> Counted | None:
    """Return the count that a lock fixed; None where none did, or where others wait besides: the lock says nothing of them."""
    view = mailings.get(session, mailing_id)
    if view.fingerprint is None or terms(view).get("later"):
        return None
    try:
        manifest = locks.of(session, mailing_id, view.fingerprint)
    except locks.Broken:
        return None
    return Counted(manifest.count, (), locks.at(session, mailing_id, manifest.number))


def count(session: Session, mailing_id: int, *, now: datetime) -> Counted:
    """Count anew."""
    view: MailingView = mailings.get(session, mailing_id)
    readers = rows.count(session, view, planning.audience(session, view))
    return Counted(readers, tuple(waits(session, view)), now)
