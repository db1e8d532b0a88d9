"""What we hold of one person: for the person who asks, for the regulator who asks about them, and for their own page."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import structlog

from newsletter import database, mailboxes
from newsletter.addresses import EmailAddress
from newsletter.bounces import personal as letters
from newsletter.database import Session
from newsletter.delivery import asking
from newsletter.errors import Conflict, NewsletterError
from newsletter.issues import digests
from newsletter.jobs import PRIVACY, SIGNUPS
from newsletter.journeys import acting, canaries, erasing, retention, unmasking
from newsletter.journeys.parts import Parts
from newsletter.ledger import personal as mails
from newsletter.ledger.personal import Outcome
from newsletter.mailboxes import Whose
from newsletter.operators import audit
from newsletter.operators import personal as team
from newsletter.operators.audit import LINK
from newsletter.subscribers import consent, fresh, parcels, pausing, people, topics, wishes
from newsletter.subscribers import personal as readers
from newsletter.subscribers.people import PersonView
from newsletter.subscribers.wishes import Asking, Wish
from newsletter.tokens import Purpose

log = structlog.get_logger()

NOUNS = (readers, mails, letters, team, mailboxes)
"""Everyone who holds something of a person; a test walks the tables and finds each personal column claimed by one of them."""
NO_LINK = "privacy.no-link"
LOOK_SECONDS = 0.1
SHOWN, PAGES = 20, 50
"""How many mails one page shows of what was sent, and how many pages there are: more than the 400 days bring that rows are kept."""


class NotYet(NewsletterError):
    """No worker did in time what a page asked for."""

    status = 503

    def __init__(self) -> None:
        super().__init__("privacy.not-yet")


class Refused(Conflict):
    """A worker did not do what a page asked for; `message` says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Own:
    """Whose page it is, as far as its owner needs: language and hint."""

    language: str
    who: str


def export(session: Session, meant: Whose) -> dict[str, Any]:
    """Return all that is held of somebody, by noun, digests under their own keys."""
    document: dict[str, Any] = {}
    for noun in NOUNS:
        document |= noun.export(session, meant)
    return _named(
        document, digests.keys(session), {one.id: one.key for one in topics.listed(session, removed_too=True)}
    )


def _named(document: dict[str, Any], keys: dict[int, str], subjects: dict[int, str]) -> dict[str, Any]:
    """Operators and readers know a digest or a topic by its key, not by its number."""
    known = {consent.of_digest(number): f"digest {key}" for number, key in keys.items()}
    known |= {topics.of_topic(number): f"topic {key}" for number, key in subjects.items()}
    for one in document.get("permissions", ()):
        one["purpose"] = known.get(one["purpose"], one["purpose"])
    for one in (*document.get("subscriptions", ()), *document.get("named_by_lists", ())):
        one["digest"] = keys.get(one["digest"], one["digest"])
    return document


def exported(parts: Parts, *, reference: str | None, address: EmailAddress | None, by: int | None) -> dict[str, Any]:
    """Return all that is held of somebody, for them, as an operator hands it out. One audit row.

    Raises UnknownPerson, unmasking.NeedsAnother and what `acting.officer` raises.
    """
    with parts.database.transaction() as session:
        who = acting.officer(session, by)
        meant = erasing.whose(session, reference=reference, address=address)
        leave = unmasking.leave(session, parts, who, meant.mailbox_id)
        document = export(session, meant) if leave.given else {}
        now = database.now(session)
        audit.append(session, unmasking.EXPORTED, by=who, now=now, mailbox=meant.mailbox_id, **leave.facts)
    leave.require()
    return document


def meant(
    parts: Parts, *, reference: str | None, address: EmailAddress | None, by: int | None
) -> tuple[Whose, int | str]:
    """Return whom an operator means, and who they are for the audit. Raises UnknownPerson, NobodyNamed, NotAllowed."""
    with parts.database.transaction() as session:
        who = acting.officer(session, by)
        return erasing.whose(session, reference=reference, address=address), who


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to a regulator: everything that bears on one person's permissions, in the order in which it happened."""

    reference: str
    address: str | None
    entries: tuple[dict[str, Any], ...]


def report(parts: Parts, *, reference: str | None, address: EmailAddress | None, by: int | None) -> Report:
    """Return everything of one person's permissions in order. One audit row.

    Raises UnknownPerson, unmasking.NeedsAnother and what `acting.officer` raises.
    """
    with parts.database.transaction() as session:
        who = acting.officer(session, by)
        meant = erasing.whose(session, reference=reference, address=address)
        leave = unmasking.leave(session, parts, who, meant.mailbox_id)
        found = _entries(export(session, meant)) if leave.given else ()
        entries = sorted(found, key=lambda entry: entry["at"])
        facts = {"mailbox": meant.mailbox_id, "entries": len(entries)} | leave.facts
        audit.append(session, unmasking.REPORTED, by=who, now=database.now(session), **facts)
    leave.require()
    return Report(meant.reference, meant.address.wire if meant.address else None, tuple(entries))


