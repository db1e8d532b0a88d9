"""Whom lists named without evidence: they are asked once, come in as by the form, and get nothing before they say yes.

Each list is kept, also of who takes the digest on something else: when that is taken back they can still be asked. One question is
for all of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, text

from newsletter import mailboxes
from newsletter.database import Session
from newsletter.models.consent import StayedSilent
from newsletter.subscribers import consent, grounds, recipients

SILENT, UNASKED = timedelta(days=31), timedelta(days=365)
"""How long somebody is kept whom nobody may write to: after they were asked, and where nobody asked them."""
REMEMBERED = timedelta(days=730)
"""How long a keyed digest of an address says that its owner was asked and stayed silent: the list may come in again meanwhile."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody who was not asked yet. address in wire form."""

    subscriber_id: int
    mailbox_id: int
    digest_id: int
    address: str
    name: str
    language: str


def name(session: Session, readers: Iterable[int], *, digest_id: int, import_id: int) -> set[int]:
    """Write down that a list names some readers, but none who was asked and stayed silent; return those whom none had named."""
    facts = {"ids": list(readers), "digest": digest_id, "import": import_id}
    return set(session.execute(_NAME, facts).scalars()) if facts["ids"] else set()


_NAME = text(f"""
    WITH known AS (
        SELECT s.id, (SELECT count(*) FROM unproven u WHERE u.subscriber_id = s.id AND u.digest_id = :digest) AS lists
        FROM unnest(CAST(:ids AS bigint[])) AS given (number) JOIN subscriber s ON s.id = given.number
        WHERE (SELECT count(*) FROM stayed_silent q WHERE q.mailbox_id = s.mailbox_id) = 0
    ), named AS (
        INSERT INTO unproven (subscriber_id, digest_id, import_id)
        SELECT id, :digest, :import FROM known WHERE lists < {grounds.MOST} ON CONFLICT DO NOTHING
    )
    SELECT id FROM known WHERE lists = 0
""")  # noqa: S608


def count(session: Session, import_id: int) -> int:
    """Return how many of an import could be asked."""
    return int(session.execute(_COUNT, {"import": import_id}).scalar_one())


def unasked(session: Session) -> dict[int, int]:
    """Return how many could be asked, by the import that first named them: whoever comes once more stays with that."""
    return {row.import_id: row.people for row in session.execute(_UNASKED)}


