"""Somebody is erased: each noun forgets what it claims, and a file outside of every dump remembers that it did.

What stays: counts; events of consent that name a number which is nobody's any more; rows of the ledger by the number of a mailbox
without an address, until they end as counts; and, unless the person wishes otherwise, a keyed digest of the address beside the
entry "never again", so that no list brings them back. An operator wishes nothing otherwise for who left or complained.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from newsletter import database, mailboxes
from newsletter.addresses import EmailAddress
from newsletter.bounces import personal as letters
from newsletter.database import Session
from newsletter.errors import Conflict, NewsletterError
from newsletter.journeys.parts import Parts
from newsletter.ledger import personal as mails
from newsletter.mailboxes import UnknownMailbox, Whose
from newsletter.operators import audit
from newsletter.operators import people as operators
from newsletter.operators.audit import LINK, WORKER
from newsletter.subscribers import erasures, people, signup, tables
from newsletter.subscribers import personal as readers
from newsletter.subscribers.erasures import Entry
from newsletter.subscribers.people import PersonView, UnknownPerson
from newsletter.vault import CannotUnseal

log = structlog.get_logger()


class ListComesIn(Conflict):
    """Nobody is erased while a list comes in or is taken back, which may be bringing them anew or forgetting them."""

    def __init__(self) -> None:
        super().__init__("erasures.list-comes-in")


@dataclass(frozen=True, slots=True)
class Erased:
    """What was done. team: the address stays, since it is that of somebody who logs in."""

    reference: str
    may_come_back: bool
    team: bool


def whose(session: Session, *, reference: str | None = None, address: EmailAddress | None = None) -> Whose:
    """Return whose data is meant, by the reference of a footer or by an address, reader or not. Raises UnknownPerson."""
    if reference is not None:
        return of_reader(session, people.find(session, reference))
    mailbox_id = mailboxes.find(session, address) if address else None
    if mailbox_id is None:
        raise UnknownPerson
    try:
        return of_reader(session, people.find_by_address(session, address)) if address else _nobody(session, mailbox_id)
    except UnknownPerson:
        return _nobody(session, mailbox_id)


def of_reader(session: Session, person: PersonView) -> Whose:
    """Return a reader as those know them who export and erase."""
    at = mailboxes.since(session, person.mailbox_id)
    return Whose(person.mailbox_id, person.id, person.reference, _address(session, person.mailbox_id), at)


def _nobody(session: Session, mailbox_id: int) -> Whose:
    """Somebody who never became a reader: they signed up and never answered, wrote to us, or are on the do-not-mail list."""
    at = mailboxes.since(session, mailbox_id)
    return Whose(mailbox_id, None, "", _address(session, mailbox_id), at)


def _address(session: Session, mailbox_id: int) -> EmailAddress | None:
    try:
        return mailboxes.open(session, mailbox_id)
    except (UnknownMailbox, CannotUnseal):
        return None


def erase(parts: Parts, meant: Whose, *, by: int | str, may_come_back: bool = False) -> Erased:
    """Erase somebody for good, and return what was done. Safe to repeat. Raises JournalUnwritable, ListComesIn.

    may_come_back   not even a fingerprint stays: a list that somebody brings may name them again. Of whoever left, complained or
                    wants no mail ever again it stays all the same, unless they wish so themselves (by=LINK)
    """
    with parts.database.transaction() as session:
        _claim(session)
        meant = _by_now(session, meant)
        now = database.now(session)
        may_come_back = may_come_back and (by == LINK or not readers.must_stay_out(session, meant))
        marks = [erasures.of_mailbox(session, meant.mailbox_id, meant.since)]
        if meant.subscriber_id is not None:
            marks.insert(0, erasures.of_reader(session, meant.reference))
        entry = Entry(tuple(marks), may_come_back, now)
        team = _forget(session, meant, entry)
        # Before the commit: what is not in the file would come back with a backup. A line without its erasure is made good.
        erasures.write(parts.journal, entry)
        erasures.add(session, entry, by=str(by))
        audit.append(session, "person.erased", by=by, now=now, mailbox=meant.mailbox_id, may_come_back=may_come_back)
    return Erased(meant.reference, may_come_back, team)


def _claim(session: Session) -> None:
    if not tables.none_comes_in(session):
        raise ListComesIn
    # A worker that is making a reader of them ends first: else they would stay, with their name and without an address.
    signup.wait(session)


def _by_now(session: Session, meant: Whose) -> Whose:
    """Return whose data is meant as it is now: a list or their yes may have made a reader of them since they were looked up."""
    reader = people.of_mailbox(session, meant.mailbox_id, alone=True)
    return of_reader(session, reader) if reader else meant


def must_stay_out(parts: Parts, meant: Whose) -> bool:
    """Whether an operator erases somebody only with a fingerprint: they said what nobody but they may take back."""
    with parts.database.transaction() as session:
        return readers.must_stay_out(session, meant)


def _forget(session: Session, meant: Whose, entry: Entry) -> bool:
    """Let each noun forget; return whether the address stays because its owner logs in here."""
    mails.forget(session, meant)
    letters.forget(session, meant)
    readers.forget(session, meant, may_come_back=entry.may_come_back, now=entry.at)
    team = bool(operators.of_mailboxes(session, [meant.mailbox_id]))
    if not team:
        mailboxes.forget(session, [meant.mailbox_id], keep_index=not entry.may_come_back)
    return team


def undone(parts: Parts) -> bool:
    """Whether the database is a backup from before the newest erasure. One look-up."""
    newest = erasures.last(parts.journal)
    if newest is None:
        return False
    with parts.database.transaction() as session:
        return bool(erasures.unknown(session, [newest]))


def reapply(parts: Parts, *, by: str = WORKER, every: bool = False) -> int:
    """Erase again those whom a restored backup has brought back; return how many were there. Raises ListComesIn.

    every   also readers whose erasure the database knows of, and who are there all the same: a table was restored by itself
    """
    entries = erasures.read(parts.journal)
    with parts.database.transaction() as session:
        undone = erasures.unknown(session, entries)
        found = _readers(session, entries if every else undone)
        # A mailbox is kept for its fingerprint, and its owner may have joined again: of what is known nothing is undone here.
        found += _others(session, undone, {meant.mailbox_id for meant, _ in found})
    if not undone and not found:
        return 0
    for meant, entry in found:
        with parts.database.transaction() as session:
            _claim(session)
            _forget(session, meant, entry)
    with parts.database.transaction() as session:
        for entry in undone:
            erasures.add(session, entry, by=by)
        now = database.now(session)
        audit.append(session, "erasures.reapplied", by=by, now=now, entries=len(undone), people=len(found))
    log.warning("erasures done again", entries=len(undone), people=len(found))
    return len(found)


def _readers(session: Session, entries: Iterable[Entry]) -> list[tuple[Whose, Entry]]:
    """Return the readers among those who are to be gone."""
    wanted = {mark: entry for entry in entries for mark in entry.marks}
    hits = [(number, wanted[mark]) for number, _, mark in erasures.readers(session) if mark in wanted] if wanted else []
    people_ = [(people.by_id(session, number), entry) for number, entry in hits]
    return [(of_reader(session, person), entry) for person, entry in people_ if person is not None]


def _others(session: Session, entries: Iterable[Entry], seen: set[int]) -> list[tuple[Whose, Entry]]:
    """Return the mailboxes of those who are to be gone and are no readers here."""
    wanted = {mark: entry for entry in entries for mark in entry.marks}
    if not wanted:
        return []
    marked = ((box, wanted.get(erasures.of_mailbox(session, box, at))) for box, at in mailboxes.all_since(session))
    hits = [(box, entry) for box, entry in marked if entry is not None and box not in seen]
    return [(meant, entry) for meant, entry in ((_nobody(session, box), entry) for box, entry in hits) if meant.address]


def after_restore(parts: Parts) -> int:
    """Erase again where the database is an older backup; return how many people. Never an error: mail must go on."""
    try:
        return reapply(parts) if undone(parts) else 0
    except (NewsletterError, OSError) as error:
        log.error("erasures cannot be done again", why=type(error).__name__)
        return 0
