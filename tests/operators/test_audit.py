"""The audit in PostgreSQL: one chain whoever comes at once, that no role of ours can rewrite."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from newsletter import database
from newsletter.operators import audit, people
from newsletter.operators.audit import Fault
from tests.operators.asking import connect, now_of


def test_many_at_once_make_one_chain(crew):
    """Two rows over the same one would be two histories."""

    def attempt(number):
        opened = crew.web if number % 2 else crew.worker
        with opened.transaction() as session:
            audit.append(session, "test", by=number, now=database.now(session), number=number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(attempt, range(40)))
    with crew.web.transaction() as session:
        verdict = audit.verify(session)
        assert (verdict.sound, verdict.rows) == (True, 40)
        assert audit.head(session) == verdict.head
        assert [entry.number for entry in audit.listed(session, limit=3)] == [40, 39, 38]
        assert [entry.number for entry in audit.listed(session, limit=3, before=3)] == [2, 1]
        assert audit.listed(session, limit=1)[0].act == "test"


def test_what_was_rolled_back_leaves_no_gap(crew):
    """A number that is missing must mean that somebody removed a row."""

    def fail():
        with crew.web.transaction() as session:
            audit.append(session, "test", by=1, now=database.now(session))
            raise people.NoRole

    with pytest.raises(people.NoRole):
        fail()
    with crew.web.transaction() as session:
        assert audit.append(session, "test", by=1, now=database.now(session)) == 1


REWRITES = (
    "UPDATE audit SET content = '{}'",
    "DELETE FROM audit",
    "TRUNCATE audit",
    "DROP TABLE audit",
    "ALTER TABLE audit DISABLE TRIGGER ALL",
    "CREATE TRIGGER t BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE r AS ON INSERT TO audit DO INSTEAD NOTHING",
    "SET session_replication_role = replica",
    "CREATE OR REPLACE FUNCTION audit_continues() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
)


@pytest.mark.parametrize("role", ["web", "worker"])
@pytest.mark.parametrize("rewrite", REWRITES)
def test_the_audit_cannot_be_rewritten(crew, database_urls, role, rewrite):
    """Whoever takes over the application must not be able to unsay what they did in it."""
    with crew.worker.transaction() as session:
        audit.append(session, "test", by=1, now=database.now(session))
    with connect(getattr(database_urls, role)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(rewrite)


@pytest.mark.parametrize("role", ["web", "worker"])
def test_the_audit_takes_only_the_next_row(crew, database_urls, role):
    """Not a fork, not a gap, not a row whose digest covers something else; not in bulk either."""
    with crew.worker.transaction() as session:
        for _ in range(3):
            audit.append(session, "test", by=1, now=database.now(session))
        last = audit.head(session)
    content = audit.canonical(4, now_of(crew.web), "1", "forged", {})
    right = audit.link(bytes.fromhex(last.digest), content)
    insert = "INSERT INTO audit (number, content, digest) VALUES (%s, %s, %s)"
    with connect(getattr(database_urls, role)) as connection:
        for row in (
            (3, content, right),
            (5, content, right),
            (4, content + " ", right),
            (4, content, bytes(32)),
            (0, content, right),
            (-1, content, right),
        ):
            with pytest.raises(psycopg.errors.IntegrityError):
                connection.execute(insert, row)
        copying = "COPY audit (number, content, digest) FROM STDIN"
        with pytest.raises(psycopg.errors.IntegrityError), connection.cursor().copy(copying) as copy:
            copy.write_row((9, content, right))
        connection.execute(insert, (4, content, right))


def test_even_the_owner_changes_nothing_by_mistake(crew, database_urls):
    """A migration or a tired administrator with the wrong window open."""
    with crew.worker.transaction() as session:
        audit.append(session, "test", by=1, now=database.now(session))
    with connect(database_urls.owner) as connection:
        for statement in ("UPDATE audit SET content = '{}'", "DELETE FROM audit", "TRUNCATE audit"):
            with pytest.raises(psycopg.errors.IntegrityError):
                connection.execute(statement)


def test_an_owner_who_rewrites_it_on_purpose_is_found(crew, database_urls):
    """By the row where it was touched, and when the whole chain is made anew, by a head that somebody kept."""
    with crew.worker.transaction() as session:
        for number in range(6):
            audit.append(session, "test", by=number, now=database.now(session))
        kept = audit.head(session)
    with connect(database_urls.owner) as connection:
        connection.execute("ALTER TABLE audit DISABLE TRIGGER ALL")
        connection.execute('UPDATE audit SET content = replace(content, \'"by":"2"\', \'"by":"1"\') WHERE number = 3')
        with crew.web.transaction() as session:
            assert (audit.verify(session).fault, audit.verify(session).number) == (Fault.CHANGED, 3)
        connection.execute("DELETE FROM audit WHERE number >= 3")
        connection.execute("ALTER TABLE audit ENABLE TRIGGER ALL")
    with crew.worker.transaction() as session:
        for number in range(6):
            audit.append(session, "nothing", by=number, now=database.now(session))
        assert audit.verify(session).sound
        verdict = audit.verify(session, kept)
        assert (verdict.fault, verdict.number) == (Fault.FORKED, 6)
