"""A whole import is taken back: what it granted ends, and whom it alone made is forgotten."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from newsletter.database import Session
from newsletter.errors import Conflict, NotFound
from newsletter.ledger import questions, reading
from newsletter.subscribers import consent, grounds, signup, tables, topics, unproven
from newsletter.subscribers.listed import call_in
from newsletter.subscribers.unproven import Named

UNDONE = "import undone"
_BATCH = 50_000


class UnknownImport(NotFound):
    """There is no import of this number."""

    def __init__(self, number: int) -> None:
        super().__init__("import.unknown", number=number)


class AlreadyUndone(Conflict):
    """The import was undone before."""

    def __init__(self, number: int, at: datetime) -> None:
        super().__init__("import.undone", number=number, at=f"{at:%Y-%m-%d %H:%M}")


@dataclass(frozen=True, slots=True)
class Undone:
    """What undoing an import did.

    ended        subscriptions that rested on it
    interests    topics that rested on it
    forgotten    people it made who have nothing else
    kept         people whose permission ended, and who stay because they have something else: a mail of ours, a word of their own
    lifted       entries of the do-not-mail list that it brought, and that neither another list nor anybody here has said since
    handed       subscriptions that rested on it and go on, because another list or the reader's own word shows them as well
    topics       those that its tags made, and that nobody chooses and no segment names any more
    altered      people known before of whom it changed name, postcode, language or zone: that stays as the list says, for what
                 stood there before is not kept; None: it came in before this was counted
    """

    number: int
    ended: int
    interests: int
    forgotten: int
    kept: int
    lifted: int
    altered: int | None = None
    handed: int = 0
    topics: int = 0


def undo(session: Session, number: int, *, suppressions_too: bool, now: datetime) -> tuple[Undone, list[int]]:
    """Undo an import; return the counts, and the mailboxes that are no reader's any more.

    The import can come in again: that its permissions ended is nobody's wish. Whom it named are held until the transaction ends:
    what they say meanwhile is heard before or after it (`people.hold`). Raises UnknownImport, AlreadyUndone, and tables.ImportBusy
    while a list comes in, which may rely on what this one granted.
    """
    tables.alone(session)
    tables.keep_all(session)
    run = session.execute(_RUN, {"import": number}).one_or_none()
    if run is None:
        raise UnknownImport(number)
    if run.undone_at is not None:
        raise AlreadyUndone(number, run.undone_at)
    facts: dict[str, Any] = {"import": number, "now": now}
    people = list(session.execute(_PEOPLE, facts).all())
    session.execute(_MARK, facts)
    handed = sum(grounds.hand_over(session, batch) for batch in _batches([person.id for person in people]))
    ended, interests = (len(session.execute(one, facts).all()) for one in (_SUBSCRIPTIONS, _INTERESTS))
    # Whom somebody is asking at this moment is waited for by this, and has been asked by the next.
    unproven.unname(session, number, ())
    _call_in(session, number, unproven.asked_of(session, number), now=now)
    boxes: list[int] = []
    for batch in _batches(people):
        boxes += _forget(session, number, batch)
    topics_ = topics.remove_made(session, number, now=now)
    lifted = _lift(session, facts) if suppressions_too else 0
    return Undone(
        number, ended, interests, len(boxes), len(people) - len(boxes), lifted, run.altered, handed, topics_
    ), boxes


def _batches(found: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for place in range(0, len(found), _BATCH):
        yield found[place : place + _BATCH]


def _call_in(session: Session, number: int, asked: Sequence[Named], *, now: datetime) -> None:
    """Have nobody asked any more because of an import; whom its question reached may answer it for as long as was said.

    The same list, brought again, must not have those asked once more, and may have the others, who never heard of it.
    """
    for batch in _batches(asked):
        reached = questions.handed(session, [(one.mailbox_id, one.asked_at) for one in batch])
        silent = {one.subscriber_id for one in batch if (one.mailbox_id, one.asked_at) in reached}
        unproven.remember(session, silent, now=now)
        if left := [one for one in batch if one.subscriber_id not in silent]:
            # A worker that is planning their questions ends first.
            signup.wait(session)
            call_in(session, [one.mailbox_id for one in left], digest_id=left[0].digest_id)
            unproven.unname(session, number, [one.subscriber_id for one in left])


def _lift(session: Session, facts: dict[str, Any]) -> int:
    """Take the list's entries off; what another list names as well is that one's from now on. Return how many went."""
    session.execute(_INHERIT, facts)
    session.execute(_UNNAME, facts)
    return int(session.execute(_LIFT, facts).rowcount)  # type: ignore[attr-defined]


def _forget(session: Session, number: int, people: Sequence[Any]) -> list[int]:
    """Delete those who have nothing else; return their mailboxes."""
    written_to = reading.written_to(session, [person.mailbox_id for person in people])
    unwritten = [person.id for person in people if person.mailbox_id not in written_to]
    facts = {"ids": list(session.execute(_ALONE, {"ids": unwritten, "import": number}).scalars())}
    for statement in (_DETAILS, _NO_SUBSCRIPTION, _NO_INTEREST):
        session.execute(statement, facts)
    return list(session.execute(_NOBODY, facts).scalars())


_RUN = text("SELECT undone_at, altered FROM import_run WHERE id = :import FOR UPDATE")
# Whom it named: by what it granted them, or because it could show nothing. What is looked up of them afterwards stays so.
_PEOPLE = text("""
    SELECT s.id, s.mailbox_id FROM (
        SELECT subscriber_id FROM consent_event WHERE import_id = :import
        UNION SELECT subscriber_id FROM unproven WHERE import_id = :import
    ) named JOIN subscriber s ON s.id = named.subscriber_id
    ORDER BY s.id FOR UPDATE OF s