def waiting(session: Session, import_id: int, *, most: int) -> list[Waiting]:
    """Return those of an import who were not asked yet, the first so many; until the transaction ends nobody else is told of any.

    By the rows alone the second of two who ask at once would still see what the first did not find written yet, and those of
    another list it would not even wait for.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('subscribers.asking'))"))
    rows = session.execute(_WAITING, {"import": import_id, "most": most}).all()
    details = recipients.details(session, [row.subscriber_id for row in rows])
    return [
        Waiting(row.subscriber_id, row.mailbox_id, row.digest_id, known.address, known.name, row.language)
        for row in rows
        if (known := details.get(row.subscriber_id))
    ]


def asked(session: Session, import_id: int, subscriber_ids: list[int]) -> None:
    """Write down that they are being asked: nobody whom the question reaches is asked twice because of one list."""
    session.execute(_ASKED, {"import": import_id, "ids": subscriber_ids})


@dataclass(frozen=True, slots=True)
class Named:
    """Somebody as one list named them. asked_at None: nobody asked them."""

    subscriber_id: int
    digest_id: int
    import_id: int
    asked_at: datetime | None
    mailbox_id: int


def over(session: Session, *, now: datetime, most: int) -> list[Named]:
    """Return those whose time is over, the first so many; who is being made a reader at this moment is left for the next time."""
    rows = session.execute(_OVER, {"silent": now - SILENT, "unasked": now - UNASKED, "most": most})
    return [Named(*row) for row in rows]


def forget(session: Session, found: Sequence[Named]) -> list[int]:
    """Let go of those whose time is over; return the mailboxes that are no reader's any more.

    Whoever has anything else, a permission or a word of their own, loses the mark and stays. A sign-up of theirs is waited for by
    nobody: the list's own is over by then, and a yes to another makes them a reader anew. Of whom a question reached it has been
    remembered by then (`remember`).
    """
    people = list(session.execute(_FORGET, _facts(found)).scalars())
    return list(session.execute(_NOBODY, {"ids": people}).scalars())


def ask_anew(session: Session, found: Sequence[Named]) -> list[Named]:
    """Let those be asked again who were asked in vain; return them: none who said anything meanwhile, or must not be mailed."""
    facts = _facts(found)
    spared = {(row.subscriber_id, row.digest_id) for row in session.execute(_ASK_ANEW, facts)}
    return [one for one in found if (one.subscriber_id, one.digest_id) in spared]


def _facts(found: Sequence[Named]) -> dict[str, list[Any]]:
    return {
        "ids": [one.subscriber_id for one in found],
        "digests": [one.digest_id for one in found],
        "imports": [one.import_id for one in found],
        "asked": [one.asked_at is not None for one in found],
    }


def remember(session: Session, subscriber_ids: Iterable[int], *, now: datetime) -> None:
    """Write down that a question reached these because of a list, but for who said yes. Safe to repeat.

    By a digest of the address, which outlives their record: no list has them asked again.
    """
    session.execute(_REMEMBER, {"ids": list(subscriber_ids), "now": now})


def asked_of(session: Session, import_id: int) -> list[Named]:
    """Return those of an import who were asked and have not answered yet."""
    return [Named(*row) for row in session.execute(_ASKED_OF, {"import": import_id})]


def unname(session: Session, import_id: int, subscriber_ids: Iterable[int]) -> None:
    """Let go of those of an import whom nobody asked, and of some more."""
    session.execute(_UNNAME, {"import": import_id, "ids": list(subscriber_ids)})


def remembered(session: Session, mailbox_ids: Iterable[int]) -> set[int]:
    """Return those of some mailboxes whose owners were asked and stayed silent: by a digest they must be known again."""
    marked = select(StayedSilent.mailbox_id).where(StayedSilent.mailbox_id == mailboxes.among(mailbox_ids))
    return set(session.execute(marked).scalars())


def silent_since(session: Session, mailbox_id: int) -> datetime | None:
    """Return since when it is remembered that the owner of a mailbox stayed silent; None: it is not."""
    return session.execute(select(StayedSilent.at).where(StayedSilent.mailbox_id == mailbox_id)).scalar_one_or_none()


def answered(session: Session, mailbox_id: int) -> None:
    """Forget that the owner of a mailbox once stayed silent: they have spoken since."""
    session.execute(delete(StayedSilent).where(StayedSilent.mailbox_id == mailbox_id))


def tidy(session: Session, *, now: datetime, most: int) -> list[int]:
    """Remember the first so many no longer whose time is over; return their mailboxes."""
    return list(session.execute(_NO_LONGER, {"over": now - REMEMBERED, "most": most}).scalars())


_NAMED = "SELECT u.subscriber_id, u.digest_id, u.import_id, u.asked_at, s.mailbox_id FROM unproven u"
_ASKED_OF = text(f"""
    {_NAMED} JOIN subscriber s ON s.id = u.subscriber_id WHERE u.import_id = :import AND u.asked_at IS NOT NULL
""")
_UNNAME = text("""
    DELETE FROM unproven
    WHERE import_id = :import AND (asked_at IS NULL OR subscriber_id = ANY (CAST(:ids AS bigint[])))
""")
_OVER = text(f"""
    {_NAMED} JOIN import_run r ON r.id = u.import_id JOIN subscriber s ON s.id = u.subscriber_id
    WHERE u.asked_at < :silent OR u.asked_at IS NULL AND r.at < :unasked
    LIMIT :most FOR UPDATE OF u, s SKIP LOCKED
""")
# Who was asked because of one list and stayed silent is asked because of none.
_FORGET = text("""
    DELETE FROM unproven u
    USING unnest(CAST(:ids AS bigint[]), CAST(:digests AS bigint[]), CAST(:imports AS bigint[]), CAST(:asked AS boolean[]))
        AS o (subscriber_id, digest_id, import_id, asked)
    WHERE o.subscriber_id = u.subscriber_id AND o.digest_id = u.digest_id AND (o.import_id = u.import_id OR o.asked)
    RETURNING u.subscriber_id