def _entries(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what happened, each with when (`at`) and in words (`what`)."""
    for one in document["permissions"]:
        kind = "permission given" if one["kind"] == "granted" else "permission withdrawn"
        yield {"at": one["at"], "what": kind} | {
            name: value for name, value in one.items() if name not in ("at", "kind")
        }
    for one in document["signups"]:
        yield _told("form sent", one, leave_out=("address", "name", "choices", "refused_at"))
        if one["refused_at"]:
            yield {"at": one["refused_at"], "what": "answered no"}
    for one in document["subscriptions"]:
        yield _told("subscription began", one, leave_out=("ended_at", "ended_because"))
        if one["ended_at"]:
            ended = {"at": one["ended_at"], "digest": one["digest"], "because": one["ended_because"]}
            yield _told("subscription ended", ended)
    for one in document["topics"]:
        yield _told("topic chosen", one, leave_out=("ended_at", "ended_because"))
    for one in document["suppressions"]:
        yield _told("on the do-not-mail list", one, leave_out=("lifted_at", "lifted_why", "lifted_by"))
        if one["lifted_at"]:
            lifted = {
                "at": one["lifted_at"],
                "reason": one["reason"],
                "because": one["lifted_why"],
                "by": one["lifted_by"],
            }
            yield _told("off the do-not-mail list", lifted)
    yield from _from_lists(document)
    for one in document["mailbox_was_full"]:
        yield _told("mailbox full", one)
    for one in document["links_asked_for"]:
        yield _told("asked for a link", one)
    for one in document["wishes_on_their_page"]:
        yield _told("wished on their page", one)
    for one in document["mails"]:
        yield _told("mail", one)
    for one in document["came_back"]:
        yield _told("came back", one)
    for one in document["letters"]:
        yield {"at": one["at"], "what": "letter to us"}


def _from_lists(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what came of lists that named them without evidence: no permission, but it is why we hold the address."""
    for one in document["named_by_lists"]:
        yield _told("named by a list without evidence", one, leave_out=("asked_at",))
        if one["asked_at"]:
            asked = {name: one[name] for name in ("digest", "import")}
            yield _told("asked because of that list", {"at": one["asked_at"]} | asked)
    if at := document["asked_because_of_a_list_and_silent"]:
        yield {"at": at, "what": "asked because of a list, and stayed silent"}


def _told(what: str, one: dict[str, Any], *, leave_out: tuple[str, ...] = ()) -> dict[str, Any]:
    kept = {name: value for name, value in one.items() if name not in leave_out and value not in (None, "")}
    return {"at": one["at"], "what": what} | kept


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that went to a reader, as their own page tells of it. digest: its name; "" where it was of none."""

    subject: str
    on: date
    digest: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Mails:
    """One page of what was sent. further: whether there is another page."""

    language: str
    who: str
    mails: tuple[Mail, ...]
    page: int
    further: bool


def sent(parts: Parts, token: str, *, page: int = 1) -> Mails:
    """Return what was sent to the reader whose fresh link this is, the latest first. Changes nothing.

    page   from 1, SHOWN mails on each

    Raises tokens.BadToken, Refused, UnknownPerson: no other link of ours shows it, since mails are forwarded (decision 7).
    """
    with parts.database.transaction() as session:
        link = parts.tokens.read(token, Purpose.FRESH, now=database.now(session))
        if not fresh.was_mailed(session, link.subscriber_id, link.countersign):
            raise Refused(NO_LINK)
        person = people.by_id(session, link.subscriber_id)
        if person is None:
            raise people.UnknownPerson
        found = mails.sent(session, person.mailbox_id, limit=SHOWN + 1, skip=SHOWN * (page - 1))
        named = {one.id: one.name for one in digests.listed(session)}
        zone = pausing.zone(person.time_zone)
        shown = tuple(
            Mail(one.subject, one.at.astimezone(zone).date(), named.get(one.digest_id or 0, ""), one.outcome)
            for one in found[:SHOWN]
        )
        return Mails(person.language, mailboxes.hint(session, person.mailbox_id), shown, page, len(found) > SHOWN)


def look(parts: Parts, token: str) -> Own:
    """Return whose page a fresh link opens. Changes nothing. Raises tokens.BadToken, UnknownPerson."""
    with parts.database.transaction() as session:
        number = _reader(session, parts, token)
        person = people.by_id(session, number)
        if person is None:
            raise people.UnknownPerson
        meant = erasing.of_reader(session, person)
        return Own(person.language, meant.address.hint if meant.address else "")


def whose(parts: Parts, token: str) -> int:
    """Return whose link this is, by key and this machine's clock alone. Raises tokens.BadToken."""
    return parts.tokens.read(token, Purpose.FRESH, now=datetime.now(UTC)).subscriber_id


def _reader(session: Session, parts: Parts, token: str) -> int:
    return parts.tokens.read(token, Purpose.FRESH, now=database.now(session)).subscriber_id


def _countersigned(session: Session, parts: Parts, token: str) -> tuple[int, str]:
    """Return whose link this is, and its countersign; without one no worker would believe what is wished by it."""
    link = parts.tokens.read(token, Purpose.FRESH, now=database.now(session))
    if not link.countersign:
        raise Refused(NO_LINK)
    return link.subscriber_id, link.countersign


def ask_erasure(parts: Parts, token: str, *, may_come_back: bool) -> None:
    """Write down that a reader wishes to be erased, and call a worker. Raises tokens.BadToken, Refused."""
    with parts.database.transaction() as session:
        reader, sign = _countersigned(session, parts, token)
        wishes.add(session, Asking.ERASE, reader, countersign=sign, may_come_back=may_come_back)
    parts.nudger.nudge(PRIVACY)


def take_out(parts: Parts, token: str, *, seconds: float = 15.0) -> bytes:
    """Return all that is held of the reader whose fresh link this is, as JSON. Raises tokens.BadToken, NotYet, Refused."""
    reader = parcels.Reader()
    with parts.database.transaction() as session:
        whom, sign = _countersigned(session, parts, token)
        number = wishes.add(session, Asking.EXPORT, whom, countersign=sign, reader_key=reader.public)
    parts.nudger.nudge(PRIVACY)
    until = time.monotonic() + seconds
    while True:
        with parts.database.transaction() as session:
            found = wishes.outcome(session, number)
        if found.refused:
            raise Refused(found.refused)
        if found.done and found.parcel:
            return reader.open(found.parcel)
        if time.monotonic() > until:
            raise NotYet
        time.sleep(LOOK_SECONDS)


def any_due(parts: Parts) -> bool:
    """Whether a reader's page waits for a worker."""
    with parts.database.transaction() as session:
        return wishes.any_due(session)


def work(parts: Parts) -> int:
    """Do what readers asked for on their pages, put the canaries in, and delete what is over; return how many wishes."""
    erasing.after_restore(parts)
    with parts.database.transaction() as session:
        waiting = wishes.due(session)
    for wish in waiting:
        _do(parts, wish)
    canaries.settle(parts)
    retention.tidy(parts)
    return len(waiting)


def _do(parts: Parts, wish: Wish) -> None:
    parcel, refused = None, None
    try:
        parcel = _done(parts, wish)
    except NewsletterError as refusal:
        if wish.asking is Asking.ERASE and not isinstance(refusal, Refused):
            # A list that comes in, or a disk that is full: their page said that it is being done, so it stays due.
            log.warning("wish waits", wish=wish.id, asking=wish.asking, why=refusal.message)
            return
        refused = refusal.message
        log.info("wish refused", wish=wish.id, asking=wish.asking, why=refusal.message)
    except Exception:
        # Whatever it is: the next wish must not wait for it. One to be erased stays due, and somebody reads the log.
        log.exception("wish failed", wish=wish.id, asking=wish.asking)
        if wish.asking is Asking.ERASE:
            return
        refused = "privacy.failed"
    unheard = refused == NO_LINK and wish.asking is Asking.ERASE
    with parts.database.transaction() as session:
        wishes.done(session, wish.id, parcel=parcel, refused=refused, now=database.now(session))
        if unheard:
            # Their page said that it is being done: a link in their mailbox says that it was not, and how it is.
            fresh.ask(session, wish.subscriber_id)
    if unheard:
        parts.nudger.nudge(SIGNUPS)


def _done(parts: Parts, wish: Wish) -> bytes | None:
    """Do one wish, and return what its page fetches. The pages are not believed: the link must have gone to their own mailbox."""
    with parts.database.transaction() as session:
        now = database.now(session)
        person = people.by_id(session, wish.subscriber_id)
        if person is None:
            return None
        if not _from_their_mailbox(session, wish, person):
            raise Refused(NO_LINK)
        meant = erasing.of_reader(session, person)
        if wish.asking is Asking.EXPORT:
            return _packed(session, wish, meant, now)
    erasing.erase(parts, meant, by=LINK, may_come_back=wish.may_come_back)
    return None


def _from_their_mailbox(session: Session, wish: Wish, person: PersonView) -> bool:
    """Whether a wish was said by whoever holds a link that went to the reader's own mailbox within the day (docs/adr/0028)."""
    gone = fresh.mailed(session, person.id, since=wish.asked_at - fresh.LASTS)
    occasions = [asking.to_prove(person.id, one.at, one.key_id) for one in gone]
    return any(wish.said_by(asking.countersign(session.vault, one, person.mailbox_id)) for one in occasions)


def _packed(session: Session, wish: Wish, meant: Whose, now: datetime) -> bytes:
    if now - wish.asked_at > wishes.FETCHED_WITHIN:
        raise Refused("privacy.not-yet")
    if wishes.exports_of(session, wish.subscriber_id, now=now) >= wishes.EXPORTS:
        raise Refused("privacy.too-often")
    document = json.dumps(export(session, meant), ensure_ascii=False, indent=1, default=_plain)
    audit.append(session, unmasking.EXPORTED, by=LINK, now=now, mailbox=meant.mailbox_id)
    return parcels.pack(document.encode(), wish.reader_key)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)
