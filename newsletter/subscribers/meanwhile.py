"""Who leaves while a list comes in: their wish counts, though neither of the two sees what the other writes.

An import is one transaction of a minute. Whoever leaves within it finds none of the rows that it will have opened, and each batch
of it asked for earlier words only. So every wish to leave holds a lock, which all of them share, for the moment that it takes; and
an import waits before it begins, and again once it is committed, until no wish is on its way that began before. What was said in
between is then looked up and heeded. Nobody who leaves waits for an import: it asks for the lock in short tries, holding nothing.
The lock is one of a table: whoever has the pages' role holds it as wishes do, and never so that a wish would wait.
"""

import time
from datetime import datetime

import structlog
from sqlalchemy import TextClause, text

from newsletter import database as databases
from newsletter.database import Database, Session
from newsletter.subscribers import consent

log = structlog.get_logger()

TRIES = 10
"""How often an import tries, 0.1 s and 0.1 s apart, to find no wish on its way."""
_PAUSE_SECONDS = 0.1


def speak(session: Session) -> None:
    """Hold, until the transaction ends, that a wish to leave is on its way; before anything is looked up for it."""
    session.execute(text("LOCK TABLE leaving IN ROW EXCLUSIVE MODE"))


def begin(database: Database) -> int:
    """Return the number after which the words are that an import which begins now may not see."""
    with database.transaction() as session:
        number: int = session.execute(_LAST).scalar_one()
    # Where a wish is on its way for long, the whole of what was ever said is looked through.
    return number if _quiet(database, TRIES) else 0


def heed(session: Session, import_id: int, *, now: datetime) -> int:
    """End what an import granted to who has left since it began, or is not to be written to; return how many. Safe to repeat."""
    return sum(_end(session, import_id, *one, now=now) for one in ((_SPOKE, _LEFT), (_BARRED, _HELD)))


def _end(session: Session, import_id: int, whom: TextClause, ending: TextClause, *, now: datetime) -> int:
    """End it for some. Those are few, and are looked up first: by all that it granted it would take as long as the import."""
    facts = {"import": import_id, "now": now, "ids": list(session.execute(whom, {"import": import_id}).scalars())}
    return len(session.execute(ending, facts).all()) if facts["ids"] else 0


def settle(database: Database, import_id: int, *, tries: int = TRIES) -> bool:
    """Heed, once an import is committed, what was said until then; return False where a later try must do it."""
    if not _quiet(database, tries):
        log.warning("import not settled yet", number=import_id)
        return False
    with database.transaction() as session:
        ended = heed(session, import_id, now=databases.now(session))
        session.execute(_SETTLED, {"import": import_id})
    if ended:
        log.info("left during an import", number=import_id, ended=ended)
    return True


def settle_all(database: Database) -> int:
    """Settle the imports whose process ended before it could; return how many."""
    with database.transaction() as session:
        waiting = list(session.execute(_UNSETTLED).scalars())
    return sum(settle(database, number, tries=1) for number in waiting)


def _quiet(database: Database, tries: int) -> bool:
    """Wait until every wish has ended that was on its way; whoever leaves meanwhile waits for a tenth of a second at most."""
    for left in reversed(range(tries)):
        try:
            with database.impatient(100) as session:
                session.execute(text("LOCK TABLE leaving IN SHARE MODE"))
            return True
        except databases.HeldUp:
            if left:
                time.sleep(_PAUSE_SECONDS)
    return False


_LAST = text(
    "SELECT coalesce(pg_sequence_last_value(CAST(pg_get_serial_sequence('consent_event', 'id') AS regclass)), 0)"
)
_SETTLED = text("UPDATE import_run SET unheard_after = NULL WHERE id = :import")
_UNSETTLED = text("SELECT id FROM import_run WHERE unheard_after IS NOT NULL ORDER BY id")

_SPOKE = text("""
    SELECT DISTINCT e.subscriber_id FROM consent_event e JOIN import_run r ON e.id > r.unheard_after
    WHERE r.id = :import AND e.kind = 'withdrawn' AND e.import_id IS NULL AND e.undoes IS NULL
""")
_BARRED = text("""
    SELECT DISTINCT s.id FROM suppression p JOIN import_run r ON p.at >= r.at JOIN subscriber s ON s.mailbox_id = p.mailbox_id
    WHERE r.id = :import AND p.lifted_at IS NULL AND p.import_id IS DISTINCT FROM r.id
""")
_MINE = """UPDATE subscription l SET ended_at = :now, end_reason = {reason} FROM consent_event e
        WHERE e.id = l.granted_by AND e.import_id = :import AND l.ended_at IS NULL
        AND l.subscriber_id = ANY (CAST(:ids AS bigint[])) AND {rule} RETURNING l.subscriber_id, l.digest_id"""
_SAID_NO = consent.said_no("l.subscriber_id", f"ARRAY['digest:' || l.digest_id, '{consent.EVERYTHING}']")
_LEFT = text(f"""
    WITH ended AS ({_MINE.format(reason="'unsubscribed'", rule=_SAID_NO)})
    INSERT INTO consent_event (subscriber_id, kind, purpose, at)
    SELECT subscriber_id, 'withdrawn', 'digest:' || digest_id, :now FROM ended RETURNING id
""")  # noqa: S608
# That is no word about the digest: it ends what the list granted, as if the list had come in after.
_HELD = text(f"""
    WITH ended AS ({_MINE.format(reason="'suppressed'", rule="TRUE")})
    INSERT INTO consent_event (subscriber_id, kind, purpose, import_id, at)
    SELECT subscriber_id, 'withdrawn', 'digest:' || digest_id, :import, :now FROM ended RETURNING id
""")  # noqa: S608