""")
# Nobody else ever said anything of them, but lists and sign-ups that were undone. Asked last: whoever leaves holds no reader, but
# what they take, and that has been ended by then.
_ALONE = text(f"""
    SELECT known.id FROM unnest(CAST(:ids AS bigint[])) AS known (id)
    WHERE NOT EXISTS (SELECT FROM consent_event e LEFT JOIN import_run r ON r.id = e.import_id
            WHERE e.subscriber_id = known.id AND e.import_id IS DISTINCT FROM :import
                AND CASE WHEN e.import_id IS NULL THEN {consent.own("e")} ELSE r.undone_at IS NULL END)
        AND NOT EXISTS (SELECT FROM unproven u WHERE u.subscriber_id = known.id AND u.import_id <> :import)
""")  # noqa: S608
_SUBSCRIPTIONS = text("""
    WITH ended AS (
        UPDATE subscription l SET ended_at = :now, end_reason = 'import undone' FROM consent_event e
        WHERE e.id = l.granted_by AND e.import_id = :import AND l.ended_at IS NULL RETURNING l.subscriber_id, l.digest_id
    )
    INSERT INTO consent_event (subscriber_id, kind, purpose, import_id, at)
    SELECT subscriber_id, 'withdrawn', 'digest:' || digest_id, :import, :now FROM ended RETURNING id
""")
_INTERESTS = text("""
    WITH ended AS (
        UPDATE interest i SET ended_at = :now, end_reason = 'import undone' FROM consent_event e
        WHERE e.id = i.granted_by AND e.import_id = :import AND i.ended_at IS NULL RETURNING i.subscriber_id, i.topic_id
    )
    INSERT INTO consent_event (subscriber_id, kind, purpose, import_id, at)
    SELECT subscriber_id, 'withdrawn', 'topic:' || topic_id, :import, :now FROM ended RETURNING id
""")
_MINE = "subscriber_id = ANY (CAST(:ids AS bigint[]))"
_DETAILS = text(
    f"DELETE FROM consent_detail d USING consent_event e WHERE e.id = d.event_id AND e.{_MINE}"  # noqa: S608
)
_NO_SUBSCRIPTION = text(f"DELETE FROM subscription WHERE {_MINE}")  # noqa: S608
_NO_INTEREST = text(f"DELETE FROM interest WHERE {_MINE}")  # noqa: S608
_NOBODY = text("DELETE FROM subscriber WHERE id = ANY (CAST(:ids AS bigint[])) RETURNING mailbox_id")
_INHERIT = text("""
    UPDATE suppression p SET import_id = heir.import_id FROM (
        SELECT n.suppression_id, min(n.import_id) AS import_id FROM suppression_naming n
        JOIN import_run r ON r.id = n.import_id AND r.undone_at IS NULL AND r.id <> :import GROUP BY n.suppression_id
    ) heir WHERE heir.suppression_id = p.id AND p.import_id = :import AND p.lifted_at IS NULL
""")
_UNNAME = text("""
    DELETE FROM suppression_naming n USING suppression p
    WHERE p.id = n.suppression_id AND (n.import_id = :import OR n.import_id = p.import_id)
""")
_LIFT = text("""
    UPDATE suppression SET lifted_at = :now, lifted_why = 'import undone', lifted_by = 'undone'
    WHERE import_id = :import AND lifted_at IS NULL
""")
_MARK = text("UPDATE import_run SET undone_at = :now WHERE id = :import")


def listed(session: Session, *, limit: int) -> list[dict[str, Any]]:
    """Return the newest imports: what they were and did, and whether they were undone."""
    return [dict(row) for row in session.execute(_LISTED, {"limit": limit}).mappings()]


_LISTED = text("""
    SELECT id AS import, at, source, digest_id AS digest, added, changed, altered, rejected, suppressed, unproven, silent,
        reach, undone_at AS undone
    FROM import_run ORDER BY id DESC LIMIT :limit
""")
