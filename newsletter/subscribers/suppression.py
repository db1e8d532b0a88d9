"""Whom we must not write to, and why. One rule, `weigh`, for what servers and providers say, at once or in a report."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice
from types import MappingProxyType
from typing import Any, BinaryIO

from sqlalchemy import ARRAY, BigInteger, Boolean, cast, func, literal, literal_column, or_, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.dml import ReturningInsert

from newsletter import mailboxes
from newsletter.addresses import BadAddress, EmailAddress
from newsletter.database import Database, Session, now
from newsletter.errors import Forbidden, Invalid
from newsletter.ledger import returns
from newsletter.mailboxes import UnknownMailbox
from newsletter.models.subscriber import Subscriber
from newsletter.models.suppression import Reason as Reason
from newsletter.models.suppression import Suppression
from newsletter.subscribers import consent, tables


class Who(StrEnum):
    """Who says that a mailbox may be written to again.

    PERSON     by an act of their own, such as a link of ours or a sign-up of a mailbox that is known and confirmed
    ANSWERED   the person, who answered the confirmation that was mailed to this mailbox
    OPERATOR   somebody of the team
    ARRIVAL    a mail that arrived there later
    IMPORT     a list
    """

    PERSON = "person"
    ANSWERED = "answered"
    OPERATOR = "operator"
    ARRIVAL = "arrival"
    IMPORT = "import"


MAY_LIFT: Mapping[Who, frozenset[Reason]] = MappingProxyType(
    {
        Who.PERSON: frozenset({Reason.LEFT, Reason.DEAD, Reason.QUOTA}),
        Who.ANSWERED: frozenset(Reason),
        Who.OPERATOR: frozenset({Reason.DEAD, Reason.QUOTA}),
        Who.ARRIVAL: frozenset({Reason.DEAD, Reason.QUOTA}),
        Who.IMPORT: frozenset(),
    }
)
"""Who may lift which reason: nobody but the person what the person has said. The database keeps to it as well."""


class NotTheirs(Forbidden):
    """Only the person can lift what they said. kept: the reasons."""

    def __init__(self, kept: Iterable[str]) -> None:
        super().__init__("suppression.not-theirs", kept=", ".join(kept))


class BadWhy(Invalid):
    """The reason for lifting is missing, or holds an address, which must not lie there in clear."""

    def __init__(self) -> None:
        super().__init__("suppression.bad-why")


@dataclass(frozen=True, slots=True)
class Lifted:
    """What somebody lifted from a mailbox, and what stays since it is not theirs to lift."""

    lifted: tuple[Reason, ...] = ()
    kept: tuple[Reason, ...] = ()


BATCH = 10_000
FULL_TIMES, FULL_FOR = 3, timedelta(days=14)


def add(session: Session, mailbox_id: int, *, reason: Reason, now: datetime) -> bool:
    """Suppress a mailbox; return False when it was suppressed for this reason already."""
    entry = postgresql.insert(Suppression).values(mailbox_id=mailbox_id, reason=reason, at=now)
    return any(session.execute(_first_hand(entry)).scalars())


def _first_hand(entry: postgresql.Insert) -> ReturningInsert[bool]:
    """Return what writes down facts of our own, and says of each whether nothing like it stood there.

    What only an imported list had said until now is ours from then on: undoing that list leaves it.
    """
    written = entry.on_conflict_do_update(
        index_elements=["mailbox_id", "reason"],
        index_where=Suppression.lifted_at.is_(None),
        set_={name: entry.excluded[name] for name in ("at", "said_by", "import_id")},
        where=Suppression.import_id.is_not(None),
    )
    # A row that was inserted has no transaction that ended an earlier state of it.
    return written.returning(literal_column("xmax = 0", Boolean))


class SaidBy(StrEnum):
    """Who said it: a server's reply in the session, or a report that came back."""

    REPLY = "reply"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Word:
    """What was said of a mailbox: DEAD, QUOTA or COMPLAINT, and by whom."""

    reason: Reason
    said_by: SaidBy


