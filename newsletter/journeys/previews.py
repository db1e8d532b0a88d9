"""What a mailing looks like, without sending it: the same bytes, with links that do nothing."""

from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from newsletter import database
from newsletter.composer.message import Compiled
from newsletter.composer.stamping import Parts as MessageParts
from newsletter.composer.stamping import Person, Stamper
from newsletter.database import Session
from newsletter.delivery.planning import audience
from newsletter.errors import Conflict
from newsletter.issues import digests
from newsletter.journeys import versions
from newsletter.journeys.parts import Parts
from newsletter.ledger import hushed, locks, mailings, planning, variants
from newsletter.ledger.mailings import RELEASED, Kind, MailingView, State
from newsletter.ledger.variants import VariantView
from newsletter.subscribers import people


class NothingForThem(Conflict):
    """The person would not get this mailing."""

    def __init__(self, reference: str) -> None:
        super().__init__("preview.nothing", reference=reference)


def write(parts: Parts, session: Session, mailing_id: int, folder: Path, *, reference: str | None) -> list[Path]:
    """Write the versions of a mailing, or the one a person would get, as .eml, .html and .txt; return the paths."""
    now = database.now(session)
    person = _person(parts, now) if reference is None else _as(parts, session, reference, now)
    chosen = variants.of(session, mailing_id)
    if reference is not None:
        mine = _variant_for(session, mailing_id, reference)
        chosen = [variant for variant in chosen if variant.id == mine]
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for variant in chosen:
        stamper = Stamper(variants.load(session, variant.id))
        style = f"-{variant.style}" if variant.style else ""
        written += _files(folder / f"{mailing_id}-{variant.number}-{variant.language}{style}", stamper, person)
    return written


def _files(stem: Path, stamper: Stamper, person: Person) -> list[Path]:
    shown = stamper.parts(person)
    eml, html, txt = (stem.with_name(stem.name + ending) for ending in (".eml", ".html", ".txt"))
    eml.write_bytes(stamper.stamp(person))
    txt.write_text(shown.text, encoding="utf-8")
    if not shown.html:
        return [eml, txt]
    html.write_text(shown.html, encoding="utf-8")
    return [eml, html, txt]


_FOR_EVERYONE = frozenset({Kind.DIGEST, Kind.MAILING, Kind.ALERT})


def shown(parts: Parts, digest_key: str, mailing_id: int, number: int) -> MessageParts | None:
    """Return a version of a mailing as anyone may see it in the archive, or None when it is not public.

    Only what was released to the readers of this digest is public; drafts and tests are nobody's business. Of an alert that was
    taken back its retraction is shown, and of an issue that carries a withdrawn article the rest; nor of an alert what was not
    locked, or what nobody has since it was stopped.
    """
    with parts.database.transaction() as session:
        mailing = mailings.get(session, mailing_id)
        mine = mailing.digest_id == digests.by_key(session, digest_key).id
        if not mine or mailing.state not in RELEASED or mailing.kind not in _FOR_EVERYONE:
            return None
        if hushed.is_one(session, mailing_id) and not hushed.had(session, mailing_id):
            return None
        retracted = mailing.kind is Kind.ALERT and mailing.state is State.RETRACTED
        chosen = mailings.retraction_of(session, mailing_id) if retracted else mailing_id
        for variant in variants.of(session, chosen):
            if variant.number == number and (variant.held is None or mailing.kind is Kind.DIGEST):
                compiled = _compiled(session, parts, mailing, variant)
                if mailing.kind is Kind.ALERT and not _is_locked(session, mailing, compiled, retraction=retracted):
                    return None
                return Stamper(compiled).parts(_person(parts, datetime.now(UTC)))
    return None


def _compiled(session: Session, parts: Parts, mailing: MailingView, variant: VariantView) -> Compiled:
    if variant.held is None:
        return variants.load(session, variant.id)
    return versions.without_withdrawn(session, parts, mailing, variant)


def _is_locked(session: Session, mailing: MailingView, compiled: Compiled, *, retraction: bool) -> bool:
    try:
        return locks.gone(session, mailing).holds(compiled, retraction=retraction)
    except locks.Broken:
        return False


def of_version(parts: Parts, mailing_id: int, number: int, *, name: str = "") -> MessageParts | None:
    """Return a version of a mailing as a reader of that name would see it, or None; for those who write it, not for the public."""
    with parts.database.transaction() as session:
        for variant in variants.of(session, mailing_id):
            if variant.number == number:
                person = _person(parts, database.now(session), name=name)
                return Stamper(variants.load(session, variant.id)).parts(person)
    return None


def _variant_for(session: Session, mailing_id: int, reference: str) -> int:
    person = people.find(session, reference)
    mailing = mailings.get(session, mailing_id)
    found = planning.variant_for(session, mailing, audience(session, mailing), person.mailbox_id)
    if found is None:
        raise NothingForThem(reference)
    return found


def _person(parts: Parts, now: datetime, *, name: str = "", reference: str = "PREVIEW0") -> Person:
    return Person(
        address=parts.letterhead.sender_address,
        name=name,
        reference=reference,
        leave_token=parts.tokens.harmless(),
        preferences_token=parts.tokens.harmless(),
        message_id=f"preview@{parts.letterhead.domain}",
        date=format_datetime(now),
    )


def _as(parts: Parts, session: Session, reference: str, now: datetime) -> Person:
    found = people.find(session, reference)
    return _person(parts, now, name=found.name, reference=found.reference)
