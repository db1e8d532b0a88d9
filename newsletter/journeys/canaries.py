"""Addresses of our own that live in the list like any reader's: mail to them that is not ours says that somebody else has it."""

import csv
import io

from newsletter import database
from newsletter.addresses import EmailAddress
from newsletter.database import Session
from newsletter.issues import cutting, digests
from newsletter.issues.digests import DigestView
from newsletter.journeys.parts import Parts
from newsletter.subscribers import consent, importing, people
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.people import UnknownPerson
from newsletter.subscribers.tables import ImportBusy

EVIDENCE = "canary: an address of our own"


def settle(parts: Parts) -> int:
    """Let each canary take each digest that it never took; return how many began. Who left one stays away from it."""
    if not parts.canaries:
        return 0
    with parts.database.transaction() as session:
        wanted = [(one, found) for one in digests.listed(session) if (found := _missing(session, parts.canaries, one))]
    return sum(_bring(parts, digest, found) for digest, found in wanted)


def waiting(parts: Parts) -> int:
    """Return how many of them the list does not hold yet: a worker's next minute puts them in."""
    with parts.database.transaction() as session:
        return sum(not _known(session, one) for one in parts.canaries)


def _known(session: Session, canary: EmailAddress) -> bool:
    try:
        people.find_by_address(session, canary)
    except UnknownPerson:
        return False
    return True


def _missing(session: Session, canaries: tuple[EmailAddress, ...], digest: DigestView) -> list[EmailAddress]:
    return [one for one in canaries if not _had(session, one, digest)]


def _had(session: Session, canary: EmailAddress, digest: DigestView) -> bool:
    try:
        person = people.find_by_address(session, canary)
    except UnknownPerson:
        return False
    return consent.was_granted(session, person.id, purpose=consent.of_digest(digest.id))


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