def weigh(session: Session, mailbox_id: int, word: Word, *, now: datetime) -> bool:
    """Suppress a mailbox for what was said of it, if that is enough; return whether it is suppressed by this.

    A dead address and a complaint are enough at once. A full mailbox is when it was full on three days over a fortnight at
    least, and nothing arrived there meanwhile (standards §16).
    """
    return weigh_all(session, [mailbox_id], word, now=now) > 0


def weigh_all(session: Session, mailbox_ids: Iterable[int], word: Word, *, now: datetime) -> int:
    """Weigh the same of several mailboxes; return how many are suppressed by this."""
    enough = sorted(set(mailbox_ids))
    if word.reason is Reason.QUOTA:
        enough = [one for one in enough if _full_for_long(session, one, now=now)]
    if not enough:
        return 0
    said = (literal(word.reason.value), literal(now), literal(word.said_by.value))
    entries = select(func.unnest(cast(enough, ARRAY(BigInteger))), *said)
    made = postgresql.insert(Suppression).from_select(["mailbox_id", "reason", "at", "said_by"], entries)
    return sum(session.execute(_first_hand(made)).scalars())


def _full_for_long(session: Session, mailbox_id: int, *, now: datetime) -> bool:
    facts = {"mailbox": mailbox_id, "now": now}
    since, times = session.execute(_FULL, facts).one()
    if times < FULL_TIMES or now - since < FULL_FOR:
        return False
    if returns.arrived_since(session, mailbox_id, since):
        session.execute(_FULL_ANEW, facts)
        return False
    return True


# Once a day at most: retries of one mail say the same thing again. After two months without a word the count begins anew.
_FULL = text("""
    INSERT INTO full_mailbox AS f (mailbox_id, since, times, last_at) VALUES (:mailbox, :now, 1, :now)
    ON CONFLICT (mailbox_id) DO UPDATE SET
        since = CASE WHEN f.last_at < :now - interval '60 days' THEN :now ELSE f.since END,
        times = CASE WHEN f.last_at < :now - interval '60 days' THEN 1
                     WHEN f.last_at < :now - interval '1 day' THEN f.times + 1 ELSE f.times END,
        last_at = CASE WHEN f.last_at < :now - interval '1 day' THEN :now ELSE f.last_at END
    RETURNING since, times
""")
_FULL_ANEW = text("UPDATE full_mailbox SET since = :now, times = 1, last_at = :now WHERE mailbox_id = :mailbox")


def arrived(session: Session, mailbox_ids: Iterable[int], *, said_by: SaidBy, at: datetime, now: datetime) -> int:
    """Lift "dead" and "quota" from mailboxes that took a mail after that was said of them; return how many entries.

    said_by     who says that it arrived: a relay's "accepted" outweighs only what a reply said before, since a relay that
                queues takes everything; a report of delivery and a person's answer outweigh both
    at          when it arrived, or where nobody says that, when it was handed over: an earlier success proves nothing

    No mail of a mailing goes to whom we must not write. What can arrive is mail that was on its way, a test, and a notice.
    """
    ids = list(mailbox_ids)
    known = ["reply"] if said_by is SaidBy.REPLY else ["reply", "report"]
    facts = {"ids": ids, "known": known, "arrived": at, "now": now, "reasons": sorted(MAY_LIFT[Who.ARRIVAL])}
    return int(session.execute(_ARRIVED, facts).rowcount) if ids else 0  # type: ignore[attr-defined]


_ARRIVED = text("""
    UPDATE suppression SET lifted_at = :now, lifted_why = 'mail arrived later', lifted_by = 'arrival'
    WHERE mailbox_id = ANY(CAST(:ids AS bigint[])) AND lifted_at IS NULL AND reason = ANY(CAST(:reasons AS text[]))
      AND said_by = ANY(CAST(:known AS text[])) AND at < :arrived
""")


def of_mailboxes(session: Session, mailbox_ids: Iterable[int]) -> set[int]:
    """Return those of some mailboxes of which anything was ever said: it must be known again when they come back."""
    known = select(Suppression.mailbox_id).where(Suppression.mailbox_id == mailboxes.among(mailbox_ids))
    return set(session.execute(known).scalars())