""")
_REMEMBER = text(f"""
    INSERT INTO stayed_silent (mailbox_id, at) SELECT DISTINCT s.mailbox_id, CAST(:now AS timestamptz) FROM subscriber s
    WHERE s.id = ANY (CAST(:ids AS bigint[])) AND NOT EXISTS (
        SELECT FROM consent_event e WHERE e.subscriber_id = s.id AND e.kind = 'granted' AND {consent.own("e")})
    ON CONFLICT (mailbox_id) DO UPDATE SET at = excluded.at
""")  # noqa: S608
_NO_LONGER = text("""
    DELETE FROM stayed_silent WHERE mailbox_id IN (SELECT mailbox_id FROM stayed_silent WHERE at < :over LIMIT :most)
    RETURNING mailbox_id
""")
_NOBODY = text("""
    DELETE FROM subscriber s WHERE s.id = ANY (CAST(:ids AS bigint[]))
        AND NOT EXISTS (SELECT FROM consent_event e WHERE e.subscriber_id = s.id)
        AND NOT EXISTS (SELECT FROM unproven u WHERE u.subscriber_id = s.id)
    RETURNING s.mailbox_id
""")


# Who has said yes or no meanwhile, stayed silent, or must not be written to, is not asked. What the last word was is looked up of
# those alone who ever took anything back.
UNDECIDED = f"""
    unproven u JOIN subscriber s ON s.id = u.subscriber_id
    WHERE NOT EXISTS (SELECT FROM subscription l WHERE l.subscriber_id = s.id AND l.digest_id = u.digest_id
            AND l.ended_at IS NULL)
        AND NOT EXISTS (SELECT FROM suppression p WHERE p.mailbox_id = s.mailbox_id AND p.lifted_at IS NULL)
        AND NOT EXISTS (SELECT FROM stayed_silent q WHERE q.mailbox_id = s.mailbox_id)
        AND NOT EXISTS (SELECT FROM consent_event w WHERE w.subscriber_id = s.id AND w.kind = 'withdrawn'
            AND {consent.said_no("w.subscriber_id", f"ARRAY['digest:' || u.digest_id, '{consent.EVERYTHING}']")})
"""  # noqa: S608
_ASKED_BY_NONE = """NOT EXISTS (SELECT FROM unproven o
    WHERE o.subscriber_id = u.subscriber_id AND o.digest_id = u.digest_id AND o.asked_at IS NOT NULL)"""
_OPEN = f"FROM {UNDECIDED} AND u.import_id = :import AND {_ASKED_BY_NONE}"
_ASK_ANEW = text(f"""
    UPDATE unproven a SET asked_at = NULL
    FROM (SELECT u.subscriber_id, u.digest_id FROM {UNDECIDED} AND u.subscriber_id = ANY (CAST(:ids AS bigint[]))) AS open,
        unnest(CAST(:ids AS bigint[]), CAST(:digests AS bigint[])) AS o (subscriber_id, digest_id)
    WHERE a.subscriber_id = open.subscriber_id AND a.digest_id = open.digest_id AND a.asked_at IS NOT NULL
        AND o.subscriber_id = a.subscriber_id AND o.digest_id = a.digest_id
    RETURNING a.subscriber_id, a.digest_id
""")  # noqa: S608
_COUNT = text(f"SELECT count(*) {_OPEN}")
_UNASKED = text(f"""
    SELECT import_id, count(*) AS people FROM (
        SELECT DISTINCT ON (u.subscriber_id, u.digest_id) u.import_id FROM {UNDECIDED} AND {_ASKED_BY_NONE}
        ORDER BY u.subscriber_id, u.digest_id, u.import_id) AS first
    GROUP BY import_id ORDER BY import_id
""")  # noqa: S608
_WAITING = text(
    f"SELECT u.subscriber_id, s.mailbox_id, u.digest_id, s.language {_OPEN} ORDER BY u.subscriber_id LIMIT :most FOR UPDATE OF u"
)
_ASKED = text("""
    UPDATE unproven SET asked_at = now() WHERE import_id = :import AND subscriber_id = ANY (CAST(:ids AS bigint[]))
""")
