"""Addresses of our own that live in the list like any reader's: mail to them that is not ours says that somebody else has it."""

import csv
import io

from newsletter import database, mailboxes
from newsletter.addresses import EmailAddress
from newsletter.database import Session
from newsletter.issues import cutting, digests
from newsletter.issues.digests import DigestView
from newsletter.journeys.parts import Parts
from newsletter.subscribers import consent, importing, listing, people, subscriptions, suppression
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.people import PersonView, UnknownPerson
from newsletter.subscribers.tables import ImportBusy

EVIDENCE = "canary: an address of our own"


def settle(parts: Parts) -> int:
    """Let each canary take each digest that it never took; return how many began.

    Who left one stays away from it, and who left everything or is on the do-not-mail list from all: no list may bring them in.
    """
    if not parts.canaries:
        return 0
    with parts.database.transaction() as session:
        wanted = [(one, found) for one in digests.listed(session) if (found := _missing(session, parts.canaries, one))]
    return sum(_bring(parts, digest, found) for digest, found in wanted)


def lacking(parts: Parts) -> bool:
    """Return whether the list is so long that taking it takes two, and no address of ours is named that would mark a copy."""
    with parts.database.transaction() as session:
        return not parts.canaries and listing.count(session, None) > parts.export_alone


def waiting(parts: Parts) -> int:
    """Return how many of them the list does not hold yet: a worker's next minute puts them in."""
    with parts.database.transaction() as session:
        return sum(not _known(session, one) and not _suppressed(session, one) for one in parts.canaries)


def barred(parts: Parts) -> int:
    """Return how many of them take nothing any more, or must not be written to: no list brings them in again."""
    with parts.database.transaction() as session:
        return sum(_suppressed(session, one) or _left(session, one) for one in parts.canaries)


def _left(session: Session, canary: EmailAddress) -> bool:
    person = _person(session, canary)
    return person is not None and not subscriptions.of(session, person.id)


def _known(session: Session, canary: EmailAddress) -> bool:
    return _person(session, canary) is not None


def _person(session: Session, canary: EmailAddress) -> PersonView | None:
    try:
        return people.find_by_address(session, canary)
    except UnknownPerson:
        return None


def _missing(session: Session, canaries: tuple[EmailAddress, ...], digest: DigestView) -> list[EmailAddress]:
    return [one for one in canaries if not _had(session, one, digest) and not _barred(session, one, digest)]


def _had(session: Session, canary: EmailAddress, digest: DigestView) -> bool:
    person = _person(session, canary)
    return person is not None and consent.was_granted(session, person.id, purpose=consent.of_digest(digest.id))


def _barred(session: Session, canary: EmailAddress, digest: DigestView) -> bool:
    person = _person(session, canary)
    said_no = person is not None and consent.said_no_to(session, person.id, digest.id)
    return said_no or _suppressed(session, canary)


def _suppressed(session: Session, canary: EmailAddress) -> bool:
    box = mailboxes.find(session, canary)
    return box is not None and bool(suppression.reasons(session, box))


def _bring(parts: Parts, digest: DigestView, found: list[EmailAddress]) -> int:
    table = io.StringIO()
    csv.writer(table).writerows([("email",), *((one.wire,) for one in found)])
    with parts.database.transaction() as session:
        now = database.now(session)
        had_to = cutting.last_cut(session, digest.id, digest.rhythm)
    terms = importing.Terms(digest.id, digest.languages[0], digest.rhythm, Basis.IMPORTED, had_to, now)
    try:
        done = importing.import_csv(
            parts.database,
            io.BytesIO(table.getvalue().encode()),
            terms=terms,
            evidence=EVIDENCE,
            rejects=parts.home / "rejects",
        )
    except ImportBusy:
        return 0  # the next minute does it
    return done.added + done.changed