def suppressed(session: Session, mailbox_ids: Iterable[int]) -> set[int]:
    """Return those of some mailboxes that are suppressed now."""
    theirs = (Suppression.mailbox_id == mailboxes.among(mailbox_ids), Suppression.lifted_at.is_(None))
    return set(session.execute(select(Suppression.mailbox_id).where(*theirs)).scalars())


def reasons(session: Session, mailbox_id: int) -> list[str]:
    """Return why a mailbox is suppressed now."""
    live = (Suppression.mailbox_id == mailbox_id, Suppression.lifted_at.is_(None))
    return list(session.execute(select(Suppression.reason).where(*live).order_by(Suppression.id)).scalars())


def own_words(session: Session, mailbox_id: int) -> list[str]:
    """Return those reasons why a mailbox is suppressed now which nobody but its owner may lift."""
    return [reason for reason in reasons(session, mailbox_id) if reason not in MAY_LIFT[Who.OPERATOR]]


def lift(
    session: Session, mailbox_id: int, *, by: Who, why: str, now: datetime, said_at: datetime | None = None
) -> Lifted:
    """Lift what somebody may lift of what suppresses a mailbox; the entries stay, with the reason of lifting. Raises BadWhy.

    said_at   when they said so, where it is heard later: what the owner said since stands
    """
    if not why.strip() or "@" in why:
        raise BadWhy
    before = or_(Suppression.at <= (said_at or now), Suppression.reason.in_(sorted(MAY_LIFT[Who.OPERATOR])))
    live = (Suppression.mailbox_id == mailbox_id, Suppression.lifted_at.is_(None), before)
    theirs = Suppression.reason.in_(sorted(MAY_LIFT[by]))
    lifting = update(Suppression).where(*live, theirs).values(lifted_at=now, lifted_why=why.strip(), lifted_by=by)
    found = session.execute(lifting.returning(Suppression.reason)).scalars()
    return Lifted(tuple(map(Reason, found)), tuple(map(Reason, reasons(session, mailbox_id))))


def came_back(session: Session, mailbox_id: int, *, now: datetime, answered_at: datetime | None) -> Lifted:
    """A person came back by a sign-up of their own: lift what they may, and return what stays.

    answered_at   when they answered a confirmation that was mailed to this mailbox; None where they acted by another link of
                  ours, which lifts neither a complaint nor "never again"
    """
    by = Who.ANSWERED if answered_at else Who.PERSON
    return lift(session, mailbox_id, by=by, why="came back", now=now, said_at=answered_at)


def listed(session: Session, *, limit: int) -> list[dict[str, Any]]:
    """Return the newest live entries: reference where there is a person, masked address, reason, since when."""
    query = (
        select(Suppression.mailbox_id, Suppression.reason, Suppression.at, Subscriber.reference)
        .outerjoin(Subscriber, Subscriber.mailbox_id == Suppression.mailbox_id)
        .where(Suppression.lifted_at.is_(None))
        .order_by(Suppression.id.desc())
        .limit(limit)
    )
    return [
        {"reference": row.reference, "address": _masked(session, row.mailbox_id), "reason": row.reason, "since": row.at}
        for row in session.execute(query)
    ]


def _masked(session: Session, mailbox_id: int) -> str:
    try:
        return mailboxes.open(session, mailbox_id).masked
    except UnknownMailbox:
        return "erased"


@dataclass(frozen=True, slots=True)
class Brought:
    """What another system says of an address. at: since when; None: it does not say."""

    address: EmailAddress
    reason: Reason
    at: datetime | None


def bring(session: Session, words: list[Brought], *, import_id: int, now: datetime) -> int:
    """Suppress what another system suppressed; return how many were not. The same list again changes nothing.

    What was lifted here since it was said there stays lifted, and who said yes to us after they said no elsewhere has come back.
    """
    mailboxes.find_or_make_all(session, [word.address for word in words])
    keys = [session.vault.index(word.address.normal) for word in words]
    boxes = mailboxes.find_all(session, keys)
    facts = {
        "boxes": [boxes[key[0][1]] for key in keys],
        "reasons": [str(word.reason) for word in words],
        "since": [word.at for word in words],
        "import": import_id,
        "now": now,
    }
    added = len(session.execute(_BRING, facts).all())
    session.execute(_NAME, facts)
    return added


_BRING = text(f"""
    INSERT INTO suppression (mailbox_id, reason, at, import_id)
    SELECT w.box, w.reason, least(coalesce(w.since, :now), :now), :import
    FROM unnest(CAST(:boxes AS bigint[]), CAST(:reasons AS text[]), CAST(:since AS timestamptz[])) AS w (box, reason, since)
    WHERE (SELECT count(*) FROM suppression p WHERE p.mailbox_id = w.box AND p.reason = w.reason
            AND p.lifted_why IS DISTINCT FROM 'import undone'
            AND (p.lifted_at IS NULL OR p.lifted_at >= coalesce(w.since, '-infinity'))) = 0
        AND (w.since IS NULL OR (SELECT count(*) FROM subscriber s JOIN consent_event e ON e.subscriber_id = s.id
            WHERE s.mailbox_id = w.box AND e.kind = 'granted' AND e.at > w.since AND {consent.own("e")}) = 0)
    ON CONFLICT DO NOTHING RETURNING id
""")  # noqa: S608


# What another list brought stands by this one as well: each of the two can be undone by itself.
_NAME = text("""
    INSERT INTO suppression_naming (suppression_id, import_id)
    SELECT DISTINCT p.id, CAST(:import AS bigint) FROM unnest(CAST(:boxes AS bigint[]), CAST(:reasons AS text[])) AS w (box, reason)
    JOIN suppression p ON p.mailbox_id = w.box AND p.reason = w.reason AND p.lifted_at IS NULL
    WHERE p.import_id <> :import ON CONFLICT DO NOTHING
""")


def import_csv(
    database: Database,
    stream: BinaryIO,
    *,
    dry_run: bool = False,
    on_reject: Callable[[int], None] = lambda _row: None,
    before_commit: Callable[[Session, tables.Counts, datetime], None] = lambda _session, _counts, _now: None,
) -> tables.Counts:
    """Suppress every address of a CSV file with a column "email", whether known or not; return the counts.

    on_reject       is told the number of each row that holds no address: whoever stands there can still be written to
    before_commit   writes beside it what was done; a dry run takes that back as well

    All or nothing, but for such rows: those are counted as rejected. Mail already planned is stopped when its
    shard is leased. Raises tables.BadTable, tables.ImportBusy.
    """
    counts = tables.Counts()
    table = tables.opened(stream, required=("email",), known=("email",))
    with database.transaction() as session:
        moment = now(session)
        tables.claim(session)
        while batch := [(row, _parsed(values["email"])) for row, values in islice(table.rows, BATCH)]:
            for row in (row for row, address in batch if address is None):
                on_reject(row)
            addresses = [address for _, address in batch if address is not None]
            counts = _take(
                session, addresses, counts.plus(read=len(batch), rejected=len(batch) - len(addresses)), moment
            )
        before_commit(session, counts, moment)
        if dry_run:
            session.rollback()
    return counts


def _take(session: Session, addresses: list[EmailAddress], counts: tables.Counts, moment: datetime) -> tables.Counts:
    boxes = mailboxes.find_or_make_all(session, addresses)
    entries = select(func.unnest(cast(boxes, ARRAY(BigInteger))), literal(Reason.NEVER_AGAIN.value), literal(moment))
    made = postgresql.insert(Suppression).from_select(["mailbox_id", "reason", "at"], entries)
    added = sum(session.execute(_first_hand(made)).scalars())
    return counts.plus(added=added, unchanged=len(addresses) - added)


def _parsed(text: str) -> EmailAddress | None:
    try:
        return EmailAddress.parse(text)
    except BadAddress:
        return None
